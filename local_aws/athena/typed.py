"""An expression in DuckDB's words with the type that Trino gives it, and what every compiler of expressions needs."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from local_aws.athena.casts import cast
from local_aws.athena.types import Type


@dataclass(frozen=True)
class Typed:
    """DuckDB's text of an expression and the type Trino gives it; ``text`` is the value of a text literal."""

    sql: str
    type: Type
    text: str | None = None

    def as_type(self, to: Type, prefix: str) -> str:
        """Its text as ``to``; ``prefix`` names the macros that casts use."""
        return self.sql if self.type == to else cast(self.sql, self.type, to, prefix)


def quoted(name: str) -> str:
    """An identifier as DuckDB reads it."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """A text literal as DuckDB reads it."""
    return "'" + value.replace("'", "''") + "'"


def direction(ordered: exp.Expr) -> str:
    """ASC or DESC and where nulls come: last, unless it says otherwise."""
    down = " DESC" if ordered.args.get("desc") else " ASC"
    return down + (" NULLS FIRST" if ordered.args.get("nulls_first") else " NULLS LAST")
