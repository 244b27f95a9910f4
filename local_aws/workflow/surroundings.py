"""What a state machine needs around it: a role that Step Functions can assume, and the log group that it writes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local_aws.overlay import AwsError

_PRINCIPAL = "states.amazonaws.com"


def check_role(iam: Any, role_arn: str) -> None:
    """Refuses a role that does not exist or that Step Functions may not assume, as AWS does, with one message for both."""
    name = role_arn.rpartition("/")[2]
    try:
        role = iam.get_role(RoleName=name)["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        role = None
    if role is None or role["Arn"] != role_arn or not _trusts(role["AssumeRolePolicyDocument"]):
        raise AwsError(
            "AccessDeniedException",
            f"Neither the global service principal {_PRINCIPAL}, nor the regional one is authorized to assume the provided role.",
        )


def _trusts(document: Any) -> bool:
    policy = json.loads(unquote(document)) if isinstance(document, str) else document
    return any(
        statement["Effect"] == "Allow" and any(_is_ours(principal) for principal in _listed(_services(statement)))
        for statement in _listed(policy["Statement"])
    )


def _services(statement: Mapping[str, Any]) -> Any:
    principal = statement.get("Principal", {})
    return principal.get("Service", []) if isinstance(principal, dict) else []


def _is_ours(principal: str) -> bool:
    return principal.startswith("states.") and principal.endswith(".amazonaws.com")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def check_logging(logs: Any, configuration: Mapping[str, Any]) -> None:
    """Refuses log destinations that are no log group's ARN with ``:*`` at its end, or whose group does not exist."""
    for destination in configuration.get("destinations", []):
        arn = destination["cloudWatchLogsLogGroup"]["logGroupArn"]
        name = arn.removesuffix(":*").partition(":log-group:")[2]
        groups = logs.describe_log_groups(logGroupNamePrefix=name)["logGroups"] if name else []
        if not arn.endswith(":*") or name not in (group["logGroupName"] for group in groups):
            raise AwsError(
                "InvalidLoggingConfiguration",
                "Invalid Logging Configuration: Log Destination must be the ARN of an existing log group, with ':*' at its end.",
            )
