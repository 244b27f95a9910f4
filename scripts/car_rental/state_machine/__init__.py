"""Step Functions: the state machine, its executions, and the resources that belong to it."""
