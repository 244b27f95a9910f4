"""RunJobFlow and AddJobFlowSteps are sent once: a lost answer makes no second cluster, and no step
runs twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import run_spark_jobs as spark_script
from car_rental.emr.clusters import active_clusters
from car_rental.errors import DataLakeError
from create_emr_cluster import create_emr_cluster
from run_spark_jobs import run_spark_jobs
from support.call_trail import CallTrail

from local_aws.overlay import AwsError, Call

LOST = AwsError("InternalFailure", "The answer is lost.", 500)
THROTTLED = AwsError("ThrottlingException", "Rate exceeded")
JOB = b"print('all is well')"


@pytest.fixture
def answer(trail: CallTrail, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Call]]:
    """``answer("RunJobFlow", error, done=True)``: the first call is done or not, and answered with
    ``error``."""

    def put(operation: str, error: AwsError, *, done: bool) -> list[Call]:
        handlers, name, calls = trail.app.handlers, f"ElasticMapReduce.{operation}", []
        handler = handlers[name]

        def handle(call: Call) -> dict[str, Any]:
            calls.append(call)
            if len(calls) > 1:
                return handler(call)
            if done:
                handler(call)
            raise error

        monkeypatch.setitem(handlers, name, handle)
        return calls

    return put


def created(lake: Any) -> str:
    return create_emr_cluster(lake.aws, lake.console, deadline_minutes=1).cluster_id


def test_a_cluster_whose_answer_was_lost_is_found_by_its_tag(lake: Any, answer: Any) -> None:
    calls = answer("RunJobFlow", LOST, done=True)
    cluster_id = created(lake)
    assert [cluster["Id"] for cluster in active_clusters(lake.aws)] == [cluster_id]
    assert len(calls) == 1


def test_a_cluster_that_was_not_made_is_said_and_not_asked_for_again(
    lake: Any, answer: Any
) -> None:
    calls = answer("RunJobFlow", LOST, done=False)
    with pytest.raises(DataLakeError, match="response was lost .*InternalFailure.*no effect"):
        created(lake)
    assert active_clusters(lake.aws) == []
    assert len(calls) == 1


def test_a_request_that_was_throttled_is_sent_again(lake: Any, answer: Any) -> None:
    calls = answer("RunJobFlow", THROTTLED, done=False)
    created(lake)
    assert len(active_clusters(lake.aws)) == 1
    assert len(calls) == 2


def test_steps_whose_answer_was_lost_are_found_by_what_they_do(
    lake: Any, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = lake.settings.s3_bucket_name
    for job in ("clean_rentals", "publish_run"):
        lake.aws.client("s3").put_object(Bucket=bucket, Key=f"jobs/{job}.py", Body=JOB)
    lake.aws.client("s3").put_object(
        Bucket=bucket, Key="rejected/rental_transactions/run_id=r1/_run_summary.json", Body=b"{}"
    )
    monkeypatch.setattr(spark_script, "STAGES", (("clean_rentals",), ("publish_run",)))
    cluster_id = created(lake)
    calls = answer("AddJobFlowSteps", LOST, done=True)
    steps = run_spark_jobs(lake.aws, lake.console, run_id="r1", deadline_minutes=2).steps
    listed = lake.aws.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
    assert {step["Name"]: step["Id"] for step in listed} == steps
    assert len(listed) == len(calls) == 2
