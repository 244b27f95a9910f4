"""Reads the tables of a query: matching partitions, their objects in S3, and the columns in use."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from botocore.exceptions import ClientError

from local_aws.athena.casts import cast
from local_aws.athena.catalog import Catalog, Columns, Table
from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.relations import Scan
from local_aws.athena.text_files import LazySimple, OpenCsv, read_lines, text_arrow_type, text_type
from local_aws.athena.typed import quoted
from local_aws.athena.types import VARCHAR, Type

CACHE_BYTES = 256 << 20  # maximum size of ``ObjectCache``
READERS = 8  # objects read in parallel

_ROWS = "$rows"  # a dummy column, so that a scan without columns still has a row count


@dataclass(frozen=True)
class S3Object:
    """One object under a table's location."""

    bucket: str
    key: str
    size: int
    etag: str

    @property
    def url(self) -> str:
        """The object's URL as in the column ``$path`` and in error messages."""
        return f"s3://{self.bucket}/{self.key}"


@dataclass(frozen=True)
class Partition:
    """A partition's values and location. A table without partition keys is one partition."""

    values: tuple[str, ...]
    location: str
    descriptor: dict[str, Any]


class ObjectCache:
    """Caches the content of objects; an object is read again only after it has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[S3Object, bytes] = OrderedDict()
        self._size = 0

    def read(self, s3: Any, item: S3Object) -> bytes:
        with self._lock:
            if item in self._kept:
                self._kept.move_to_end(item)
                return self._kept[item]
        body: bytes = s3.get_object(Bucket=item.bucket, Key=item.key)["Body"].read()
        self._keep(item, body)
        return body

    def _keep(self, item: S3Object, body: bytes) -> None:
        with self._lock:
            if item not in self._kept:
                self._kept[item] = body
                self._size += len(body)
            while self._size > CACHE_BYTES:
                self._size -= len(self._kept.popitem(last=False)[1])


def list_objects(s3: Any, location: str) -> list[S3Object]:
    """The objects at or below a location; skips empty and hidden objects."""
    bucket, _, prefix = location.partition("://")[2].partition("/")
    prefix, found = prefix.rstrip("/"), []
    try:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found += [
                S3Object(bucket, item["Key"], item["Size"], item["ETag"])
                for item in page.get("Contents", ())
            ]
    except ClientError as error:
        raise QueryFailed(
            "", f"HIVE_CANNOT_OPEN_SPLIT: {error.response['Error'].get('Message')} ({location})"
        ) from error
    return [item for item in found if item.size and _is_data(item.key, prefix)]


def _is_data(key: str, prefix: str) -> bool:
    """Returns whether the object is below ``prefix`` and not hidden.

    ``t/a`` is below ``t``; ``t2/a`` is not.
    """
    below = key[len(prefix) :]
    beside = prefix and below and not below.startswith("/")
    return not beside and not any(
        partition.startswith(("_", ".")) for partition in below.split("/")
    )


class ScanReader:
    """Registers every scan of a query in DuckDB as a view, and counts the scanned bytes."""

    def __init__(self, cursor: Any, catalog: Catalog, s3: Any, objects: ObjectCache) -> None:
        self._cursor = cursor
        self._catalog = catalog
        self._s3 = s3
        self._objects = objects
        self.scanned_bytes = 0

    def prepare(self, scan: Scan) -> None:
        """Reads the scan's rows and creates its view."""
        table = scan.table
        _check_columns(table)
        wanted = [(name, kind) for name, kind in table.columns if name in scan.used]
        pieces = [
            piece
            for partition in self._partitions(scan)
            for piece in self._read_partition(table, partition, wanted)
        ]
        schema = pa.schema([(name, _arrow_type(kind, table)) for name, kind in wanted])
        schema = _with_constants(
            schema, [name for name, _ in table.keys if name in scan.used], "$path" in scan.used
        )
        self._cursor.register(
            f"rows_{scan.alias}",
            pa.concat_tables(
                [schema.empty_table(), *(piece.select(schema.names) for piece in pieces)]
            ),
        )
        self._cursor.execute(
            f"CREATE TEMP VIEW {quoted('scan_' + scan.alias)} AS SELECT {_view_items(scan)} FROM"
            f" rows_{scan.alias}"
        )

    # partitions

    def _partitions(self, scan: Scan) -> list[Partition]:
        table = scan.table
        if table.raw.get("Parameters", {}).get("projection.enabled") == "true":
            raise unsupported(f"partition projection (table {table.database}.{table.name})")
        if not table.keys:
            return [Partition((), table.descriptor.get("Location", ""), table.descriptor)]
        partitions = [_partition(partition) for partition in self._catalog.partitions(table)]
        return self._pruned(scan, partitions) if scan.pruning else partitions

    def _pruned(self, scan: Scan, partitions: list[Partition]) -> list[Partition]:
        """The partitions that satisfy the scan's conditions, which DuckDB evaluates."""
        columns = {
            name: [partition.values[index] for partition in partitions]
            for index, (name, _) in enumerate(scan.table.keys)
        }
        self._cursor.register(
            "partition_values",
            pa.table({name: pa.array(values, pa.string()) for name, values in columns.items()}),
        )
        typed = ", ".join(
            f"{_key_text(name, kind)} AS {quoted(name)}" for name, kind in scan.table.keys
        )
        conditions = " AND ".join(scan.pruning)
        rows = f"SELECT {typed}, row_number() OVER () - 1 AS n FROM partition_values"
        kept = self._cursor.execute(
            f"SELECT n FROM ({rows}) AS {scan.alias} WHERE {conditions} ORDER BY n"
        ).fetchall()
        return [partitions[number] for (number,) in kept]

    # files

    def _read_partition(
        self, table: Table, partition: Partition, wanted: Columns
    ) -> Iterator[pa.Table]:
        read = _reader(partition.descriptor, table)
        objects = list_objects(self._s3, partition.location)
        with ThreadPoolExecutor(READERS) as pool:
            bodies = list(pool.map(lambda item: self._objects.read(self._s3, item), objects))
        for item, body in zip(objects, bodies, strict=True):
            rows, scanned = read(item, body, table, partition.descriptor, wanted)
            self.scanned_bytes += scanned
            yield _with_values(rows, table, partition, item.url)


