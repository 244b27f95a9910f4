"""No process started by a supervised command outlives its owner."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.polling import holds_within

from local_aws import process, supervise
from local_aws.process import SupervisedProcess

ENV = {"PATH": os.environ["PATH"]}
# supervises a shell with a child for a minute
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


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def pids_of(tmp_path: Path, count: int) -> list[int]:
    """Waits for ``count`` process ids in the file ``pids``, and returns them."""
    file = tmp_path / "pids"
    assert holds_within(5, lambda: file.exists() and len(file.read_text().split()) == count)
    return [int(pid) for pid in file.read_text().split()]


def test_exit_code_and_output_are_those_of_the_command(tmp_path: Path) -> None:
    assert start(tmp_path, "echo hello; echo oh >&2; exit 7").wait() == 7
    assert ((tmp_path / "out").read_text(), (tmp_path / "err").read_text()) == ("hello\n", "oh\n")


def test_a_killed_command_has_a_shell_s_exit_code(tmp_path: Path) -> None:
    assert start(tmp_path, "kill -9 $$").wait() == 128 + signal.SIGKILL


def test_end_terminates_the_command_and_its_children(tmp_path: Path) -> None:
    running = start(tmp_path, "sleep 60 & echo $! $$ > pids; wait")
    pids = pids_of(tmp_path, 2)
    running.end()
    assert running.wait() == 128 + signal.SIGTERM
    assert not any(is_alive(pid) for pid in pids)


def test_a_process_that_ignores_sigterm_is_killed_after_the_grace_period(tmp_path: Path) -> None:
    running = start(
        tmp_path, "trap '' TERM; echo $$ > pids; while :; do sleep 0.1; done", grace=0.3
    )
    [pid] = pids_of(tmp_path, 1)
    running.end()
    assert running.wait() == 128 + signal.SIGKILL
    assert not is_alive(pid)


def test_a_process_is_killed_at_once_without_a_grace_period(tmp_path: Path) -> None:
    running = start(
        tmp_path, "trap '' TERM; echo $$ > pids; while :; do sleep 0.1; done", grace=0.0
    )
    pids_of(tmp_path, 1)
    began = time.monotonic()
    running.end()
    assert running.wait() == 128 + signal.SIGKILL
    assert time.monotonic() - began < process.GRACE_SECONDS


def test_a_leftover_process_in_another_process_group_is_killed(tmp_path: Path) -> None:
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
    assert not is_alive(pid)


def test_sigkill_of_the_owner_ends_the_command_and_its_children(tmp_path: Path) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, ENV["PATH"]],
        cwd=tmp_path,
        env={**ENV, "PYTHONPATH": str(Path(process.__file__).parent.parent)},
    )
    pids = pids_of(tmp_path, 3)
    owner.kill()
    owner.wait()
    assert holds_within(5, lambda: not any(is_alive(pid) for pid in pids))


def test_sigkill_of_the_supervisor_ends_the_command(tmp_path: Path) -> None:
    running = start(tmp_path, "echo $$ $PPID > pids; exec sleep 60")
    command, supervisor = pids_of(tmp_path, 2)
    os.kill(supervisor, signal.SIGKILL)
    running.wait()
    assert holds_within(5, lambda: not is_alive(command))


def test_a_process_that_ends_during_the_listing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    monkeypatch.setattr("psutil.pids", lambda: [ended.pid, os.getppid()])
    assert supervise.session_members(os.getsid(os.getppid())) == [os.getppid()]


def test_the_command_runs_with_the_niceness(tmp_path: Path) -> None:
    start(tmp_path, "nice", niceness=7).wait()
    assert (tmp_path / "out").read_text() == "7\n"


def test_only_files_open_for_writing_are_listed(tmp_path: Path) -> None:
    (tmp_path / "read").write_text("x")
    running = start(tmp_path, "exec 5>written 6<read; echo $$ > pids; sleep 60")
    pids_of(tmp_path, 1)
    written = running.files_being_written()
    running.end()
    running.wait()
    assert tmp_path / "written" in written
    assert tmp_path / "read" not in written


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux chooses which process to kill")
def test_the_command_is_a_better_target_of_the_oom_killer_than_the_server(tmp_path: Path) -> None:
    assert start(tmp_path, "cat /proc/self/oom_score_adj").wait() == 0
    assert int((tmp_path / "out").read_text()) > int(Path("/proc/self/oom_score_adj").read_text())
