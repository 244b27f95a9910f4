"""The schedule of the state machine; it exists only while SCHEDULE_EXPRESSION is set."""

from __future__ import annotations

from typing import Any

from car_rental.aws import Answer, Aws, if_exists
from car_rental.changes import Change, Verb
from car_rental.display.console import Console
from car_rental.iam.retry import retry_while_iam_spreads
from car_rental.iam.roles import scheduler_role_name
from car_rental.names import schedule_name
from car_rental.state_machine.definition import state_machine_arn

# Scheduler's message for a role that is too new
_ROLE_NOT_YET = ("must allow AWS EventBridge Scheduler to assume the role",)


def ensure_schedule(aws: Aws, console: Console) -> Change | None:
    """Ensures that the schedule matches the settings.

    Returns None if there is none and there should be none.
    """
    scheduler, current = aws.client("scheduler"), _current(aws)
    if not aws.settings.schedule_expression:
        if current is None:
            return None
        aws.change(lambda: scheduler.delete_schedule(Name=schedule_name(aws)))
        return Change("schedule", schedule_name(aws), Verb.REMOVED)
    if aws.settings.is_local:
        console.warn("The local AWS stores the schedule and never starts anything by it.")
    wanted = _wanted(aws)
    if current and all(current.get(key) == value for key, value in wanted.items()):
        return Change("schedule", schedule_name(aws), Verb.UNCHANGED)
    write = scheduler.update_schedule if current else scheduler.create_schedule
    patience = aws.settings.timing.iam_patience_seconds
    aws.change(
        lambda: retry_while_iam_spreads(lambda: write(**wanted), _ROLE_NOT_YET, console, patience)
    )
    return Change("schedule", schedule_name(aws), Verb.UPDATED if current else Verb.CREATED)


def _current(aws: Aws) -> Answer | None:
    return if_exists(
        lambda: aws.client("scheduler").get_schedule(Name=schedule_name(aws)),
        "ResourceNotFoundException",
    )


def _wanted(aws: Aws) -> dict[str, Any]:
    """The parameters of ``scheduler:CreateSchedule``, in UTC.

    If it fires twice, the lock stops the second run.
    """
    return {
        "Name": schedule_name(aws),
        "Description": "Starts the car rental pipeline.",
        "ScheduleExpression": aws.settings.schedule_expression,
        "ScheduleExpressionTimezone": "UTC",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "State": "ENABLED",
        "Target": {
            "Arn": state_machine_arn(aws),
            "RoleArn": (
                f"arn:{aws.partition}:iam::{aws.account_id}:role/{scheduler_role_name(aws.settings)}"
            ),
            "Input": "{}",
            # a start up to an hour late is useful; a day late it would surprise people
            "RetryPolicy": {"MaximumEventAgeInSeconds": 3600, "MaximumRetryAttempts": 5},
        },
    }
