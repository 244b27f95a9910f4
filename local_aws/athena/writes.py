"""Statements that write: CREATE TABLE AS, INSERT INTO, UNLOAD and CREATE VIEW."""

from __future__ import annotations

import gzip
import io
import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from local_aws.athena.casts import cast
from local_aws.athena.catalog import CATALOG, Columns, Table, view_text
from local_aws.athena.ddl import FORMATS, Reader
from local_aws.athena.engine import PreparedQuery, Query
from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.results import Result, formatted
from local_aws.athena.scans import arrow_type, list_objects
from local_aws.athena.syntax import Source
from local_aws.athena.text_files import LazySimple
from local_aws.athena.typed import text_literal
from local_aws.athena.types import BIGINT, Type, common, to_hive

_COMPRESSIONS = {"PARQUET": "GZIP", "TEXTFILE": "GZIP", "JSON": "GZIP"}  # Athena's defaults
_FORMAT_OF_SERDE = {
    "ParquetHiveSerDe": "PARQUET",
    "LazySimpleSerDe": "TEXTFILE",
    "JsonSerDe": "JSON",
}
_CTAS_OPTIONS = {
    "format",
    "table_type",
    "is_external",
    "external_location",
    "partitioned_by",
    "write_compression",
    "parquet_compression",
    "field_delimiter",
}
# table properties of which only the default value is supported
_HIVE_TABLE = {"table_type": "hive", "is_external": "true"}
_UNLOAD_OPTIONS = {"format", "partitioned_by", "compression", "field_delimiter"}


@dataclass(frozen=True)
class WriteTarget:
    """Location and format of written rows; the columns in ``partitioned_by`` come last."""

    location: str
    format: str
    partitioned_by: tuple[str, ...] = ()
    compression: str = "GZIP"
    serde: Mapping[str, str] = field(default_factory=dict)  # properties of a text table


@dataclass(frozen=True)
class Written:
    """The result of a write; ``partitions`` maps partition values to folders."""

    objects: list[str]
    partitions: dict[tuple[str, ...], str]
    rows: int


