"""EMR that really runs its Spark steps: PySpark on this machine, with the states, logs and errors of the service."""
