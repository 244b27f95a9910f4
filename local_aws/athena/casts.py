"""CAST with Trino's rules, written in DuckDB's SQL where DuckDB's own cast differs."""

from __future__ import annotations

from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.types import DATE, FLOATS, INTEGERS, VARCHAR, Type, duckdb_type, is_number

_INTEGER_NAMES = {
    "tinyint": "TINYINT",
    "smallint": "SMALLINT",
    "integer": "INT",
    "bigint": "BIGINT",
}


def cast(sql: str, given: Type, to: Type, prefix: str = "trino_") -> str:
    """Casts ``sql`` from ``given`` to ``to``; raises TYPE_MISMATCH if Trino has no such cast.

    ``prefix`` selects the macros. On invalid values, ``trino_`` macros raise an error, and
    ``null_`` macros return NULL.
    """
    if given == to or given.name == to.name and given.name in ("timestamp with time zone",):
        return sql
    if given.name == "unknown":
        return f"CAST(NULL AS {duckdb_type(to)})"
    if to.items and given.name == to.name and len(to.items) == len(given.items):
        return _nested(sql, given, to, prefix)
    text = _to(sql, given, to, prefix)
    if text is None:
        raise QueryFailed("TYPE_MISMATCH", f"Cannot cast {given} to {to}")
    return text


def _to(sql: str, given: Type, to: Type, prefix: str) -> str | None:
    if to.name in ("varchar", "char"):
        return _to_text(sql, given, to)
    if to.name == "json":
        return f"to_json({sql})"
    if given.name == "json":
        return _from_json(sql, to, prefix)
    if is_number(to):
        return _to_number(sql, given, to, prefix)
    if to.name == "boolean":
        lenient = "TRY_CAST" if prefix == "null_" else "CAST"
        return (
            f"{lenient}({sql} AS BOOLEAN)"
            if given.name in ("varchar", "char") or is_number(given)
            else None
        )
    if to.name in ("date", "timestamp", "timestamp with time zone"):
        return _to_moment(sql, given, to, prefix)
    if to.name == "time" and given.name in ("varchar", "timestamp"):
        return f"CAST({sql} AS TIME)"
    return f"encode({sql})" if to.name == "varbinary" and given.name == "varchar" else None


def _to_text(sql: str, given: Type, to: Type) -> str | None:
    if given.items or given.name in (
        "varbinary",
        "interval day to second",
        "interval year to month",
    ):
        return None
    text = as_text(sql, given)
    shorter = to.params and not (
        given.name in ("varchar", "char") and given.params and given.params[0] <= to.params[0]
    )
    return f"left({text}, {to.params[0]})" if shorter else text


def as_text(sql: str, given: Type) -> str:
    """Converts a scalar to text as in CAST AS varchar."""
    if given.name in ("varchar", "char"):
        return sql
    if given.name in FLOATS:
        return f"java_{given.name}({sql})"
    if given.name == "timestamp":
        return _timestamp_text(sql, given.params[0])
    if given.name == "timestamp with time zone":
        return (
            _timestamp_text(f"timezone('{given.zone}', {sql})", given.params[0])
            + f" || ' {given.zone}'"
        )
    if given.name == "json":
        return f"json_extract_string({sql}, '$')"
    return f"CAST({sql} AS VARCHAR)"


def _timestamp_text(sql: str, precision: int) -> str:
    if precision > 6:
        raise unsupported("timestamps finer than microseconds")
    whole = f"strftime({sql}, '%Y-%m-%d %H:%M:%S')"
    return f"{whole} || '.' || left(strftime({sql}, '%f'), {precision})" if precision else whole


def _to_number(sql: str, given: Type, to: Type, prefix: str) -> str | None:
    kind = duckdb_type(to)
    if given.name in ("varchar", "char"):
        name = _INTEGER_NAMES.get(to.name) or (
            f"DECIMAL({to.params[0]}, {to.params[1]})" if to.params else to.name.upper()
        )
        macro = "to_integer" if to.name in INTEGERS else "to_number"
        return f"{prefix}{macro}({sql}, '{name}', TRY_CAST({sql} AS {kind}))"
    if given.name in FLOATS and to.name in INTEGERS:
        # half away from zero; DuckDB's own cast rounds half to even
        return f"CAST(round({sql}) AS {kind})"
    # rounds the printed digits: 1.005 becomes 1.01, not 1.00
    if given.name in FLOATS and to.name == "decimal":
        return f"CAST(CAST({sql} AS VARCHAR) AS {kind})"
    return f"CAST({sql} AS {kind})" if is_number(given) or given.name == "boolean" else None


def _to_moment(sql: str, given: Type, to: Type, prefix: str) -> str | None:
    if given.name in ("varchar", "char"):
        if to.name == "timestamp with time zone":
            return f"CAST({sql} AS TIMESTAMPTZ)"
        return f"{prefix}to_{to.name}({sql})"
    if given.name not in ("date", "timestamp", "timestamp with time zone"):
        return None
    local = f"timezone('{given.zone}', {sql})" if given.name == "timestamp with time zone" else sql
    if to == DATE:
        return f"CAST({local} AS DATE)"
    as_timestamp = f"CAST({local} AS TIMESTAMP)" if given == DATE else _rounded(local, given, to)
    return as_timestamp if to.name == "timestamp" else f"timezone('{to.zone}', {as_timestamp})"


def _rounded(sql: str, given: Type, to: Type) -> str:
    if to.params[0] >= given.params[0] or to.params[0] not in (0, 3):
        return sql
    unit, half = (
        ("second", "500 milliseconds") if to.params[0] == 0 else ("millisecond", "500 microseconds")
    )
    return f"date_trunc('{unit}', {sql} + INTERVAL '{half}')"


def _from_json(sql: str, to: Type, prefix: str) -> str | None:
    if to.items:
        raise unsupported(f"CAST from JSON to {to}")
    return _to(f"json_extract_string({sql}, '$')", VARCHAR, to, prefix)


def _nested(sql: str, given: Type, to: Type, prefix: str) -> str:
    if to.name == "array":
        return f"list_transform({sql}, lambda v: {cast('v', given.items[0], to.items[0], prefix)})"
    if to.name == "map":
        return _map(sql, given, to, prefix)
    fields = []
    for old, new, mine, theirs in zip(
        given.field_keys(), to.field_keys(), given.items, to.items, strict=True
    ):
        fields.append(f'"{new}" := {cast(f"struct_extract({sql}, {old!r})", mine, theirs, prefix)}')
    return f"CASE WHEN {sql} IS NOT NULL THEN struct_pack({', '.join(fields)}) END"


def _map(sql: str, given: Type, to: Type, prefix: str) -> str:
    if to.items == given.items:
        return sql
    keys = cast("v", given.items[0], to.items[0], prefix)
    values = cast("v", given.items[1], to.items[1], prefix)
    return (
        f"map(list_transform(map_keys({sql}), lambda v: {keys}), list_transform(map_values({sql}),"
        f" lambda v: {values}))"
    )
