"""Step Functions: the state machine, its executions and what goes with them."""
