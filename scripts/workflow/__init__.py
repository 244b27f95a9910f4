"""The state machine on AWS: its definition and executions, and what starts it, watches it and cleans up after it."""
