"""Measures a command with all its child processes: wall and CPU seconds, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

POLL_SECONDS = 0.25
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Measured:
    wall: float
    cpu: float  # user and system seconds, of the command and its descendants
    peak_mb: float  # of all processes of the group together

    def __add__(self, later: Measured) -> Measured:
        """One after the other."""
        return Measured(
            self.wall + later.wall, self.cpu + later.cpu, max(self.peak_mb, later.peak_mb)
        )


class CommandFailed(Exception):
    pass


def measure(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Measured:
    """Runs the command to its end, with its output in `log`.

    Raises CommandFailed when it does not exit with 0.
    """
    with log.open("w") as output:
        began = time.monotonic()
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            start_new_session=True,
        )
        watcher = _PeakMemory(process.pid)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        peak = watcher.stop()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandFailed(f"{' '.join(command)} exited with {process.returncode}, see {log}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, peak)


class _PeakMemory(threading.Thread):
    def __init__(self, group: int) -> None:
        super().__init__(daemon=True)
        self._group = group
        self._ended = threading.Event()
        self._peak = 0

    def run(self) -> None:
        while not self._ended.wait(POLL_SECONDS):
            self._peak = max(self._peak, _resident_bytes(_processes(self._group)))

    def stop(self) -> float:
        self._ended.set()
        self.join()
        return self._peak / 2**20


def _processes(group: int) -> dict[str, list[str]]:
    """The stat fields, from the state on, of the processes of a group by their number."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has ended since
            continue
        if int(fields[2]) == group:
            found[stat.parent.name] = fields
    return found


def _resident_bytes(processes: dict[str, list[str]]) -> int:
    return sum(
        int(fields[21]) * PAGE_BYTES
        for fields in processes.values()
        if not _is_forked(fields, processes)
    )


def _is_forked(fields: list[str], processes: dict[str, list[str]]) -> bool:
    """Returns whether the process is a child that has not called exec yet.

    Its memory is its parent's, and the JVM's would count twice.
    """
    parent = processes.get(fields[1])
    return parent is not None and parent[20] == fields[20]
