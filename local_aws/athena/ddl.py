"""Hive's DDL: executes CREATE, DROP, ALTER, MSCK, SHOW and DESCRIBE on the Glue catalog."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from botocore.exceptions import ClientError
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType
from sqlglot.tokens import Tokenizer as BaseTokenizer

from local_aws.athena.catalog import Catalog, Columns, Table
from local_aws.athena.errors import InvalidSyntax, QueryFailed, unsupported
from local_aws.athena.results import HIVE_TEXT, Result, text_result
from local_aws.athena.types import Type, hive_type, to_hive

FORMATS = {
    "PARQUET": (
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    ),
    "TEXTFILE": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
    ),
    "JSON": (
        "org.apache.hadoop.mapred.TextInputFormat",
        "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
        "org.openx.data.jsonserde.JsonSerDe",
    ),
}


# the output format of a table with the JSON SerDe and no STORED AS
_OUTPUT_OF_JSON = "org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat"


class _Words(Dialect):
    """Splits a text into words, symbols and strings; no word is a keyword."""

    class Tokenizer(BaseTokenizer):
        QUOTES = ["'", '"']
        IDENTIFIERS = ["`"]
        STRING_ESCAPES = ["'"]
        KEYWORDS: ClassVar[dict[str, TokenType]] = {}
        COMMANDS: ClassVar[set[TokenType]] = set()


class _HiveWords(_Words):
    """Splits Hive's statements, where a backslash in a string is an escape character."""

    class Tokenizer(_Words.Tokenizer):
        STRING_ESCAPES = ["'", "\\"]


class Reader:
    """Reads a statement token by token; unexpected tokens raise Hive's ParseException."""

    def __init__(self, text: str, words: type[Dialect] = _Words) -> None:
        self.text = text
        try:
            self._tokens: list[Token] = words().tokenize(text)
            while self._tokens and self._tokens[-1].token_type is TokenType.SEMICOLON:
                self._tokens.pop()
        except TokenError as error:
            raise InvalidSyntax(f"line 1:1: {error}") from error
        self._next = 0

    @property
    def at_end(self) -> bool:
        """Returns whether all tokens are read."""
        return self._next >= len(self._tokens)

    def peek(self, *words: str) -> bool:
        """Returns whether the next tokens are these words."""
        following = self._tokens[self._next : self._next + len(words)]
        return [token.text.upper() for token in following] == list(words)

    def accept(self, *words: str) -> bool:
        """Skips these words if they are next; returns whether they were."""
        found = self.peek(*words)
        self._next += len(words) if found else 0
        return found

    def expect(self, *words: str) -> None:
        """Skips these words; raises if they are not next."""
        if not self.accept(*words):
            raise self.mismatch(" ".join(words))

    def mismatch(self, expected: str) -> InvalidSyntax:
        """The error for an unexpected next token."""
        if self.at_end:
            return InvalidSyntax(f"{self.place()}: mismatched input '<EOF>' expecting {expected}")
        return InvalidSyntax(
            f"{self.place()}: mismatched input '{self._tokens[self._next].text}' expecting"
            f" {expected}"
        )

    def token(self, expected: str) -> Token:
        if self.at_end:
            raise self.mismatch(expected)
        self._next += 1
        return self._tokens[self._next - 1]

    def name(self) -> str:
        """Reads an identifier; returns it in lower case, as in the catalog."""
        return self.token("an identifier").text.lower()

    def string(self) -> str:
        if self.at_end or self._tokens[self._next].token_type is not TokenType.STRING:
            raise self.mismatch("a string")
        return self.token("a string").text

    def table_name(self, database: str) -> tuple[str, str]:
        """Reads ``table``, ``database.table`` or ``awsdatacatalog.database.table``."""
        parts = [self.name()]
        while self.accept("."):
            parts.append(self.name())
        return (parts[-2] if len(parts) > 1 else database), parts[-1]

    def type_text(self) -> str:
        """Reads a column's type, up to the comma or parenthesis after it."""
        first, depth = self._next, 0
        while not self.at_end:
            text = self._tokens[self._next].text
            if (
                depth == 0
                and (text in (",", ")") or text.upper() == "COMMENT")
                and self._next > first
            ):
                break
            depth += (text in "<(") - (text in ">)") if len(text) == 1 else -2 * (text == ">>")
            self._next += 1
        if self._next == first:
            raise self.mismatch("a type")
        return self.text[self._tokens[first].start : self._tokens[self._next - 1].end + 1].lower()

    def pairs(self) -> dict[str, str]:
        """Reads ``('key'='value', ...)``."""
        self.expect("(")
        found = {}
        while not self.accept(")"):
            key = self.string()
            self.expect("=")
            found[key] = self.string()
            self.accept(",")
        return found

    def place(self) -> str:
        """The position of the next token, such as ``line 1:8``."""
        start = len(self.text) if self.at_end else self._tokens[self._next].start
        before = self.text[:start]
        return f"line {before.count(chr(10)) + 1}:{start - before.rfind(chr(10))}"

    def rest(self) -> str:
        """The remaining text, after blanks that keep the positions in error messages right."""
        start = len(self.text) if self.at_end else self._tokens[self._next].start
        self._next = len(self._tokens)
        return self._blanked(start) + self.text[start:]

    def parenthesised(self) -> str:
        """The text in the next parentheses, after blanks as in ``rest``."""
        self.expect("(")
        start, depth = self.token("a query").start, 1
        while depth:
            token = self.token("')'")
            depth += (
                (token.text == "(") - (token.text == ")")
                if token.token_type is not TokenType.STRING
                else 0
            )
        return self._blanked(start) + self.text[start : token.start]

    def _blanked(self, end: int) -> str:
        return "".join(char if char == "\n" else " " for char in self.text[:end])

    def end(self) -> None:
        """Raises if there are more tokens."""
        if not self.at_end:
            raise self.mismatch("<EOF>")


