"""Runs one command; ends it with all its child processes when the process that started it is gone.

This is a program (``python -I supervise.py NICENESS GRACE COMMAND ...``) between the server and a
Spark driver. Its standard input is a pipe from the server. The pipe ends when the server closes it
or dies (even by SIGKILL). Every process of this session then gets SIGTERM, and SIGKILL after GRACE
seconds; none survives. The exit code is the command's (128 + signal if a signal killed it). A
process group would not be enough, because PySpark's worker daemon moves to another group. On Linux
the command also dies with this process.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import psutil

_KILLED_SECONDS = 3.0  # until a killed process is gone
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def supervise(command: list[str], niceness: int, grace: float) -> int:
    """Returns the exit code of ``command``; must lead a session and have the pipe on stdin."""
    os.nice(niceness)
    prepare = _prepare_on_linux if sys.platform == "linux" else None
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=prepare
    )
    signal.signal(signal.SIGTERM, lambda *_: _end_session(process.pid, grace))
    threading.Thread(target=_end_with_life_line, args=(process.pid, grace), daemon=True).start()
    code = process.wait()
    _end_session(process.pid, grace)
    return code if code >= 0 else 128 - code


def _prepare_on_linux() -> None:
    """Makes the command die with this process.

    If memory runs out, the kernel kills the command before the server.
    """
    import ctypes

    with (
        contextlib.suppress(OSError),
        open("/proc/self/oom_score_adj", "w", encoding="ascii") as score,
    ):
        score.write("500")
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_life_line(group: int, grace: float) -> None:
    while os.read(0, 4096):
        pass
    try:
        _end_session(group, grace)
    finally:  # even if ending the session fails, the command must not survive
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _end_session(group: int, grace: float) -> None:
    """Ends every process of the session and of the command's process group."""
    for signum, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED_SECONDS)):
        for member in session_members(os.getsid(0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signum)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signum)
        _wait_until(lambda: not session_members(os.getsid(0)), seconds)


def session_members(session: int) -> list[int]:
    """The running processes of ``session``, without this one."""
    return [pid for pid in psutil.pids() if pid != os.getpid() and _runs_in(pid, session)]


def _runs_in(pid: int, session: int) -> bool:
    try:
        return os.getsid(pid) == session and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except (OSError, psutil.NoSuchProcess):  # the process has ended, or belongs to another user
        return False


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[3:], niceness=int(sys.argv[1]), grace=float(sys.argv[2])))
