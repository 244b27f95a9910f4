"""Expressions in DuckDB's SQL with Trino's types, and helpers to write SQL."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from local_aws.athena.casts import cast
from local_aws.athena.types import Type


@dataclass(frozen=True)
class Typed:
    """An expression in DuckDB's SQL with its Trino type; ``text``: value of a string literal."""

    sql: str
    type: Type
    text: str | None = None

    def as_type(self, to: Type, prefix: str) -> str:
        """The SQL as type ``to``; ``prefix`` selects the macros of casts."""
        return self.sql if self.type == to else cast(self.sql, self.type, to, prefix)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def direction(ordered: exp.Expr) -> str:
    """ASC or DESC, and NULLS FIRST or NULLS LAST (the default)."""
    down = " DESC" if ordered.args.get("desc") else " ASC"
    return down + (" NULLS FIRST" if ordered.args.get("nulls_first") else " NULLS LAST")
