"""Lambda: Python functions that really run, when they are invoked and when an event of EventBridge has them as its target."""
