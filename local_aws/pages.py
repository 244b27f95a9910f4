"""Splits long lists into pages, for all operations that list something."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from local_aws.overlay import AwsError


def page(
    name: str, items: Sequence[Any], size: int, token: tuple[str, str | None], invalid: AwsError
) -> dict[str, Any]:
    """The response: one page of ``items`` as ``name``, and the token of the next page if any.

    ``token``: the name of the parameter, and its value in the request. Raises ``invalid`` if the
    value is not a token that this function returned.
    """
    parameter, value = token
    if value and not value.isdecimal():
        raise invalid
    start = int(value or 0)
    response = {name: list(items[start : start + size])}
    return response | ({parameter: str(start + size)} if start + size < len(items) else {})
