"""Which processes live, for tests that look for those that were left behind. Linux only, like what
they test."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil


def with_in_its_environment(text: str) -> list[int]:
    """The processes that have ``text`` in their environment, which every child inherits."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):  # it has ended, or is another user's
            process = psutil.Process(pid)
            environ = [f"{name}={value}" for name, value in process.environ().items()]
            if text in "\0".join(environ) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(pid)
    return found


def user_cache() -> dict[str, str]:
    """The variable for a run with a HOME of its own: without the class archive that ``make`` made,
    it would first make one."""
    return {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")}
