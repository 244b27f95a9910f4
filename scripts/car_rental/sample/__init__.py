"""The sample data: its distributions, and its defects."""
