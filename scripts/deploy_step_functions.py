#!/usr/bin/env python3
"""Step 4: deploys the Step Functions state machine, which does steps 5 to 8 by itself.

Creates it, or updates the properties that differ and lists them. Needs the roles of step 1. Run it
as often as you like; running executions keep the definition with which they started. Also deploys
its log group, the Lambda function that terminates the clusters of dead executions, and, if the
settings ask for them, alerts (ALERT_EMAIL) and a schedule (SCHEDULE_EXPRESSION).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from car_rental import cli
from botocore.exceptions import ClientError
from car_rental.aws import Answer, Aws, if_exists
from car_rental.changes import Change, Verb, summary
from car_rental.display.console import Console
from car_rental.errors import DataLakeError
from car_rental.iam.retry import retry_while_iam_spreads
from car_rental.state_machine.alerts import ensure_alarm, ensure_topic, remove_alarm, remove_topic
from car_rental.state_machine.definition import definition, deployable_definition, state_machine_arn
from car_rental.state_machine.execution_rule import ensure_rule
from car_rental.state_machine.log_groups import ensure_log_group, log_group_arn
from car_rental.state_machine.reaper_function import ensure_function
from car_rental.state_machine.schedule import ensure_schedule

_WHERE = "deploy_step_functions"
# CloudWatch does not count log groups with this prefix against the size limit of its resource
# policies
# https://docs.aws.amazon.com/step-functions/latest/dg/bp-cwl.html
_LOGS = "/aws/vendedlogs/states/"
# Step Functions' messages for a role that is too new; a wrong role causes the same messages
_ROLE_NOT_YET = (
    "authorized to assume the provided role",
    "is not authorized to create managed-rule",
    "is not authorized to access the Log Destination",
)
# the name of a deleted state machine is available again some seconds after its executions have
# ended
_NAME_NOT_YET = ("State Machine is being deleted",)


@dataclass(frozen=True)
class DeployResult:
    """The state machine, and the changes of all resources."""

    state_machine_arn: str
    changes: list[Change]

    def summary(self) -> str:
        """One line for the summary."""
        return summary(self.changes)


def deploy_step_functions(aws: Aws, console: Console) -> DeployResult:
    """Deploys the state machine, reaper, rule, alerts and schedule that the settings ask for.

    Raises ``DataLakeError`` if AWS does not accept the definition or a role.
    """
    settings = aws.settings
    changes = [
        ensure_log_group(aws, f"{_LOGS}{settings.step_functions_state_machine_name}"),
        ensure_state_machine(aws, console),
        ensure_function(aws, console),
        *([ensure_topic(aws), ensure_alarm(aws)] if settings.alert_email else []),
        ensure_rule(aws),
        *([] if settings.alert_email else [remove_alarm(aws), remove_topic(aws)]),
        ensure_schedule(aws, console),
    ]
    return DeployResult(state_machine_arn(aws), [change for change in changes if change])


def ensure_state_machine(aws: Aws, console: Console) -> Change:
    """Ensures that the state machine exists with the current definition, role and tags."""
    wanted = _wanted(aws)
    current = _current(aws)
    if current is None:
        return _create(aws, console, wanted)
    changed = [
        label
        for field, label in _PARTS.items()
        if not _same(field, current.get(field), wanted[field])
    ]
    if changed:
        aws.change(
            lambda: _send(
                aws,
                console,
                "update_state_machine",
                stateMachineArn=state_machine_arn(aws),
                **wanted,
            )
        )
    if _tags_differ(aws):
        aws.change(
            lambda: aws.client("stepfunctions").tag_resource(
                resourceArn=state_machine_arn(aws), tags=_lower_case(aws.tag_list)
            )
        )
        changed.append("tags")
    return Change.of(
        "state machine",
        aws.settings.step_functions_state_machine_name,
        existed=True,
        changed=changed,
    )


_PARTS = {
    "definition": "definition",
    "roleArn": "role",
    "loggingConfiguration": "logging",
    "tracingConfiguration": "tracing",
}


def _wanted(aws: Aws) -> dict[str, Any]:
    name = aws.settings.step_functions_state_machine_name
    # without the right to validate, the definition is sent unchecked: CreateStateMachine validates
    # it too
    asked = if_exists(lambda: deployable_definition(aws), "AccessDeniedException")
    machine = asked[0] if asked else definition(aws.settings, aws.tag_list, aws.partition)
    return {
        "definition": json.dumps(machine, indent=2),
        "roleArn": _role_arn(aws),
        "loggingConfiguration": {
            "level": "ERROR",
            "includeExecutionData": False,  # inputs may contain names
            "destinations": [
                {"cloudWatchLogsLogGroup": {"logGroupArn": log_group_arn(aws, f"{_LOGS}{name}")}}
            ],
        },
        "tracingConfiguration": {"enabled": True},
    }


def _role_arn(aws: Aws) -> str:
    settings = aws.settings
    if settings.step_functions_role_is_given:
        return settings.step_functions_role_arn
    return f"arn:{aws.partition}:iam::{aws.account_id}:role/{settings.step_functions_role_name}"


def _current(aws: Aws) -> Answer | None:
    """The existing state machine; None if there is none or it is being deleted."""
    sfn, arn = aws.client("stepfunctions"), state_machine_arn(aws)
    found = if_exists(
        lambda: sfn.describe_state_machine(stateMachineArn=arn), "StateMachineDoesNotExist"
    )
    return None if found and found.get("status") == "DELETING" else found


def _same(field: str, current: Any, wanted: Any) -> bool:
    return bool(
        json.loads(current) == json.loads(wanted) if field == "definition" else current == wanted
    )


def _create(aws: Aws, console: Console, wanted: dict[str, Any]) -> Change:
    name = aws.settings.step_functions_state_machine_name
    tags = _lower_case(aws.tag_list)
    aws.change(
        lambda: _send(
            aws, console, "create_state_machine", name=name, type="STANDARD", tags=tags, **wanted
        )
    )
    return Change("state machine", name, Verb.CREATED)


def _send(aws: Aws, console: Console, operation: str, **request: Any) -> Any:
    """Creates or updates. If AWS refuses the definition or a role, the error says which."""
    call, patience = (
        getattr(aws.client("stepfunctions"), operation),
        aws.settings.timing.iam_patience_seconds,
    )
    deletion = ("the old state machine", "being deleted, trying again")
    try:
        return retry_while_iam_spreads(
            lambda: retry_while_iam_spreads(
                lambda: call(**request), _ROLE_NOT_YET, console, patience
            ),
            _NAME_NOT_YET,
            console,
            patience,
            waiting_for=deletion,
        )
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        if any(text in message for text in _ROLE_NOT_YET):
            raise DataLakeError(
                _WHERE,
                f"Step Functions does not accept the role: {message}",
                "Run step 1: python scripts/setup_iam_roles.py",
            ) from error
        if any(text in message for text in _NAME_NOT_YET):
            raise DataLakeError(
                _WHERE,
                f"the state machine of this name is still being deleted: {message}",
                "Stop its executions in the console, or wait until they have ended; then run this"
                " step again.",
            ) from error
        raise


def _tags_differ(aws: Aws) -> bool:
    listed = aws.client("stepfunctions").list_tags_for_resource(resourceArn=state_machine_arn(aws))[
        "tags"
    ]
    current = {tag["key"]: tag["value"] for tag in listed}
    return not aws.tags.items() <= current.items()


def _lower_case(tags: Sequence[dict[str, str]]) -> list[Any]:
    """Step Functions spells the keys of tags in lower case."""
    return [{"key": tag["Key"], "value": tag["Value"]} for tag in tags]


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    result = deploy_step_functions(aws, console)
    console.note(result.summary())
    console.result(result.state_machine_arn)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    return cli.run(cli.parser(__doc__), argv, _act)


if __name__ == "__main__":
    sys.exit(main())
