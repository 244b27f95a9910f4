"""Decides whether an identity policy allows a call, by AWS's rules.

Implemented: actions, resources and string conditions of Allow statements.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html

Not implemented: resource policies, permissions boundaries, service control policies, session
policies, NotAction, NotResource, policy variables.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

_OPERATORS = {
    "StringEquals": lambda wanted, given: wanted == given,
    "StringLike": lambda wanted, given: matches(wanted, given),
    "ArnEquals": lambda wanted, given: wanted == given,
    # correct for requests with one value of the key
    "ForAllValues:StringEquals": lambda wanted, given: wanted == given,
    "ArnLike": lambda wanted, given: matches(wanted, given),
}


def allows(
    policy: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str] | None = None
) -> bool:
    """Tells whether a statement of ``policy`` allows ``action`` on ``resource``.

    ``context`` maps condition keys of the request to their values.
    """
    return any(
        _statement_allows(statement, action, resource, context or {})
        for statement in policy["Statement"]
    )


def denied(policy: Mapping[str, Any], needs: Collection[Any]) -> set[str]:
    """The needs (action, resource, context) that ``policy`` does not allow, as text."""
    return {
        str(need) for need in needs if not allows(policy, need.action, need.resource, need.context)
    }


def unused_grants(policy: Mapping[str, Any], needs: Collection[Any]) -> Iterator[str]:
    """The actions and resources of ``policy`` that no need in ``needs`` uses."""
    for statement in policy["Statement"]:
        for part in ("Action", "Resource"):
            for granted in as_list(statement[part]):
                alone = {**statement, part: granted}
                if not any(
                    _statement_allows(alone, need.action, need.resource, need.context)
                    for need in needs
                ):
                    yield f"{statement['Sid']}: {granted}"


def _statement_allows(
    statement: Mapping[str, Any], action: str, resource: str, context: Mapping[str, str]
) -> bool:
    unknown = statement.keys() - {"Sid", "Effect", "Action", "Resource", "Condition"}
    if unknown or statement["Effect"] != "Allow":
        raise NotImplementedError(f"this evaluator does not know {unknown or statement['Effect']}")
    return (
        any(matches(pattern.lower(), action.lower()) for pattern in as_list(statement["Action"]))
        and any(matches(pattern, resource) for pattern in as_list(statement["Resource"]))
        and all(
            _holds(operator, keys, context)
            for operator, keys in statement.get("Condition", {}).items()
        )
    )


def _holds(operator: str, keys: Mapping[str, Any], context: Mapping[str, str]) -> bool:
    """Tells whether all conditions hold; a key that the request does not carry never matches."""
    matches_value = _OPERATORS[operator]
    return all(
        key in context and any(matches_value(wanted, context[key]) for wanted in as_list(value))
        for key, value in keys.items()
    )


def matches(pattern: str, text: str) -> bool:
    """Tells whether ``text`` matches an IAM pattern, in which only ``*`` and ``?`` are special."""
    expression = "".join(
        {"*": ".*", "?": "."}.get(character, re.escape(character)) for character in pattern
    )
    return re.fullmatch(expression, text, re.DOTALL) is not None


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
