"""Runs one query: compiles it, reads its tables, executes it in DuckDB, translates errors."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import resources
from typing import Any

import duckdb
from sqlglot import exp

from local_aws.athena.casts import as_text
from local_aws.athena.catalog import Catalog
from local_aws.athena.errors import QueryFailed
from local_aws.athena.queries import Compiled, QueryCompiler, StatementContext
from local_aws.athena.relations import Scan
from local_aws.athena.results import Result, formatted, java_double, java_real
from local_aws.athena.scans import ObjectCache, ScanReader
from local_aws.athena.syntax import Source
from local_aws.athena.types import Type


@dataclass(frozen=True)
class Session:
    """The context of a statement: clients, database, start time, limits."""

    glue: Any
    s3: Any
    database: str
    started: datetime
    user: str
    cutoff_bytes: int | None = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    def raise_if_cancelled(self) -> None:
        """Raises ``QueryCancelled`` if the query was cancelled."""
        if self.cancelled.is_set():
            raise QueryCancelled


class QueryCancelled(Exception):
    """The query was stopped on request."""


class ScanLimitReached(Exception):
    """The query exceeded the workgroup's limit of scanned bytes."""


class Engine:
    """One in-memory DuckDB for all queries; each query has its own cursor for interrupts."""

    def __init__(self) -> None:
        self._database = duckdb.connect(":memory:")
        self._database.execute(_prelude())
        for name, function, kind in (
            ("java_double", java_double, "DOUBLE"),
            ("java_real", java_real, "FLOAT"),
        ):
            self._database.create_function(
                name, function, [duckdb.sqltype(kind)], duckdb.sqltype("VARCHAR")
            )
        self.objects = ObjectCache()
        self._lock = threading.Lock()

    def cursor(self) -> Any:
        with self._lock:
            cursor = self._database.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def close(self) -> None:
        self._database.close()


def _prelude() -> str:
    """prelude.sql, with a copy of each macro as ``null_...`` that returns NULL on errors."""
    text = resources.files("local_aws.athena").joinpath("prelude.sql").read_text(encoding="utf-8")
    macros = text[text.index("CREATE MACRO") :]
    lenient = macros.replace("trino_", "null_").replace(
        "error('TRINO:' || code || ':' || message)", "NULL"
    )
    return text + lenient


@dataclass(frozen=True)
class PreparedQuery:
    """A compiled query whose tables have been read: SQL, columns, scanned bytes."""

    compiled: Compiled
    names: list[str]
    types: list[Type]
    scanned_bytes: int
    sql: str


class Query:
    """One query of one session on one cursor."""

    def __init__(self, engine: Engine, session: Session, cursor: Any) -> None:
        self._engine = engine
        self._session = session
        self._cursor = cursor
        self.catalog = Catalog(session.glue)

    def compile(self, source: Source, node: exp.Expr) -> tuple[Compiled, list[Scan]]:
        context = StatementContext(self.catalog, self._session.started, self._session.user)
        compiled = QueryCompiler(source, context, self._session.database).compile(node)
        return compiled, context.scans

    def prepare(self, source: Source, node: exp.Expr) -> PreparedQuery:
        """Compiles the query and reads its tables; the result's ``sql`` is not executed yet."""
        compiled, scans = self.compile(source, node)
        reader = ScanReader(self._cursor, self.catalog, self._session.s3, self._engine.objects)
        for scan in scans:
            self._session.raise_if_cancelled()
            reader.prepare(scan)
            if (
                self._session.cutoff_bytes is not None
                and reader.scanned_bytes > self._session.cutoff_bytes
            ):
                raise ScanLimitReached
        names = [column.name or f"_col{index}" for index, column in enumerate(compiled.columns)]
        return PreparedQuery(
            compiled,
            names,
            [column.type for column in compiled.columns],
            reader.scanned_bytes,
            compiled.sql,
        )

    def rows(self, prepared: PreparedQuery) -> Result:
        rows = self.execute(_with_text_columns(prepared)).fetchall()
        formatted_rows = [
            [formatted(value, kind) for value, kind in zip(row, prepared.types, strict=True)]
            for row in rows
        ]
        columns = list(zip(prepared.names, prepared.types, strict=True))
        return Result(
            columns, formatted_rows, has_header=True, scanned_bytes=prepared.scanned_bytes
        )

    def table(self, prepared: PreparedQuery) -> Any:
        self._session.raise_if_cancelled()
        try:
            return self._cursor.sql(prepared.sql).to_arrow_table()
        except duckdb.Error as error:
            raise _failure(error) from error

    def execute(self, sql: str) -> Any:
        """Executes SQL in DuckDB; raises ``QueryFailed`` with Athena's error."""
        self._session.raise_if_cancelled()
        try:
            return self._cursor.execute(sql)
        except duckdb.Error as error:
            raise _failure(error) from error