class Writer:
    """Executes one statement that writes."""

    def __init__(self, query: Query, s3: Any, database: str, tables_location: str) -> None:
        self._query = query
        self._catalog = query.catalog
        self._s3 = s3
        self._database = database
        # where CREATE TABLE AS puts a table if its external_location is missing
        self._tables_location = tables_location

    # CREATE TABLE AS

    def create_table_as(self, reader: Reader) -> Result:
        """Executes ``CREATE TABLE [IF NOT EXISTS] name [WITH (...)] AS query [WITH [NO] DATA]``."""
        missing_only = reader.accept("IF", "NOT", "EXISTS")
        database, name = reader.table_name(self._database)
        options = read_options(reader, _CTAS_OPTIONS) if reader.accept("WITH") else {}
        for option, only in _HIVE_TABLE.items():
            if str(options.get(option, only)).lower() != only:
                raise unsupported(f"{option} = {options[option]} (Iceberg tables)")
        reader.expect("AS")
        if self._catalog.table(database, name) is not None:
            if missing_only:
                return Result()
            raise QueryFailed(
                "TABLE_ALREADY_EXISTS",
                f"line 1:1: Destination table '{CATALOG}.{database}.{name}' already exists",
            )
        if not self._catalog.has_database(database):
            raise QueryFailed("SCHEMA_NOT_FOUND", f"line 1:1: Schema '{database}' does not exist")
        text, with_data = without_data_clause(reader.rest())
        source = Source(text)
        prepared = self._query.prepare(source, source.tree)
        return self._create(database, name, options, prepared, with_data)

    def _create(
        self,
        database: str,
        name: str,
        options: dict[str, Any],
        prepared: PreparedQuery,
        with_data: bool,
    ) -> Result:
        target = self._target(options, options.get("external_location") or self._tables_location)
        self._must_be_empty(target.location)
        columns = _named(prepared)
        kept, keys = _split_keys(columns, target.partitioned_by)
        written = self._write(prepared, target, columns) if with_data else Written([], {}, 0)
        wanted = _table_input(name, kept, keys, target)
        self._catalog.glue.create_table(DatabaseName=database, TableInput=wanted)
        self._register(Table(database, name, wanted), written)
        return _written_result(prepared, written)

    def _must_be_empty(self, location: str) -> None:
        if list_objects(self._s3, location):
            raise QueryFailed(
                "HIVE_PATH_ALREADY_EXISTS", f"Target directory for table already exists: {location}"
            )

    def _target(self, options: dict[str, Any], location: str) -> WriteTarget:
        name = str(options.get("format", "PARQUET")).upper()
        if name not in FORMATS:
            raise unsupported(f"writing tables as {name}")
        compression = (
            options.get("write_compression")
            or options.get("parquet_compression")
            or options.get("compression")
        )
        return WriteTarget(
            location=location.rstrip("/") + "/",
            format=name,
            partitioned_by=tuple(key.lower() for key in options.get("partitioned_by", ())),
            compression=str(compression or _COMPRESSIONS[name]).upper(),
            serde=(
                {"field.delim": str(options.get("field_delimiter", "\x01"))}
                if name == "TEXTFILE"
                else {}
            ),
        )

    # INSERT INTO

    def insert(self, reader: Reader) -> Result:
        """Executes ``INSERT INTO name [(columns)] query``."""
        place = reader.place()
        table = self._catalog.required(*reader.table_name(self._database), place)
        if table.is_view:
            raise QueryFailed("NOT_SUPPORTED", f"{place}: Inserting into views is not supported")
        names = read_names(reader) if reader.peek("(") and not reader.peek("(", "SELECT") else None
        source = Source(reader.rest())
        prepared = self._query.prepare(source, source.tree)
        wanted = table.columns + table.keys
        fitted = _converted(prepared, wanted, names)
        serde = table.descriptor.get("SerdeInfo", {})
        kind = _FORMAT_OF_SERDE.get(serde.get("SerializationLibrary", "").rpartition(".")[2])
        if kind is None:
            raise unsupported(
                f"INSERT INTO a table with the SerDe {serde.get('SerializationLibrary')}"
            )
        target = WriteTarget(
            location=table.descriptor["Location"].rstrip("/") + "/",
            format=kind,
            partitioned_by=tuple(name for name, _ in table.keys),
            compression="SNAPPY" if kind == "PARQUET" else "NONE",
            serde=serde.get("Parameters", {}),
        )
        written = self._write(fitted, target, wanted)
        self._register(table, written)
        return _written_result(prepared, written)

    # UNLOAD

    def unload(self, reader: Reader) -> Result:
        """Executes ``UNLOAD (query) TO 's3://...' WITH (format = ...)``."""
        text = reader.parenthesised()
        reader.expect("TO")
        location = reader.string()
        reader.expect("WITH")
        options = read_options(reader, _UNLOAD_OPTIONS)
        reader.end()
        source = Source(text)
        prepared = self._query.prepare(source, source.tree)
        target = self._target(options, location)
        self._must_be_empty(target.location)
        return _written_result(prepared, self._write(prepared, target, _named(prepared)))

    # CREATE VIEW

    def create_view(self, reader: Reader, or_replace: bool) -> Result:
        """Executes ``CREATE [OR REPLACE] VIEW name [(columns)] AS query``."""
        database, name = reader.table_name(self._database)
        names = read_names(reader) if reader.peek("(") else None
        reader.expect("AS")
        text = reader.rest()
        source = Source(text)
        compiled, _ = self._query.compile(source, source.tree)
        columns = [
            (column.name or f"_col{index}", column.type)
            for index, column in enumerate(compiled.columns)
        ]
        if names is not None:
            columns = [(given, kind) for given, (_, kind) in zip(names, columns, strict=True)]
        self._put_view(database, name, text.strip(), columns, or_replace)
        return Result()

    def _put_view(
        self, database: str, name: str, sql: str, columns: Columns, or_replace: bool
    ) -> None:
        wanted = {
            "Name": name,
            "TableType": "VIRTUAL_VIEW",
            "Parameters": {"presto_view": "true", "comment": "Presto View"},
            "PartitionKeys": [],
            "StorageDescriptor": {
                "Columns": [{"Name": column, "Type": _view_type(kind)} for column, kind in columns],
                "Location": "",
                "SerdeInfo": {},
            },
            "ViewOriginalText": view_text(sql, self._database, columns),
            "ViewExpandedText": "/* Presto View */",
        }
        present = self._catalog.table(database, name)
        if present is None:
            self._catalog.glue.create_table(DatabaseName=database, TableInput=wanted)
        elif or_replace and present.is_view:
            self._catalog.glue.update_table(DatabaseName=database, TableInput=wanted)
        else:
            kind = "View" if present.is_view else "Table"
            raise QueryFailed(
                "TABLE_ALREADY_EXISTS",
                f"line 1:1: {kind} already exists: '{CATALOG}.{database}.{name}'",
            )

    # rows

    def _write(self, prepared: PreparedQuery, target: WriteTarget, columns: Columns) -> Written:
        rows = self._query.table(prepared)
        arrays = [rows.column(index).cast(_arrow(kind)) for index, (_, kind) in enumerate(columns)]
        table = pa.table(arrays, names=[name for name, _ in columns])
        objects, partitions = [], {}
        for values, part in _partitions(table, target.partitioned_by, dict(columns)):
            folder = target.location + "".join(
                f"{name}={value}/"
                for name, value in zip(target.partitioned_by, values, strict=True)
            )
            partitions[values] = folder
            objects.append(
                self._put(
                    folder,
                    part,
                    [column for column in columns if column[0] not in target.partitioned_by],
                    target,
                )
            )
        return Written(objects, partitions if target.partitioned_by else {}, rows.num_rows)

    def _put(self, folder: str, rows: pa.Table, columns: Columns, target: WriteTarget) -> str:
        url = f"{folder}{uuid.uuid4().hex}" + (
            ".gz" if target.format != "PARQUET" and target.compression == "GZIP" else ""
        )
        bucket, _, key = url.removeprefix("s3://").partition("/")
        try:
            self._s3.put_object(Bucket=bucket, Key=key, Body=_body(rows, columns, target))
        except ClientError as error:
            raise QueryFailed(
                "",
                f"Access denied when writing output to url: {url}:"
                f" {error.response['Error'].get('Message')}",
            ) from error
        return url

    def _register(self, table: Table, written: Written) -> None:
        known = (
            {tuple(partition["Values"]) for partition in self._catalog.partitions(table)}
            if table.keys
            else set()
        )
        for values, folder in written.partitions.items():
            if values not in known:
                descriptor = {**table.descriptor, "Location": folder}
                self._catalog.glue.create_partition(
                    DatabaseName=table.database,
                    TableName=table.name,
                    PartitionInput={"Values": list(values), "StorageDescriptor": descriptor},
                )


