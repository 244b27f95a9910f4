"""The lake's lock admits one writer at a time; only a dead owner loses it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from car_rental.config import ROOT
from car_rental.emr.clusters import active_clusters
from car_rental.errors import DataLakeError
from car_rental.s3.lake_bucket import ensure_bucket
from car_rental.s3.lake_lock import LOCK_KEY, lake_lock, require_newest
from create_emr_cluster import create_emr_cluster
from setup_iam_roles import setup_iam_roles

HOLDER = """
import sys, time
from car_rental.aws import Aws
from car_rental.config import load_settings
from car_rental.display.console import Console
from car_rental.s3.lake_lock import lake_lock
from pathlib import Path
settings = load_settings({}, Path(sys.argv[1]))
with lake_lock(Aws(settings), Console(), "main"):
    print("held", flush=True)
    time.sleep(120)
"""


@pytest.fixture
def lake(new_project: Callable[..., Any]) -> Any:
    project = new_project()
    ensure_bucket(project.aws)
    return project


@pytest.fixture
def cluster(lake: Any, tmp_path: Any) -> Iterator[str]:
    setup_iam_roles(lake.aws, lake.console, file=tmp_path / "iam_roles.json")
    yield create_emr_cluster(lake.aws, lake.console, deadline_minutes=1).cluster_id
    for cluster in active_clusters(lake.aws):
        lake.aws.client("emr").terminate_job_flows(JobFlowIds=[cluster["Id"]])


@pytest.fixture
def holder(lake: Any, tmp_path: Any) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lake's lock."""
    names = ("aws_endpoint_url", "s3_bucket_name", "local_aws_dir")
    (tmp_path / "x.env").write_text(
        "".join(f"{name.upper()}={getattr(lake.settings, name)}\n" for name in names)
    )
    environ = {"PYTHONPATH": str(ROOT / "scripts")}
    environ |= {
        name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ
    }
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "x.env")]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "held\n"
        yield process
        process.kill()


def put_lock(lake: Any, **owner: str) -> None:
    lake.aws.client("s3").put_object(
        Bucket=lake.settings.s3_bucket_name, Key=LOCK_KEY, Metadata=owner, Body=b"x"
    )


def current_owner(lake: Any) -> dict[str, str]:
    owner: dict[str, str] = lake.aws.client("s3").head_object(
        Bucket=lake.settings.s3_bucket_name, Key=LOCK_KEY
    )["Metadata"]
    return owner


def take_lock(lake: Any, **options: Any) -> str:
    with lake_lock(lake.aws, lake.console, "run_spark_jobs", **options) as lock:
        assert current_owner(lake)["token"] == lock.token
        return lock.token


def test_the_lock_is_released_after_the_block_and_after_a_failure(lake: Any) -> None:
    take_lock(lake)
    with pytest.raises(ValueError), lake_lock(lake.aws, lake.console, "main"):
        raise ValueError
    assert "token" not in current_owner(lake)
    take_lock(lake)


def test_a_living_owner_is_named_with_the_flag_that_waits(
    lake: Any, holder: subprocess.Popen[str]
) -> None:
    with pytest.raises(
        DataLakeError, match=r"another run writes the lake: main on .* \(last seen .*--wait"
    ) as caught:
        take_lock(lake)
    assert caught.value.where == "run_spark_jobs"
    assert holder.poll() is None


def test_a_living_owner_can_be_waited_for(lake: Any, holder: subprocess.Popen[str]) -> None:
    threading.Timer(3, lambda: holder.send_signal(signal.SIGINT)).start()
    take_lock(lake, wait=True)
    assert "held by main on" in lake.err.getvalue()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_killed_or_stopped_owner_does_not_block(
    lake: Any, holder: subprocess.Popen[str], number: int
) -> None:
    holder.send_signal(number)
    take_lock(lake)


def test_an_owner_that_lost_the_lock_fails_and_leaves_it_to_the_new_owner(lake: Any) -> None:
    lost = pytest.raises(
        DataLakeError,
        match="this run was silent for too long: another has taken over the lake's lock",
    )
    with lost, lake_lock(lake.aws, lake.console, "main") as lock:
        put_lock(lake, owner="another", token="another/1")
        lock.check()
    assert current_owner(lake)["token"] == "another/1"


def test_an_owner_with_unfinished_steps_on_its_cluster_keeps_the_lock(
    lake: Any, cluster: str
) -> None:
    emr = lake.aws.client("emr")
    source = b"import time; time.sleep(120)"
    lake.aws.client("s3").put_object(
        Bucket=lake.settings.s3_bucket_name, Key="jobs/x.py", Body=source
    )
    submit = {
        "Jar": "command-runner.jar",
        "Args": ["spark-submit", lake.settings.s3("jobs", "x.py")],
    }
    step = {"HadoopJarStep": submit, "Name": "x"}
    put_lock(lake, owner="main on somewhere", cluster=cluster)
    take_lock(lake)
    emr.add_job_flow_steps(JobFlowId=cluster, Steps=[{**step, "ActionOnFailure": "CONTINUE"}])
    put_lock(lake, owner="main on somewhere", cluster=cluster)
    with pytest.raises(
        DataLakeError, match=f"main on somewhere; cluster {cluster} has unfinished steps"
    ):
        take_lock(lake)


GONE = "arn:aws:states:us-east-1:123456789012:execution:machine:gone"


@pytest.mark.parametrize("owner", [{}, {"owner": "x", "cluster": "j-GONE"}, {"execution": GONE}])
def test_an_owner_unknown_to_aws_does_not_block(lake: Any, owner: dict[str, str]) -> None:
    put_lock(lake, **owner)
    began = time.monotonic()
    take_lock(lake)
    assert time.monotonic() - began < 10


def test_concurrent_writers_hold_the_lock_one_after_the_other(lake: Any) -> None:
    inside, most = [0], [0]

    def enter() -> None:
        with lake_lock(lake.aws, lake.console, "main", wait=True):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.2)
            inside[0] -= 1

    threads = [threading.Thread(target=enter) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]


def test_a_run_id_that_sorts_before_a_published_run_is_rejected(lake: Any) -> None:
    s3, bucket = lake.aws.client("s3"), lake.settings.s3_bucket_name
    s3.put_object(Bucket=bucket, Key="processed/location_metrics/run_id=2024-06/part-0.parquet")
    require_newest(lake.aws, "main", "2024-06")
    require_newest(lake.aws, "main", "2024-07")
    with pytest.raises(
        DataLakeError, match="run 2024-05 sorts before run 2024-06, which is published"
    ):
        require_newest(lake.aws, "main", "2024-05")
