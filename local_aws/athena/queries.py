"""Compiles a query from Trino's SQL to DuckDB's, and records which tables it scans.

Every relation gets a unique alias (``r1``, ``r2``, ...), and the columns of every query are ``c0``,
``c1``, ..., so that DuckDB never resolves a name that the user wrote.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlglot import exp

from local_aws.athena.aggregation import check_aggregation
from local_aws.athena.casts import cast
from local_aws.athena.catalog import CATALOG, INFORMATION_SCHEMA, Catalog, Table
from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.expressions import Expressions
from local_aws.athena.relations import Column, Scan, Scope
from local_aws.athena.syntax import Source
from local_aws.athena.typed import Typed, direction, quoted, text_literal
from local_aws.athena.types import BIGINT, VARCHAR, Type, common, duckdb_type


@dataclass(frozen=True)
class OutputColumn:
    """A column of a query's result: its type, and its name if it has one."""

    name: str | None
    type: Type


@dataclass(frozen=True)
class Compiled:
    """DuckDB's SQL with columns ``c0``, ``c1``, ..., and their names and types."""

    sql: str
    columns: tuple[OutputColumn, ...]


@dataclass
class StatementContext:
    """State shared by all parts of one statement, views included."""

    catalog: Catalog
    started: datetime
    user: str
    scans: list[Scan] = field(default_factory=list)
    numbers: Iterable[int] = field(default_factory=itertools.count)
    views: list[str] = field(default_factory=list)

    def alias(self) -> str:
        return f"r{next(iter(self.numbers))}"


Ctes = dict[str, tuple[str, tuple[OutputColumn, ...]]]
Items = Sequence[tuple[str | None, Typed]]

_SELECT_PARTS = {
    "with_", "kind", "expressions", "hint", "distinct", "into", "from_", "joins", "where",
    "group", "having", "windows", "order",
    "limit", "offset", "operation_modifiers", "laterals",
}  # fmt: skip
_NEVER = ("hint", "into", "kind", "laterals", "operation_modifiers")


