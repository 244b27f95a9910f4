"""CloudWatch log groups, created before their first use, with tags and a retention time."""

from __future__ import annotations

from car_rental.aws import Answer, Aws
from car_rental.changes import Change

RETENTION_DAYS = 90  # Step Functions keeps the history of an execution as long


def ensure_log_group(aws: Aws, name: str) -> Change:
    """Ensures that the log group exists and keeps its events for ``RETENTION_DAYS``."""
    logs = aws.client("logs")
    current = _current(aws, name)
    if current is None:
        aws.change(lambda: logs.create_log_group(logGroupName=name, tags=aws.tags))
    if current is None or current.get("retentionInDays") != RETENTION_DAYS:
        aws.change(
            lambda: logs.put_retention_policy(logGroupName=name, retentionInDays=RETENTION_DAYS)
        )
        return Change.of("log group", name, existed=current is not None, changed=["retention"])
    return Change.of("log group", name, existed=True)


def log_group_arn(aws: Aws, name: str) -> str:
    """The ARN with ``:*`` at the end, as Step Functions requires it."""
    return f"arn:{aws.partition}:logs:{aws.settings.aws_region}:{aws.account_id}:log-group:{name}:*"


def _current(aws: Aws, name: str) -> Answer | None:
    pages = (
        aws.client("logs").get_paginator("describe_log_groups").paginate(logGroupNamePrefix=name)
    )
    groups = (group for page in pages for group in page["logGroups"])
    return next((group for group in groups if group["logGroupName"] == name), None)
