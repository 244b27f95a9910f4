"""A stand-in for AWS on one machine that really executes: moto's API with real Spark, crawls, SQL and workflows behind it."""
