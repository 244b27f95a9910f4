"""Nothing that a supervised command started outlives the process that wanted it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local_aws import process, supervise
from local_aws.process import SupervisedProcess

ENV = {"PATH": os.environ["PATH"]}
# a process that supervises a shell with a child, and would do so for a minute
OWNER = """
import sys, time
from pathlib import Path
from local_aws.process import SupervisedProcess
here = Path.cwd()
script = "sleep 60 & echo $! $$ $PPID > pids; wait"
SupervisedProcess(["sh", "-c", script], env={"PATH": sys.argv[1]}, cwd=here, stdout=here / "out",
stderr=here / "err")
time.sleep(60)
"""


def start(tmp_path: Path, script: str, **options: float) -> SupervisedProcess:
    return SupervisedProcess(
        ["sh", "-c", script],
        env=ENV,
        cwd=tmp_path,
        stdout=tmp_path / "out",
        stderr=tmp_path / "err",
        **options,
    )


def within(seconds: float, condition: Callable[[], object]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pids_of(tmp_path: Path, count: int) -> list[int]:
    """The process ids that the script wrote to ``pids``, once there are ``count``."""
    file = tmp_path / "pids"
    assert within(5, lambda: file.exists() and len(file.read_text().split()) == count)
    return [int(pid) for pid in file.read_text().split()]


def test_the_exit_code_and_the_output_are_the_commands(tmp_path: Path) -> None:
    assert start(tmp_path, "echo hello; echo oh >&2; exit 7").wait() == 7
    assert ((tmp_path / "out").read_text(), (tmp_path / "err").read_text()) == ("hello\n", "oh\n")


def test_a_killed_command_exits_as_in_a_shell(tmp_path: Path) -> None:
    assert start(tmp_path, "kill -9 $$").wait() == 128 + signal.SIGKILL


def test_letting_go_ends_the_command_and_its_children(tmp_path: Path) -> None:
    running = start(tmp_path, "sleep 60 & echo $! $$ > pids; wait")
    pids = pids_of(tmp_path, 2)
    running.end()
    assert running.wait() == 128 + signal.SIGTERM
    assert not any(lives(pid) for pid in pids)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    running = start(
        tmp_path, "trap '' TERM; echo $$ > pids; while :; do sleep 0.1; done", grace=0.3
    )
    [pid] = pids_of(tmp_path, 1)
    running.end()
    assert running.wait() == 128 + signal.SIGKILL
    assert not lives(pid)


def test_without_a_grace_period_it_is_killed_at_once(tmp_path: Path) -> None:
    running = start(
        tmp_path, "trap '' TERM; echo $$ > pids; while :; do sleep 0.1; done", grace=0.0
    )
    pids_of(tmp_path, 1)
    began = time.monotonic()
    running.end()
    assert running.wait() == 128 + signal.SIGKILL
    assert time.monotonic() - began < process.GRACE_SECONDS


def test_a_process_left_behind_in_another_process_group_is_ended(tmp_path: Path) -> None:
    child = (
        "import os, time; os.setpgid(0, 0); open('pids', 'w').write(str(os.getpid()));"
        " time.sleep(60)"
    )
    running = start(
        tmp_path,
        f'{sys.executable} -S -c "{child}" & while [ ! -s pids ]; do sleep 0.05; done; exit 3',
    )
    assert running.wait() == 3
    [pid] = pids_of(tmp_path, 1)
    assert not lives(pid)


def test_sigkill_of_the_owner_ends_everything(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, ENV["PATH"]],
        cwd=tmp_path,
        env={**ENV, "PYTHONPATH": str(Path(process.__file__).parent.parent)},
    )
    pids = pids_of(tmp_path, 3)
    owner.kill()
    owner.wait()
    assert within(5, lambda: not any(lives(pid) for pid in pids))


def test_sigkill_of_the_supervisor_ends_the_command(tmp_path: Path) -> None:
    running = start(tmp_path, "echo $$ $PPID > pids; exec sleep 60")
    command, supervisor = pids_of(tmp_path, 2)
    os.kill(supervisor, signal.SIGKILL)
    running.wait()
    assert within(5, lambda: not lives(command))


def test_a_process_that_ends_before_it_is_looked_at_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr("psutil.pids", lambda: [ended.pid, os.getppid()])
    assert supervise.session_members(os.getsid(os.getppid())) == [os.getppid()]


def test_the_niceness_is_the_commands(tmp_path: Path) -> None:
    start(tmp_path, "nice", niceness=7).wait()
    assert (tmp_path / "out").read_text() == "7\n"


def test_files_open_for_writing_are_seen_and_those_only_read_are_not(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("x")
    running = start(tmp_path, "exec 5>written 6<read; echo $$ > pids; sleep 60")
    pids_of(tmp_path, 1)
    written = running.files_being_written()
    running.end()
    running.wait()
    assert tmp_path / "written" in written
    assert tmp_path / "read" not in written


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux chooses which process to kill")
def test_a_command_is_killed_before_the_server_when_memory_runs_out(tmp_path: Path) -> None:
    assert start(tmp_path, "cat /proc/self/oom_score_adj").wait() == 0
    assert int((tmp_path / "out").read_text()) > int(Path("/proc/self/oom_score_adj").read_text())
