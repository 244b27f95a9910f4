"""Glue: crawlers, published runs, the table of rejected rentals."""
