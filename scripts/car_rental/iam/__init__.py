"""IAM: the project's roles and policies, retries while a new role spreads, and the file of the
roles' ARNs.
"""
