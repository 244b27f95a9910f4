"""Classifies statements, and runs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from local_aws.athena.ddl import Ddl, Reader, hive_reader
from local_aws.athena.engine import Engine, Query, Session
from local_aws.athena.errors import InvalidSyntax, QueryFailed, unsupported
from local_aws.athena.results import Result
from local_aws.athena.syntax import Source, trimmed
from local_aws.athena.types import VARCHAR
from local_aws.athena.writes import Writer

_KINDS: tuple[tuple[str, str, str], ...] = (
    ("SELECT", "DML", "SELECT"),
    ("WITH", "DML", "SELECT"),
    ("VALUES", "DML", "SELECT"),
    ("TABLE", "DML", "SELECT"),
    ("(", "DML", "SELECT"),
    ("INSERT INTO", "DML", "INSERT"),
    ("UNLOAD", "DML", "UNLOAD"),
    ("EXPLAIN", "UTILITY", "EXPLAIN"),
    ("EXECUTE", "DML", "EXECUTE"),
    ("PREPARE", "DDL", "PREPARE"),
    ("CREATE OR REPLACE VIEW", "DDL", "CREATE_VIEW"),
    ("CREATE VIEW", "DDL", "CREATE_VIEW"),
    ("CREATE EXTERNAL TABLE", "DDL", "CREATE_TABLE"),
    ("CREATE TABLE", "DDL", "CREATE_TABLE"),
    ("CREATE DATABASE", "DDL", "CREATE_DATABASE"),
    ("CREATE SCHEMA", "DDL", "CREATE_DATABASE"),
    ("DROP DATABASE", "DDL", "DROP_DATABASE"),
    ("DROP SCHEMA", "DDL", "DROP_DATABASE"),
    ("DROP TABLE", "DDL", "DROP_TABLE"),
    ("DROP VIEW", "DDL", "DROP_VIEW"),
    ("ALTER TABLE", "DDL", "ALTER_TABLE"),
    ("MSCK REPAIR TABLE", "DDL", "MSCK_REPAIR"),
    ("SHOW", "UTILITY", "SHOW"),
    ("DESCRIBE", "UTILITY", "DESCRIBE_TABLE"),
    ("DESC", "UTILITY", "DESCRIBE_TABLE"),
    *((words, "DML", words.split()[0]) for words in ("DELETE FROM", "UPDATE", "MERGE INTO")),
    *((words, "DDL", words.split()[0]) for words in ("OPTIMIZE", "VACUUM")),
)
_REFUSED = {
    **dict.fromkeys(("DELETE", "UPDATE", "MERGE", "OPTIMIZE", "VACUUM"), "Iceberg tables"),
    **dict.fromkeys(("PREPARE", "EXECUTE"), "prepared statements; use ExecutionParameters"),
}


@dataclass(frozen=True)
class Statement:
    """A statement and its kind, as in the API; queries include their syntax tree."""

    text: str
    type: str
    substatement: str
    source: Source | None = None

    @property
    def file_suffix(self) -> str:
        """The suffix of the results file's name."""
        if self.substatement == "SELECT":
            return ".csv"
        return "" if self.type == "DML" or self.substatement == "CREATE_TABLE_AS_SELECT" else ".txt"


def parse(text: str, parameters: Sequence[str] = ()) -> Statement:
    """Parses a statement; raises ``InvalidSyntax`` for syntax errors."""
    clean = trimmed(text)
    reader = _reader(clean)
    for words, kind, sub in _KINDS:
        if reader.peek(*words.split()):
            return _parsed(clean, kind, sub, parameters)
    place, first = reader.place(), "<EOF>" if reader.at_end else reader.token("a statement").text
    expected = "'ALTER', 'CREATE', 'DROP', 'EXPLAIN', 'INSERT', 'SHOW', <query>"
    raise InvalidSyntax(f"{place}: mismatched input '{first}'. Expecting: {expected}")


def _reader(text: str) -> Reader:
    """A reader for Trino's dialect, or for Hive's if the text is only valid there."""
    try:
        return Reader(text)
    except InvalidSyntax:
        return hive_reader(text)


def _parsed(text: str, kind: str, sub: str, parameters: Sequence[str]) -> Statement:
    if sub == "SELECT":
        source = Source(text)
        fill_parameters(source, parameters)
        return Statement(text, kind, sub, source)
    if sub == "CREATE_TABLE" and _is_table_as(text):
        return Statement(text, "DDL", "CREATE_TABLE_AS_SELECT")
    if sub == "SHOW":
        return Statement(text, kind, _show_kind(hive_reader(text)))
    return Statement(text, kind, sub)


