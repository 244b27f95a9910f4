"""Athena: compiles Trino's SQL to DuckDB's with Trino's types and errors, and runs it."""
