"""Checks the role and the log group that a state machine refers to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from local_aws.overlay import AwsError
from local_aws.roles import may_assume


def check_role(iam: Any, role_arn: str) -> None:
    """Raises AWS's error if Step Functions may not assume the role or it does not exist."""
    if not (role_arn.startswith("arn:") and may_assume(iam, "states", role_arn)):
        raise AwsError(
            "AccessDeniedException",
            "Neither the global service principal states.amazonaws.com, nor the regional one is"
            " authorized to assume the provided role.",
        )


def check_logging(logs: Any, configuration: Mapping[str, Any]) -> None:
    """Raises AWS's error for a log destination that is not ``<ARN of an existing log group>:*``."""
    for destination in configuration.get("destinations", []):
        arn = destination["cloudWatchLogsLogGroup"]["logGroupArn"]
        name = arn.removesuffix(":*").partition(":log-group:")[2]
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] if name else []
        if not arn.endswith(":*") or name not in (group["logGroupName"] for group in groups):
            raise AwsError(
                "InvalidLoggingConfiguration",
                "Invalid Logging Configuration: Log Destination must be the ARN of an existing log"
                " group, with ':*' at its end.",
            )