def _written_result(prepared: PreparedQuery, written: Written) -> Result:
    """A result without rows: clients read the number of written rows from ``UpdateCount``."""
    return Result(
        [("rows", BIGINT)],
        scanned_bytes=prepared.scanned_bytes,
        update_count=written.rows,
        manifest=written.objects,
    )


def _named(prepared: PreparedQuery) -> Columns:
    """The columns of a new table; raises if a name is missing or occurs twice."""
    for index, column in enumerate(prepared.compiled.columns, 1):
        if column.name is None:
            raise QueryFailed(
                "MISSING_COLUMN_NAME", f"line 1:1: Column name not specified at position {index}"
            )
    names = [name.lower() for name in prepared.names]
    for name in names:
        if names.count(name) > 1:
            raise QueryFailed(
                "DUPLICATE_COLUMN_NAME", f"line 1:1: Column name '{name}' specified more than once"
            )
    return list(zip(names, prepared.types, strict=True))


def _split_keys(columns: Columns, keys: tuple[str, ...]) -> tuple[Columns, Columns]:
    if keys and [name for name, _ in columns[-len(keys) :]] != list(keys):
        message = (
            "Partition keys must be the last columns in the table and in the same order as the"
            f" table properties: {list(keys)}"
        )
        raise QueryFailed("HIVE_COLUMN_ORDER_MISMATCH", message)
    return columns[: len(columns) - len(keys)], columns[len(columns) - len(keys) :]


