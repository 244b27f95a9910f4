"""Trino's types, their names in SQL, in the catalog and in DuckDB, and coercion between them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from local_aws.athena.errors import QueryFailed, unsupported


@dataclass(frozen=True)
class Type:
    """One type.

    - ``params``: the length, or precision and scale.
    - ``items``: the type of an array's elements, a map's key and value, or a row's fields.
    - ``fields``: the names of a row's fields (``None``: no name).
    - ``zone``: the time zone of a timestamp with time zone.
    """

    name: str
    params: tuple[int, ...] = ()
    items: tuple[Type, ...] = ()
    fields: tuple[str | None, ...] = ()
    zone: str = "UTC"

    def __str__(self) -> str:
        """The type as Trino writes it in messages and in ``typeof``."""
        if self.name == "row":
            parts = (
                f"{name} {kind}" if name else str(kind)
                for name, kind in zip(self.fields, self.items, strict=True)
            )
            return f"row({', '.join(parts)})"
        if self.items:
            return f"{self.name}({', '.join(map(str, self.items))})"
        if self.name in _ZONED:
            return f"{self.name.split(' ')[0]}({self.params[0]}) with time zone"
        return f"{self.name}({','.join(map(str, self.params))})" if self.params else self.name

    def field_keys(self) -> list[str]:
        """The names of a row's fields in DuckDB, where every field needs a name."""
        return [name.lower() if name else f"field{index}" for index, name in enumerate(self.fields)]


BOOLEAN, INTEGER, BIGINT, DOUBLE = (
    Type(name) for name in ("boolean", "integer", "bigint", "double")
)
VARCHAR, VARBINARY, DATE = (Type(name) for name in ("varchar", "varbinary", "date"))
UNKNOWN = Type("unknown")
ZONED = Type("timestamp with time zone", (3,))
TIME = Type("time", (3,))
DAY_TIME, YEAR_MONTH = Type("interval day to second"), Type("interval year to month")

_ZONED = ("timestamp with time zone",)
INTEGERS = ("tinyint", "smallint", "integer", "bigint")
FLOATS = ("real", "double")
_DIGITS = {"tinyint": 3, "smallint": 5, "integer": 10, "bigint": 19}


def decimal(precision: int, scale: int) -> Type:
    """A decimal; the precision is at most 38."""
    return Type("decimal", (min(38, precision), scale))


def array(item: Type) -> Type:
    return Type("array", items=(item,))


def row(items: Sequence[Type], names: Sequence[str | None] | None = None) -> Type:
    """A row; without ``names`` its fields have no names."""
    return Type("row", items=tuple(items), fields=tuple(names or (None,) * len(items)))


def is_number(kind: Type) -> bool:
    return kind.name in INTEGERS or kind.name in FLOATS or kind.name == "decimal"


def as_decimal(kind: Type) -> Type:
    """The decimal that holds every value of an integer type; decimals stay the same."""
    return Type("decimal", (_DIGITS[kind.name], 0)) if kind.name in INTEGERS else kind


# coercion


_WIDENS = {
    "tinyint": ("smallint", "integer", "bigint", "decimal", "real", "double"),
    "smallint": ("integer", "bigint", "decimal", "real", "double"),
    "integer": ("bigint", "decimal", "real", "double"),
    "bigint": ("decimal", "real", "double"),
    "decimal": ("real", "double"),
    "real": ("double",),
    "date": ("timestamp", "timestamp with time zone"),
    "timestamp": ("timestamp with time zone",),
    "char": ("varchar",),
}
_SAME_FAMILY = ("varchar", "char", "decimal", "timestamp", "timestamp with time zone", "time")


def common(first: Type, second: Type) -> Type | None:
    """The type to which both types coerce, or None. Trino never coerces text to numbers."""
    if first == second or second.name == "unknown":
        return first
    if first.name == "unknown":
        return second
    if first.name == second.name:
        return _common_of_family(first, second)
    if (
        first.name == "decimal"
        and second.name in INTEGERS
        or second.name == "decimal"
        and first.name in INTEGERS
    ):
        return _common_of_family(as_decimal(first), as_decimal(second))
    if second.name in _WIDENS.get(first.name, ()):
        return _widened(first, second)
    if first.name in _WIDENS.get(second.name, ()):
        return _widened(second, first)
    return None


def _widened(narrow: Type, wide: Type) -> Type:
    if wide.name == "varchar" and wide.params:
        return Type("varchar", (max(wide.params[0], narrow.params[0]),))
    return wide


def _common_of_family(first: Type, second: Type) -> Type | None:
    if first.name == "decimal":
        scale = max(first.params[1], second.params[1])
        return decimal(
            max(first.params[0] - first.params[1], second.params[0] - second.params[1]) + scale,
            scale,
        )
    if first.name in _SAME_FAMILY:
        params = (max(first.params[0], second.params[0]),) if first.params and second.params else ()
        return Type(first.name, params, zone=first.zone)
    if len(first.items) != len(second.items):
        return None
    items = [common(mine, theirs) for mine, theirs in zip(first.items, second.items, strict=True)]
    if not items or None in items:
        return None
    names = tuple(
        mine if mine == theirs else None
        for mine, theirs in zip(first.fields, second.fields, strict=True)
    )
    return Type(first.name, items=tuple(item for item in items if item), fields=names)


