"""Glue crawlers that really look: list S3, read schemas, find tables and partitions, write them to the catalog."""
