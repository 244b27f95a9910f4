"""The EventBridge rule for failed executions.

It calls the cluster reaper and, with ALERT_EMAIL, sends an e-mail.
"""

from __future__ import annotations

import json
from typing import Any

from car_rental.aws import Answer, Aws, if_exists
from car_rental.changes import Change
from car_rental.iam.roles import cluster_reaper_name
from car_rental.names import rule_name
from car_rental.state_machine.alerts import rule_arn, topic_arn
from car_rental.state_machine.definition import state_machine_arn
from car_rental.state_machine.reaper_function import function_arn

_STATEMENT = "execution-ended"  # id of the statement in the function's policy
# without the cause: quotation marks in it would make EventBridge drop the message
_NOTICE = (
    '"Execution <name> ended <status>. Why: aws stepfunctions describe-execution --execution-arn'
    ' <arn>"'
)
_NOTICE_PATHS = {
    "name": "$.detail.name",
    "status": "$.detail.status",
    "arn": "$.detail.executionArn",
}


def pattern(aws: Aws) -> dict[str, Any]:
    """The events that the rule matches.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    return {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            "stateMachineArn": [state_machine_arn(aws)],
        },
    }


def ensure_rule(aws: Aws) -> Change:
    """Ensures that the rule exists with exactly the wanted targets, and may call the function."""
    current = _current(aws)
    changed = []
    if (
        current is None
        or current.get("State") != "ENABLED"
        or json.loads(current["EventPattern"]) != pattern(aws)
    ):
        aws.change(lambda: _put(aws, new=current is None))
        changed.append("pattern")
    if _ensure_targets(aws, rule_exists=current is not None):
        changed.append("targets")
    if _ensure_permission(aws):
        changed.append("permission")
    return Change.of("rule", rule_name(aws), existed=current is not None, changed=changed)


def _current(aws: Aws) -> Answer | None:
    return if_exists(
        lambda: aws.client("events").describe_rule(Name=rule_name(aws)), "ResourceNotFoundException"
    )


def _put(aws: Aws, *, new: bool) -> None:
    tags: dict[str, Any] = {"Tags": aws.tag_list} if new else {}
    aws.client("events").put_rule(
        Name=rule_name(aws),
        Description="Executions of the pipeline that failed.",
        EventPattern=json.dumps(pattern(aws)),
        State="ENABLED",
        **tags,
    )


def _targets(aws: Aws) -> list[Any]:
    wanted: list[Any] = [{"Id": "cluster-reaper", "Arn": function_arn(aws)}]
    if aws.settings.alert_email:
        notice = {"InputPathsMap": _NOTICE_PATHS, "InputTemplate": _NOTICE}
        wanted.append({"Id": "failure-notice", "Arn": topic_arn(aws), "InputTransformer": notice})
    return wanted


def _ensure_targets(aws: Aws, *, rule_exists: bool) -> bool:
    events, name = aws.client("events"), rule_name(aws)
    current = events.list_targets_by_rule(Rule=name)["Targets"] if rule_exists else []
    wanted = _targets(aws)
    missing = [target for target in wanted if target not in current]
    wanted_ids = {target["Id"] for target in wanted}
    unwanted = [target["Id"] for target in current if target["Id"] not in wanted_ids]
    if missing:
        aws.change(lambda: events.put_targets(Rule=name, Targets=missing))
    if unwanted:
        aws.change(lambda: events.remove_targets(Rule=name, Ids=unwanted))
    return bool(missing or unwanted)


def _ensure_permission(aws: Aws) -> bool:
    """Ensures that the function's policy allows this rule to call it."""
    if _STATEMENT in _statements(aws):
        return False
    aws.change(
        lambda: aws.client("lambda").add_permission(
            FunctionName=cluster_reaper_name(aws.settings),
            StatementId=_STATEMENT,
            Action="lambda:InvokeFunction",
            Principal="events.amazonaws.com",
            SourceArn=rule_arn(aws),
        )
    )
    return True


def _statements(aws: Aws) -> set[str]:
    name = cluster_reaper_name(aws.settings)
    answer = if_exists(
        lambda: aws.client("lambda").get_policy(FunctionName=name), "ResourceNotFoundException"
    )
    return (
        {statement["Sid"] for statement in json.loads(answer["Policy"])["Statement"]}
        if answer
        else set()
    )
