"""Checks the role and the log group that a state machine or a schedule refers to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local_aws.overlay import AwsError


def check_role(iam: Any, role_arn: str) -> None:
    """Raises AWS's error if Step Functions may not assume the role or it does not exist."""
    if not trusted_role(iam, role_arn, "states"):
        raise AwsError(
            "AccessDeniedException",
            "Neither the global service principal states.amazonaws.com, nor the regional one is authorized "
            "to assume the provided role.",
        )


def trusted_role(iam: Any, role_arn: str, service: str) -> bool:
    """Whether the role exists and ``service`` may assume it."""
    try:
        role = iam.get_role(RoleName=role_arn.rpartition("/")[2])["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return False
    return role["Arn"] == role_arn and _trusts(role["AssumeRolePolicyDocument"], service)


def _trusts(document: Any, service: str) -> bool:
    policy = json.loads(unquote(document)) if isinstance(document, str) else document
    return any(
        statement["Effect"] == "Allow" and any(_is(principal, service) for principal in _listed(_services(statement)))
        for statement in _listed(policy["Statement"])
    )


def _services(statement: Mapping[str, Any]) -> Any:
    principal = statement.get("Principal", {})
    return principal.get("Service", []) if isinstance(principal, dict) else []


def _is(principal: str, service: str) -> bool:
    return principal.startswith(f"{service}.") and principal.endswith(".amazonaws.com")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check_logging(logs: Any, configuration: Mapping[str, Any]) -> None:
    """Raises AWS's error for a log destination that is not ``<ARN of an existing log group>:*``."""
    for destination in configuration.get("destinations", []):
        arn = destination["cloudWatchLogsLogGroup"]["logGroupArn"]
        name = arn.removesuffix(":*").partition(":log-group:")[2]
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] if name else []
        if not arn.endswith(":*") or name not in (group["logGroupName"] for group in groups):
            raise AwsError(
                "InvalidLoggingConfiguration",
                "Invalid Logging Configuration: Log Destination must be the ARN of an existing log group, with ':*' at its end.",
            )
