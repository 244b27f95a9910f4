"""The report: runs the notebook and writes it as a page."""
