"""What keeps the stand-in from starting, each with one line for the person who started it."""

from __future__ import annotations

import errno


class StartError(Exception):
    """The server cannot start; the message says what is wrong and what to do, in one line."""


def is_disk_full(error: BaseException) -> bool:
    """Whether a file could not be written for want of space."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
