"""The cluster reaper: it ends what the dead execution left, protected or not, and nothing else,
however often it is called."""

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
    """``clusters(execution)``: starts a cluster with that tag and returns its id."""
    it = new_project()
    ensure_bucket(it.aws)
    setup_iam_roles(it.aws, it.console, file=tmp_path / "iam_roles.json")
    made: list[str] = []

    def make(execution: str) -> str:
        tags = [*it.aws.tag_list, {"Key": "Execution", "Value": execution}]
        made.append(
            it.aws.client("emr").run_job_flow(**cluster_request(it.settings, tags))["JobFlowId"]
        )
        return made[-1]

    yield make
    it.aws.client("emr").set_termination_protection(JobFlowIds=made, TerminationProtected=False)
    it.aws.client("emr").terminate_job_flows(JobFlowIds=made)


def state_of(emr: Any, cluster_id: str) -> str:
    return str(emr.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"])


def is_ended(emr: Any, cluster_id: str) -> bool:
    """Returns whether the cluster ends soon: TerminateJobFlows is asynchronous."""
    state = until(lambda: state_of(emr, cluster_id), lambda now: now.startswith("TERMINAT"), 10)
    return state.startswith("TERMINAT")


def test_it_ends_the_clusters_of_the_execution_and_no_other(clusters: Any, client: Any) -> None:
    began = datetime.now(UTC)
    ours, protected, others = clusters(EXECUTION), clusters(EXECUTION), clusters(f"{EXECUTION}0")
    client("emr").set_termination_protection(JobFlowIds=[protected], TerminationProtected=True)
    assert sorted(reap(client("emr"), EXECUTION, began)) == sorted([ours, protected])
    assert is_ended(client("emr"), ours)
    assert not state_of(client("emr"), others).startswith("TERMINAT")


def test_called_twice_it_finds_nothing_to_do(clusters: Any, client: Any) -> None:
    began = datetime.now(UTC)
    cluster = clusters(EXECUTION + "-twice")
    assert reap(client("emr"), EXECUTION + "-twice", began) == [cluster]
    assert is_ended(client("emr"), cluster)
    assert reap(client("emr"), EXECUTION + "-twice", began) == []


def test_the_event_of_eventbridge_is_understood(
    clusters: Any, client: Any, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(cluster_reaper.boto3, "client", client)
    cluster, started = clusters(EXECUTION + "-event"), datetime.now(UTC).timestamp() * 1000
    detail = {"executionArn": EXECUTION + "-event", "status": "ABORTED", "startDate": int(started)}
    assert cluster_reaper.handler({"detail": detail}, None) == {"terminated": [cluster]}
    assert f"ended ABORTED: terminated {cluster}" in capsys.readouterr().out


class Refusing:
    """EMR's client of a role that may not look at the cluster."""

    def __init__(self, code: str) -> None:
        self._code = code

    def describe_cluster(self, **_: str) -> Any:
        raise ClientError({"Error": {"Code": self._code, "Message": "no"}}, "DescribeCluster")


def test_a_cluster_that_its_role_may_not_look_at_is_not_ours() -> None:
    assert made_by(Refusing("AccessDeniedException"), "j-1", EXECUTION) is False


def test_any_other_refusal_is_an_error_so_that_lambda_tries_again() -> None:
    with pytest.raises(ClientError, match="ThrottlingException"):
        made_by(Refusing("ThrottlingException"), "j-1", EXECUTION)
