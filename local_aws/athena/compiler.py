"""What the compiler of calls asks of the compiler of expressions, which calls it: the one knows the other by this alone."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sqlglot import exp

from local_aws.athena.errors import QueryFailed
from local_aws.athena.typed import Typed
from local_aws.athena.types import Type


class Compiler(Protocol):
    """Compiles expressions; ``expressions.Expressions`` says what each method does."""

    prefix: str

    def compile(self, node: exp.Expr) -> Typed:
        """Any expression."""

    def boolean(self, node: exp.Expr, what: str) -> str:
        """A condition."""

    def coerced(self, given: Typed, to: Type) -> str:
        """A value as another type."""

    def shared(self, node: exp.Expr, items: Sequence[Typed], message: str) -> Type:
        """The type that all of them coerce to."""

    def ordering(self, ordered: exp.Expr) -> str:
        """One item of ORDER BY."""

    def lambda_of(self, node: exp.Expr, names: list[str], kinds: list[Type], as_entry: bool) -> tuple[Typed, str]:
        """A lambda's body, and all of it."""

    def row_of(self, items: Sequence[Typed]) -> Typed:
        """A row without field names."""

    def conditional(self, node: exp.Expr) -> Typed:
        """``IF(condition, yes, no)``."""

    def in_zone(self, node: exp.Expr, inner: Typed, zone: Typed) -> Typed:
        """A moment in another time zone."""

    def now(self, node: exp.Expr) -> Typed:
        """When the query started."""

    def lenient(self) -> AbstractContextManager[None]:
        """What is compiled inside answers NULL where it would fail."""

    def place(self, node: exp.Expr) -> str:
        """Where in the text it stands."""

    def mismatch(self, node: exp.Expr, message: str) -> QueryFailed:
        """TYPE_MISMATCH at its place."""
