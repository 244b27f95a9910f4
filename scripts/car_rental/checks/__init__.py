"""Checks before a run that costs money: obstacles, planned changes, and the price."""
