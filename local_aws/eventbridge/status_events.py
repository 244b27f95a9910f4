""" "Step Functions Execution Status Change": invokes the functions of matching rules."""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.clients import Clients
from local_aws.lambda_.run import Functions
from local_aws.overlay import AwsError

if TYPE_CHECKING:
    from moto.stepfunctions.parser.backend.execution import Execution

log = logging.getLogger(__name__)

DETAIL_TYPE = "Step Functions Execution Status Change"
_EVENTS = "events.amazonaws.com"


class StatusEvents:
    """Sends an event when an execution ends. No events are sent when one starts."""

    def __init__(self, clients: Clients, functions: Functions) -> None:
        self._clients = clients
        self._functions = functions

    def ended(self, execution: Execution) -> None:
        """Delivers the event to the targets of matching rules, in the background."""
        event = status_event(execution)
        threading.Thread(
            target=self._deliver, args=(event,), name="eventbridge", daemon=True
        ).start()

    def _deliver(self, event: dict[str, Any]) -> None:
        try:
            for rule in self._matching(event):
                for target in self._targets(rule, event["region"]):
                    self._hand_over(event, rule, target)
        except BotoCoreError as error:  # the server has ended
            log.warning("not delivered: %s: %s", error, event)

    def _matching(self, event: dict[str, Any]) -> Iterator[dict[str, Any]]:
        from moto.events.models import EventPattern

        pages = (
            self._clients.client("events", event["region"]).get_paginator("list_rules").paginate()
        )
        for rule in (rule for page in pages for rule in page["Rules"]):
            pattern = rule.get("EventPattern")
            if (
                rule["State"] != "DISABLED"
                and pattern
                and EventPattern.load(pattern).matches_event(cast(Any, event))
            ):
                yield rule

    def _targets(self, rule: dict[str, Any], region: str) -> list[dict[str, Any]]:
        answer = self._clients.client("events", region).list_targets_by_rule(Rule=rule["Name"])
        return list(answer["Targets"])

    def _hand_over(
        self, event: dict[str, Any], rule: dict[str, Any], target: dict[str, Any]
    ) -> None:
        """Delivers to one target; errors are logged, as there is no caller."""
        where = f"rule {rule['Name']}, target {target['Arn']}"
        _, _, service, region, _, *rest = target["Arn"].split(":")
        if service != "lambda" or target.keys() & {"InputPath", "InputTransformer"}:
            log.warning(
                "%s: local_aws delivers unchanged events to Lambda functions only; not"
                " delivered: %s",
                where,
                event,
            )
            return
        try:
            self._invoke(
                rest[1],
                region,
                rule["Arn"],
                json.loads(target["Input"]) if "Input" in target else event,
                where,
            )
        except (ClientError, AwsError) as error:
            log.error("%s: %s", where, error)

    def _invoke(self, name: str, region: str, rule_arn: str, event: Any, where: str) -> None:
        if not _may_invoke(self._clients.client("lambda", region), name, rule_arn):
            log.error(
                "%s: the function's policy does not let %s invoke it for this rule (lambda"
                " add-permission)",
                where,
                _EVENTS,
            )
            return
        outcome = self._functions.invoke(name, region, event)
        if outcome.failed:
            log.error("%s: %s", where, outcome.payload)


def _may_invoke(client: Any, name: str, rule_arn: str) -> bool:
    try:
        policy = json.loads(client.get_policy(FunctionName=name)["Policy"])
    except client.exceptions.ResourceNotFoundException:
        return False
    return any(_allows(statement, rule_arn) for statement in policy["Statement"])


def _allows(statement: dict[str, Any], rule_arn: str) -> bool:
    sources = [
        value
        for operator in statement.get("Condition", {}).values()
        for key, value in operator.items()
        if key.lower() == "aws:sourcearn"
    ]
    principal = statement.get("Principal", {})
    ours = isinstance(principal, dict) and principal.get("Service") == _EVENTS
    return statement["Effect"] == "Allow" and ours and all(source == rule_arn for source in sources)


def status_event(execution: Execution) -> dict[str, Any]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html"""
    output = json.dumps(execution.output) if execution.status == "SUCCEEDED" else None
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": DETAIL_TYPE,
        "source": "aws.states",
        "account": execution.account_id,
        "time": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "region": execution.region_name,
        "resources": [execution.exec_arn],
        "detail": {
            "executionArn": execution.exec_arn,
            "stateMachineArn": execution.state_machine_arn,
            "name": execution.name,
            "status": execution.status,
            "startDate": _milliseconds(execution.start_date),
            "stopDate": _milliseconds(execution.stop_date),
            "input": execution.execution_input,
            "inputDetails": {"included": True},
            "output": output,
            "outputDetails": {"included": True} if output else None,
            "error": execution.error,
            "cause": execution.cause,
            "stateMachineVersionArn": None,
            "stateMachineAliasArn": None,
            "redriveCount": 0,
            "redriveDate": None,
            "redriveStatus": None,
            "redriveStatusReason": None,
        },
    }


def _milliseconds(moment: Any) -> int:
    return int(moment.timestamp() * 1000)
