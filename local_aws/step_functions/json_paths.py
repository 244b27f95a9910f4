"""JSONPaths as Step Functions evaluates them, in place of what moto makes of them."""

from __future__ import annotations

import re
from typing import Any

from jsonpath_ng.ext.parser import parse
from jsonpath_ng.jsonpath import DatumInContext

# what lets a path find any number of values: .. .* [*] [1:2] [?(...)] [0,1]
_INDEFINITE = re.compile(r"""\.\.|\.\*|\[[^]'"]*[?*:,]""")


class Path:
    """A JSONPath as AWS answers it: a definite one has a value, one with a wildcard, slice or filter a list of values.

    moto makes a list of ``$.Rows[1].Data[0].VarCharValue``, a value of ``$.a[*].b.c`` that is found once, and an error of a
    filter that nothing passes.
    """

    def __init__(self, text: str) -> None:
        many = _INDEFINITE.search(text)
        self._expression = parse(text)
        self._holder = parse(text[: many.start()]) if many else None

    def find(self, data: Any) -> list[DatumInContext]:
        """At most one match, which is what moto takes for the value."""
        values = [match.value for match in self._expression.find(data)]
        if self._holder is None:
            return [DatumInContext.wrap(value) for value in values]
        return [DatumInContext.wrap(values)] if values or self._holder.find(data) else []
