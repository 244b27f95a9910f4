"""Finds processes by their environment, for tests that look for processes left behind.

Works on Linux only.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil


def pids_with_environment(text: str) -> list[int]:
    """The ids of processes with ``text`` in their environment, which every child inherits."""
    pids_found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError, psutil.Error):  # it has ended or belongs to another user
            process = psutil.Process(pid)
            environ = [f"{name}={value}" for name, value in process.environ().items()]
            if text in "\0".join(environ) and process.status() != psutil.STATUS_ZOMBIE:
                pids_found.append(pid)
    return pids_found


def user_cache() -> dict[str, str]:
    """Lets a run with another HOME use the class archive that ``make`` created."""
    return {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")}
