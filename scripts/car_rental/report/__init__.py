"""The report: runs the notebook and renders it as a page."""
