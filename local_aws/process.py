"""The server's side of a supervised process: starts it, and ends it by closing a pipe."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from local_aws import supervise

GRACE_SECONDS = 3.0


class SupervisedProcess:
    """Runs ``command`` under ``supervise.py``; no process of it outlives this one.

    ``grace``: seconds between SIGTERM and SIGKILL when the command is ended.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        stdout: Path,
        stderr: Path,
        niceness: int = 0,
        grace: float = GRACE_SECONDS,
    ) -> None:
        with stdout.open("wb") as out, stderr.open("wb") as err:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-I", supervise.__file__, str(niceness), str(grace), *command],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def wait(self) -> int:
        """Waits until the session has ended; returns the exit code, or 128 + signal."""
        return self._supervisor.wait()

    def end(self) -> None:
        """Ends the command, with SIGKILL after the grace period; returns at once."""
        assert self._supervisor.stdin
        self._supervisor.stdin.close()

    def files_being_written(self) -> set[Path]:
        """Files that its processes have open for writing; empty on macOS (psutil's limit)."""
        return {
            path
            for pid in supervise.session_members(self._supervisor.pid)
            for path in _open_for_writing(pid)
        }


def _open_for_writing(pid: int) -> list[Path]:
    try:
        files = psutil.Process(pid).open_files()
    except psutil.Error:  # the process has ended
        return []
    return [Path(file.path) for file in files if getattr(file, "mode", "r") != "r"]
