"""RunJobFlow and AddJobFlowSteps are sent once, so that a lost response repeats no work."""

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

LOST = AwsError("InternalFailure", "The response is lost.", 500)
THROTTLED = AwsError("ThrottlingException", "Rate exceeded")
JOB = b"print('all is well')"


@pytest.fixture
def fail_first_call(trail: CallTrail, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Call]]:
    """`fail_first_call("RunJobFlow", error, done=True)` makes the first call fail.

    With ``done`` the operation is executed although the caller gets ``error``. Returns the list of
    calls.
    """

    def replace_handler(operation: str, error: AwsError, *, done: bool) -> list[Call]:
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

    return replace_handler


def create_cluster(lake: Any) -> str:
    return create_emr_cluster(lake.aws, lake.console, deadline_minutes=1).cluster_id


def test_a_cluster_is_found_by_its_tag_after_a_lost_response(
    lake: Any, fail_first_call: Any
) -> None:
    calls = fail_first_call("RunJobFlow", LOST, done=True)
    cluster_id = create_cluster(lake)
    assert [cluster["Id"] for cluster in active_clusters(lake.aws)] == [cluster_id]
    assert len(calls) == 1


def test_a_creation_that_failed_with_a_lost_response_is_reported_and_not_repeated(
    lake: Any, fail_first_call: Any
) -> None:
    calls = fail_first_call("RunJobFlow", LOST, done=False)
    with pytest.raises(DataLakeError, match="response was lost .*InternalFailure.*no effect"):
        create_cluster(lake)
    assert active_clusters(lake.aws) == []
    assert len(calls) == 1


def test_a_throttled_creation_is_repeated(lake: Any, fail_first_call: Any) -> None:
    calls = fail_first_call("RunJobFlow", THROTTLED, done=False)
    create_cluster(lake)
    assert len(active_clusters(lake.aws)) == 1
    assert len(calls) == 2


def test_submitted_steps_are_found_by_their_arguments_after_a_lost_response(
    lake: Any, fail_first_call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bucket = lake.settings.s3_bucket_name
    for job in ("clean_rentals", "publish_run"):
        lake.aws.client("s3").put_object(Bucket=bucket, Key=f"jobs/{job}.py", Body=JOB)
    lake.aws.client("s3").put_object(
        Bucket=bucket, Key="rejected/rental_transactions/run_id=r1/_run_summary.json", Body=b"{}"
    )
    monkeypatch.setattr(spark_script, "STAGES", (("clean_rentals",), ("publish_run",)))
    cluster_id = create_cluster(lake)
    calls = fail_first_call("AddJobFlowSteps", LOST, done=True)
    steps = run_spark_jobs(lake.aws, lake.console, run_id="r1", deadline_minutes=2).steps
    listed = lake.aws.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
    assert {step["Name"]: step["Id"] for step in listed} == steps
    assert len(listed) == len(calls) == 2