def _partition(partition: dict[str, Any]) -> Partition:
    descriptor = partition["StorageDescriptor"]
    return Partition(tuple(partition["Values"]), descriptor["Location"], descriptor)


def _check_columns(table: Table) -> None:
    names = [name for name, _ in [*table.columns, *table.keys]]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise QueryFailed(
            "HIVE_INVALID_METADATA",
            f"Hive metadata for table {table.name} is invalid: Table descriptor contains duplicate"
            " columns",
        )


def _with_constants(schema: pa.Schema, keys: list[str], path: bool) -> pa.Schema:
    for name in [*keys, *(["$path"] if path else [])]:
        schema = schema.append(pa.field(name, pa.string()))
    return schema.append(pa.field(_ROWS, pa.null()))


def _with_values(rows: pa.Table, table: Table, partition: Partition, url: str) -> pa.Table:
    for (name, _), value in zip(table.keys, partition.values, strict=True):
        rows = rows.append_column(name, pa.repeat(value, rows.num_rows).cast(pa.string()))
    return rows.append_column("$path", pa.repeat(url, rows.num_rows))


def _view_items(scan: Scan) -> str:
    table = scan.table
    as_text = _reader(table.descriptor, table) in (_read_text, _read_csv)
    strict = as_text and _reader(table.descriptor, table) is _read_csv
    items = [
        _text_item(name, kind, strict) if as_text else quoted(name)
        for name, kind in table.columns
        if name in scan.used
    ]
    items += [
        f"{_key_text(name, kind)} AS {quoted(name)}"
        for name, kind in table.keys
        if name in scan.used
    ]
    items += [quoted("$path")] if "$path" in scan.used else []
    return ", ".join(items) or quoted(_ROWS)


def _key_text(name: str, kind: Type) -> str:
    null = f"nullif({quoted(name)}, '__HIVE_DEFAULT_PARTITION__')"
    return cast(null, VARCHAR, kind)


def _text_item(name: str, kind: Type, strict: bool) -> str:
    """The SQL that casts a column of a text file to its type.

    Invalid text is NULL in LazySimpleSerDe, and an error in OpenCSVSerde (``strict``).
    """
    column = quoted(name)
    if kind.name == "varchar" and not kind.params:
        return column
    if (
        strict
        and (kind.items or kind.name in ("date", "timestamp", "varbinary"))
        or _holds_bytes(kind)
    ):
        raise unsupported(f"columns of type {kind} in text files ({name})")
    if kind.name == "varbinary":
        return f"TRY(from_base64({column})) AS {column}"
    return f"{cast(column, text_type(kind), kind, 'trino_' if strict else 'null_')} AS {column}"


def _holds_bytes(kind: Type) -> bool:
    return any(item.name == "varbinary" or _holds_bytes(item) for item in kind.items)


# Formats. Each reader returns a table and the number of scanned bytes. The table has the wanted
# columns in the catalog's types, and _ROWS.


