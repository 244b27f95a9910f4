"""Step Functions: definitions that are checked as AWS checks them, and executions that really run."""
