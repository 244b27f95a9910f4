"""EMR: the cluster, its Spark steps, their outcome and cost."""
