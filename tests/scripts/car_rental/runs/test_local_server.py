"""The local AWS as a child of one command: errors name its end or its version."""

import io
import os
import signal
import time

import psutil
import pytest
from car_rental.aws import Aws
from car_rental.config import load_settings
from car_rental.display.console import Console
from car_rental.emr.clusters import terminate_after_failure
from car_rental.errors import DataLakeError
from car_rental.runs.local_server import local_lake


def test_a_server_killed_by_the_system_is_named_as_the_cause(tmp_path):
    (tmp_path / ".env").write_text(f"LOCAL_AWS_DIR={tmp_path / 'lake'}", encoding="utf-8")
    settings = load_settings({}, tmp_path / ".env")
    err = io.StringIO()
    console = Console(io.StringIO(), err)
    with (
        pytest.raises(DataLakeError, match="SIGKILL.*memory") as caught,
        local_lake(settings, console) as local_settings,
    ):
        [server] = [
            child for child in psutil.Process().children() if "local_aws" in child.cmdline()
        ]
        os.kill(server.pid, signal.SIGKILL)
        while server.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.02)
        terminate_after_failure(Aws(local_settings), console, "j-1")
        raise DataLakeError("step", "no answer")
    assert "2 GB" in caught.value.fix
    assert "j-1 has ended with the local AWS" in err.getvalue()
    assert "cost" not in err.getvalue()


def test_a_lake_of_another_version_is_rejected_with_the_command_that_replaces_it(tmp_path):
    (tmp_path / ".env").write_text(f"LOCAL_AWS_DIR={tmp_path / 'lake'}", encoding="utf-8")
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake/state.jsonl").write_text('{"local_aws": 99}\n', encoding="utf-8")
    settings = load_settings({}, tmp_path / ".env")
    with (
        pytest.raises(DataLakeError) as caught,
        local_lake(settings, Console(io.StringIO(), io.StringIO())),
    ):
        pass
    assert "another version of the local AWS" in caught.value.what
    assert "`python main.py --all --local --fresh`" in caught.value.fix