def _show_kind(reader: Reader) -> str:
    """The substatement type, such as ``SHOW_TABLES`` or ``SHOW_CREATE_TABLE``."""
    words = [reader.token("SHOW").text, reader.token("what to show").text]
    words += [reader.token("what to show").text] if words[1].upper() == "CREATE" else []
    return "_".join(words).upper()


def _is_table_as(text: str) -> bool:
    reader = _reader(text)
    if not reader.accept("CREATE", "TABLE"):
        return False
    reader.accept("IF", "NOT", "EXISTS")
    reader.table_name("")
    return reader.peek("WITH") or reader.peek("AS")


def fill_parameters(source: Source, parameters: Sequence[str]) -> None:
    """Replaces each question mark with its parameter; ignores parameters if there is no mark."""
    marks = sorted(
        source.tree.find_all(exp.Placeholder), key=lambda mark: mark.meta.get("start", 0)
    )
    if not marks:
        return
    if len(marks) != len(parameters):
        message = (
            f"Incorrect number of parameters: expected {len(marks)} but found {len(parameters)}"
        )
        raise (
            InvalidSyntax(message)
            if parameters
            else QueryFailed("INVALID_PARAMETER_USAGE", message)
        )
    for mark, parameter in zip(marks, parameters, strict=True):
        mark.replace(_parameter(parameter))


def _parameter(text: str) -> exp.Expr:
    """Parses a parameter as an expression; other text and column names become a string."""
    try:
        select = Source(f"SELECT {text}").tree
    except InvalidSyntax:
        return exp.Literal.string(text)
    whole = len(select.expressions) == 1 and not any(
        value for key, value in select.args.items() if key != "expressions"
    )
    if not whole or select.find(exp.Column, exp.Alias):
        return exp.Literal.string(text)
    expression: exp.Expr = select.expressions[0]
    return expression


class Runner:
    """Runs one statement in one session on one cursor."""

    def __init__(self, engine: Engine, session: Session, cursor: Any, tables_location: str) -> None:
        self._session = session
        self._query = Query(engine, session, cursor)
        self._writer = Writer(self._query, session.s3, session.database, tables_location)

    def run(self, statement: Statement) -> Result:
        if statement.substatement in _REFUSED:
            why = _REFUSED[statement.substatement]
            raise unsupported(f"{statement.substatement} ({why})")
        if statement.source is not None:
            return self._query.rows(self._query.prepare(statement.source, statement.source.tree))
        action = _ACTIONS.get(statement.substatement)
        if action is not None:
            return action(self, Reader(statement.text))
        return Ddl(self._query.catalog, self._session.s3, self._session.database).run(
            statement.text
        )

    def _create_table_as(self, reader: Reader) -> Result:
        reader.expect("CREATE", "TABLE")
        return self._writer.create_table_as(reader)

    def _insert(self, reader: Reader) -> Result:
        reader.expect("INSERT", "INTO")
        return self._writer.insert(reader)

    def _unload(self, reader: Reader) -> Result:
        reader.expect("UNLOAD")
        return self._writer.unload(reader)

    def _create_view(self, reader: Reader) -> Result:
        reader.expect("CREATE")
        replace_it = reader.accept("OR", "REPLACE")
        reader.expect("VIEW")
        return self._writer.create_view(reader, replace_it)

    def _explain(self, reader: Reader) -> Result:
        """Returns DuckDB's plan, which differs from Trino's; invalid queries fail as on Athena."""
        reader.expect("EXPLAIN")
        if reader.peek("ANALYZE") or reader.peek("("):
            raise unsupported("EXPLAIN ANALYZE and EXPLAIN with options")
        source = Source(reader.rest())
        prepared = self._query.prepare(source, source.tree)
        plan = self._query.execute(f"EXPLAIN {prepared.sql}").fetchall()
        lines = "\n".join(text for _, text in plan).splitlines()
        return Result([("Query Plan", VARCHAR)], [[line] for line in lines])


_ACTIONS: dict[str, Callable[[Runner, Reader], Result]] = {
    "CREATE_TABLE_AS_SELECT": Runner._create_table_as,
    "INSERT": Runner._insert,
    "UNLOAD": Runner._unload,
    "CREATE_VIEW": Runner._create_view,
    "EXPLAIN": Runner._explain,
}
