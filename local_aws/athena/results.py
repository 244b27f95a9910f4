"""Formats results: values as text, column descriptions, rows, and the results file."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from local_aws.athena.errors import unsupported
from local_aws.athena.types import Type

Row = list[str | None]
HIVE_TEXT = Type("string")  # the type of SHOW's and DESCRIBE's columns in Hive


@dataclass
class Result:
    """A statement's result: columns, rows as text, and facts for the API.

    ``has_header``: the API's first row and the file's first line are the column names. This is
    true for SELECT. DDL has no header, and its file is plain text.
    """

    columns: list[tuple[str, Type]] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)
    has_header: bool = False
    scanned_bytes: int = 0
    update_count: int | None = None
    manifest: list[str] | None = None  # the objects that CTAS, INSERT or UNLOAD wrote


def text_result(name: str, lines: Iterable[str]) -> Result:
    """A result with one column of text and no header, as SHOW returns it."""
    return Result([(name, HIVE_TEXT)], [[line] for line in lines])


# values


def formatted(value: Any, kind: Type) -> str | None:
    """A value as Athena prints it; None means NULL."""
    if value is None:
        return None
    text: str | None = _FORMATTERS.get(kind.name, _plain)(value, kind)
    return text


def _plain(value: Any, kind: Type) -> str:
    return str(value)


def _boolean(value: bool, kind: Type) -> str:
    return "true" if value else "false"


def _decimal(value: Decimal, kind: Type) -> str:
    return f"{value:.{kind.params[1]}f}"


def _timestamp(value: Any, kind: Type) -> str:
    digits = max(3, kind.params[0])
    return f"{value:%Y-%m-%d %H:%M:%S}.{value.microsecond:06d}"[: 20 + min(digits, 6)]


def _zoned(value: datetime, kind: Type) -> str:
    """Formats a value inside an array, map or row; DuckDB formats whole columns of this type."""
    return f"{_timestamp(value.astimezone(ZoneInfo(kind.zone)), kind)} {kind.zone}"


def _interval(value: Any, kind: Type) -> str:
    raise unsupported(f"{kind} inside an array, map or row of a result")


def _text(value: Any, kind: Type) -> str:
    """DuckDB has already formatted a whole column as text; nested values are formatted here."""
    return value if isinstance(value, str) else _INNER[kind.name](value, kind)


def _binary(value: bytes, kind: Type) -> str:
    return " ".join(f"{byte:02x}" for byte in value)


def _array(value: Sequence[Any], kind: Type) -> str:
    return "[" + ", ".join(_inner(item, kind.items[0]) for item in value) + "]"


def _map(value: dict[Any, Any], kind: Type) -> str:
    return (
        "{"
        + ", ".join(
            f"{_inner(key, kind.items[0])}={_inner(item, kind.items[1])}"
            for key, item in value.items()
        )
        + "}"
    )


def _row(value: dict[str, Any], kind: Type) -> str:
    pairs = zip(kind.field_keys(), value.values(), kind.items, strict=True)
    return "{" + ", ".join(f"{key}={_inner(item, inner)}" for key, item, inner in pairs) + "}"


def _inner(value: Any, kind: Type) -> str:
    text = formatted(value, kind)
    return "null" if text is None else text


def java_double(value: float | None) -> str | None:
    """As in Java's Double.toString: plain from 0.001 up to 10,000,000, else as in ``1.0E7``."""
    return None if value is None else _java(value, repr(value))


def java_real(value: float | None) -> str | None:
    """As in Java's Float.toString: the shortest digits that identify the float."""
    if value is None or not math.isfinite(value):
        return java_double(value)
    shortest = next(
        text
        for digits in range(1, 10)
        if _as_real(float(text := f"{value:.{digits}g}")) == _as_real(value)
    )
    return _java(value, repr(float(shortest)))


def _as_real(value: float) -> bytes:
    return struct.pack("f", value)


def _java(value: float, text: str) -> str:
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        return f"{Decimal(text):f}" if "e" in text else text
    sign, digits, exponent = Decimal(text).normalize().as_tuple()
    fraction = "".join(map(str, digits[1:])) or "0"
    return f"{'-' if sign else ''}{digits[0]}.{fraction}E{len(digits) - 1 + int(exponent)}"


_INNER = {
    "timestamp with time zone": _zoned,
    "interval day to second": _interval,
    "interval year to month": _interval,
}
_FORMATTERS: dict[str, Any] = {
    **dict.fromkeys(_INNER, _text),
    "boolean": _boolean,
    "decimal": _decimal,
    "double": lambda value, kind: java_double(value),
    "real": lambda value, kind: java_real(value),
    "timestamp": _timestamp,
    "varbinary": _binary,
    "array": _array,
    "map": _map,
    "row": _row,
    "time": lambda value, kind: f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}",
}


# the API and the file

_PRECISIONS = {
    "tinyint": 3,
    "smallint": 5,
    "integer": 10,
    "bigint": 19,
    "real": 17,
    "double": 17,
    "varchar": 2147483647,
    "varbinary": 1073741824,
    "timestamp": 3,
    "timestamp with time zone": 3,
    "time": 3,
}
_NAMES = {"real": "float"}


def column_info(name: str, kind: Type) -> dict[str, Any]:
    """The description of a column as in the API's ``ResultSetMetadata``."""
    precision, scale = _PRECISIONS.get(kind.name, 0), 0
    if kind.name == "decimal":
        precision, scale = kind.params
    elif kind.name in ("varchar", "char") and kind.params:
        precision = kind.params[0]
    return {
        "CatalogName": "hive",
        "SchemaName": "",
        "TableName": "",
        "Name": name,
        "Label": name,
        "Type": _NAMES.get(kind.name, kind.name),
        "Precision": precision,
        "Scale": scale,
        "Nullable": "UNKNOWN",
        "CaseSensitive": kind.name in ("varchar", "char"),
    }


def api_rows(result: Result) -> list[Row]:
    """All rows that GetQueryResults returns, with the header."""
    header: list[Row] = [[name for name, _ in result.columns]] if result.has_header else []
    return header + result.rows


def api_row(row: Row) -> dict[str, Any]:
    """One row in the API's format, where NULL is an empty object."""
    return {"Data": [{} if value is None else {"VarCharValue": value} for value in row]}


def file_text(result: Result) -> str:
    """The results file of a query (CSV, all values quoted, NULL empty) or of DDL (plain lines)."""
    if result.has_header:
        return "".join(",".join(map(_quoted, row)) + "\n" for row in api_rows(result))
    return "".join("\t".join(value or "" for value in row) + "\n" for row in result.rows)


def _quoted(value: str | None) -> str:
    return "" if value is None else '"' + value.replace('"', '""') + '"'
