"""Questions to the published tables: SQL on Athena, the notebook without a browser, the report."""
