"""Columns in scope, and the scans of tables that a query needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from local_aws.athena.catalog import Table
from local_aws.athena.errors import QueryFailed
from local_aws.athena.typed import Typed
from local_aws.athena.types import Type


@dataclass
class Scan:
    """One scan of a table: its alias, the columns in use, and conditions on partitions."""

    table: Table
    alias: str
    used: set[str] = field(default_factory=set)
    pruning: list[str] = field(default_factory=list)
    nullable: bool = False  # the optional side of an outer join, which must not be pruned


@dataclass(frozen=True)
class Column:
    """A column in scope; ``relation`` is (catalog, database, table) or the last parts of it."""

    relation: tuple[str, ...]
    name: str | None
    sql: str
    type: Type
    scan: Scan | None = None
    stored: str = ""  # the column's name in the scanned table, if ``scan`` is set

    @property
    def hidden(self) -> bool:
        """Returns whether ``*`` omits it."""
        return self.stored.startswith("$")

    def use(self) -> Typed:
        """The column's SQL; marks it as used in its scan."""
        if self.scan is not None:
            self.scan.used.add(self.stored)
        return Typed(self.sql, self.type)

    def answers_to(self, relation: Sequence[str], name: str) -> bool:
        """Returns whether ``relation.name`` refers to this column."""
        return self.name is not None and self.name.lower() == name and self.belongs_to(relation)

    def belongs_to(self, relation: Sequence[str]) -> bool:
        """Returns whether ``relation`` is empty or equals the last parts of this column's relation.

        ``relation`` has to be in lower case.
        """
        return not relation or tuple(relation) == self.relation[-len(relation) :]


@dataclass(frozen=True)
class Scope:
    """The columns of a FROM clause, and the scope of the outer query."""

    columns: tuple[Column, ...] = ()
    outer: Scope | None = None

    def visible(self) -> list[Column]:
        """The columns that ``*`` selects."""
        return [column for column in self.columns if not column.hidden]

    def find(self, parts: Sequence[str]) -> tuple[Column, Sequence[str]] | None:
        """The column that ``parts`` starts with, and the parts after it (fields of a row)."""
        lower = [part.lower() for part in parts]
        for size in range(min(len(parts) - 1, 3), -1, -1):
            found = [
                column for column in self.columns if column.answers_to(lower[:size], lower[size])
            ]
            if len(found) > 1:
                raise QueryFailed(
                    "AMBIGUOUS_NAME", f"Column '{'.'.join(lower[: size + 1])}' is ambiguous"
                )
            if found:
                return found[0], parts[size + 1 :]
        return self.outer.find(parts) if self.outer is not None else None

    def resolve(self, parts: Sequence[str]) -> tuple[Typed, Sequence[str]] | None:
        """Implements ``expressions.Names``; marks the column as used."""
        found = self.find(parts)
        return None if found is None else (found[0].use(), found[1])