class QueryCompiler:
    """Compiles the queries of one text (a statement or a view) in ``database``."""

    def __init__(self, source: Source, work: StatementContext, database: str) -> None:
        self.source = source
        self.started = work.started
        self.user = work.user
        self._work = work
        self._database = database
        self._ctes: Ctes = {}

    # entry points

    def compile(self, node: exp.Expr, outer: Scope | None = None) -> Compiled:
        """Compiles SELECT, VALUES, TABLE or a set operation, also in parentheses."""
        before = self._ctes
        withs = self._with(node.args.get("with_"), outer)
        compiled = self._body(node, outer)
        self._ctes = before
        return replace(compiled, sql=withs + compiled.sql)

    def subquery(self, node: exp.Expr, outer: Any) -> tuple[str, list[Type]]:
        scope = outer.scope if isinstance(outer, _OrderNames) else outer
        compiled = self.compile(node, scope)
        return compiled.sql, [column.type for column in compiled.columns]

    def _body(self, node: exp.Expr, outer: Scope | None) -> Compiled:
        if isinstance(node, exp.Select):
            return self._select(node, outer)
        if isinstance(node, exp.SetOperation):
            return self._set_operation(node, outer)
        if isinstance(node, exp.Values):
            return self._ordered(node, self._values(node, outer))
        if isinstance(node, exp.Subquery):
            return self._ordered(node, self.compile(node.this, outer))
        raise unsupported(f"{type(node).__name__} as a query, at {self._place(node)}")

    def _place(self, node: exp.Expr) -> str:
        return self.source.place(node)

    def _failed(self, node: exp.Expr, code: str, message: str) -> QueryFailed:
        """An error at the position of ``node``."""
        return QueryFailed(code, f"{self._place(node)}: {message}")

    # WITH

    def _with(self, node: exp.Expr | None, outer: Scope | None) -> str:
        if node is None:
            return ""
        self._ctes = dict(self._ctes)
        texts = [
            self._cte(cte, outer, bool(node.args.get("recursive"))) for cte in node.expressions
        ]
        return f"WITH {'RECURSIVE ' if node.args.get('recursive') else ''}{', '.join(texts)} "

    def _cte(self, cte: exp.Expr, outer: Scope | None, recursive: bool) -> str:
        if not isinstance(cte, exp.CTE):
            raise unsupported("functions in WITH")
        names = [column.name for column in cte.args["alias"].columns]
        alias = self._work.alias()
        if recursive and names and isinstance(cte.this, exp.Union):
            compiled = self._recursive(cte, alias, names, outer)
        else:
            compiled = self.compile(cte.this, outer)
        columns = self._renamed(cte, compiled.columns, names)
        self._ctes[cte.alias.lower()] = (alias, columns)
        return f"{alias} AS ({compiled.sql})"

    def _recursive(
        self, cte: exp.Expr, alias: str, names: list[str], outer: Scope | None
    ) -> Compiled:
        first = self.compile(cte.this.this, outer)
        self._ctes[cte.alias.lower()] = (alias, self._renamed(cte, first.columns, names))
        rest = self.compile(cte.this.expression, outer)
        kinds = [column.type for column in first.columns]
        return Compiled(f"{_recast(first, kinds)} UNION ALL {_recast(rest, kinds)}", first.columns)

    def _renamed(
        self, node: exp.Expr, columns: Sequence[OutputColumn], names: Sequence[str]
    ) -> tuple[OutputColumn, ...]:
        if not names:
            return tuple(columns)
        if len(names) != len(columns):
            message = (
                f"{self._place(node)}: Column alias list has {len(names)} entries but relation has"
                f" {len(columns)} columns"
            )
            raise QueryFailed("MISMATCHED_COLUMN_ALIASES", message)
        return tuple(
            OutputColumn(name, column.type) for name, column in zip(names, columns, strict=True)
        )

    # SELECT

    def _select(self, node: exp.Select, outer: Scope | None) -> Compiled:
        self._refuse_foreign_parts(node)
        tables, scope = self._from(node, outer)
        windows = {window.name.lower(): window for window in node.args.get("windows") or ()}
        expressions = Expressions(self, scope, windows)
        where = self._where(node, expressions, scope)
        items = self._items(node, expressions, scope)
        group = self._group(node, expressions, items)
        check_aggregation(
            node, expressions, scope, self._grouped(node, expressions, items), self.source
        )
        parts = [
            "SELECT "
            + ("DISTINCT " if node.args.get("distinct") else "")
            + ", ".join(f"{item.sql} AS c{n}" for n, (_, item) in enumerate(items)),
            tables,
            where,
            group,
            self._having(node, expressions),
            self._order(node, items, scope, windows),
            self._limit(node),
        ]
        return Compiled(
            " ".join(part for part in parts if part),
            tuple(OutputColumn(name, item.type) for name, item in items),
        )

    def _refuse_foreign_parts(self, node: exp.Select) -> None:
        foreign = [
            part
            for part, value in node.args.items()
            if value and (part not in _SELECT_PARTS or part in _NEVER)
        ]
        if foreign:
            raise self._failed(
                node,
                "SYNTAX_ERROR",
                f"{foreign[0].strip('_').upper()} is no part of Trino's SELECT",
            )
        if node.args.get("distinct") and node.args["distinct"].args.get("on"):
            raise self._failed(node, "SYNTAX_ERROR", "mismatched input 'ON'")

    def _where(self, node: exp.Select, expressions: Expressions, scope: Scope) -> str:
        where = node.args.get("where")
        if where is None:
            return ""
        text = expressions.boolean(where.this, "WHERE clause")
        for condition in _conjuncts(where.this):
            self._add_pruning(condition, expressions, scope)
        return f"WHERE {text}"

    def _add_pruning(self, condition: exp.Expr, expressions: Expressions, scope: Scope) -> None:
        """Lets ``condition`` prune a scan if it uses only partition columns of one table."""
        if condition.find(exp.Query, exp.Lambda):
            return
        found = [
            scope.find([part.name for part in column.parts])
            for column in condition.find_all(exp.Column)
        ]
        columns = [hit[0] for hit in found if hit is not None]
        scan = columns[0].scan if columns else None
        if scan is None or scan.nullable or any(column.scan is not scan for column in columns):
            return
        keys = {name for name, _ in scan.table.keys}
        if all(column.stored in keys for column in columns):
            scan.pruning.append(expressions.compile(condition).sql)

    def _items(
        self, node: exp.Select, expressions: Expressions, scope: Scope
    ) -> list[tuple[str | None, Typed]]:
        items: list[tuple[str | None, Typed]] = []
        for item in node.expressions:
            if item.is_star and isinstance(item, exp.Star | exp.Column):
                items += self._star_columns(item, scope)
            elif isinstance(item, exp.Alias):
                items.append((item.alias, expressions.compile(item.this)))
            else:
                items.append((_own_name(item), expressions.compile(item)))
        return items

    def _star_columns(self, item: exp.Expr, scope: Scope) -> list[tuple[str | None, Typed]]:
        if isinstance(item, exp.Star) and any(item.args.values()):
            raise self._failed(item, "SYNTAX_ERROR", "Trino's * takes no EXCEPT, REPLACE or RENAME")
        relation = (
            [part.name.lower() for part in item.parts[:-1]] if isinstance(item, exp.Column) else []
        )
        columns = [column for column in scope.visible() if column.belongs_to(relation)]
        if not columns:
            message = (
                f"Unable to resolve reference {'.'.join(relation)}"
                if relation
                else "SELECT * not allowed in queries without FROM clause"
            )
            raise self._failed(item, "COLUMN_NOT_FOUND", message)
        return [(column.name, column.use()) for column in columns]

    def _group(self, node: exp.Select, expressions: Expressions, items: Items) -> str:
        group = node.args.get("group")
        if group is None:
            return ""
        if group.args.get("all") or group.args.get("totals"):
            raise self._failed(group, "SYNTAX_ERROR", "mismatched input 'ALL'")
        parts = [self._grouping(part, expressions, items) for part in group.expressions]
        for name in ("grouping_sets", "cube", "rollup"):
            parts += [
                self._grouping(part, expressions, items) for part in group.args.get(name) or ()
            ]
        return "GROUP BY " + ", ".join(parts)

    def _groupings(self, parts: Sequence[exp.Expr], expressions: Expressions, items: Items) -> str:
        return ", ".join(self._grouping(part, expressions, items) for part in parts)

    def _grouping(self, part: exp.Expr, expressions: Expressions, items: Items) -> str:
        for kind, word in (
            (exp.GroupingSets, "GROUPING SETS"),
            (exp.Cube, "CUBE"),
            (exp.Rollup, "ROLLUP"),
        ):
            if isinstance(part, kind):
                return f"{word} ({self._groupings(part.expressions, expressions, items)})"
        if isinstance(part, exp.Tuple):
            return f"({self._groupings(part.expressions, expressions, items)})"
        if isinstance(part, exp.Paren):
            return f"({self._grouping(part.this, expressions, items)})"
        if isinstance(part, exp.Literal) and not part.is_string:
            return items[self._ordinal(part, "GROUP BY", len(items))][1].sql
        return expressions.compile(part).sql

    def _grouped(self, node: exp.Select, expressions: Expressions, items: Items) -> set[str]:
        """The SQL of all grouping expressions."""
        group = node.args.get("group")
        leaves = [leaf for part in (group.expressions if group else ()) for leaf in _leaves(part)]
        return {self._grouping(leaf, expressions, items) for leaf in leaves}

    def _ordinal(self, node: exp.Expr, clause: str, size: int) -> int:
        number = int(node.name) if node.name.isdigit() else 0
        if not 1 <= number <= size:
            raise self._failed(
                node,
                "INVALID_COLUMN_REFERENCE",
                f"{clause} position {node.name} is not in select list",
            )
        return number - 1

    def _having(self, node: exp.Select, expressions: Expressions) -> str:
        having = node.args.get("having")
        return f"HAVING {expressions.boolean(having.this, 'HAVING clause')}" if having else ""

    # ORDER BY and LIMIT

    def _order(
        self,
        node: exp.Expr,
        items: Items,
        scope: Scope,
        windows: dict[str, exp.Window] | None = None,
    ) -> str:
        order = node.args.get("order")
        if order is None:
            return ""
        names = _OrderNames(items, scope)
        return "ORDER BY " + ", ".join(
            self._ordering(item, items, names, windows) for item in order.expressions
        )

    def _ordering(
        self,
        item: exp.Expr,
        items: Items,
        names: _OrderNames,
        windows: dict[str, exp.Window] | None,
    ) -> str:
        if isinstance(item.this, exp.Literal) and not item.this.is_string:
            return str(self._ordinal(item.this, "ORDER BY", len(items)) + 1) + direction(item)
        if isinstance(item.this, exp.Column) and len(item.this.parts) == 1:
            matching = [
                index
                for index, (name, _) in enumerate(items)
                if name and name.lower() == item.this.name.lower()
            ]
            if matching:
                return f"{matching[0] + 1}{direction(item)}"
        return Expressions(self, names, windows).ordering(item)

    def _limit(self, node: exp.Expr) -> str:
        parts = []
        limit, offset = node.args.get("limit"), node.args.get("offset")
        if isinstance(limit, exp.Fetch):
            if limit.args.get("limit_options") and limit.args["limit_options"].args.get(
                "with_ties"
            ):
                raise unsupported("FETCH ... WITH TIES")
            parts.append(f"LIMIT {self._count(limit.args.get('count') or exp.Literal.number(1))}")
        elif limit is not None and limit.expression.name.lower() != "all":
            parts.append(f"LIMIT {self._count(limit.expression)}")
        if offset is not None:
            parts.append(f"OFFSET {self._count(offset.expression)}")
        return " ".join(parts)

    def _count(self, node: exp.Expr) -> str:
        if not isinstance(node, exp.Literal) or not node.name.isdigit():
            raise self._failed(
                node,
                "SYNTAX_ERROR",
                f"mismatched input '{node.sql()}'. Expecting: 'ALL', '?', <integer>",
            )
        return node.name

    def _ordered(self, node: exp.Expr, inner: Compiled) -> Compiled:
        """Applies the ORDER BY and LIMIT of ``node`` to ``inner``; only its columns are visible."""
        alias = self._work.alias()
        items = [
            (column.name, Typed(f"{alias}.c{n}", column.type))
            for n, column in enumerate(inner.columns)
        ]
        order, limit = self._order(node, items, Scope()), self._limit(node)
        if not order and not limit:
            return inner
        return Compiled(
            f"SELECT * FROM ({inner.sql}) AS {alias} {order} {limit}".rstrip(), inner.columns
        )

    # set operations and VALUES

    def _set_operation(self, node: exp.SetOperation, outer: Scope | None) -> Compiled:
        if node.args.get("by_name") or node.args.get("side") or node.args.get("on"):
            raise self._failed(node, "SYNTAX_ERROR", "mismatched input 'BY'")
        left, right = self.compile(node.this, outer), self.compile(node.expression, outer)
        word = type(node).__name__.upper()
        if len(left.columns) != len(right.columns):
            message = (
                f"{word} query has different number of fields: {len(left.columns)},"
                f" {len(right.columns)}"
            )
            raise self._failed(node.expression, "TYPE_MISMATCH", message)
        kinds = [
            self._column_type(node, word, n, first, second)
            for n, (first, second) in enumerate(zip(left.columns, right.columns, strict=True))
        ]
        everything = "" if node.args.get("distinct") else " ALL"
        sql = f"({_recast(left, kinds)}) {word}{everything} ({_recast(right, kinds)})"
        columns = tuple(
            OutputColumn(column.name, kind)
            for column, kind in zip(left.columns, kinds, strict=True)
        )
        return self._ordered(node, Compiled(sql, columns))

    def _column_type(
        self, node: exp.Expr, word: str, index: int, first: OutputColumn, second: OutputColumn
    ) -> Type:
        kind = common(first.type, second.type)
        if kind is None:
            message = (
                f"column {index + 1} in {word} query has incompatible types: {first.type},"
                f" {second.type}"
            )
            raise self._failed(node.expression, "TYPE_MISMATCH", message)
        return kind

    def _values(self, node: exp.Expr, outer: Scope | None) -> Compiled:
        expressions = Expressions(self, outer or Scope())
        rows = [[expressions.compile(item) for item in _row_items(row)] for row in node.expressions]
        if len({len(row) for row in rows}) != 1:
            raise self._failed(node, "TYPE_MISMATCH", "Values rows have mismatched sizes")
        kinds = [self._values_type(node, column) for column in zip(*rows, strict=True)]
        texts = ", ".join(
            "(" + ", ".join(map(partial(_typed_value, expressions), row, kinds)) + ")"
            for row in rows
        )
        names = ", ".join(f"c{n}" for n in range(len(kinds)))
        alias = self._work.alias()
        return Compiled(
            f"SELECT * FROM (VALUES {texts}) AS {alias}({names})",
            tuple(OutputColumn(None, kind) for kind in kinds),
        )

    def _values_type(self, node: exp.Expr, column: Sequence[Typed]) -> Type:
        kind: Type | None = column[0].type
        for item in column[1:]:
            kind = kind and common(kind, item.type)
        if kind is None:
            raise self._failed(node, "TYPE_MISMATCH", "Values rows have mismatched types")
        return kind

    # FROM

    def _from(self, node: exp.Select, outer: Scope | None) -> tuple[str, Scope]:
        first = node.args.get("from_")
        if first is None:
            return "", Scope((), outer)
        text, columns = self._relation(first.this, Scope((), outer))
        for join in node.args.get("joins") or ():
            text, columns = self._join(text, columns, join, outer)
        return f"FROM {text}", Scope(tuple(columns), outer)

    def _relation(self, node: exp.Expr, before: Scope) -> tuple[str, list[Column]]:
        """The SQL and columns of one item of FROM. A lateral item may use columns of ``before``."""
        if isinstance(node, exp.Table):
            text, columns = self._table(node, before)
        elif isinstance(node, exp.Subquery):
            text, columns = self._derived(node, before)
        elif isinstance(node, exp.Values):
            text, columns = self._named(node, self._values(node, before.outer))
        elif isinstance(node, exp.Unnest):
            text, columns = self._unnest(node, before)
        elif isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
            text, columns = self._named(node, self.compile(node.this.this, before))
            text = f"LATERAL {text}"
        else:
            raise unsupported(f"{type(node).__name__} in FROM, at {self._place(node)}")
        for join in node.args.get("joins") or ():
            text, columns = self._join(text, columns, join, before.outer)
        return text, columns

    def _derived(self, node: exp.Subquery, before: Scope) -> tuple[str, list[Column]]:
        if (
            isinstance(node.this, exp.Table)
            or isinstance(node.this, exp.Subquery)
            and not isinstance(node.this.unnest(), exp.Query)
        ):
            text, columns = self._relation(node.this, before)
            return f"({text})", columns
        return self._named(node, self.compile(node.this, before.outer))

    def _named(self, node: exp.Expr, compiled: Compiled) -> tuple[str, list[Column]]:
        """The SQL and columns of a query in FROM, under the aliases in ``node``."""
        alias = self._work.alias()
        named = node.args.get("alias")
        outputs = self._renamed(
            node, compiled.columns, [column.name for column in named.columns] if named else []
        )
        relation = (node.alias.lower(),) if node.alias else ()
        columns = [
            Column(relation, column.name, f"{alias}.c{n}", column.type)
            for n, column in enumerate(outputs)
        ]
        return f"({compiled.sql}) AS {alias}{self._sample(node)}", columns

    def _sample(self, node: exp.Expr) -> str:
        sample = node.args.get("sample")
        if sample is None:
            return ""
        percent = self._count(sample.args.get("percent") or sample.args["size"])
        return f" TABLESAMPLE {percent} PERCENT (bernoulli)"

    # tables

    def _table(self, node: exp.Table, before: Scope) -> tuple[str, list[Column]]:
        if node.args.get("version") or node.args.get("when"):
            raise unsupported("time travel (FOR TIMESTAMP AS OF, FOR VERSION AS OF)")
        if not isinstance(node.this, exp.Identifier):
            raise unsupported(f"table functions, at {self._place(node)}")
        parts = [part.name.lower() for part in node.parts]
        if len(parts) == 1 and parts[0] in self._ctes:
            return self._from_cte(node, *self._ctes[parts[0]])
        database, name = self._qualified(node, parts)
        if database == INFORMATION_SCHEMA:
            return self._from_rows(node, *self._information(node, name))
        if name.endswith("$partitions"):
            return self._partitions(node, database, name.removesuffix("$partitions"))
        table = self._work.catalog.required(database, name, self._place(node))
        return self._from_view(node, table) if table.is_view else self._from_scan(node, table)

    def _qualified(self, node: exp.Expr, parts: list[str]) -> tuple[str, str]:
        if len(parts) == 3 and parts[0] != CATALOG:
            raise self._failed(node, "CATALOG_NOT_FOUND", f"Catalog '{parts[0]}' does not exist")
        database = parts[-2] if len(parts) > 1 else self._database
        if not database:
            raise self._failed(
                node,
                "MISSING_SCHEMA_NAME",
                "Schema must be specified when session schema is not set",
            )
        return database, parts[-1]

    def _from_cte(
        self, node: exp.Expr, cte: str, outputs: tuple[OutputColumn, ...]
    ) -> tuple[str, list[Column]]:
        names = ", ".join(f"c{n}" for n in range(len(outputs)))
        text, columns = self._named(node, Compiled(f"SELECT {names} FROM {cte}", outputs))
        return text, [
            replace(column, relation=((node.alias or node.name).lower(),)) for column in columns
        ]

    def _from_scan(self, node: exp.Expr, table: Table) -> tuple[str, list[Column]]:
        scan = Scan(table, self._work.alias())
        self._work.scans.append(scan)
        relation = (node.alias.lower(),) if node.alias else (CATALOG, table.database, table.name)
        columns = [
            Column(relation, name, f"{scan.alias}.{quoted(name)}", kind, scan, name)
            for name, kind in [*table.columns, *table.keys, ("$path", VARCHAR)]
        ]
        return f"{quoted('scan_' + scan.alias)} AS {scan.alias}{self._sample(node)}", self._aliased(
            node, columns
        )

    def _aliased(self, node: exp.Expr, columns: list[Column]) -> list[Column]:
        named = node.args.get("alias")
        if not named or not named.columns:
            return columns
        seen = [column for column in columns if not column.hidden]
        outputs = self._renamed(
            node,
            [OutputColumn(None, column.type) for column in seen],
            [name.name for name in named.columns],
        )
        return [
            replace(column, name=output.name) for column, output in zip(seen, outputs, strict=True)
        ]

    def _from_view(self, node: exp.Expr, table: Table) -> tuple[str, list[Column]]:
        full_name = f"{table.database}.{table.name}"
        if full_name in self._work.views:
            raise self._failed(
                node, "VIEW_IS_RECURSIVE", f"View '{CATALOG}.{full_name}' is recursive"
            )
        self._work.views.append(full_name)
        view = table.view()
        inner = QueryCompiler(
            Source(view["originalSql"]), self._work, view.get("schema") or table.database
        )
        compiled = inner.compile(inner.source.tree)
        self._work.views.pop()
        if len(compiled.columns) != len(view["columns"]):
            message = (
                f"View '{CATALOG}.{full_name}' is stale or in invalid state: its columns are not"
                " those it was made with"
            )
            raise self._failed(node, "VIEW_IS_STALE", message)
        names = [column["name"] for column in view["columns"]]
        outputs = tuple(
            OutputColumn(name, column.type)
            for name, column in zip(names, compiled.columns, strict=True)
        )
        text, columns = self._named(node, Compiled(compiled.sql, outputs))
        relation = (node.alias.lower(),) if node.alias else (CATALOG, table.database, table.name)
        return text, [replace(column, relation=relation) for column in columns]

    def _information(
        self, node: exp.Expr, name: str
    ) -> tuple[list[tuple[str, Type]], list[tuple[Any, ...]]]:
        found = self._work.catalog.information(name)
        if found is None:
            raise self._failed(
                node,
                "TABLE_NOT_FOUND",
                f"Table '{CATALOG}.{INFORMATION_SCHEMA}.{name}' does not exist",
            )
        return found

    def _partitions(self, node: exp.Expr, database: str, name: str) -> tuple[str, list[Column]]:
        table = self._work.catalog.required(database, name, self._place(node))
        if not table.keys:
            raise self._failed(
                node,
                "TABLE_NOT_FOUND",
                f"Table '{CATALOG}.{database}.{name}$partitions' does not exist",
            )
        rows = [tuple(partition["Values"]) for partition in self._work.catalog.partitions(table)]
        return self._from_rows(node, table.keys, rows)

    def _from_rows(
        self, node: exp.Expr, names: Sequence[tuple[str, Type]], rows: Sequence[tuple[Any, ...]]
    ) -> tuple[str, list[Column]]:
        kinds = [duckdb_type(kind) for _, kind in names]
        values = ", ".join("(" + ", ".join(_value(value) for value in row) + ")" for row in rows)
        empty = f"({', '.join('NULL' for _ in names)})"
        items = ", ".join(f"CAST(v{n} AS {kind}) AS c{n}" for n, kind in enumerate(kinds))
        heads = ", ".join(f"v{n}" for n in range(len(names)))
        sql = f"SELECT {items} FROM (VALUES {values or empty}) AS v({heads})" + (
            "" if rows else " WHERE false"
        )
        text, columns = self._named(
            node, Compiled(sql, tuple(OutputColumn(name, kind) for name, kind in names))
        )
        relation = (node.alias or node.name).lower()
        return text, [replace(column, relation=(relation,)) for column in columns]

    # UNNEST

    def _unnest(self, node: exp.Unnest, before: Scope) -> tuple[str, list[Column]]:
        expressions = Expressions(self, before)
        arrays = [expressions.compile(item) for item in node.expressions]
        items: list[Typed] = []
        for item, given in zip(node.expressions, arrays, strict=True):
            items += self._unnested(item, given)
        names = (
            [column.name for column in node.args["alias"].columns] if node.args.get("alias") else []
        )
        offset = node.args.get("offset")
        if offset:
            longest = ", ".join(f"coalesce(cardinality({given.sql}), 0)" for given in arrays)
            longest = (
                longest.replace("cardinality", "len")
                if all(given.type.name == "array" for given in arrays)
                else longest
            )
            items.append(
                Typed(f"unnest(range(1, 1 + CAST(greatest({longest}) AS BIGINT)))", BIGINT)
            )
            names += [offset.name] if isinstance(offset, exp.Identifier) else []
        sql = "SELECT " + ", ".join(f"{item.sql} AS c{n}" for n, item in enumerate(items))
        outputs = self._renamed(node, [OutputColumn(None, item.type) for item in items], names)
        alias = self._work.alias()
        relation = (node.alias.lower(),) if node.alias else ()
        columns = [
            Column(relation, column.name, f"{alias}.c{n}", column.type)
            for n, column in enumerate(outputs)
        ]
        return f"LATERAL ({sql}) AS {alias}", columns

    def _unnested(self, node: exp.Expr, given: Typed) -> list[Typed]:
        if given.type.name == "map":
            entries = f"unnest(map_entries({given.sql}))"
            return [
                Typed(f"{entries}.{part}", kind)
                for part, kind in zip(("key", "value"), given.type.items, strict=True)
            ]
        if given.type.name != "array":
            raise self._failed(
                node, "INVALID_FUNCTION_ARGUMENT", f"Cannot unnest type: {given.type}"
            )
        inner = given.type.items[0]
        if inner.name != "row":
            return [Typed(f"unnest({given.sql})", inner)]
        return [
            Typed(f"struct_extract(unnest({given.sql}), {text_literal(key)})", kind)
            for key, kind in zip(inner.field_keys(), inner.items, strict=True)
        ]

    # joins

    def _join(
        self, left: str, columns: list[Column], join: exp.Expr, outer: Scope | None
    ) -> tuple[str, list[Column]]:
        side = (join.args.get("side") or "").upper()
        kind = (join.args.get("kind") or "").upper()
        method = (join.args.get("method") or "").upper()
        if method == "NATURAL":
            raise self._failed(join, "NOT_SUPPORTED", "Natural join not supported")
        if method or kind not in ("", "INNER", "OUTER", "CROSS"):
            raise self._failed(join, "SYNTAX_ERROR", f"mismatched input '{method or kind}'")
        right, right_columns = self._relation(join.this, Scope(tuple(columns), outer))
        _mark_nullable(side, columns, right_columns)
        scope = Scope((*columns, *right_columns), outer)
        if join.args.get("using"):
            return self._join_using(left, right, side, join, columns, right_columns)
        on = join.args.get("on")
        if on is None:
            if side or kind in ("INNER", "OUTER"):
                raise self._failed(
                    join, "SYNTAX_ERROR", "mismatched input. Expecting: 'ON', 'USING'"
                )
            return f"{left} CROSS JOIN {right}", list(scope.columns)
        condition = Expressions(self, scope).boolean(on, "JOIN ON clause")
        return f"{left} {side or 'INNER'} JOIN {right} ON {condition}", list(scope.columns)

    def _join_using(
        self,
        left: str,
        right: str,
        side: str,
        join: exp.Expr,
        columns: list[Column],
        right_columns: list[Column],
    ) -> tuple[str, list[Column]]:
        names = [name.name.lower() for name in join.args["using"]]
        merged, conditions = [], []
        for name in names:
            mine, theirs = (
                self._using(join, columns, name, "left"),
                self._using(join, right_columns, name, "right"),
            )
            kind = common(mine.type, theirs.type)
            if kind is None:
                message = (
                    f"Column types of USING column '{name}' are incompatible: {mine.type},"
                    f" {theirs.type}"
                )
                raise self._failed(join, "TYPE_MISMATCH", message)
            left_key, right_key = (
                cast(mine.use().sql, mine.type, kind),
                cast(theirs.use().sql, theirs.type, kind),
            )
            conditions.append(f"{left_key} = {right_key}")
            merged.append(
                Column(
                    (),
                    name,
                    {"RIGHT": right_key, "FULL": f"coalesce({left_key}, {right_key})"}.get(
                        side, left_key
                    ),
                    kind,
                )
            )
        rest = [
            column for column in columns + right_columns if (column.name or "").lower() not in names
        ]
        return f"{left} {side or 'INNER'} JOIN {right} ON {' AND '.join(conditions)}", merged + rest

    def _using(self, join: exp.Expr, columns: list[Column], name: str, which: str) -> Column:
        found = [column for column in columns if column.answers_to((), name)]
        if len(found) != 1:
            raise self._failed(
                join, "COLUMN_NOT_FOUND", f"Column '{name}' is missing from {which} side of join"
            )
        return found[0]


