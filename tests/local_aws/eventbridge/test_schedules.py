"""EventBridge Scheduler on the local AWS validates schedules like AWS and never fires them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import pytest

ROLE = "arn:aws:iam::123456789012:role/SchedulesTest"


@pytest.fixture(scope="module")
def scheduler(client: Callable[[str], Any]) -> Any:
    """The scheduler's client, with a role that it may assume and one that it may not."""
    for name, service in (("SchedulesTest", "scheduler"), ("SchedulesTestOther", "lambda")):
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {
            "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]
        }
        client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
    return client("scheduler")


def schedule(expression: str = "rate(1 day)", role: str = ROLE, name: str = "") -> dict[str, Any]:
    return {
        "Name": name or f"schedule-{uuid.uuid4().hex[:8]}",
        "ScheduleExpression": expression,
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": "arn:aws:states:us-east-1:123456789012:stateMachine:any",
            "RoleArn": role,
        },
    }


@pytest.mark.parametrize(
    "expression",
    [
        "rate(1 day)",
        "rate(5 minutes)",
        "at(2030-01-01T00:00:00)",
        "cron(0 3 * * ? *)",
        "cron(0/15 8-18 ? JAN-MAR MON-FRI 2030-2040)",
        "cron(0 0 L * ? *)",
        "cron(0 0 15W * ? *)",
        "cron(0 0 ? * 6#3 *)",
        "cron(0,30 0 1 1,7 ? *)",
    ],
)
def test_a_schedule_is_stored_with_a_warning_that_it_never_fires(
    scheduler: Any, caplog: pytest.LogCaptureFixture, expression: str
) -> None:
    requested = schedule(expression)
    scheduler.create_schedule(**requested)
    assert scheduler.get_schedule(Name=requested["Name"])["ScheduleExpression"] == expression
    assert f"schedule {requested['Name']} is stored, but never fires here" in caplog.text


@pytest.mark.parametrize(
    "expression",
    [
        "cron(0 3 * * ?)",  # five fields as in crontab
        "cron(0 3 * * * *)",  # day of month or day of week has to be a question mark
        "cron(0 3 ? * ? *)",
        "cron(60 3 * * ? *)",
        "cron(0 24 * * ? *)",
        "cron(0 3 * XYZ ? *)",
        "cron(0 3 ? * 0 *)",
        "rate(0 days)",
        "rate(1 week)",
        "every day",
        "at(tomorrow)",
    ],
)
def test_an_invalid_schedule_expression_is_rejected(scheduler: Any, expression: str) -> None:
    with pytest.raises(
        scheduler.exceptions.ValidationException, match="Invalid Schedule Expression"
    ):
        scheduler.create_schedule(**schedule(expression))


@pytest.mark.parametrize("role", ["Nobody", "SchedulesTestOther"])
def test_a_schedule_needs_a_role_that_the_scheduler_may_assume(scheduler: Any, role: str) -> None:
    requested = schedule(name=f"kept-{role}")
    scheduler.create_schedule(**requested)
    requested["Target"]["RoleArn"] = f"arn:aws:iam::123456789012:role/{role}"
    for write in (
        scheduler.update_schedule,
        lambda **changed: scheduler.create_schedule(**{**changed, "Name": "new"}),
    ):
        with pytest.raises(
            scheduler.exceptions.ValidationException,
            match="must allow AWS EventBridge Scheduler to assume",
        ):
            write(**requested)
    assert scheduler.get_schedule(Name=requested["Name"])["Target"]["RoleArn"] == ROLE