def hive_reader(text: str) -> Reader:
    return Reader(text, _HiveWords)


class Ddl:
    """Executes one DDL statement on the catalog."""

    def __init__(self, catalog: Catalog, s3: Any, database: str) -> None:
        self._catalog = catalog
        self._glue = catalog.glue
        self._s3 = s3
        self._database = database

    def run(self, text: str) -> Result:
        """Executes the statement; raises ``InvalidSyntax`` or ``QueryFailed``."""
        reader = hive_reader(text)
        for words, action in _ACTIONS:
            if reader.accept(*words.split()):
                return action(self, reader)
        raise unsupported(f"the statement {' '.join(text.split()[:3])}")

    # databases

    def _create_database(self, reader: Reader) -> Result:
        missing_only = reader.accept("IF", "NOT", "EXISTS")
        wanted: dict[str, Any] = {"Name": reader.name()}
        while not reader.at_end:
            if reader.accept("COMMENT"):
                wanted["Description"] = reader.string()
            elif reader.accept("LOCATION"):
                wanted["LocationUri"] = reader.string()
            elif reader.accept("WITH", "DBPROPERTIES"):
                wanted["Parameters"] = reader.pairs()
            else:
                reader.end()
        try:
            self._glue.create_database(DatabaseInput=wanted)
        except ClientError as error:
            _only(error, "AlreadyExistsException")
            if not missing_only:
                raise _ddl_failed(
                    f"AlreadyExistsException(message:Database {wanted['Name']} already exists)"
                ) from error
        return Result()

    def _drop_database(self, reader: Reader) -> Result:
        existing_only, name = reader.accept("IF", "EXISTS"), reader.name()
        cascade = reader.accept("CASCADE")
        reader.accept("RESTRICT")
        reader.end()
        if not self._catalog.has_database(name):
            return _absent(
                existing_only, f"SemanticException [Error 10072]: Database does not exist: {name}"
            )
        if self._catalog.tables(name) and not cascade:
            raise _ddl_failed(
                f"InvalidOperationException(message:Database {name} is not empty. One or more"
                " tables exist.)"
            )
        for table in self._catalog.tables(name):
            self._glue.delete_table(DatabaseName=name, Name=table.name)
        self._glue.delete_database(Name=name)
        return Result()

    def _show_databases(self, reader: Reader) -> Result:
        return text_result("database_name", _like(self._catalog.databases(), reader))

    # tables

    def _create_table(self, reader: Reader) -> Result:
        missing_only = reader.accept("IF", "NOT", "EXISTS")
        database, name = reader.table_name(self._database)
        wanted = TableReader(reader, name).read()
        self._must_have(database)
        if not wanted["StorageDescriptor"].get("Location"):
            raise _ddl_failed("SemanticException: LOCATION must be specified for an external table")
        try:
            self._glue.create_table(DatabaseName=database, TableInput=wanted)
        except ClientError as error:
            _only(error, "AlreadyExistsException")
            if not missing_only:
                raise _ddl_failed(
                    f"AlreadyExistsException(message:Table {name} already exists)"
                ) from error
        return Result()

    def _create_managed_table(self, reader: Reader) -> Result:
        raise unsupported("CREATE TABLE without EXTERNAL and without AS (Iceberg tables)")

    def _drop_table(self, reader: Reader) -> Result:
        existing_only = reader.accept("IF", "EXISTS")
        table = self._found(*reader.table_name(self._database))
        reader.accept("PURGE")
        reader.end()
        if isinstance(table, str):
            return _absent(
                existing_only, f"SemanticException [Error 10001]: Table not found {table}"
            )
        self._glue.delete_table(DatabaseName=table.database, Name=table.name)
        return Result()

    def _show_tables(self, reader: Reader) -> Result:
        return text_result(
            "tab_name",
            _like([table.name for table in self._catalog.tables(self._in(reader))], reader),
        )

    def _show_views(self, reader: Reader) -> Result:
        database = self._in(reader)
        return text_result(
            "views",
            _like(
                [table.name for table in self._catalog.tables(database) if table.is_view], reader
            ),
        )

    def _in(self, reader: Reader) -> str:
        database = reader.name() if reader.accept("IN") or reader.accept("FROM") else self._database
        self._must_have(database)
        return database

    def _show_columns(self, reader: Reader) -> Result:
        if not reader.accept("IN") and not reader.accept("FROM"):
            raise reader.mismatch("IN or FROM")
        database, name = reader.table_name(self._database)
        if reader.accept("IN") or reader.accept("FROM"):
            database = reader.name()
        reader.end()
        table = self._required((database, name))
        return text_result("field", (f"{column:<20}" for column, _ in _all_columns(table)))

    def _show_partitions(self, reader: Reader) -> Result:
        table = self._required(reader.table_name(self._database))
        reader.end()
        if not table.keys:
            raise _ddl_failed(
                f"SemanticException [Error 10241]: Table {table.name} is not a partitioned table"
            )
        return text_result(
            "partition",
            (_folder(table, partition["Values"]) for partition in self._catalog.partitions(table)),
        )

    def _show_create(self, reader: Reader) -> Result:
        table = self._required(reader.table_name(self._database))
        reader.end()
        if table.is_view:
            return text_result(
                "Create View",
                [f"CREATE VIEW {table.database}.{table.name} AS", table.view()["originalSql"]],
            )
        return text_result("createtab_stmt", _create_statement(table))

    def _describe(self, reader: Reader) -> Result:
        table = self._required(described_table(reader, self._database))
        reader.end()
        comments = _comments(table)
        lines = [
            _described(name, kind, comments.get(name, "")) for name, kind in _all_columns(table)
        ]
        if table.keys:
            lines += [
                "\t \t ",
                "# Partition Information\t \t ",
                _described("# col_name", "data_type", "comment"),
                "\t \t ",
            ]
            lines += [
                _described(name, to_hive(kind), comments.get(name, "")) for name, kind in table.keys
            ]
        columns = [(name, HIVE_TEXT) for name in ("col_name", "data_type", "comment")]
        return Result(columns, [[line] for line in lines])

    # ALTER and MSCK

    def _alter_table(self, reader: Reader) -> Result:
        table = self._required(reader.table_name(self._database))
        for words, action in _ALTERATIONS:
            if reader.accept(*words.split()):
                return action(self, reader, table)
        raise unsupported(f"this ALTER TABLE ({' '.join(reader.text.split()[3:6])})")

    def _add_partitions(self, reader: Reader, table: Table) -> Result:
        missing_only = reader.accept("IF", "NOT", "EXISTS")
        while reader.accept("PARTITION"):
            values = self._partition_values(reader, table)
            folder = f"{table.descriptor['Location'].rstrip('/')}/{_folder(table, values)}/"
            self._add_partition(
                table,
                values,
                reader.string() if reader.accept("LOCATION") else folder,
                missing_only,
            )
        reader.end()
        return Result()

    def _partition_values(self, reader: Reader, table: Table) -> list[str]:
        given = dict(self._assignments(reader))
        names = [name for name, _ in table.keys]
        if sorted(given) != sorted(names):
            raise _ddl_failed(
                f"SemanticException: partition spec {given} does not have the columns {names}"
            )
        return [given[name] for name in names]

    def _assignments(self, reader: Reader) -> Iterator[tuple[str, str]]:
        reader.expect("(")
        while not reader.accept(")"):
            name = reader.name()
            reader.expect("=")
            yield name, reader.token("a value").text
            reader.accept(",")

    def _add_partition(
        self, table: Table, values: list[str], location: str, missing_only: bool
    ) -> None:
        descriptor = {**table.descriptor, "Location": location}
        try:
            self._glue.create_partition(
                DatabaseName=table.database,
                TableName=table.name,
                PartitionInput={"Values": values, "StorageDescriptor": descriptor},
            )
        except ClientError as error:
            _only(error, "AlreadyExistsException")
            if not missing_only:
                raise _ddl_failed(
                    "AlreadyExistsException(message:Partition already exists.)"
                ) from error

    def _drop_partitions(self, reader: Reader, table: Table) -> Result:
        existing_only = reader.accept("IF", "EXISTS")
        while reader.accept("PARTITION"):
            values = self._partition_values(reader, table)
            try:
                self._glue.delete_partition(
                    DatabaseName=table.database, TableName=table.name, PartitionValues=values
                )
            except ClientError as error:
                _only(error, "EntityNotFoundException")
                if not existing_only:
                    raise _ddl_failed(
                        "SemanticException [Error 10006]: Partition not found"
                        f" ({_folder(table, values)})"
                    ) from error
            reader.accept(",")
        reader.end()
        return Result()

    def _set_properties(self, reader: Reader, table: Table) -> Result:
        properties = reader.pairs()
        reader.end()
        self._update(table, {"Parameters": {**table.raw.get("Parameters", {}), **properties}})
        return Result()

    def _set_location(self, reader: Reader, table: Table) -> Result:
        location = reader.string()
        reader.end()
        self._update(table, {"StorageDescriptor": {**table.descriptor, "Location": location}})
        return Result()

    def _add_columns(self, reader: Reader, table: Table) -> Result:
        added = TableReader(reader, table.name).columns()
        reader.end()
        self._update(
            table,
            {
                "StorageDescriptor": {
                    **table.descriptor,
                    "Columns": table.descriptor["Columns"] + added,
                }
            },
        )
        return Result()

    def _replace_columns(self, reader: Reader, table: Table) -> Result:
        columns = TableReader(reader, table.name).columns()
        reader.end()
        self._update(table, {"StorageDescriptor": {**table.descriptor, "Columns": columns}})
        return Result()

    def _update(self, table: Table, change: dict[str, Any]) -> None:
        kept = {key: table.raw[key] for key in _TABLE_INPUT if key in table.raw}
        self._glue.update_table(DatabaseName=table.database, TableInput={**kept, **change})

    def _repair(self, reader: Reader) -> Result:
        """MSCK REPAIR TABLE: registers ``key=value`` folders that are not partitions yet."""
        table = self._required(reader.table_name(self._database))
        reader.end()
        known = {tuple(partition["Values"]) for partition in self._catalog.partitions(table)}
        fresh = [values for values in self._folders(table) if values not in known]
        for values in fresh:
            location = f"{table.descriptor['Location'].rstrip('/')}/{_folder(table, list(values))}/"
            self._add_partition(table, list(values), location, missing_only=True)
        missing = "\t".join(f"{table.name}:{_folder(table, list(values))}" for values in fresh)
        lines = [f"Partitions not in metastore:\t{missing}"] if fresh else []
        return text_result(
            "result",
            lines
            + [
                f"Repair: Added partition to metastore {table.name}:{_folder(table, list(values))}"
                for values in fresh
            ],
        )

    def _folders(self, table: Table) -> list[tuple[str, ...]]:
        bucket, _, prefix = table.descriptor["Location"].removeprefix("s3://").partition("/")
        prefix = prefix.rstrip("/") + "/" * bool(prefix.strip("/"))
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        found = set()
        for page in pages:
            for entry in page.get("Contents", ()):
                parts = entry["Key"][len(prefix) :].split("/")[: len(table.keys)]
                pairs = [part.partition("=") for part in parts]
                if [name.lower() for name, _, _ in pairs] == [name for name, _ in table.keys]:
                    found.add(tuple(value for _, _, value in pairs))
        return sorted(found)

    # helpers

    def _must_have(self, database: str) -> None:
        if not self._catalog.has_database(database):
            raise _ddl_failed(
                f"SemanticException [Error 10072]: Database does not exist: {database}"
            )

    def _found(self, database: str, name: str) -> Table | str:
        return self._catalog.table(database, name) or f"{database}.{name}"

    def _required(self, names: tuple[str, str]) -> Table:
        table = self._found(*names)
        if isinstance(table, str):
            raise _ddl_failed(f"SemanticException [Error 10001]: Table not found {table}")
        return table


