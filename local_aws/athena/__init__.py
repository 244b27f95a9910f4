"""Athena that really answers: Trino's SQL, checked and typed as Trino does, run by DuckDB over the catalog's tables in S3."""
