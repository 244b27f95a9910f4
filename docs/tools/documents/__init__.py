"""Generates parts of the documents, so that the documents agree with the program."""
