"""EventBridge: invokes functions when an execution ends; validates schedules, which never fire."""
