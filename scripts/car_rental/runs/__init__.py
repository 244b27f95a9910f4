"""A run of main.py: its flags, steps, record and costs, and the local AWS that it starts."""
