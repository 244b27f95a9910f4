"""Trino's types: their names, how the catalog and DuckDB call them, what they coerce to, and which type two of them share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from local_aws.athena.errors import QueryFailed, not_done


@dataclass(frozen=True)
class Type:
    """One type. ``params``: length, precision and scale; ``items``: element, key and value, or field types;
    ``fields``: a row's field names (``None`` where it has none); ``zone``: in which a timestamp with time zone is shown."""

    name: str
    params: tuple[int, ...] = ()
    items: tuple[Type, ...] = ()
    fields: tuple[str | None, ...] = ()
    zone: str = "UTC"

    def __str__(self) -> str:
        """As Trino writes it in messages and in ``typeof``."""
        if self.name == "row":
            parts = (f"{name} {kind}" if name else str(kind) for name, kind in zip(self.fields, self.items, strict=True))
            return f"row({', '.join(parts)})"
        if self.items:
            return f"{self.name}({', '.join(map(str, self.items))})"
        if self.name in _ZONED:
            return f"{self.name.split(' ')[0]}({self.params[0]}) with time zone"
        return f"{self.name}({','.join(map(str, self.params))})" if self.params else self.name

    def field_keys(self) -> list[str]:
        """The names of a row's fields in DuckDB, where every field has one."""
        return [name.lower() if name else f"field{index}" for index, name in enumerate(self.fields)]


BOOLEAN, INTEGER, BIGINT, DOUBLE = (Type(name) for name in ("boolean", "integer", "bigint", "double"))
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
    """A decimal; precision ends at 38."""
    return Type("decimal", (min(38, precision), scale))


def array(item: Type) -> Type:
    """An array of ``item``."""
    return Type("array", items=(item,))


def row(items: Sequence[Type], names: Sequence[str | None] | None = None) -> Type:
    """A row; without ``names`` its fields have none."""
    return Type("row", items=tuple(items), fields=tuple(names or (None,) * len(items)))


def is_number(kind: Type) -> bool:
    """Whether arithmetic is defined on it."""
    return kind.name in INTEGERS or kind.name in FLOATS or kind.name == "decimal"


def as_decimal(kind: Type) -> Type:
    """The decimal that holds every value of an integer type; decimals are themselves."""
    return Type("decimal", (_DIGITS[kind.name], 0)) if kind.name in INTEGERS else kind


# what coerces to what


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


def common(one: Type, other: Type) -> Type | None:
    """The type both coerce to without being asked, or None: Trino never turns text into numbers or back."""
    if one == other or other.name == "unknown":
        return one
    if one.name == "unknown":
        return other
    if one.name == other.name:
        return _common_of_family(one, other)
    if one.name == "decimal" and other.name in INTEGERS or other.name == "decimal" and one.name in INTEGERS:
        return _common_of_family(as_decimal(one), as_decimal(other))
    if other.name in _WIDENS.get(one.name, ()):
        return _widened(one, other)
    if one.name in _WIDENS.get(other.name, ()):
        return _widened(other, one)
    return None


def _widened(narrow: Type, wide: Type) -> Type:
    if wide.name == "varchar" and wide.params:
        return Type("varchar", (max(wide.params[0], narrow.params[0]),))
    return wide


def _common_of_family(one: Type, other: Type) -> Type | None:
    if one.name == "decimal":
        scale = max(one.params[1], other.params[1])
        return decimal(max(one.params[0] - one.params[1], other.params[0] - other.params[1]) + scale, scale)
    if one.name in _SAME_FAMILY:
        params = (max(one.params[0], other.params[0]),) if one.params and other.params else ()
        return Type(one.name, params, zone=one.zone)
    if len(one.items) != len(other.items):
        return None
    items = [common(mine, theirs) for mine, theirs in zip(one.items, other.items, strict=True)]
    if not items or None in items:
        return None
    names = tuple(mine if mine == theirs else None for mine, theirs in zip(one.fields, other.fields, strict=True))
    return Type(one.name, items=tuple(item for item in items if item), fields=names)


def coerces(given: Type, wanted: Type) -> bool:
    """Whether ``given`` may stand where ``wanted`` is asked for."""
    if given.name == "decimal" and wanted.name == "decimal":
        return common(given, wanted) == wanted
    if wanted.name == "decimal" and given.name in INTEGERS:
        return common(as_decimal(given), wanted) == wanted
    shared = common(given, wanted)
    return shared is not None and shared.name == wanted.name and (not wanted.items or shared.items == wanted.items)


# DuckDB


_DUCKDB = {
    "boolean": "BOOLEAN", "tinyint": "TINYINT", "smallint": "SMALLINT", "integer": "INTEGER", "bigint": "BIGINT",
    "real": "FLOAT", "double": "DOUBLE", "varchar": "VARCHAR", "char": "VARCHAR", "varbinary": "BLOB", "date": "DATE",
    "timestamp": "TIMESTAMP", "timestamp with time zone": "TIMESTAMPTZ", "time": "TIME", "json": "JSON",
    "interval day to second": "INTERVAL", "interval year to month": "INTERVAL", "unknown": '"NULL"',
}  # fmt: skip


