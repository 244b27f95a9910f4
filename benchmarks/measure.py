"""Measures a command with all its child processes: wall and CPU seconds, peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.25


@dataclass(frozen=True)
class Measured:
    wall: float
    cpu: float  # user and system seconds, of the command and its descendants
    peak_mb: float  # of all processes of the group together

    def __add__(self, later: Measured) -> Measured:
        """The measurement of two commands, one run after the other."""
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
            self._peak = max(self._peak, _resident_bytes(self._group))

    def stop(self) -> float:
        self._ended.set()
        self.join()
        return self._peak / 2**20


def _resident_bytes(group: int) -> int:
    """The total memory of a process group.

    A child that has not called exec yet is skipped: it shares its parent's memory, and the JVM
    would count twice.
    """
    memory = {}
    for process in psutil.process_iter():
        with suppress(OSError, psutil.Error):  # it has ended since
            if os.getpgid(process.pid) == group:
                memory[process.pid] = process.ppid(), process.memory_info()
    return sum(
        used.rss
        for parent, used in memory.values()
        if parent not in memory or memory[parent][1].vms != used.vms
    )
