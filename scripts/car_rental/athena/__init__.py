"""Athena: queries, their results, the saved queries."""
