"""Checks GROUP BY: outside aggregates, a grouped query may use only grouped expressions."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from local_aws.athena.calls import is_aggregate
from local_aws.athena.errors import QueryFailed
from local_aws.athena.expressions import Expressions
from local_aws.athena.relations import Scope
from local_aws.athena.syntax import Source


def check_aggregation(
    node: exp.Select, expressions: Expressions, scope: Scope, grouped: set[str], source: Source
) -> None:
    """Raises EXPRESSION_NOT_AGGREGATE if a column is neither grouped nor in an aggregate."""
    items = [item.this if isinstance(item, exp.Alias) else item for item in node.expressions]
    having = [node.args["having"].this] if node.args.get("having") else []
    if (
        not node.args.get("group")
        and not having
        and not any(_aggregates(item, expressions) for item in items)
    ):
        return
    for item in items + having:
        for column in _loose(item, expressions, scope, grouped):
            name = column.sql(dialect="trino")
            message = (
                f"{source.place(column)}: '{name}' must be an aggregate expression or appear in"
                " GROUP BY clause"
            )
            raise QueryFailed("EXPRESSION_NOT_AGGREGATE", message)


def _aggregates(node: exp.Expr, expressions: Expressions) -> bool:
    """Returns whether ``node`` contains an aggregate that is not a window function."""
    if isinstance(node, exp.Query):
        return False
    if isinstance(node, exp.Window):
        call = node.this.this if isinstance(node.this, exp.Filter) else node.this
        return any(_aggregates(part, expressions) for part in _parts(call)) or any(
            _aggregates(part, expressions) for part in _parts(node) if part is not node.this
        )
    return is_aggregate(node) or any(_aggregates(part, expressions) for part in _parts(node))


def _loose(
    node: exp.Expr, expressions: Expressions, scope: Scope, grouped: set[str]
) -> Iterator[exp.Expr]:
    if (
        isinstance(node, exp.Query | exp.Lambda)
        or is_aggregate(node)
        and not isinstance(node.parent, exp.Window)
    ):
        return
    if (
        isinstance(node, exp.Filter)
        and is_aggregate(node.this)
        and not isinstance(node.parent, exp.Window)
    ):
        return
    if (
        isinstance(node, exp.Condition)
        and not isinstance(node, exp.Window)
        and _text(node, expressions) in grouped
    ):
        return
    if isinstance(node, exp.Column):
        if isinstance(node.this, exp.Star) or _is_of(node, scope):
            yield node
        return
    for part in _parts(node):
        yield from _loose(part, expressions, scope, grouped)


def _is_of(column: exp.Column, scope: Scope) -> bool:
    """Returns whether the column belongs to this query, not to an outer one."""
    found = Scope(scope.columns).find([part.name for part in column.parts])
    return found is not None


def _text(node: exp.Expr, expressions: Expressions) -> str | None:
    if (
        isinstance(node, exp.Column)
        and isinstance(node.this, exp.Star)
        or isinstance(node, exp.Star)
    ):
        return None
    try:
        return expressions.compile(node).sql
    except QueryFailed:
        return None  # only a part, such as a name; the whole expression is known to be valid


def _parts(node: exp.Expr) -> Iterator[exp.Expr]:
    for value in node.args.values():
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, exp.Expr):
                yield part
