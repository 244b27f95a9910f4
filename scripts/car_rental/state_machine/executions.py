"""Executions of the state machine: start, status, history, and the clusters that they created."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from car_rental.aws import Answer, Aws, error_code, if_exists
from car_rental.emr.clusters import ACTIVE, describe_cluster
from car_rental.errors import ConfigError, DataLakeError
from car_rental.state_machine.definition import EXECUTION_TAG, state_machine_arn
from car_rental.waiting import States

EXECUTION_STATES = States(
    going=frozenset({"RUNNING", "PENDING_REDRIVE"}),
    good=frozenset({"SUCCEEDED"}),
    bad=frozenset({"FAILED", "TIMED_OUT", "ABORTED"}),
)
_WHERE = "execute_step_functions"
_CLOCKS_DIFFER = timedelta(minutes=5)


def start(aws: Aws, name: str, run_id: str) -> str:
    """Starts an execution and returns its ARN.

    A repeated call with the same name and run id returns the same execution.
    """
    request = {
        "stateMachineArn": state_machine_arn(aws),
        "name": name,
        "input": json.dumps({"run_id": run_id}, sort_keys=True),
    }
    try:
        return str(aws.client("stepfunctions").start_execution(**request)["executionArn"])
    except ClientError as error:
        raise _refusal(aws, name, error) from error


def _refusal(aws: Aws, name: str, error: ClientError) -> Exception:
    """The reason why no execution was started."""
    machine = aws.settings.step_functions_state_machine_name
    if error_code(error) == "StateMachineDoesNotExist":
        return DataLakeError(
            _WHERE,
            f"the state machine {machine} does not exist.",
            "Run step 4 first: python scripts/deploy_step_functions.py",
        )
    if error_code(error) == "ExecutionAlreadyExists":
        return ConfigError(
            _WHERE,
            f"the execution {name} of {machine} exists already.",
            "Choose another --run-id, or leave it out.",
        )
    return error


def describe(aws: Aws, arn: str) -> Answer:
    """The execution's description.

    Raises ``ConfigError`` if there is no execution with that ARN.
    """
    describe_execution = aws.client("stepfunctions").describe_execution
    execution = if_exists(
        lambda: describe_execution(executionArn=arn), "ExecutionDoesNotExist", "InvalidArn"
    )
    if execution is None:
        raise ConfigError(
            _WHERE,
            f"there is no execution {arn}.",
            "Check --execution-arn, AWS_REGION and the account.",
        )
    return execution


def stop(aws: Aws, arn: str, cause: str) -> None:
    """Stops an execution. Does nothing to one that has ended."""
    aws.client("stepfunctions").stop_execution(executionArn=arn, error="Interrupted", cause=cause)


class History:
    """The new events of an execution since the last call."""

    def __init__(self, aws: Aws, arn: str) -> None:
        self._pages = aws.client("stepfunctions").get_paginator("get_execution_history")
        self._arn = arn
        self._last_id = 0

    def new_events(self) -> list[Answer]:
        """The events since the last call, oldest first."""
        found = list(self._unseen())[::-1]
        self._last_id = max((event["id"] for event in found), default=self._last_id)
        return found

    def _unseen(self) -> Iterator[Answer]:
        """The new events, newest first: a call needs one page however long the history is."""
        for page in self._pages.paginate(
            executionArn=self._arn, reverseOrder=True, includeExecutionData=False
        ):
            for event in page["events"]:
                if event["id"] <= self._last_id:
                    return
                yield event


def clusters_of(aws: Aws, arn: str, started: datetime, *, active_only: bool) -> list[Answer]:
    """The clusters that the execution created, as ``DescribeCluster`` returns them."""
    states: dict[str, Any] = {"ClusterStates": list(ACTIVE)} if active_only else {}
    pages = (
        aws.client("emr")
        .get_paginator("list_clusters")
        .paginate(CreatedAfter=started - _CLOCKS_DIFFER, **states)
    )
    described = (describe_cluster(aws, item["Id"]) for page in pages for item in page["Clusters"])
    return [cluster for cluster in described if _made_by(cluster, arn)]


def _made_by(cluster: Answer, arn: str) -> bool:
    return any(
        tag["Key"] == EXECUTION_TAG and tag.get("Value") == arn for tag in cluster.get("Tags", [])
    )
