"""A supervised process as the server holds it: started in a session of its own, ended by letting go of its life line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from local_aws import supervise

GRACE_SECONDS = 3.0


class SupervisedProcess:
    """``command`` under ``supervise.py``; neither it nor what it starts outlives this process.

    Once it was told to end it is killed after ``grace`` seconds.
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
        """The command's exit code, once nothing of its session is left; 128 + signal when it was killed."""
        return self._supervisor.wait()

    def end(self) -> None:
        """Tells the command to end, and has it killed after the grace period; returns at once, and may be called twice."""
        assert self._supervisor.stdin
        self._supervisor.stdin.close()

    def files_being_written(self) -> set[Path]:
        """The files that its processes have open for writing (none where psutil cannot tell, as on macOS)."""
        return {path for pid in supervise.session_members(self._supervisor.pid) for path in _open_for_writing(pid)}


def _open_for_writing(pid: int) -> list[Path]:
    try:
        files = psutil.Process(pid).open_files()
    except psutil.Error:  # the process has ended
        return []
    return [Path(file.path) for file in files if getattr(file, "mode", "r") != "r"]
