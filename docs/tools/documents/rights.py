"""The roles and their permissions as tables, from scripts/car_rental/iam/policies."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from car_rental.config import Settings
from car_rental.iam.roles import Role
from car_rental.iam.roles import roles as wanted_roles

from documents.markdown import table

_ACCOUNT = "123456789012"
# the default settings plus a schedule, so that the schedule's role is included
_SETTINGS = Settings(schedule_expression="rate(1 day)")


def _roles() -> list[Role]:
    return wanted_roles(_SETTINGS, _ACCOUNT, "aws")


def roles() -> str:
    """The roles: default name, trusted service, purpose."""
    rows = [
        (
            f"`{role.name}`",
            f"`{role.trust['Statement'][0]['Principal']['Service']}`",
            f"`{role.key}`",
            role.purpose,
        )
        for role in _roles()
    ]
    return table(("role", "assumed by", "in `iam_roles.json`", "purpose"), rows)


def rights() -> str:
    """A section for each role: the statements of its policy, with actions and resources."""
    return "\n\n".join(_section(role) for role in _roles())


def _section(role: Role) -> str:
    rows = [
        (_words(statement["Sid"]), _actions(statement), _reach(statement), _condition(statement))
        for statement in role.policy["Statement"]
    ]
    managed = "".join(
        f"\n\nAlso attached: AWS's managed policy `{arn.rsplit('/', 1)[1]}`."
        for arn in role.managed
    )
    return (
        f"### `{role.name}`\n\n{role.purpose}.\n\n"
        + table(("to", "may", "on", "only if"), rows)
        + managed
    )


def _words(sid: str) -> str:
    """``take the lock`` of ``TakeTheLock``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", sid).lower()


def _actions(statement: dict[str, Any]) -> str:
    """``s3: GetObject, PutObject`` of a statement's actions."""
    actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
    by_service: defaultdict[str, list[str]] = defaultdict(list)
    for action in actions:
        service, name = action.split(":")
        by_service[service].append(name)
    return "; ".join(f"`{service}`: {', '.join(names)}" for service, names in by_service.items())


def _reach(statement: dict[str, Any]) -> str:
    """The resources, without the shared parts of the ARN: partition, region, account."""
    given = (
        [statement["Resource"]] if isinstance(statement["Resource"], str) else statement["Resource"]
    )
    # without the S3 connector's folder markers, which policies/README.md explains
    shown = [_short(arn) for arn in given if not arn.endswith("$folder$")]
    return ", ".join(f"`{name}`" for name in shown)


def _short(arn: str) -> str:
    return arn if arn == "*" else arn.split(":", 5)[5]


def _condition(statement: dict[str, Any]) -> str:
    return ", ".join(f"`{key}` is `{value}`" for key, value in _conditions(statement))


def _conditions(statement: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for tests in statement.get("Condition", {}).values():
        yield from tests.items()
