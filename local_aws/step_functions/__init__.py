"""Step Functions: validates definitions as AWS does, and executes state machines."""