def described_table(reader: Reader, database: str) -> tuple[str, str]:
    """The database and name of the table that DESCRIBE names."""
    if reader.accept("EXTENDED") or reader.accept("FORMATTED"):
        raise unsupported("DESCRIBE EXTENDED and DESCRIBE FORMATTED")
    reader.accept("TABLE")
    return reader.table_name(database)


class TableReader:
    """Reads the part of CREATE EXTERNAL TABLE after the name."""

    def __init__(self, reader: Reader, name: str) -> None:
        self._reader = reader
        self._wanted: dict[str, Any] = {
            "Name": name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"EXTERNAL": "TRUE"},
        }
        self._descriptor: dict[str, Any] = {}
        self._serde: dict[str, str] = {}

    def read(self) -> dict[str, Any]:
        """Reads the clauses; returns the table as Glue's TableInput."""
        self._descriptor["Columns"] = self.columns()
        self._wanted["PartitionKeys"] = []
        while not self._reader.at_end:
            self._clause()
        inputs, outputs, serde = FORMATS["TEXTFILE"]
        library = self._descriptor.pop("Serde", serde)
        self._descriptor.setdefault("InputFormat", inputs)
        self._descriptor.setdefault("OutputFormat", outputs)
        self._descriptor["SerdeInfo"] = {
            "SerializationLibrary": library,
            "Parameters": {
                "serialization.format": self._serde.get("field.delim", "1"),
                **self._serde,
            },
        }
        self._wanted["StorageDescriptor"] = self._descriptor
        return self._wanted

    def columns(self) -> list[dict[str, str]]:
        """Reads ``(name type [COMMENT 'text'], ...)``."""
        reader, found = self._reader, []
        reader.expect("(")
        while not reader.accept(")"):
            column = {"Name": reader.name()}
            reader.accept(":")
            text = reader.type_text()
            column["Type"] = text.replace(" ", "")
            hive_type(text)  # raises for an unknown type now, not when the table is read
            if reader.accept("COMMENT"):
                column["Comment"] = reader.string()
            found.append(column)
            reader.accept(",")
        return found

    def _clause(self) -> None:
        reader = self._reader
        if reader.accept("COMMENT"):
            self._wanted["Parameters"]["comment"] = " ".join(reader.string().split())
        elif reader.accept("PARTITIONED", "BY"):
            self._wanted["PartitionKeys"] = self.columns()
        elif reader.accept("ROW", "FORMAT", "DELIMITED"):
            self._delimited()
        elif reader.accept("ROW", "FORMAT", "SERDE"):
            self._descriptor["Serde"] = reader.string()
            if self._descriptor["Serde"] == FORMATS["JSON"][2]:
                self._descriptor.setdefault("OutputFormat", _OUTPUT_OF_JSON)
            if reader.accept("WITH", "SERDEPROPERTIES"):
                self._serde |= reader.pairs()
        elif reader.accept("STORED", "AS"):
            self._stored_as()
        elif reader.accept("LOCATION"):
            self._descriptor["Location"] = reader.string().rstrip("/")
        elif reader.accept("TBLPROPERTIES"):
            self._wanted["Parameters"] |= reader.pairs()
        elif reader.peek("CLUSTERED", "BY"):
            raise unsupported("CLUSTERED BY (bucketed tables)")
        else:
            reader.end()

    def _delimited(self) -> None:
        reader = self._reader
        for words, key in _DELIMITERS:
            if reader.accept(*words.split()):
                self._serde[key] = reader.string()

    def _stored_as(self) -> None:
        reader = self._reader
        if reader.accept("INPUTFORMAT"):
            self._descriptor["InputFormat"] = reader.string()
            reader.expect("OUTPUTFORMAT")
            self._descriptor["OutputFormat"] = reader.string()
            return
        name = reader.name().upper()
        if name not in FORMATS:
            raise unsupported(f"STORED AS {name}")
        self._descriptor["InputFormat"], self._descriptor["OutputFormat"], serde = FORMATS[name]
        self._descriptor.setdefault("Serde", serde)


