"""What keeps the stand-in from starting, each with one line for the person who started it."""

from __future__ import annotations


class StartError(Exception):
    """The server cannot start; the message says what is wrong and what to do, in one line."""
