"""A run of main.py: the record that it leaves, and the local AWS that it may bring along."""