_DELIMITERS = (
    ("FIELDS TERMINATED BY", "field.delim"),
    ("ESCAPED BY", "escape.delim"),
    ("COLLECTION ITEMS TERMINATED BY", "collection.delim"),
    ("MAP KEYS TERMINATED BY", "mapkey.delim"),
    ("LINES TERMINATED BY", "line.delim"),
    ("NULL DEFINED AS", "serialization.null.format"),
)
_TABLE_INPUT = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "TableType",
    "Parameters",
)

_ACTIONS: tuple[tuple[str, Callable[[Ddl, Reader], Result]], ...] = (
    ("CREATE DATABASE", Ddl._create_database),
    ("CREATE SCHEMA", Ddl._create_database),
    ("DROP DATABASE", Ddl._drop_database),
    ("DROP SCHEMA", Ddl._drop_database),
    ("SHOW DATABASES", Ddl._show_databases),
    ("SHOW SCHEMAS", Ddl._show_databases),
    ("CREATE EXTERNAL TABLE", Ddl._create_table),
    ("CREATE TABLE", Ddl._create_managed_table),
    ("DROP TABLE", Ddl._drop_table),
    ("DROP VIEW", Ddl._drop_table),
    ("SHOW TABLES", Ddl._show_tables),
    ("SHOW VIEWS", Ddl._show_views),
    ("SHOW COLUMNS", Ddl._show_columns),
    ("SHOW PARTITIONS", Ddl._show_partitions),
    ("SHOW CREATE TABLE", Ddl._show_create),
    ("SHOW CREATE VIEW", Ddl._show_create),
    ("DESCRIBE", Ddl._describe),
    ("DESC", Ddl._describe),
    ("ALTER TABLE", Ddl._alter_table),
    ("MSCK REPAIR TABLE", Ddl._repair),
)
_ALTERATIONS: tuple[tuple[str, Callable[[Ddl, Reader, Table], Result]], ...] = (
    ("ADD COLUMNS", Ddl._add_columns),
    ("REPLACE COLUMNS", Ddl._replace_columns),
    ("ADD", Ddl._add_partitions),
    ("DROP", Ddl._drop_partitions),
    ("SET TBLPROPERTIES", Ddl._set_properties),
    ("SET LOCATION", Ddl._set_location),
)


