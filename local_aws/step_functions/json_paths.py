"""Evaluates JSONPaths as Step Functions does; moto's results differ."""

from __future__ import annotations

import re
from typing import Any

from jsonpath_ng.ext.parser import parse
from jsonpath_ng.jsonpath import DatumInContext

# syntax of paths with any number of results: .. .* [*] [1:2] [?(...)] [0,1]
_INDEFINITE = re.compile(r"""\.\.|\.\*|\[[^]'"]*[?*:,]""")


class Path:
    """A JSONPath: its result is one value, or a list if it has a wildcard, slice or filter.

    moto returns a list for ``$.Rows[1].Data[0].VarCharValue``, a single value for ``$.a[*].b.c``
    with one match, and an error for a filter without a match.
    """

    def __init__(self, text: str) -> None:
        many = _INDEFINITE.search(text)
        self._expression = parse(text)
        self._holder = parse(text[: many.start()]) if many else None

    def find(self, data: Any) -> list[DatumInContext]:
        """Returns at most one match, because moto unwraps a single match to its value."""
        values = [match.value for match in self._expression.find(data)]
        if self._holder is None:
            return [DatumInContext.wrap(value) for value in values]
        return [DatumInContext.wrap(values)] if values or self._holder.find(data) else []