@dataclass(frozen=True)
class _OrderNames:
    """Resolves names in ORDER BY: output columns first, then the columns of FROM."""

    items: Items
    scope: Scope

    def resolve(self, parts: Sequence[str]) -> tuple[Typed, Sequence[str]] | None:
        if len(parts) == 1:
            for name, item in self.items:
                if name and name.lower() == parts[0].lower():
                    return item, ()
        return self.scope.resolve(parts)


def _leaves(part: exp.Expr) -> list[exp.Expr]:
    """The single expressions in an item of GROUP BY, also in grouping sets and parentheses."""
    if isinstance(part, exp.GroupingSets | exp.Cube | exp.Rollup | exp.Tuple):
        return [leaf for inner in part.expressions for leaf in _leaves(inner)]
    return _leaves(part.this) if isinstance(part, exp.Paren) else [part]


def _own_name(item: exp.Expr) -> str | None:
    """The name of a SELECT item without an alias: its column or field; None for other items."""
    if isinstance(item, exp.Column):
        return item.name
    return item.expression.name if isinstance(item, exp.Dot) else None


def _conjuncts(node: exp.Expr) -> list[exp.Expr]:
    if isinstance(node, exp.And):
        return _conjuncts(node.this) + _conjuncts(node.expression)
    return _conjuncts(node.this) if isinstance(node, exp.Paren) else [node]