def coerces(given: Type, wanted: Type) -> bool:
    if given.name == "decimal" and wanted.name == "decimal":
        return common(given, wanted) == wanted
    if wanted.name == "decimal" and given.name in INTEGERS:
        return common(as_decimal(given), wanted) == wanted
    shared = common(given, wanted)
    return (
        shared is not None
        and shared.name == wanted.name
        and (not wanted.items or shared.items == wanted.items)
    )


# DuckDB


_DUCKDB = {
    "boolean": "BOOLEAN", "tinyint": "TINYINT", "smallint": "SMALLINT", "integer": "INTEGER",
    "bigint": "BIGINT",
    "real": "FLOAT", "double": "DOUBLE", "varchar": "VARCHAR", "char": "VARCHAR",
    "varbinary": "BLOB", "date": "DATE",
    "timestamp": "TIMESTAMP", "timestamp with time zone": "TIMESTAMPTZ", "time": "TIME",
    "json": "JSON",
    "interval day to second": "INTERVAL", "interval year to month": "INTERVAL", "unknown": '"NULL"',
}  # fmt: skip


def duckdb_type(kind: Type) -> str:
    if kind.name == "decimal":
        return f"DECIMAL({kind.params[0]},{kind.params[1]})"
    if kind.name == "array":
        return f"{duckdb_type(kind.items[0])}[]"
    if kind.name == "map":
        return f"MAP({duckdb_type(kind.items[0])}, {duckdb_type(kind.items[1])})"
    if kind.name == "row":
        parts = (
            f'"{key}" {duckdb_type(item)}'
            for key, item in zip(kind.field_keys(), kind.items, strict=True)
        )
        return f"STRUCT({', '.join(parts)})"
    return _DUCKDB[kind.name]


# names in SQL and in the catalog


_NAMES = {
    exp.DType.INT: "integer",
    exp.DType.FLOAT: "real",
    exp.DType.STRUCT: "row",
    exp.DType.TIMESTAMPTZ: "timestamp with time zone",
    **{
        exp.DType[name.upper()]: name
        for name in (
            "boolean tinyint smallint bigint double decimal varchar char varbinary "
            "date time timestamp json array map"
        ).split()
    },
}
_HIVE_NAMES = {**_NAMES, exp.DType.TEXT: "varchar", exp.DType.BINARY: "varbinary"}
_PRECISIONS = {
    "timestamp": (3,),
    "timestamp with time zone": (3,),
    "time": (3,),
    "char": (1,),
    "decimal": (38, 0),
}
# types that sqlglot does not know
_NO_TYPES_OF_SQL = {str(kind): kind for kind in (UNKNOWN, DAY_TIME, YEAR_MONTH)}


@functools.cache
def parse_type(text: str) -> Type:
    """Parses a type as written in SQL; raises ``QueryFailed`` if it is unknown."""
    return _NO_TYPES_OF_SQL.get(text) or _parsed(text, "trino", _NAMES)


@functools.cache
def hive_type(text: str) -> Type:
    """Parses a type as written in the catalog: ``array<int>``, ``struct<a:int>``, ``string``."""
    return _parsed(text, "hive", _HIVE_NAMES)


def _parsed(text: str, dialect: str, names: Mapping[Any, str]) -> Type:
    try:
        return type_of(exp.DataType.build(text, dialect=dialect), names)
    except (ParseError, TokenError) as error:
        raise QueryFailed("TYPE_MISMATCH", f"Unknown type: {text}") from error


def type_of(node: exp.Expr, names: Mapping[Any, str] = _NAMES) -> Type:
    """Converts sqlglot's node to a type; raises ``QueryFailed`` if the type is unknown."""
    name = names.get(node.this) if isinstance(node, exp.DataType) else None
    if name is None:
        if node.this == exp.DType.TIMETZ:
            raise unsupported("time with time zone")
        raise QueryFailed("TYPE_MISMATCH", f"Unknown type: {node.sql(dialect='hive').lower()}")
    if name == "row":
        named = [
            item.name.lower() if isinstance(item, exp.ColumnDef) else None
            for item in node.expressions
        ]
        return row(
            [type_of(item.args.get("kind") or item, names) for item in node.expressions], named
        )
    if name in ("array", "map"):
        return Type(name, items=tuple(type_of(item, names) for item in node.expressions))
    given = tuple(int(item.this.name) for item in node.expressions)
    return Type(name, given + _PRECISIONS.get(name, ())[len(given) :])


_TO_HIVE = {"varchar": "string", "real": "float", "varbinary": "binary", "integer": "int"}


def to_hive(kind: Type) -> str:
    """Writes a type as in the catalog; raises ``QueryFailed`` if Hive has no such type."""
    if kind.name == "array":
        return f"array<{to_hive(kind.items[0])}>"
    if kind.name == "map":
        return f"map<{to_hive(kind.items[0])},{to_hive(kind.items[1])}>"
    if kind.name == "row":
        parts = (
            f"{key}:{to_hive(item)}"
            for key, item in zip(kind.field_keys(), kind.items, strict=True)
        )
        return f"struct<{','.join(parts)}>"
    if kind.name in ("timestamp with time zone", "unknown", "json", "time") or kind.name.startswith(
        "interval"
    ):
        raise QueryFailed("NOT_SUPPORTED", f"Unsupported Hive type: {kind}")
    if kind.name in ("varchar", "char", "decimal") and kind.params:
        return str(kind)
    return _TO_HIVE.get(kind.name, kind.name)
