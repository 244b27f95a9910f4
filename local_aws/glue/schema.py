"""Detects the format and columns of a file as AWS's classifiers do, and merges schemas."""

from __future__ import annotations

import csv
import io
import json
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from local_aws.glue.listing import S3File

HEAD_BYTES = 1 << 20  # AWS's classifiers read the first megabyte of a file
# enough for the footer of a few hundred columns; a longer footer needs a second request
FOOTER_BYTES = 1 << 16
DELIMITERS = ",|\t;\x01"
SIMILAR = 0.7  # minimum share of equal columns for AWS to merge two schemas

_PARQUET_MAGIC = b"PAR1"
_NAME = re.compile(r"[A-Za-z0-9_ .\-#/()]+")
_BIGINT = re.compile(r"[+-]?\d{1,18}")
_DOUBLE = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class FileSchema:
    """Format, columns (lower-case name -> Hive type), number of rows, format parameters."""

    classification: str
    columns: Mapping[str, str]
    records: int
    compression: str = "none"
    details: Mapping[str, str] = field(default_factory=dict)


UNKNOWN = FileSchema("UNKNOWN", {}, 0)


def read_schema(s3: Any, file: S3File) -> FileSchema:
    """Reads the schema of one object from its footer or its start, mostly in one request."""
    if file.key.endswith((".gz", ".gzip")):
        head = zlib.decompressobj(wbits=31).decompress(
            _bytes(s3, file, f"bytes=0-{HEAD_BYTES - 1}"), HEAD_BYTES
        )
        return _text_schema(head, file.size, "gzip")
    if file.key.endswith((".csv", ".json", ".jsonl", ".txt", ".tsv")):
        return _text_schema(_bytes(s3, file, f"bytes=0-{HEAD_BYTES - 1}"), file.size, "none")
    tail = _bytes(s3, file, f"bytes=-{FOOTER_BYTES}")
    if tail[-4:] == _PARQUET_MAGIC:
        return _parquet_schema(s3, file, tail)
    head = tail if file.size <= FOOTER_BYTES else _bytes(s3, file, f"bytes=0-{HEAD_BYTES - 1}")
    return _text_schema(head, file.size, "none")


def _bytes(s3: Any, file: S3File, wanted: str) -> bytes:
    body: bytes = s3.get_object(Bucket=file.bucket, Key=file.key, Range=wanted)["Body"].read()
    return body


# Parquet


def _parquet_schema(s3: Any, file: S3File, tail: bytes) -> FileSchema:
    import pyarrow.parquet as pq

    footer = int.from_bytes(tail[-8:-4], "little") + 8
    if footer > len(tail):
        tail = _bytes(s3, file, f"bytes=-{footer}")
    # Reading metadata needs only the magic bytes at the start and the footer at the end.
    metadata = pq.read_metadata(io.BytesIO(_PARQUET_MAGIC + tail[-footer:]))
    columns = {
        field.name.lower(): catalog_type(field.type) for field in metadata.schema.to_arrow_schema()
    }
    return FileSchema("parquet", columns, metadata.num_rows)


_ARROW_TO_HIVE = {
    "bool": "boolean", "int8": "tinyint", "int16": "smallint", "int32": "int", "int64": "bigint",
    "uint8": "smallint", "uint16": "int", "uint32": "bigint", "uint64": "decimal(20,0)",
    "halffloat": "float", "float": "float", "double": "double", "date32[day]": "date",
    "string": "string", "large_string": "string", "binary": "binary", "large_binary": "binary",
}  # fmt: skip


def catalog_type(arrow: Any) -> str:
    """The name of an Arrow type in the catalog."""
    import pyarrow.types as t

    if str(arrow) in _ARROW_TO_HIVE:
        return _ARROW_TO_HIVE[str(arrow)]
    if t.is_timestamp(arrow):
        return "timestamp"
    if t.is_decimal(arrow):
        return f"decimal({arrow.precision},{arrow.scale})"
    if t.is_list(arrow) or t.is_large_list(arrow):
        return f"array<{catalog_type(arrow.value_type)}>"
    if t.is_map(arrow):
        return f"map<{catalog_type(arrow.key_type)},{catalog_type(arrow.item_type)}>"
    if t.is_struct(arrow):
        return (
            "struct<"
            + ",".join(f"{field.name.lower()}:{catalog_type(field.type)}" for field in arrow)
            + ">"
        )
    if t.is_fixed_size_binary(arrow):
        return "binary"
    return "string"


# text


def _text_schema(head: bytes, size: int, compression: str) -> FileSchema:
    text = head.decode("utf-8", errors="replace").removeprefix("\ufeff")
    if len(head) >= HEAD_BYTES:
        text = text[: text.rfind("\n") + 1]  # the last line is incomplete
    return _json_schema(text, size, compression) or _csv_schema(text, size, compression) or UNKNOWN


def _json_schema(text: str, size: int, compression: str) -> FileSchema | None:
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines or not lines[0].lstrip().startswith("{"):
        return None
    try:
        rows = [json.loads(line) for line in lines]
    except ValueError:
        return None
    columns: dict[str, str] = {}
    for row in rows:
        columns = merged_columns(
            columns,
            {key.lower(): _json_type(value) for key, value in row.items() if value is not None},
        )
    paths = ",".join(sorted({key for row in rows for key in row}))
    return FileSchema(
        "json", columns, _estimated(len(rows), len(text), size), compression, {"paths": paths}
    )


