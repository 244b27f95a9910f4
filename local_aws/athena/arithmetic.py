"""Compiles arithmetic with Trino's rules for operand types and for the type of the result."""

from __future__ import annotations

import re

from local_aws.athena.errors import QueryFailed
from local_aws.athena.typed import Typed
from local_aws.athena.types import (
    BIGINT,
    DATE,
    DAY_TIME,
    DOUBLE,
    FLOATS,
    INTEGER,
    INTEGERS,
    UNKNOWN,
    YEAR_MONTH,
    Type,
    as_decimal,
    common,
    decimal,
    duckdb_type,
    is_number,
)  # fmt: skip


def combined(left: Typed, right: Typed, sign: str, prefix: str) -> Typed | None:
    """Compiles ``left sign right``; None if Trino has no operator for these types.

    ``prefix`` selects the macros, as in ``casts.cast``.
    """
    if is_number(left.type) and is_number(right.type):
        return _of_numbers(left, right, sign, prefix)
    if "unknown" in (left.type.name, right.type.name):
        return Typed("NULL", right.type if left.type == UNKNOWN else left.type)
    return _of_times(left, right, sign, prefix)


def _of_numbers(left: Typed, right: Typed, sign: str, prefix: str) -> Typed:
    if left.type.name in FLOATS or right.type.name in FLOATS:
        kind = DOUBLE if "double" in (left.type.name, right.type.name) else Type("real")
        operands = [side.as_type(kind, prefix) for side in (left, right)]
        return Typed(f"({operands[0]} {sign} {operands[1]})", kind)
    if left.type.name in INTEGERS and right.type.name in INTEGERS:
        return _of_integers(left, right, sign, prefix)
    return _of_decimals(left, right, sign, prefix)


def _of_integers(left: Typed, right: Typed, sign: str, prefix: str) -> Typed:
    kind = common(left.type, right.type) or BIGINT
    left_sql, right_sql = left.as_type(kind, prefix), right.as_type(kind, prefix)
    if sign == "/":
        return Typed(f"{prefix}divide_integers({left_sql}, {right_sql})", kind)
    if sign == "%":
        return Typed(f"{prefix}remainder({left_sql}, {right_sql})", kind)
    return Typed(f"({left_sql} {sign} {right_sql})", kind)


def _of_decimals(left: Typed, right: Typed, sign: str, prefix: str) -> Typed:
    """Trino's rules for precision and scale: https://trino.io/docs/current/functions/decimal.html"""
    kinds = [as_decimal(side.type) for side in (left, right)]
    left_sql, right_sql = (
        side.as_type(kind, prefix) for side, kind in zip((left, right), kinds, strict=True)
    )
    (p1, s1), (p2, s2) = (kind.params for kind in kinds)
    scale = max(s1, s2)
    if sign == "/":
        kind = decimal(p1 + s2 + max(0, s2 - s1), scale)
        return quotient(
            f"{prefix}unscaled({left_sql})",
            scale - s1 + s2,
            f"{prefix}unscaled({right_sql})",
            kind,
            prefix,
        )
    if sign == "%":
        kind = decimal(min(p1 - s1, p2 - s2) + scale, scale)
        return Typed(
            f"CAST({prefix}remainder({left_sql}, {right_sql}) AS {duckdb_type(kind)})", kind
        )
    kind = (
        decimal(p1 + p2, s1 + s2)
        if sign == "*"
        else decimal(max(p1 - s1, p2 - s2) + scale + 1, scale)
    )
    return Typed(f"CAST(({left_sql} {sign} {right_sql}) AS {duckdb_type(kind)})", kind)


def quotient(numerator: str, shift: int, denominator: str, kind: Type, prefix: str) -> Typed:
    """``numerator * 10^shift / denominator`` as a decimal of type ``kind``, rounded half up."""
    scale = kind.params[1]
    unit = f"CAST('{_power_of_ten(-scale)}' AS DECIMAL({scale + 1}, {scale}))"
    shifted = f"{numerator} * CAST({10**shift} AS HUGEINT)" if shift else numerator
    quotient = f"{prefix}divide_half_up({shifted}, {denominator})"
    return Typed(f"CAST({prefix}scaled({quotient}, {unit}) AS {duckdb_type(kind)})", kind)


def _of_times(left: Typed, right: Typed, sign: str, prefix: str) -> Typed | None:
    names = (left.type.name, right.type.name)
    moments = [name for name in names if name == "date" or name.startswith("timestamp")]
    intervals = [name for name in names if name.startswith("interval")]
    if len(moments) == 2 and sign == "-":
        return _between_moments(left, right, prefix)
    if (
        len(moments) == 1
        and len(intervals) == 1
        and (sign == "+" or sign == "-" and intervals[0] == names[1])
    ):
        moment = left if left.type.name == moments[0] else right
        moved = f"({left.sql} {sign} {right.sql})"
        return Typed(f"CAST({moved} AS DATE)" if moment.type == DATE else moved, moment.type)
    if len(intervals) == 2 and names[0] == names[1] and sign in "+-":
        return Typed(f"({left.sql} {sign} {right.sql})", left.type)
    if (
        len(intervals) == 1
        and sign in "*/"
        and is_number(left.type if intervals[0] == names[1] else right.type)
    ):
        return _interval_times(left, right, sign, prefix)
    return None


def _between_moments(left: Typed, right: Typed, prefix: str) -> Typed | None:
    kind = common(left.type, right.type)
    if kind is None:
        return None
    left_sql, right_sql = left.as_type(kind, prefix), right.as_type(kind, prefix)
    if kind == DATE:
        return Typed(f"to_days(CAST({left_sql} - {right_sql} AS INTEGER))", DAY_TIME)
    return Typed(f"({left_sql} - {right_sql})", DAY_TIME)


def _interval_times(left: Typed, right: Typed, sign: str, prefix: str) -> Typed | None:
    interval, number = (left, right) if left.type.name.startswith("interval") else (right, left)
    if sign == "/" and interval is right:
        return None
    if interval.type == DAY_TIME:
        return Typed(
            f"to_milliseconds(CAST(epoch_ms({interval.sql}) {sign} {number.sql} AS BIGINT))",
            DAY_TIME,
        )
    return Typed(
        f"to_months(CAST({prefix}months({interval.sql}) {sign} {number.sql} AS INTEGER))",
        YEAR_MONTH,
    )


def _power_of_ten(exponent: int) -> str:
    return f"0.{'1':0>{-exponent}}" if exponent else "1"


def number(text: str) -> Typed:
    """A numeric literal: digits are an integer, anything else is a double.

    ``1.5`` is a decimal in Trino and a double in Athena, as PyAthena's tests expect:
    https://github.com/pyathena-dev/PyAthena
    """
    if not re.fullmatch(r"\d+", text):
        return Typed(f"CAST('{text}' AS DOUBLE)", DOUBLE)
    value = int(text)
    if value < 2**31:
        return Typed(text, INTEGER)
    if value < 2**63:
        return Typed(f"CAST({text} AS BIGINT)", BIGINT)
    raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", f"Invalid numeric literal: {text}")


def decimal_number(text: str) -> Typed:
    """A literal such as ``DECIMAL '1.50'``; its digits determine precision and scale."""
    whole, _, fraction = text.lstrip("+-").partition(".")
    digits = len(whole.lstrip("0")) + len(fraction) if "." in text else len(whole)
    kind = decimal(max(1, digits), len(fraction))
    return Typed(f"CAST('{text}' AS {duckdb_type(kind)})", kind)
