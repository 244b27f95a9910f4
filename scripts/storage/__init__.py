"""The bucket of the lake, what is uploaded into it, and files on this machine."""