def _json_type(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int):
        return "int" if -(2**31) <= value < 2**31 else "bigint"
    if isinstance(value, float):
        return "double"
    if isinstance(value, list):
        kinds: dict[str, str] = {}
        for item in value:
            kinds = merged_columns(kinds, {"item": _json_type(item)})
        return f"array<{kinds.get('item', 'string')}>"
    if isinstance(value, dict):
        return (
            "struct<"
            + ",".join(f"{key.lower()}:{_json_type(inner)}" for key, inner in value.items())
            + ">"
        )
    return "string"


def _csv_schema(text: str, size: int, compression: str) -> FileSchema | None:
    for delimiter in DELIMITERS:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if row]
        if _is_table(rows):
            return _csv_of(rows, delimiter, text, size, compression)
    return None


def _is_table(rows: Sequence[Sequence[str]]) -> bool:
    """AWS's rule for CSV: at least two rows and two columns; all rows have the same width."""
    return len(rows) >= 2 and len(rows[0]) >= 2 and all(len(row) == len(rows[0]) for row in rows)


def _csv_of(
    rows: list[list[str]], delimiter: str, text: str, size: int, compression: str
) -> FileSchema:
    types = [_column_type(cells) for cells in zip(*rows[1:], strict=True)]
    header = _is_header(rows[0], types)
    if header:
        names = [name.strip().lower() for name in rows[0]]
    else:
        names = [f"col{index}" for index in range(len(rows[0]))]
        types = [_column_type(cells) for cells in zip(*rows, strict=True)]
    details = {
        "delimiter": delimiter,
        "columnsOrdered": "true",
        "areColumnsQuoted": str(text.startswith('"')).lower(),
    }
    if header:
        details["skip.header.line.count"] = "1"
    records = _estimated(len(rows) - header, len(text), size)
    return FileSchema("csv", dict(zip(names, types, strict=True)), records, compression, details)


def _is_header(first: Sequence[str], types: Sequence[str]) -> bool:
    """AWS's rule: a header consists of distinct names, and a column below it is numeric.

    A CSV file that contains only text therefore has no header.
    """
    named = all(
        _NAME.fullmatch(cell.strip()) and len(cell) < 150 and _cell_type(cell) == "string"
        for cell in first
    )
    return named and len(set(first)) == len(first) and any(kind != "string" for kind in types)


def _column_type(cells: Iterable[str]) -> str:
    kinds = {_cell_type(cell) for cell in cells if cell.strip()}
    if kinds == {"bigint"}:
        return "bigint"
    return "double" if kinds and kinds <= {"bigint", "double"} else "string"


def _cell_type(cell: str) -> str:
    if _BIGINT.fullmatch(cell.strip()):
        return "bigint"
    return "double" if _DOUBLE.fullmatch(cell.strip()) else "string"


def _estimated(rows: int, sampled: int, size: int) -> int:
    return rows if sampled >= size or not sampled else round(rows * size / sampled)


# merging


def mergeable(first: FileSchema, second: FileSchema, combine: bool) -> bool:
    """Returns whether two files belong to one table.

    The formats must be equal, and the columns similar (or only compatible, with ``combine``).
    """
    same_format = (first.classification, first.compression) == (
        second.classification,
        second.compression,
    )
    same_format = same_format and first.details.get("delimiter") == second.details.get("delimiter")
    if not same_format or combine:
        return same_format and all(
            _wider(kind, second.columns[name]) is not None
            for name, kind in first.columns.items()
            if name in second.columns
        )
    common = sum(second.columns.get(name) == kind for name, kind in first.columns.items())
    return common >= SIMILAR * max(len(first.columns), len(second.columns))


def merged(first: FileSchema, second: FileSchema) -> FileSchema:
    """Merges two schemas; the columns of ``first`` come first."""
    return FileSchema(
        first.classification,
        merged_columns(first.columns, second.columns),
        first.records + second.records,
        first.compression,
        {**second.details, **first.details},
    )


def merged_columns(first: Mapping[str, str], second: Mapping[str, str]) -> dict[str, str]:
    """Merges columns; if the types differ, takes the wider type, or ``string`` if there is none."""
    result = dict(first)
    for name, kind in second.items():
        result[name] = (_wider(result[name], kind) or "string") if name in result else kind
    return result


_NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")


def _wider(first: str, second: str) -> str | None:
    if first == second:
        return first
    if first in _NUMBERS and second in _NUMBERS:
        return max(first, second, key=_NUMBERS.index)
    if first.startswith("decimal(") and second.startswith("decimal("):
        return _wider_decimal(first, second)
    return (
        "string"
        if "string" in (first, second) and not {first[:5], second[:5]} & {"array", "struc", "map<s"}
        else None
    )


def _wider_decimal(first: str, second: str) -> str:
    (p1, s1), (p2, s2) = (map(int, kind[8:-1].split(",")) for kind in (first, second))
    scale = max(s1, s2)
    return f"decimal({min(38, max(p1 - s1, p2 - s2) + scale)},{scale})"
