"""Available memory: the machine's, or the limit of the container."""

from __future__ import annotations

import os
from pathlib import Path

GIGABYTE = 1 << 30
# limits of a container's control group, version 2 and version 1, as seen inside the container
_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_bytes(root: Path = Path("/")) -> int:
    """The minimum of the machine's memory and the limits of the control groups of this process."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([machine, *_limits(root)])


def in_words(size: int) -> str:
    """A size in gigabytes: ``2.0 GB``."""
    return f"{size / GIGABYTE:.1f} GB"


def _limits(root: Path) -> list[int]:
    found = []
    for path in [root / name for name in _LIMITS] + _own_groups(root):
        try:
            text = path.read_text().strip()
        except OSError:
            continue
        if text.isdecimal():  # not "max"
            found.append(int(text))
    return found


def _own_groups(root: Path) -> list[Path]:
    """Limit files of this process's group and its parents, outside a container."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    paths = []
    for line in lines:
        _, controllers, group = line.split(":", 2)
        top, name = (
            ("sys/fs/cgroup", "memory.max")
            if not controllers
            else ("sys/fs/cgroup/memory", "memory.limit_in_bytes")
        )
        if controllers in ("", "memory"):
            folder = Path(group.lstrip("/"))
            paths += [root / top / part / name for part in (folder, *folder.parents)]
    return paths