def duckdb_type(kind: Type) -> str:
    """The DuckDB type that holds it."""
    if kind.name == "decimal":
        return f"DECIMAL({kind.params[0]},{kind.params[1]})"
    if kind.name == "array":
        return f"{duckdb_type(kind.items[0])}[]"
    if kind.name == "map":
        return f"MAP({duckdb_type(kind.items[0])}, {duckdb_type(kind.items[1])})"
    if kind.name == "row":
        parts = (f'"{key}" {duckdb_type(item)}' for key, item in zip(kind.field_keys(), kind.items, strict=True))
        return f"STRUCT({', '.join(parts)})"
    return _DUCKDB[kind.name]


# the names of types in SQL and in the catalog


_ALIASES = {"int": "integer", "dec": "decimal", "numeric": "decimal", "double precision": "double"}
_HIVE = {"string": "varchar", "float": "real", "binary": "varbinary"}
_PLAIN = {
    "boolean", "tinyint", "smallint", "integer", "bigint", "real", "double", "varchar", "varbinary", "date", "json", "unknown",
    "interval day to second", "interval year to month",
}  # fmt: skip
_WORDS = re.compile(
    r"\s*((?:double precision|interval day to second|interval year to month)|[a-zA-Z_][\w$]*|\d+|\"[^\"]*\"|.)", re.I
)


class _Reader:
    """Reads one type's text; ``hive`` reads the catalog's spelling: ``array<int>``, ``struct<a:int>``, ``string``."""

    def __init__(self, text: str, hive: bool) -> None:
        self._tokens = [token.strip() for token in _WORDS.findall(text.strip()) if token.strip()]
        self._text, self._hive = text, hive

    def read(self) -> Type:
        kind = self._type()
        if self._tokens:
            raise self._unknown()
        return kind

    def _unknown(self) -> QueryFailed:
        return QueryFailed("TYPE_MISMATCH", f"Unknown type: {self._text}")

    def _peek(self) -> str:
        return self._tokens[0].lower() if self._tokens else ""

    def _next(self, *wanted: str) -> str:
        if not self._tokens or wanted and self._peek() not in wanted:
            raise self._unknown()
        return str(self._tokens.pop(0))

    def _type(self) -> Type:
        name = self._next().lower()
        name = _ALIASES.get(name, name)
        name = _HIVE.get(name, name) if self._hive else name
        if name in ("array", "map", "row", "struct"):
            return self._nested(name)
        params = self._params()
        return self._scalar(name, params)

    def _scalar(self, name: str, params: tuple[int, ...]) -> Type:
        if name == "decimal":
            return Type("decimal", (*params, *(38, 0)[len(params) :]) if len(params) < 2 else params)
        if name in ("timestamp", "time"):
            return self._temporal(name, params)
        if name in ("varchar", "char"):
            return Type(name, params or ((1,) if name == "char" else ()))
        if name not in _PLAIN or params:
            raise self._unknown()
        return Type(name)

    def _temporal(self, name: str, params: tuple[int, ...]) -> Type:
        if self._peek() == "with":
            for word in ("with", "time", "zone"):
                self._next(word)
            if name == "time":
                raise not_done("time with time zone")
            return Type("timestamp with time zone", params or (3,))
        return Type(name, params or (3,))

    def _params(self) -> tuple[int, ...]:
        if self._peek() != "(":
            return ()
        self._next("(")
        found = [int(self._number())]
        while self._next(",", ")") == ",":
            found.append(int(self._number()))
        return tuple(found)

    def _number(self) -> str:
        if not self._peek().isdigit():
            raise self._unknown()
        return self._next()

    def _nested(self, name: str) -> Type:
        opening = self._next("<", "(")
        closing = ">" if opening == "<" else ")"
        names: list[str | None] = []
        items: list[Type] = []
        while True:
            names.append(self._field_name() if name in ("row", "struct") else None)
            items.append(self._type())
            if self._next(",", closing) == closing:
                break
        if name in ("row", "struct"):
            return row(items, names)
        if len(items) != (1 if name == "array" else 2):
            raise self._unknown()
        return Type(name, items=tuple(items))

    def _field_name(self) -> str | None:
        after = self._tokens[1].lower() if len(self._tokens) > 1 else ""
        if after == ":":
            name = self._next()
            self._next(":")
            return name
        if after in ("", ",", ")", "(", ">", "<") and not self._tokens[0].startswith('"'):
            return None
        return self._next().strip('"').lower()


def parse_type(text: str) -> Type:
    """The type that SQL text names; raises ``QueryFailed`` for an unknown one."""
    return _Reader(text, hive=False).read()


def hive_type(text: str) -> Type:
    """The type that the catalog's text names."""
    return _Reader(text, hive=True).read()


_TO_HIVE = {"varchar": "string", "real": "float", "varbinary": "binary", "integer": "int"}


def to_hive(kind: Type) -> str:
    """How the catalog writes a type, for tables that a query makes."""
    if kind.name == "array":
        return f"array<{to_hive(kind.items[0])}>"
    if kind.name == "map":
        return f"map<{to_hive(kind.items[0])},{to_hive(kind.items[1])}>"
    if kind.name == "row":
        parts = (f"{key}:{to_hive(item)}" for key, item in zip(kind.field_keys(), kind.items, strict=True))
        return f"struct<{','.join(parts)}>"
    if kind.name in ("timestamp with time zone", "unknown", "json", "time") or kind.name.startswith("interval"):
        raise QueryFailed("NOT_SUPPORTED", f"Unsupported Hive type: {kind}")
    if kind.name in ("varchar", "char", "decimal") and kind.params:
        return str(kind)
    return _TO_HIVE.get(kind.name, kind.name)