Reader = Callable[[S3Object, bytes, Table, dict[str, Any], Columns], tuple[pa.Table, int]]


def _reader(descriptor: dict[str, Any], table: Table) -> Reader:
    library = descriptor.get("SerdeInfo", {}).get("SerializationLibrary", "")
    reader = _READERS.get(library.rpartition(".")[2])
    if reader is None:
        raise unsupported(
            f"tables with the SerDe {library or '(none)'} ({table.database}.{table.name})"
        )
    return reader


def _read_parquet(
    item: S3Object, body: bytes, table: Table, descriptor: dict[str, Any], wanted: Columns
) -> tuple[pa.Table, int]:
    try:
        file = pq.ParquetFile(pa.BufferReader(body))
    except pa.ArrowInvalid as error:
        raise QueryFailed(
            "HIVE_BAD_DATA", f"Malformed Parquet file. {error} [{item.url}]"
        ) from error
    stored = {name.lower(): name for name in file.schema_arrow.names}
    names = [stored[name] for name, _ in wanted if name in stored]
    rows = file.read(columns=names)
    columns = [
        (
            _converted(rows.column(stored[name]), kind, name, item, table)
            if name in stored
            else pa.nulls(file.metadata.num_rows, _arrow_type(kind, table))
        )
        for name, kind in wanted
    ]
    return _rows(columns, wanted, file.metadata.num_rows), _column_bytes(file.metadata, set(names))


def _column_bytes(metadata: Any, names: set[str]) -> int:
    groups = (metadata.row_group(index) for index in range(metadata.num_row_groups))
    chunks = (group.column(index) for group in groups for index in range(group.num_columns))
    return sum(
        chunk.total_compressed_size
        for chunk in chunks
        if chunk.path_in_schema.partition(".")[0] in names
    )


def _rows(columns: Sequence[Any], wanted: Columns, count: int) -> pa.Table:
    names = [name for name, _ in wanted]
    return pa.table([*columns, pa.nulls(count)], names=[*names, _ROWS])


def _converted(column: Any, kind: Type, name: str, item: S3Object, table: Table) -> Any:
    """Converts a stored column to the catalog's type; raises HIVE_BAD_DATA if Athena would."""
    target = _arrow_type(kind, table)
    if column.type == target:
        return column
    if _family(column.type) != _family(target):
        message = (
            f"Field {name}'s type {column.type} in parquet file {item.url} is incompatible with"
            f" type {kind}"
        )
        raise QueryFailed("HIVE_BAD_DATA", f"{message} defined in table schema")
    return column.cast(target, safe=not pa.types.is_timestamp(target))


def _family(kind: pa.DataType) -> str:
    families = {
        "whole": pa.types.is_integer, "float": pa.types.is_floating, "decimal": pa.types.is_decimal,
        "moment": pa.types.is_timestamp, "date": pa.types.is_date, "flag": pa.types.is_boolean,
        "nested": pa.types.is_nested,
    }  # fmt: skip
    if any(
        test(kind)
        for test in (
            pa.types.is_string,
            pa.types.is_large_string,
            pa.types.is_binary,
            pa.types.is_large_binary,
        )
    ):
        return "text"
    return next((name for name, test in families.items() if test(kind)), str(kind))


def _properties(table: Table, descriptor: dict[str, Any]) -> dict[str, str]:
    return {
        **table.raw.get("Parameters", {}),
        **descriptor.get("SerdeInfo", {}).get("Parameters", {}),
    }


def _read_text(
    item: S3Object, body: bytes, table: Table, descriptor: dict[str, Any], wanted: Columns
) -> tuple[pa.Table, int]:
    return _text_rows(item, body, table, _properties(table, descriptor), LazySimple, wanted)


def _read_csv(
    item: S3Object, body: bytes, table: Table, descriptor: dict[str, Any], wanted: Columns
) -> tuple[pa.Table, int]:
    return _text_rows(item, body, table, _properties(table, descriptor), OpenCsv, wanted)


def _text_rows(
    item: S3Object,
    body: bytes,
    table: Table,
    properties: dict[str, str],
    form: type[LazySimple | OpenCsv],
    wanted: Columns,
) -> tuple[pa.Table, int]:
    """Reads columns by their position in the line; missing values at its end are NULL."""
    serde, kinds = form.of(properties), [kind for _, kind in table.columns]
    rows = [serde.row(line, kinds) for line in read_lines(item.key, body, properties)]
    places = {name: index for index, (name, _) in enumerate(table.columns)}
    columns = []
    for name, kind in wanted:
        place = places[name]
        values = [row[place] if place < len(row) else None for row in rows]
        columns.append(pa.array(values, text_arrow_type(kind)))
    return _rows(columns, wanted, len(rows)), item.size