def _recast(compiled: Compiled, kinds: Sequence[Type]) -> str:
    if [column.type for column in compiled.columns] == list(kinds):
        return compiled.sql
    casts = [cast(f"c{n}", column.type, kinds[n]) for n, column in enumerate(compiled.columns)]
    items = [f"{text} AS c{n}" for n, text in enumerate(casts)]
    return f"SELECT {', '.join(items)} FROM ({compiled.sql})"


def _row_items(row: exp.Expr) -> list[exp.Expr]:
    if isinstance(row, exp.Tuple):
        return (
            _row_items(row.expressions[0]) if len(row.expressions) == 1 else list(row.expressions)
        )
    if isinstance(row, exp.Anonymous) and row.name.lower() == "row":
        return list(row.expressions)
    return [row.this if isinstance(row, exp.Paren) else row]


def _typed_value(expressions: Expressions, item: Typed, kind: Type) -> str:
    """A value with an explicit cast: DuckDB might infer another type from VALUES."""
    text = expressions.coerced(item, kind)
    return (
        text
        if kind.items or kind.name in ("unknown", "varchar")
        else f"CAST({text} AS {duckdb_type(kind)})"
    )


def _value(value: Any) -> str:
    return "NULL" if value is None else text_literal(str(value))


def _mark_nullable(side: str, left: Iterable[Column], right: Iterable[Column]) -> None:
    missing = {"LEFT": [*right], "RIGHT": [*left], "FULL": [*left, *right]}.get(side, [])
    for column in missing:
        if column.scan is not None:
            column.scan.nullable = True
