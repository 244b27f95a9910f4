"""The IAM roles of the project: what each may do, waiting until a new one is known, the file of their ARNs."""