def _converted(prepared: PreparedQuery, wanted: Columns, names: list[str] | None) -> PreparedQuery:
    """Reorders and casts the query's columns for the table; missing columns are NULL."""
    targets = names or [name for name, _ in wanted]
    kinds = dict(wanted)
    unknown = [name for name in targets if name not in kinds]
    if unknown:
        raise QueryFailed(
            "COLUMN_NOT_FOUND",
            f"line 1:1: Insert column name does not exist in target table: {unknown[0]}",
        )
    given = dict(zip(targets, enumerate(prepared.types), strict=False))
    if len(targets) != len(prepared.types) or not all(
        common(kind, kinds[name]) for name, (_, kind) in given.items()
    ):
        table, query = (
            ", ".join(str(kinds[name]) for name in targets),
            ", ".join(map(str, prepared.types)),
        )
        raise QueryFailed(
            "TYPE_MISMATCH",
            f"line 1:1: Insert query has mismatched column types: Table: [{table}], Query:"
            f" [{query}]",
        )
    items = [
        _assigned(f"c{given[name][0]}", given[name][1], kind) if name in given else "NULL"
        for name, kind in wanted
    ]
    sql = (
        f"SELECT {', '.join(f'{item} AS c{index}' for index, item in enumerate(items))} FROM"
        f" ({prepared.sql})"
    )
    return replace(
        prepared, names=[name for name, _ in wanted], types=[kind for _, kind in wanted], sql=sql
    )


def _assigned(sql: str, given: Type, to: Type) -> str:
    """Casts a value to its column's type; fails if text would lose more than trailing spaces."""
    text = cast(sql, given, to)
    if (
        to.name not in ("varchar", "char")
        or not to.params
        or given.params
        and given.params[0] <= to.params[0]
    ):
        return text
    message = text_literal(
        f"Cannot truncate non-space characters when casting from {given} to {to} on INSERT"
    )
    failed = f"trino_fail('INVALID_CAST_ARGUMENT', {message})"
    return f"CASE WHEN length(rtrim({sql}, ' ')) > {to.params[0]} THEN {failed} ELSE {text} END"


def _arrow(kind: Type) -> pa.DataType:
    to_hive(kind)  # raises for types that the catalog does not have
    return arrow_type(kind)


def _partitions(
    table: pa.Table, keys: tuple[str, ...], kinds: dict[str, Type]
) -> Iterator[tuple[tuple[str, ...], pa.Table]]:
    """Yields the values and rows of each partition, without the partition columns.

    Without ``keys``, yields all rows once. Yields nothing if there are no rows.
    """
    if not keys:
        yield from [((), table)] if table.num_rows else []
        return
    for group in table.select(keys).group_by(list(keys)).aggregate([]).to_pylist():
        mask = None
        for key in keys:
            same = (
                pc.is_null(table[key])
                if group[key] is None
                else pc.equal(table[key], pa.scalar(group[key], table[key].type))
            )
            mask = same if mask is None else pc.and_(mask, same)
        values = tuple(
            formatted(group[key], kinds[key]) or "__HIVE_DEFAULT_PARTITION__" for key in keys
        )
        yield values, table.filter(pc.fill_null(mask, False)).drop_columns(list(keys))


