"""Writes to CloudWatch Logs on behalf of the services that log there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from botocore.exceptions import ClientError


def write_events(logs: Any, group: str, stream: str, events: Sequence[dict[str, Any]]) -> None:
    """Appends ``events`` to a stream; creates the group and the stream if they are missing."""
    _ensure(logs.create_log_group, logGroupName=group)
    _ensure(logs.create_log_stream, logGroupName=group, logStreamName=stream)
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=events)


def _ensure(create: Callable[..., Any], **names: str) -> None:
    try:
        create(**names)
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceAlreadyExistsException":
            raise
