"""The cluster and its Spark steps: what is asked for, what became of it, what it costs."""
