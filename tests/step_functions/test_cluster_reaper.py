"""The cluster reaper terminates the clusters of a dead execution and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError
from car_rental.emr.cluster_request import cluster_request
from car_rental.s3.lake_bucket import ensure_bucket
from setup_iam_roles import setup_iam_roles
from support.polling import until

from step_functions import cluster_reaper
from step_functions.cluster_reaper import made_by, reap

EXECUTION = "arn:aws:states:us-east-1:123456789012:execution:CarRentalDataPipeline:run-1"


@pytest.fixture
def clusters(new_project: Callable[..., Any], tmp_path: Any) -> Iterator[Callable[..., str]]:
    """`clusters(execution)` starts a cluster with that tag and returns its id."""
    project = new_project()
    ensure_bucket(project.aws)
    setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    cluster_ids: list[str] = []

    def make(execution: str) -> str:
        tags = [*project.aws.tag_list, {"Key": "Execution", "Value": execution}]
        cluster_ids.append(
            project.aws.client("emr").run_job_flow(**cluster_request(project.settings, tags))[
                "JobFlowId"
            ]
        )
        return cluster_ids[-1]

    yield make
    project.aws.client("emr").set_termination_protection(
        JobFlowIds=cluster_ids, TerminationProtected=False
    )
    project.aws.client("emr").terminate_job_flows(JobFlowIds=cluster_ids)


def state_of(emr: Any, cluster_id: str) -> str:
    return str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


def is_ended(emr: Any, cluster_id: str) -> bool:
    """Tells whether the cluster ends soon, because TerminateJobFlows is asynchronous."""
    state = until(lambda: state_of(emr, cluster_id), lambda now: now.startswith("TERMINAT"), 10)
    return state.startswith("TERMINAT")


def test_the_reaper_terminates_protected_and_other_clusters_of_the_execution_only(
    clusters: Any, client: Any
) -> None:
    began = datetime.now(UTC)
    unprotected, protected, foreign = (
        clusters(EXECUTION),
        clusters(EXECUTION),
        clusters(f"{EXECUTION}0"),
    )
    client("emr").set_termination_protection(JobFlowIds=[protected], TerminationProtected=True)
    assert sorted(reap(client("emr"), EXECUTION, began)) == sorted([unprotected, protected])
    assert is_ended(client("emr"), unprotected)
    assert not state_of(client("emr"), foreign).startswith("TERMINAT")


def test_a_second_call_terminates_nothing(clusters: Any, client: Any) -> None:
    began = datetime.now(UTC)
    cluster = clusters(EXECUTION + "-twice")
    assert reap(client("emr"), EXECUTION + "-twice", began) == [cluster]
    assert is_ended(client("emr"), cluster)
    assert reap(client("emr"), EXECUTION + "-twice", began) == []


def test_the_handler_reads_the_event_of_eventbridge(
    clusters: Any, client: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(cluster_reaper.boto3, "client", client)
    cluster, started = clusters(EXECUTION + "-event"), datetime.now(UTC).timestamp() * 1000
    detail = {"executionArn": EXECUTION + "-event", "status": "ABORTED", "startDate": int(started)}
    assert cluster_reaper.handler({"detail": detail}, None) == {"terminated": [cluster]}
    assert f"ended ABORTED: terminated {cluster}" in capsys.readouterr().out


class DenyingClient:
    """A client of EMR that answers DescribeCluster with an error."""

    def __init__(self, code: str) -> None:
        self._code = code

    def describe_cluster(self, **_: str) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "DescribeCluster")


def test_a_cluster_that_may_not_be_described_is_not_the_project_s() -> None:
    assert made_by(DenyingClient("AccessDeniedException"), "j-1", EXECUTION) is False


def test_any_other_error_is_raised_so_that_lambda_retries() -> None:
    with pytest.raises(ClientError, match="ThrottlingException"):
        made_by(DenyingClient("ThrottlingException"), "j-1", EXECUTION)
