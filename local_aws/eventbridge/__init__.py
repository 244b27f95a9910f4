"""EventBridge: status-change events of executions reach Lambda functions; schedules are checked and stored, but never fire."""
