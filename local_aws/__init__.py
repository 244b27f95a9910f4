"""A stand-in for AWS on one machine: moto's API with real Spark, crawls, SQL and state machines."""
