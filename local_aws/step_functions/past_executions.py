"""Executions of earlier servers, from the state log."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.clients import Clients
from local_aws.state_log import StateLog

log = logging.getLogger(__name__)

_LISTED = ("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate")
_ABORTED = {
    "status": "ABORTED",
    "error": "LocalAws.Ended",
    "cause": "The local AWS ended while the execution ran.",
}
_CLOSE_SECONDS = 10.0


class PastExecutions:
    """Logs each execution at its start and end; describes the executions of earlier servers."""

    def __init__(self, clients: Clients, state_log: StateLog) -> None:
        self._clients = clients
        self._state_log = state_log
        self._writers: list[threading.Thread] = []
        self._records = {arn: _ended(record) for arn, record in state_log.state.executions.items()}

    def log_start(self, described: Mapping[str, Any]) -> None:
        """Logs the start of an execution; ``described`` is the response of DescribeExecution."""
        if described["status"] == "RUNNING":
            self._log(described, [])

    def ended(self, arn: str, region: str) -> None:
        """Logs the end of an execution, in the background."""
        writer = threading.Thread(
            target=self._log_ended, args=(arn, region), name=f"log-{arn}", daemon=True
        )
        writer.start()  # before close() can see it: a thread that has not started cannot be joined
        self._writers = [other for other in self._writers if other.is_alive()] + [writer]

    def close(self) -> None:
        """Waits until everything is logged."""
        for writer in self._writers:
            writer.join(_CLOSE_SECONDS)

    def description(self, arn: str) -> dict[str, Any] | None:
        """The response of DescribeExecution; None for an execution of this server."""
        return self._records[arn]["description"] if arn in self._records else None

    def events(self, arn: str) -> list[dict[str, Any]] | None:
        """The history's events, oldest first; None for an execution of this server."""
        return list(self._records[arn]["events"]) if arn in self._records else None

    def list_executions(self, request: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The executions that ListExecutions asks for, newest first."""
        descriptions = [record["description"] for record in reversed(self._records.values())]
        return [
            {key: description[key] for key in _LISTED if key in description}
            for description in descriptions
            if description["stateMachineArn"] == request.get("stateMachineArn")
            and description["status"] == request.get("statusFilter", description["status"])
        ]

    def _log_ended(self, arn: str, region: str) -> None:
        client = self._clients.client("stepfunctions", region)
        try:
            described = client.describe_execution(executionArn=arn)
            pages = client.get_paginator("get_execution_history").paginate(executionArn=arn)
            events = [event for page in pages for event in page["events"]]
        # its state machine has been deleted, or the server is ending
        except (ClientError, BotoCoreError) as error:
            log.warning("%s could not be logged: %s", arn, error)
        else:
            self._log(described, events)

    def _log(self, described: Mapping[str, Any], events: list[Any]) -> None:
        description = {key: value for key, value in described.items() if key != "ResponseMetadata"}
        self._state_log.append(
            execution={
                "arn": description["executionArn"],
                "description": description,
                "events": events,
            }
        )


def _ended(record: dict[str, Any]) -> dict[str, Any]:
    if record["description"]["status"] != "RUNNING":
        return record
    return {**record, "description": {**record["description"], **_ABORTED, "stopDate": time.time()}}
