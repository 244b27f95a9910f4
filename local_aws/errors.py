"""Errors that keep the stand-in from starting, each with a one-line message for the user."""

from __future__ import annotations

import errno


class StartError(Exception):
    """The server cannot start; the message says in one line what is wrong and what to do.

    ``flag``: the flag of `python -m local_aws` that helps, if one does. The message does not name
    it, because users of the scripts have a setting or a command in its place.
    """

    def __init__(self, message: str, flag: str = "") -> None:
        super().__init__(message)
        self.flag = flag


def is_disk_full(error: BaseException) -> bool:
    """Returns whether the error means that the disk or the quota is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