def _read_json(
    item: S3Object, body: bytes, table: Table, descriptor: dict[str, Any], wanted: Columns
) -> tuple[pa.Table, int]:
    properties = _properties(table, descriptor)
    lines = enumerate(read_lines(item.key, body, properties), 1)
    records = [_record(line, number, item, properties) for number, line in lines if line.strip()]
    keys = {name: properties.get(f"mapping.{name}", name).lower() for name, _ in wanted}
    columns = [
        _json_column([record.get(keys[name]) for record in records], kind, name, item, table)
        for name, kind in wanted
    ]
    return _rows(columns, wanted, len(records)), item.size


def _record(line: str, number: int, item: S3Object, properties: dict[str, str]) -> dict[str, Any]:
    """Parses one line as a JSON object, under the SerDe's properties.

    https://docs.aws.amazon.com/athena/latest/ug/openx-json-serde.html
    """
    try:
        found = {key.lower(): value for key, value in json.loads(line).items()}
    except (ValueError, AttributeError) as error:
        if properties.get("ignore.malformed.json", "").lower() in ("true", "1"):
            return {}
        message = (
            f"Row is not a valid JSON Object - JSONException: {error} [{item.url} line {number}]"
        )
        raise QueryFailed("HIVE_CURSOR_ERROR", message) from error
    dots = properties.get("dots.in.keys", "").lower() == "true"
    return {key.replace(".", "_"): value for key, value in found.items()} if dots else found


_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "varchar": lambda value: value if isinstance(value, str) else json.dumps(value),
    "date": lambda value: date.fromisoformat(value),
    "timestamp": lambda value: datetime.fromisoformat(value),
    "decimal": lambda value: Decimal(str(value)),
}


def _from_json(value: Any, kind: Type) -> Any:
    """Converts a JSON value for ``arrow_type(kind)``; names of fields are case-insensitive."""
    if value is None:
        return None
    if kind.name == "array":
        return [_from_json(item, kind.items[0]) for item in value]
    if kind.name == "map":
        return [(key, _from_json(item, kind.items[1])) for key, item in value.items()]
    if kind.name == "row":
        found = {key.lower(): item for key, item in value.items()}
        return {
            key: _from_json(found.get(key), item)
            for key, item in zip(kind.field_keys(), kind.items, strict=True)
        }
    return _FROM_JSON.get(kind.name, lambda plain: plain)(value)


def _json_column(values: list[Any], kind: Type, name: str, item: S3Object, table: Table) -> Any:
    try:
        return pa.array([_from_json(value, kind) for value in values], _arrow_type(kind, table))
    except (
        pa.ArrowInvalid,
        pa.ArrowTypeError,
        AttributeError,
        TypeError,
        ValueError,
        ArithmeticError,
    ) as error:
        raise QueryFailed(
            "HIVE_BAD_DATA", f"Error Parsing a column in the table: {name}: {error} [{item.url}]"
        ) from error


_READERS: dict[str, Reader] = {
    "ParquetHiveSerDe": _read_parquet,
    "LazySimpleSerDe": _read_text,
    "OpenCSVSerde": _read_csv,
    "JsonSerDe": _read_json,
}


def _arrow_type(kind: Type, table: Table) -> pa.DataType:
    """The Arrow type in which a column is read; columns of text formats are read as text."""
    if (
        table.descriptor.get("SerdeInfo", {})
        .get("SerializationLibrary", "")
        .endswith(("LazySimpleSerDe", "OpenCSVSerde"))
    ):
        return text_arrow_type(kind)
    return arrow_type(kind)


_ARROW = {
    "boolean": pa.bool_(), "tinyint": pa.int8(), "smallint": pa.int16(), "integer": pa.int32(),
    "bigint": pa.int64(),
    "real": pa.float32(), "double": pa.float64(), "varchar": pa.string(), "char": pa.string(),
    "varbinary": pa.binary(),
    "date": pa.date32(), "timestamp": pa.timestamp("us"),
}  # fmt: skip


def arrow_type(kind: Type) -> pa.DataType:
    """The Arrow type of a Trino type."""
    if kind.name == "decimal":
        return pa.decimal128(*kind.params)
    if kind.name == "array":
        return pa.list_(arrow_type(kind.items[0]))
    if kind.name == "map":
        return pa.map_(arrow_type(kind.items[0]), arrow_type(kind.items[1]))
    if kind.name == "row":
        return pa.struct(
            [
                (key, arrow_type(item))
                for key, item in zip(kind.field_keys(), kind.items, strict=True)
            ]
        )
    return _ARROW[kind.name]