def _all_columns(table: Table) -> list[tuple[str, str]]:
    if table.is_view:
        return [(name, str(kind)) for name, kind in table.view_columns()]
    return [(name, to_hive(kind)) for name, kind in _typed(table)]


def _comments(table: Table) -> dict[str, str]:
    columns = [*table.descriptor.get("Columns", ()), *(table.raw.get("PartitionKeys") or ())]
    return {column["Name"].lower(): column.get("Comment", "") for column in columns}


def _typed(table: Table) -> Columns:
    return table.columns + table.keys


def _described(name: str, kind: str, comment: str = "") -> str:
    """One line of DESCRIBE's output, padded as in Hive."""
    return f"{name:<20}\t{kind:<20}\t{comment:<20}"


def _folder(table: Table, values: list[str]) -> str:
    return "/".join(f"{name}={value}" for (name, _), value in zip(table.keys, values, strict=True))


def _like(names: list[str], reader: Reader) -> list[str]:
    """The names that match Hive's pattern, such as ``'a*|b*'``."""
    reader.accept("LIKE")
    if reader.at_end:
        return names
    patterns = reader.string().lower().split("|")
    reader.end()
    return [
        name
        for name in names
        if any(
            fnmatch.fnmatchcase(name, re.sub(r"^\.\*|\.\*$", "*", pattern)) for pattern in patterns
        )
    ]


