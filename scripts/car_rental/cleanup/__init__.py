"""Teardown: finds the project's resources on AWS and removes them."""