_TEXT_COLUMNS = (
    "timestamp with time zone",
    "json",
    "interval day to second",
    "interval year to month",
)


def _with_text_columns(prepared: PreparedQuery) -> str:
    """The query's SQL; casts columns to text if Python has no type for their values."""
    if not any(kind.name in _TEXT_COLUMNS for kind in prepared.types):
        return prepared.sql
    items = (_text_column(f"c{index}", kind) for index, kind in enumerate(prepared.types))
    return f"SELECT {', '.join(items)} FROM ({prepared.sql})"


def _text_column(column: str, kind: Type) -> str:
    if kind.name == "interval day to second":
        return f"trino_show_days({column})"
    if kind.name == "interval year to month":
        return f"trino_show_months({column})"
    if kind.name == "json":
        return f"CAST({column} AS VARCHAR)"
    if kind.name == "timestamp with time zone":
        return as_text(column, replace(kind, params=(max(3, kind.params[0]),)))
    return column


# translation of DuckDB's errors to Athena's

_FAILED = re.compile(r"TRINO:(?P<code>[A-Z_]+):(?P<message>.*)", re.DOTALL)
_FAILURES: Sequence[tuple[str, str, str]] = (
    (r"More than one row returned by a subquery", "SUBQUERY_MULTIPLE_ROWS",
     "Scalar sub-query has returned multiple rows"),
    (r"Division by zero", "DIVISION_BY_ZERO", "Division by zero"),
    (r"(?:Overflow|out of range)[^\n]*", "NUMERIC_VALUE_OUT_OF_RANGE", "{}"),
    (r"WHERE clause cannot contain (?:aggregates|window functions)", "EXPRESSION_NOT_SCALAR",
     "WHERE clause cannot contain aggregations, window functions or grouping operations"),
    (r"GROUP BY clause cannot contain (?:aggregates|window functions)", "EXPRESSION_NOT_SCALAR",
     "GROUP BY clause cannot contain aggregations, window functions or grouping operations"),
    (r"aggregate function calls cannot be nested", "NESTED_AGGREGATION",
     "Cannot nest aggregations inside aggregation"),
    (r"for SELECT DISTINCT, ORDER BY expressions must appear", "EXPRESSION_NOT_IN_DISTINCT",
     "For SELECT DISTINCT, ORDER BY expressions must appear in select list"),
    (r"Conversion Error: ([^\n]*)", "INVALID_CAST_ARGUMENT", "{}"),
    (r"Interrupted|INTERRUPT", "USER_CANCELED", "Query was canceled"),
    (r"Invalid Input Error: ([^\n]*)", "INVALID_FUNCTION_ARGUMENT", "{}"),
)  # fmt: skip


_OVERFLOW = re.compile(
    r"Overflow in (?P<operation>\w+) of (?P<kind>INT\d+) \((?P<operands>[^)]*)\)"
)
_INTEGERS = {"INT8": "tinyint", "INT16": "smallint", "INT32": "integer", "INT64": "bigint"}


def _failure(error: duckdb.Error) -> QueryFailed:
    text = str(error)
    overflow = _OVERFLOW.search(text)
    if overflow and overflow["kind"] in _INTEGERS:
        message = (
            f"{_INTEGERS[overflow['kind']]} {overflow['operation']} overflow:"
            f" {overflow['operands']}"
        )
        return QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", message)
    failed = _FAILED.search(text)
    if failed:
        return QueryFailed(failed["code"], failed["message"].strip())
    for pattern, code, message in _FAILURES:
        found = re.search(pattern, text)
        if found:
            return QueryFailed(code, message.format(found[found.lastindex or 0]))
    return QueryFailed(
        "NOT_SUPPORTED",
        f"local_aws could not run this query in DuckDB: {text.splitlines()[0]}",
        category=3,
    )
