"""IAM roles that requests name: whether they exist, and which services may assume them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local_aws.clients import ACCOUNT_ID


def find_role(iam: Any, name_or_arn: str) -> dict[str, Any] | None:
    """The role, None if there is none; a name means a role without a path."""
    try:
        role: dict[str, Any] = iam.get_role(RoleName=name_or_arn.rpartition("/")[2])["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchEntity":
            raise
        return None
    arn = (
        name_or_arn
        if name_or_arn.startswith("arn:")
        else f"arn:aws:iam::{ACCOUNT_ID}:role/{name_or_arn}"
    )
    return role if role["Arn"] == arn else None


def may_assume(iam: Any, service: str, name_or_arn: str) -> bool:
    """Returns whether the role exists and ``service`` (``states``, ``glue``) may assume it."""
    role = find_role(iam, name_or_arn)
    if role is None:
        return False
    document = role["AssumeRolePolicyDocument"]
    policy = json.loads(unquote(document)) if isinstance(document, str) else document
    return any(
        statement["Effect"] == "Allow"
        and any(_is(principal, service) for principal in _as_list(_services(statement)))
        for statement in _as_list(policy["Statement"])
    )


def _services(statement: Mapping[str, Any]) -> Any:
    principal = statement.get("Principal", {})
    return principal.get("Service", []) if isinstance(principal, dict) else []


def _is(principal: str, service: str) -> bool:
    return principal.startswith(f"{service}.") and principal.endswith(".amazonaws.com")


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
