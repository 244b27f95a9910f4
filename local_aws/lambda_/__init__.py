"""Lambda: Python functions, invoked by API calls and by EventBridge rules."""