def _body(rows: pa.Table, columns: Columns, target: WriteTarget) -> bytes:
    if target.format == "PARQUET":
        sink = io.BytesIO()
        pq.write_table(rows, sink, compression=target.compression)
        return sink.getvalue()
    lines = (
        _json_lines(rows, columns)
        if target.format == "JSON"
        else _text_lines(rows, columns, target.serde)
    )
    body = "".join(f"{line}\n" for line in lines).encode()
    if target.compression not in ("GZIP", "NONE"):
        raise unsupported(f"text compressed as {target.compression}")
    return gzip.compress(body) if target.compression == "GZIP" else body


def _json_lines(rows: pa.Table, columns: Columns) -> Iterator[str]:
    kinds = dict(columns)
    for row in rows.to_pylist():
        plain = {
            name: _plain(value, kinds[name]) for name, value in row.items() if value is not None
        }
        yield json.dumps(plain, default=str)


def _plain(value: Any, kind: Type) -> Any:
    """Converts a pyarrow value to one that ``json.dumps`` accepts."""
    if kind.name == "varbinary":
        raise unsupported("binary values in JSON files")
    if value is None or not kind.items:
        return value
    if kind.name == "array":
        return [_plain(item, kind.items[0]) for item in value]
    if kind.name == "map":
        return {str(key): _plain(item, kind.items[1]) for key, item in value}
    return {
        key: _plain(item, inner)
        for (key, item), inner in zip(value.items(), kind.items, strict=True)
    }


def _text_lines(rows: pa.Table, columns: Columns, properties: Mapping[str, str]) -> Iterator[str]:
    serde, kinds = LazySimple.of(properties), [kind for _, kind in columns]
    for row in rows.to_pylist():
        yield serde.line([row[name] for name, _ in columns], kinds)


def _table_input(name: str, columns: Columns, keys: Columns, target: WriteTarget) -> dict[str, Any]:
    inputs, outputs, serde = FORMATS[target.format]
    return {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "EXTERNAL": "TRUE",
            "has_encrypted_data": "false",
            "classification": target.format.lower(),
        },
        "PartitionKeys": [{"Name": key, "Type": to_hive(kind)} for key, kind in keys],
        "StorageDescriptor": {
            "Columns": [{"Name": column, "Type": to_hive(kind)} for column, kind in columns],
            "Location": target.location,
            "InputFormat": inputs,
            "OutputFormat": outputs,
            "SerdeInfo": {"SerializationLibrary": serde, "Parameters": dict(target.serde)},
        },
    }


def _view_type(kind: Type) -> str:
    try:
        return to_hive(kind)
    except QueryFailed:
        return "string"  # Glue requires a type; the view's definition has the real type


# clauses around the query


def read_names(reader: Reader) -> list[str]:
    """Reads ``(a, b, c)``."""
    reader.expect("(")
    names = []
    while not reader.accept(")"):
        names.append(reader.name())
        reader.accept(",")
    return names


def read_options(reader: Reader, known: set[str]) -> dict[str, Any]:
    """Reads ``(format = 'PARQUET', partitioned_by = ARRAY['a'])``; rejects unknown options."""
    reader.expect("(")
    found: dict[str, Any] = {}
    while not reader.accept(")"):
        name = reader.name()
        reader.expect("=")
        found[name] = _option(reader)
        reader.accept(",")
    if str(found.get("table_type", "")).lower() == "iceberg":
        raise unsupported("table_type = ICEBERG")
    unknown = sorted(found.keys() - known)
    if unknown:
        raise unsupported(f"the table property {', '.join(unknown)}")
    return found


def _option(reader: Reader) -> Any:
    if not reader.accept("ARRAY"):
        return reader.token("a value").text
    reader.expect("[")
    values = []
    while not reader.accept("]"):
        values.append(reader.string())
        reader.accept(",")
    return values


def without_data_clause(text: str) -> tuple[str, bool]:
    """Removes ``WITH [NO] DATA`` at the end; returns the query and whether to write data."""
    for ending, wanted in (("WITH NO DATA", False), ("WITH DATA", True)):
        words = text.split()
        if [word.upper() for word in words[-len(ending.split()) :]] == ending.split():
            return text[: text.upper().rstrip().rindex("WITH")], wanted
    return text, True
