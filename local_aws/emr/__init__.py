"""EMR: steps run with PySpark on this machine, with the states, logs and errors of the service."""
