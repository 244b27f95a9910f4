"""Errors that keep the stand-in from starting, each with a one-line message for the user."""

from __future__ import annotations

import errno


class StartError(Exception):
    """The server cannot start; the message says in one line what is wrong and what to do."""


def is_disk_full(error: BaseException) -> bool:
    """Returns whether the error means that the disk or the quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
