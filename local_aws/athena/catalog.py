"""Reads databases, tables and views from the Glue catalog, with the types of their columns."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from botocore.exceptions import ClientError

from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.types import VARCHAR, Type, hive_type, parse_type

CATALOG = "awsdatacatalog"
INFORMATION_SCHEMA = "information_schema"

_PRESTO_VIEW = re.compile(r"/\* Presto View: (?P<definition>[A-Za-z0-9+/=]+) \*/")

Columns = list[tuple[str, Type]]


@dataclass(frozen=True)
class Table:
    """One table or view; ``raw`` is Glue's response."""

    database: str
    name: str
    raw: dict[str, Any]

    @cached_property
    def columns(self) -> Columns:
        """The columns stored in the files, without the partition keys."""
        return [
            (column["Name"].lower(), hive_type(column["Type"]))
            for column in self.descriptor.get("Columns", ())
        ]

    @cached_property
    def keys(self) -> Columns:
        return [
            (key["Name"].lower(), hive_type(key["Type"]))
            for key in self.raw.get("PartitionKeys") or ()
        ]

    @property
    def descriptor(self) -> dict[str, Any]:
        return dict(self.raw.get("StorageDescriptor") or {})

    @property
    def is_view(self) -> bool:
        return self.raw.get("TableType") == "VIRTUAL_VIEW"

    def view(self) -> dict[str, Any]:
        """Decodes the view's definition: ``originalSql``, ``catalog``, ``schema``, ``columns``."""
        found = _PRESTO_VIEW.search(self.raw.get("ViewOriginalText") or "")
        if found is None:
            raise unsupported(f"views that Athena did not create ({self.database}.{self.name})")
        definition: dict[str, Any] = json.loads(base64.b64decode(found["definition"]))
        return definition

    def view_columns(self) -> Columns:
        """The columns that the view had when it was created."""
        return [(column["name"], parse_type(column["type"])) for column in self.view()["columns"]]


def view_text(sql: str, database: str, columns: Sequence[tuple[str, Type]]) -> str:
    """Encodes a view's definition as Athena stores it in the catalog."""
    definition = {
        "originalSql": sql,
        "catalog": CATALOG,
        "schema": database,
        "columns": [{"name": name, "type": str(kind)} for name, kind in columns],
    }
    return f"/* Presto View: {base64.b64encode(json.dumps(definition).encode()).decode()} */"


class Catalog:
    """Reads the catalog for one query; each entry is read once."""

    def __init__(self, glue: Any) -> None:
        self.glue = glue
        self._tables: dict[tuple[str, str], Table | None] = {}

    def databases(self) -> list[str]:
        pages = self.glue.get_paginator("get_databases").paginate()
        return sorted(database["Name"] for page in pages for database in page["DatabaseList"])

    def has_database(self, name: str) -> bool:
        try:
            self.glue.get_database(Name=name)
        except ClientError as error:
            _only_missing(error)
            return False
        return True

    def table(self, database: str, name: str) -> Table | None:
        if (database, name) not in self._tables:
            self._tables[database, name] = self._read(database, name)
        return self._tables[database, name]

    def _read(self, database: str, name: str) -> Table | None:
        try:
            return Table(
                database, name, self.glue.get_table(DatabaseName=database, Name=name)["Table"]
            )
        except ClientError as error:
            _only_missing(error)
            return None

    def required(self, database: str, name: str, place: str = "") -> Table:
        """The table; raises Athena's SCHEMA_NOT_FOUND or TABLE_NOT_FOUND."""
        found = self.table(database, name)
        if found is not None:
            return found
        at = f"{place}: " if place else ""
        if not self.has_database(database):
            raise QueryFailed("SCHEMA_NOT_FOUND", f"{at}Schema '{database}' does not exist")
        raise QueryFailed(
            "TABLE_NOT_FOUND", f"{at}Table '{CATALOG}.{database}.{name}' does not exist"
        )

    def tables(self, database: str) -> list[Table]:
        try:
            pages = list(self.glue.get_paginator("get_tables").paginate(DatabaseName=database))
        except ClientError as error:
            _only_missing(error)
            return []
        found = [
            Table(database, table["Name"], table) for page in pages for table in page["TableList"]
        ]
        return sorted(found, key=lambda table: table.name)

    def partitions(self, table: Table) -> list[dict[str, Any]]:
        """The registered partitions as Glue returns them, sorted by their values."""
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=table.database, TableName=table.name
        )
        return sorted(
            (partition for page in pages for partition in page["Partitions"]),
            key=lambda found: found["Values"],
        )

    def information(self, name: str) -> tuple[Columns, list[tuple[Any, ...]]] | None:
        """Columns and rows of an ``information_schema`` table; None if there is no such table."""
        if name == "schemata":
            return _texts("catalog_name", "schema_name"), [
                (CATALOG, database) for database in self.databases()
            ]
        if name == "tables":
            return _texts("table_catalog", "table_schema", "table_name", "table_type"), [
                (CATALOG, table.database, table.name, "VIEW" if table.is_view else "BASE TABLE")
                for table in self._all_tables()
            ]
        if name == "columns":
            return _information_columns(), [
                row for table in self._all_tables() for row in _column_rows(table)
            ]
        return None

    def _all_tables(self) -> list[Table]:
        return [table for database in self.databases() for table in self.tables(database)]


def _texts(*names: str) -> Columns:
    return [(name, VARCHAR) for name in names]


def _information_columns() -> Columns:
    names = _texts("table_catalog", "table_schema", "table_name", "column_name", "ordinal_position")
    names += _texts("column_default", "is_nullable", "data_type", "comment", "extra_info")
    return [(name, Type("bigint") if name == "ordinal_position" else kind) for name, kind in names]


def _column_rows(table: Table) -> list[tuple[Any, ...]]:
    columns = table.view_columns() if table.is_view else table.columns + table.keys
    keys = {name for name, _ in table.keys}
    return [
        (
            CATALOG,
            table.database,
            table.name,
            name,
            index,
            None,
            "YES",
            str(kind),
            None,
            "partition key" if name in keys else None,
        )
        for index, (name, kind) in enumerate(columns, 1)
    ]


def _only_missing(error: ClientError) -> None:
    if error.response["Error"]["Code"] != "EntityNotFoundException":
        raise error
