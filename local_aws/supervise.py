"""Runs one command and takes it, with all that it started, along when the process that asked for it is gone.

A program of its own (``python -I -S supervise.py NICENESS GRACE COMMAND ...``) between the server and a Spark driver. Its
standard input is a pipe from the server: when that ends, because the server closed it or died, by SIGKILL or otherwise,
everything in this session is told to end, and killed after GRACE seconds. It exits as the command did (128 + signal when that
was killed) and leaves nothing behind either way. What counts is the session, not the process group: PySpark's worker daemon
moves to a group of its own. On Linux the command also dies with this process.
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
from pathlib import Path

_KILLED_SECONDS = 3.0  # until a killed process is gone
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def supervise(command: list[str], niceness: int, grace: float) -> int:
    """The exit code of ``command``; must run in a session of its own, with the life line as standard input."""
    os.nice(niceness)
    linux = sys.platform == "linux"
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, preexec_fn=_die_with_parent if linux else None)
    signal.signal(signal.SIGTERM, lambda *_: _end_session(process.pid, grace))
    threading.Thread(target=_end_with_life_line, args=(process.pid, grace), daemon=True).start()
    code = process.wait()
    _end_session(process.pid, grace)
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _end_with_life_line(group: int, grace: float) -> None:
    while os.read(0, 4096):
        pass
    try:
        _end_session(group, grace)
    finally:  # whatever goes wrong on the way, the command does not live on
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _end_session(group: int, grace: float) -> None:
    """Ends what lives of the session, and of the command's own process group where there is no /proc to see more."""
    for signum, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, _KILLED_SECONDS)):
        members = session_members(os.getsid(0))
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signum)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signum)
        _wait_until(lambda: not session_members(os.getsid(0)), seconds)


def session_members(session: int) -> list[int]:
    """The living processes of ``session`` but this one, as /proc has them; none where there is no /proc."""
    return [pid for pid in process_ids() if pid != os.getpid() and _session_of_living(pid) == session]


def process_ids() -> list[int]:
    """All processes, some of which may have ended before the caller looks at them."""
    # not Path.glob, which looks at every entry itself and raises when one is gone
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()] if os.path.isdir("/proc") else []


def _session_of_living(pid: int) -> int | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # after the name in parentheses, which may hold anything: state, parent, process group, session
    state, _, _, session = stat.rpartition(")")[2].split()[:4]
    return int(session) if state != "Z" else None


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(supervise(sys.argv[3:], niceness=int(sys.argv[1]), grace=float(sys.argv[2])))
