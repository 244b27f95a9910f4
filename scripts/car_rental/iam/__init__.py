"""IAM: roles, policies, retries while a new role spreads, the file of the roles' ARNs."""
