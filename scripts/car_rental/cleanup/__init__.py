"""Afterwards: what of the project exists on AWS, and how it is removed."""
