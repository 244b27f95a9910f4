"""Glue crawlers: list S3, read schemas, find tables and partitions, write them to the catalog."""
