"""`make serve` and `make notebook` with the lake on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from car_rental.config import ROOT, load_settings
from open_notebook import names_aws
from support.processes import pids_with_environment

from local_aws.clients import Clients
from local_aws.keys import keys_of

pytestmark = pytest.mark.jvm  # starts servers


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder with settings; leftover processes are killed after the test."""
    (tmp_path / "x.env").write_text(f"LOCAL_AWS_DIR={tmp_path / 'lake'}\n")
    yield tmp_path
    for pid in pids_with_environment(str(tmp_path)):
        os.kill(pid, signal.SIGKILL)


def start(home: Path, script: str, *flags: str) -> subprocess.Popen[str]:
    command = [sys.executable, str(ROOT / "scripts" / script), "--env", str(home / "x.env"), *flags]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_other_commands_use_a_lake_that_is_being_served(home: Path) -> None:
    with start(home, "serve_lake.py", "--port", "0") as server:
        assert server.stdout
        url = server.stdout.readline().strip().removeprefix("AWS_ENDPOINT_URL=")
        Clients(url, keys_of(home / "lake")).client("s3").create_bucket(Bucket="lake")
        with start(home, "query_lake.py", "--local", "SELECT 1") as client:
            _, stderr = client.communicate(timeout=60)
        assert f"local AWS at {url}, which serves this lake already" in stderr
        assert "python main.py --setup --local" in stderr  # the command that fills the lake
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=60) == 0
    assert (home / "lake/s3").is_dir()
    assert pids_with_environment(str(home)) == []


def test_the_notebook_names_its_lake_and_leaves_no_process(home: Path) -> None:
    with start(home, "open_notebook.py", "--", "--version") as notebook:
        out, stderr = notebook.communicate(timeout=120)
    assert notebook.returncode == 0, stderr
    assert (
        f"the notebook looks at the lake on this machine, in {home}/lake; it is empty: make demo"
        in stderr
    )
    assert out.strip()  # Jupyter's version
    assert pids_with_environment(str(home)) == []


def test_ctrl_c_ends_the_notebook_without_an_error(home: Path) -> None:
    with start(home, "open_notebook.py", "--", "--no-browser") as notebook:
        assert notebook.stderr
        while "is running at" not in notebook.stderr.readline():
            assert notebook.poll() is None
        notebook.send_signal(signal.SIGINT)
        _, stderr = notebook.communicate(timeout=60)
    assert notebook.returncode == 0, stderr
    assert "Interrupted" not in stderr
    assert pids_with_environment(str(home)) == []


def test_a_local_aws_killed_during_a_step_is_reported(home: Path) -> None:
    (home / "data").mkdir()
    with (home / "x.env").open("a") as file:
        file.write("".join(f"{name.upper()}_DIR={home / name}\n" for name in ("data", "runs")))
    command = [
        sys.executable,
        str(ROOT / "main.py"),
        "--setup",
        "--local",
        "--env",
        str(home / "x.env"),
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home)}
    with subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stderr
        while "1 setup_iam_roles" not in run.stderr.readline():
            assert run.poll() is None
        servers = set(pids_with_environment(str(home))) - {run.pid}
        for pid in servers:
            os.kill(pid, signal.SIGKILL)
        _, stderr = run.communicate(timeout=20)
    assert run.returncode == 1
    assert "was killed in the middle of the run (SIGKILL)" in stderr and "Traceback" not in stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("", False),
        ("AWS_PROFILE=work", True),
        ("AWS_ENDPOINT_URL=http://127.0.0.1:5000", True),
        ("AWS_REGION=eu-west-1", False),
    ],
)
def test_the_notebook_uses_aws_only_if_the_settings_name_it(
    tmp_path: Path, line: str, expected: bool
) -> None:
    (tmp_path / "x.env").write_text(line)
    assert names_aws(load_settings({}, tmp_path / "x.env")) is expected
