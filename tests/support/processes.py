"""Which processes live, for tests that look for those that were left behind. Linux only, like what they test."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from local_aws.supervise import process_ids


def with_in_its_environment(text: str) -> list[int]:
    """The processes that have ``text`` in their environment, which every child inherits."""
    found = []
    for pid in process_ids():
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            environ, status = Path(f"/proc/{pid}/environ").read_bytes(), Path(f"/proc/{pid}/status").read_text()
            if text.encode() in environ and "State:\tZ" not in status:
                found.append(pid)
    return found


def user_cache() -> dict[str, str]:
    """The variable for a run with a HOME of its own: without the class archive that ``make`` made, it would first make one."""
    return {"XDG_CACHE_HOME": os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")}
