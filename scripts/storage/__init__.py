"""The bucket of the lake, and what is uploaded into it."""
