"""The Glue catalog: what fills it, and what readers see in it."""