def _create_statement(table: Table) -> Iterator[str]:
    yield f"CREATE EXTERNAL TABLE `{table.database}.{table.name}`("
    yield from _comma_separated([_declared(table, name, kind) for name, kind in table.columns], ")")
    if table.keys:
        yield "PARTITIONED BY ( "
        yield from _comma_separated(
            [_declared(table, name, kind) for name, kind in table.keys], ")"
        )
    serde = table.descriptor.get("SerdeInfo", {})
    yield from ("ROW FORMAT SERDE ", f"  '{serde.get('SerializationLibrary', '')}' ")
    if serde.get("Parameters"):
        yield "WITH SERDEPROPERTIES ( "
        yield from _comma_separated(
            [f"  '{key}'='{value}'" for key, value in sorted(serde["Parameters"].items())], ") "
        )
    yield from ("STORED AS INPUTFORMAT ", f"  '{table.descriptor.get('InputFormat')}' ")
    yield from ("OUTPUTFORMAT ", f"  '{table.descriptor.get('OutputFormat')}'")
    yield from ("LOCATION", f"  '{table.descriptor.get('Location')}'", "TBLPROPERTIES (")
    yield from _comma_separated(
        [f"  '{key}'='{value}'" for key, value in sorted(table.raw.get("Parameters", {}).items())],
        ")",
    )


def _declared(table: Table, name: str, kind: Type) -> str:
    comment = _comments(table).get(name, "").replace("'", "\\'")
    return f"  `{name}` {to_hive(kind)}" + (f" COMMENT '{comment}'" if comment else "")


def _comma_separated(lines: list[str], end: str) -> Iterator[str]:
    yield from (f"{line}, " for line in lines[:-1])
    yield f"{lines[-1] if lines else ''}{end}"


def _ddl_failed(message: str) -> QueryFailed:
    return QueryFailed("", f"FAILED: {message}")


def _absent(tolerated: bool, message: str) -> Result:
    if not tolerated:
        raise _ddl_failed(message)
    return Result()


def _only(error: ClientError, code: str) -> None:
    if error.response["Error"]["Code"] != code:
        raise error
