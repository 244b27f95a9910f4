"""One expression of Trino's SQL as DuckDB's, with its type: checked as Trino checks it, cast where the two engines differ."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

from sqlglot import exp

from local_aws.athena import functions as library
from local_aws.athena.casts import cast
from local_aws.athena.errors import QueryFailed, not_done
from local_aws.athena.functions import Bindings, Function, Pattern, functions
from local_aws.athena.syntax import Source
from local_aws.athena.types import (
    BIGINT,
    BOOLEAN,
    DATE,
    DAY_TIME,
    DOUBLE,
    FLOATS,
    INTEGER,
    INTEGERS,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    YEAR_MONTH,
    ZONED,
    Type,
    array,
    as_decimal,
    coerces,
    common,
    decimal,
    duckdb_type,
    is_number,
    parse_type,
    row,
)


@dataclass(frozen=True)
class Typed:
    """DuckDB's text of an expression and the type Trino gives it; ``text`` is the value of a text literal."""

    sql: str
    type: Type
    text: str | None = None


@dataclass(frozen=True)
class Found:
    """A column in scope."""

    sql: str
    type: Type


class Names(Protocol):
    """What names mean where the expression stands."""

    def resolve(self, parts: Sequence[str]) -> tuple[Found, Sequence[str]] | None:
        """The column that ``parts`` name and the fields below it; raises ``QueryFailed`` where it is ambiguous."""


class Queries(Protocol):
    """What an expression needs of its query: the text, the moment, and its subqueries."""

    source: Source
    started: datetime
    user: str

    def subquery(self, node: exp.Expr, outer: Names) -> tuple[str, list[Type]]:
        """A query inside an expression: its text and its columns' types."""


Decorate = Callable[[str], str]

_COMPARISONS: dict[type[exp.Expr], str] = {exp.EQ: "=", exp.NEQ: "<>", exp.LT: "<", exp.LTE: "<=", exp.GT: ">", exp.GTE: ">="}
_DISTINCTNESS: dict[type[exp.Expr], str] = {exp.NullSafeEQ: "IS NOT DISTINCT FROM", exp.NullSafeNEQ: "IS DISTINCT FROM"}
_ARITHMETIC: dict[type[exp.Expr], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_DAY_TIME_UNITS = ("SECOND", "MINUTE", "HOUR", "DAY")
_YEAR_MONTH_UNITS = ("MONTH", "YEAR")
_EXTRACTED = {"DOW": "day_of_week", "DOY": "day_of_year", "YOW": "year_of_week", "DAY_OF_MONTH": "day"}
_HOLE = re.compile(r"\{(\d+|\*|[a-z]+)(:entry)?\}")


def quoted(name: str) -> str:
    """An identifier as DuckDB reads it."""
    return '"' + name.replace('"', '""') + '"'


def text_literal(value: str) -> str:
    """A text literal as DuckDB reads it."""
    return "'" + value.replace("'", "''") + "'"


class Expressions:
    """Compiles the expressions of one clause; ``names`` is what its columns may be."""

    def __init__(self, queries: Queries, names: Names, windows: dict[str, exp.Window] | None = None) -> None:
        self._queries = queries
        self._names = names
        self._windows = windows or {}
        self._lambdas: list[dict[str, Typed]] = []
        self._prefix = "trino_"  # inside TRY the macros that answer NULL take the place of those that fail

    # the ways in

    def compile(self, node: exp.Expr) -> Typed:
        """The expression; raises ``QueryFailed`` where Trino refuses it or it is not done here."""
        for kind in type(node).__mro__:
            handler = _HANDLERS.get(kind)
            if handler is not None:
                return handler(self, node)
        raise not_done(f"{type(node).__name__} in an expression, at {self._place(node)}")

    def is_aggregate(self, node: exp.Expr) -> bool:
        """Whether ``node`` is a call that makes one value of many rows."""
        if isinstance(node, exp.GroupConcat):
            return True
        signatures = functions().signatures.get(node.name.lower(), ()) if isinstance(node, exp.Anonymous) else ()
        return any(function.kind == "aggregate" for function in signatures)

    def boolean(self, node: exp.Expr, what: str) -> str:
        """A condition; ``what`` names the clause in the message."""
        compiled = self.compile(node)
        if compiled.type.name not in ("boolean", "unknown"):
            raise self._mismatch(node, f"{what} must evaluate to a boolean: actual type {compiled.type}")
        return compiled.sql

    def coerced(self, given: Typed, to: Type) -> str:
        """Its text as ``to``."""
        return given.sql if given.type == to else cast(given.sql, given.type, to, self._prefix)

    def ordering(self, ordered: exp.Expr) -> str:
        """One item of ORDER BY, where nulls come as Trino has them."""
        return self.compile(ordered.this).sql + direction(ordered)

    def lambda_of(self, node: exp.Expr, names: list[str], kinds: list[Type], as_entry: bool) -> tuple[Typed, str]:
        """A lambda's body, and all of it in DuckDB's words; ``as_entry``: its two parameters are a map entry's key and value."""
        if len(names) != len(kinds):
            raise QueryFailed("INVALID_PARAMETER_USAGE", f"Expected a lambda that takes {len(kinds)} argument(s)")
        level = len(self._lambdas)
        inner = [f"l{level}.key", f"l{level}.value"] if as_entry else [f"l{level}_{index}" for index in range(len(names))]
        self._lambdas.append({name: Typed(sql, kind) for name, sql, kind in zip(names, inner, kinds, strict=True)})
        body = self.compile(node.this)
        self._lambdas.pop()
        return body, f"lambda {f'l{level}' if as_entry else ', '.join(inner)}: {body.sql}"

    # errors

    def _place(self, node: exp.Expr) -> str:
        return self._queries.source.place(node)

    def _mismatch(self, node: exp.Expr, message: str) -> QueryFailed:
        return QueryFailed("TYPE_MISMATCH", f"{self._place(node)}: {message}")

    def _operator_mismatch(self, node: exp.Expr, sign: str, left: Type, right: Type) -> QueryFailed:
        place = self._queries.source.place_of_operator(node, node.expression)
        return QueryFailed("TYPE_MISMATCH", f"{place}: Cannot apply operator: {left} {sign} {right}")

    # literals and names

    def _literal(self, node: exp.Expr) -> Typed:
        value = str(node.this)
        if node.args["is_string"]:
            return Typed(text_literal(value), Type("varchar", (len(value),)), value)
        return _number(value)

    def _null(self, node: exp.Expr) -> Typed:
        return Typed("NULL", UNKNOWN)

    def _boolean(self, node: exp.Expr) -> Typed:
        return Typed("true" if node.this else "false", BOOLEAN)

    def _hex(self, node: exp.Expr) -> Typed:
        return Typed(f"unhex({text_literal(str(node.this))})", VARBINARY)

    def _column(self, node: exp.Column) -> Typed:
        if isinstance(node.this, exp.Star):
            raise QueryFailed("SYNTAX_ERROR", f"{self._place(node)}: * is not an expression")
        return self._named(node, [part.name for part in node.parts])

    def _identifier(self, node: exp.Expr) -> Typed:
        return self._named(node, [node.name])

    def _named(self, node: exp.Expr, parts: list[str]) -> Typed:
        for frame in reversed(self._lambdas):
            if parts[0].lower() in frame:
                return self._fields(node, frame[parts[0].lower()], parts[1:])
        try:
            found = self._names.resolve(parts)
        except QueryFailed as ambiguous:
            raise QueryFailed(ambiguous.code, f"{self._place(node)}: {ambiguous.reason.partition(': ')[2]}") from ambiguous
        if found is None:
            raise QueryFailed(
                "COLUMN_NOT_FOUND",
                f"{self._place(node)}: Column '{'.'.join(parts).lower()}' cannot be resolved or requester is not authorized "
                "to access requested resources",
            )
        column, fields = found
        return self._fields(node, Typed(column.sql, column.type), fields)

    def _fields(self, node: exp.Expr, base: Typed, fields: Sequence[str]) -> Typed:
        for field in fields:
            names = [name.lower() if name else "" for name in base.type.fields]
            if base.type.name != "row" or field.lower() not in names:
                raise QueryFailed("COLUMN_NOT_FOUND", f"{self._place(node)}: Column '{field}' cannot be resolved")
            index = names.index(field.lower())
            key = base.type.field_keys()[index]
            base = Typed(f"struct_extract({base.sql}, {text_literal(key)})", base.type.items[index])
        return base

    def _dot(self, node: exp.Expr) -> Typed:
        return self._fields(node, self.compile(node.this), [node.expression.name])

    def _paren(self, node: exp.Expr) -> Typed:
        inner = self.compile(node.this)
        return replace(inner, sql=f"({inner.sql})")

    def _tuple(self, node: exp.Expr) -> Typed:
        return self._row_of([self.compile(item) for item in node.expressions])

    def _row_of(self, items: Sequence[Typed]) -> Typed:
        fields = ", ".join(f"field{index} := {item.sql}" for index, item in enumerate(items))
        return Typed(f"struct_pack({fields})", row([item.type for item in items]))

    def _array(self, node: exp.Expr) -> Typed:
        return self._array_of(node, [self.compile(item) for item in node.expressions])

    def _array_of(self, node: exp.Expr, items: Sequence[Typed]) -> Typed:
        kind = self._shared(node, items, "All ARRAY elements must be the same type: {first}") if items else UNKNOWN
        inside = ", ".join(self.coerced(item, kind) for item in items)
        return Typed(f"CAST([{inside}] AS {duckdb_type(array(kind))})", array(kind))

    def _shared(self, node: exp.Expr, items: Sequence[Typed], message: str) -> Type:
        kind = items[0].type
        for item in items[1:]:
            shared = common(kind, item.type)
            if shared is None:
                raise self._mismatch(node, message.format(first=kind, other=item.type))
            kind = shared
        return kind

    def _subscript(self, node: exp.Expr) -> Typed:
        base, index = self.compile(node.this), self.compile(node.expressions[0])
        if base.type.name == "map":
            key = self.coerced(index, base.type.items[0])
            return Typed(f"{self._prefix}map_subscript({base.sql}, {key})", base.type.items[1])
        if base.type.name == "row":
            return self._row_subscript(node, base, index)
        if base.type.name != "array" or index.type.name not in INTEGERS:
            raise self._mismatch(node, f"Cannot apply operator: {base.type}[{index.type}]")
        return Typed(f"{self._prefix}subscript({base.sql}, {index.sql})", base.type.items[0])

    def _row_subscript(self, node: exp.Expr, base: Typed, index: Typed) -> Typed:
        if not index.sql.isdigit() or not 1 <= int(index.sql) <= len(base.type.items):
            raise self._mismatch(node, "Subscript expression on ROW requires a constant index within its fields")
        key = base.type.field_keys()[int(index.sql) - 1]
        return Typed(f"struct_extract({base.sql}, {text_literal(key)})", base.type.items[int(index.sql) - 1])

    # arithmetic

    def _negative(self, node: exp.Expr) -> Typed:
        inner = self.compile(node.this)
        if not is_number(inner.type) and not inner.type.name.startswith("interval"):
            raise self._mismatch(node, f"Cannot negate {inner.type}")
        return Typed(f"(-{inner.sql})", inner.type)

    def _arithmetic(self, node: exp.Expr) -> Typed:
        left, right, sign = self.compile(node.this), self.compile(node.expression), _ARITHMETIC[type(node)]
        if is_number(left.type) and is_number(right.type):
            return self._of_numbers(left, right, sign)
        if "unknown" in (left.type.name, right.type.name):
            return Typed("NULL", right.type if left.type == UNKNOWN else left.type)
        timed = self._of_times(left, right, sign)
        if timed is None:
            raise self._operator_mismatch(node, sign, left.type, right.type)
        return timed

    def _of_numbers(self, left: Typed, right: Typed, sign: str) -> Typed:
        if left.type.name in FLOATS or right.type.name in FLOATS:
            kind = DOUBLE if "double" in (left.type.name, right.type.name) else Type("real")
            operands = [self.coerced(side, kind) for side in (left, right)]
            return Typed(f"({operands[0]} {sign} {operands[1]})", kind)
        if left.type.name in INTEGERS and right.type.name in INTEGERS:
            return self._of_integers(left, right, sign)
        return self._of_decimals(left, right, sign)

    def _of_integers(self, left: Typed, right: Typed, sign: str) -> Typed:
        kind = common(left.type, right.type) or BIGINT
        one, other = self.coerced(left, kind), self.coerced(right, kind)
        if sign == "/":
            return Typed(f"{self._prefix}divide_integers({one}, {other})", kind)
        if sign == "%":
            return Typed(f"{self._prefix}remainder({one}, {other})", kind)
        return Typed(f"({one} {sign} {other})", kind)

    def _of_decimals(self, left: Typed, right: Typed, sign: str) -> Typed:
        """Trino's rules of precision and scale: https://trino.io/docs/current/functions/decimal.html"""
        kinds = [as_decimal(side.type) for side in (left, right)]
        one, other = (self.coerced(side, kind) for side, kind in zip((left, right), kinds, strict=True))
        (p1, s1), (p2, s2) = (kind.params for kind in kinds)
        scale = max(s1, s2)
        if sign == "/":
            kind = decimal(p1 + s2 + max(0, s2 - s1), scale)
            return self._quotient(f"{self._prefix}unscaled({one})", scale - s1 + s2, f"{self._prefix}unscaled({other})", kind)
        if sign == "%":
            kind = decimal(min(p1 - s1, p2 - s2) + scale, scale)
            return Typed(f"CAST({self._prefix}remainder({one}, {other}) AS {duckdb_type(kind)})", kind)
        kind = decimal(p1 + p2, s1 + s2) if sign == "*" else decimal(max(p1 - s1, p2 - s2) + scale + 1, scale)
        return Typed(f"CAST(({one} {sign} {other}) AS {duckdb_type(kind)})", kind)

    def _quotient(self, numerator: str, shift: int, denominator: str, kind: Type) -> Typed:
        """``numerator * 10^shift / denominator`` as a decimal of ``kind``'s scale, rounded half up."""
        scale = kind.params[1]
        unit = f"CAST('{_power_of_ten(-scale)}' AS DECIMAL({scale + 1}, {scale}))"
        shifted = f"{numerator} * CAST({10**shift} AS HUGEINT)" if shift else numerator
        quotient = f"{self._prefix}divide_half_up({shifted}, {denominator})"
        return Typed(f"CAST({self._prefix}scaled({quotient}, {unit}) AS {duckdb_type(kind)})", kind)

    def _of_times(self, left: Typed, right: Typed, sign: str) -> Typed | None:
        names = (left.type.name, right.type.name)
        moments = [name for name in names if name == "date" or name.startswith("timestamp")]
        intervals = [name for name in names if name.startswith("interval")]
        if len(moments) == 2 and sign == "-":
            return self._between_moments(left, right)
        if len(moments) == 1 and len(intervals) == 1 and (sign == "+" or sign == "-" and intervals[0] == names[1]):
            moment = left if left.type.name == moments[0] else right
            moved = f"({left.sql} {sign} {right.sql})"
            return Typed(f"CAST({moved} AS DATE)" if moment.type == DATE else moved, moment.type)
        if len(intervals) == 2 and names[0] == names[1] and sign in "+-":
            return Typed(f"({left.sql} {sign} {right.sql})", left.type)
        if len(intervals) == 1 and sign in "*/" and is_number(left.type if intervals[0] == names[1] else right.type):
            return self._interval_times(left, right, sign)
        return None

    def _between_moments(self, left: Typed, right: Typed) -> Typed | None:
        kind = common(left.type, right.type)
        if kind is None:
            return None
        one, other = self.coerced(left, kind), self.coerced(right, kind)
        if kind == DATE:
            return Typed(f"to_days(CAST({one} - {other} AS INTEGER))", DAY_TIME)
        return Typed(f"({one} - {other})", DAY_TIME)

    def _interval_times(self, left: Typed, right: Typed, sign: str) -> Typed | None:
        interval, number = (left, right) if left.type.name.startswith("interval") else (right, left)
        if sign == "/" and interval is right:
            return None
        if interval.type == DAY_TIME:
            return Typed(f"to_milliseconds(CAST(epoch_ms({interval.sql}) {sign} {number.sql} AS BIGINT))", DAY_TIME)
        return Typed(f"to_months(CAST({self._prefix}months({interval.sql}) {sign} {number.sql} AS INTEGER))", YEAR_MONTH)

    def _interval(self, node: exp.Expr) -> Typed:
        unit = node.args.get("unit")
        if isinstance(unit, exp.IntervalSpan) or unit is None or not isinstance(node.this, exp.Literal):
            raise not_done(f"the interval {node.sql()}")
        name = unit.name.upper()
        if name not in _DAY_TIME_UNITS + _YEAR_MONTH_UNITS or not re.fullmatch(r"[+-]?\d+(\.\d+)?", node.this.name):
            raise QueryFailed("SYNTAX_ERROR", f"{self._place(node)}: Invalid INTERVAL {name} value: {node.this.name}")
        kind = DAY_TIME if name in _DAY_TIME_UNITS else YEAR_MONTH
        return Typed(f"CAST('{node.this.name} {name.lower()}' AS INTERVAL)", kind)

    # conditions

    def _comparison(self, node: exp.Expr) -> Typed:
        sign = _COMPARISONS[type(node)]
        if isinstance(node.expression, exp.Any | exp.All):
            return self._quantified(node, sign)
        left, right = self._comparable(node, sign)
        return Typed(f"({left} {sign} {right})", BOOLEAN)

    def _distinctness(self, node: exp.Expr) -> Typed:
        left, right = self._comparable(node, "IS DISTINCT FROM")
        return Typed(f"({left} {_DISTINCTNESS[type(node)]} {right})", BOOLEAN)

    def _comparable(self, node: exp.Expr, sign: str) -> tuple[str, str]:
        left, right = self.compile(node.this), self.compile(node.expression)
        kind = common(left.type, right.type)
        if kind is None:
            raise self._operator_mismatch(node, sign, left.type, right.type)
        return self.coerced(left, kind), self.coerced(right, kind)

    def _quantified(self, node: exp.Expr, sign: str) -> Typed:
        left = self.compile(node.this)
        sql, kinds = self._queries.subquery(_unwrapped(node.expression.this), self._names)
        kind = common(left.type, kinds[0])
        if kind is None:
            raise self._operator_mismatch(node, sign, left.type, kinds[0])
        word = "ANY" if isinstance(node.expression, exp.Any) else "ALL"
        return Typed(f"({self.coerced(left, kind)} {sign} {word} (SELECT {cast('c0', kinds[0], kind)} FROM ({sql})))", BOOLEAN)

    def _logical(self, node: exp.Expr) -> Typed:
        word = "AND" if isinstance(node, exp.And) else "OR"
        sides = [self._term(side, "Logical expression term") for side in (node.this, node.expression)]
        return Typed(f"({sides[0]} {word} {sides[1]})", BOOLEAN)

    def _not(self, node: exp.Expr) -> Typed:
        return Typed(f"(NOT {self._term(node.this, 'Value of logical NOT expression')})", BOOLEAN)

    def _term(self, node: exp.Expr, what: str) -> str:
        inner = self.compile(node)
        if inner.type.name not in ("boolean", "unknown"):
            raise self._mismatch(node, f"{what} must evaluate to a boolean (actual: {inner.type})")
        return inner.sql

    def _between(self, node: exp.Expr) -> Typed:
        value, low, high = (self.compile(node.args[name]) for name in ("this", "low", "high"))
        kind = common(value.type, low.type)
        kind = kind and common(kind, high.type)
        if kind is None:
            raise self._mismatch(node, f"Cannot check if {value.type} is BETWEEN {low.type} and {high.type}")
        one, two, three = (self.coerced(side, kind) for side in (value, low, high))
        return Typed(f"({one} BETWEEN {two} AND {three})", BOOLEAN)

    def _in(self, node: exp.Expr) -> Typed:
        value = self.compile(node.this)
        query = node.args.get("query")
        if query is not None:
            return self._in_query(node, value, _unwrapped(query))
        items = [self.compile(item) for item in node.expressions]
        kind = self._shared(node, [value, *items], "IN value and list items must be the same type: {first}, {other}")
        inside = ", ".join(self.coerced(item, kind) for item in items)
        return Typed(f"({self.coerced(value, kind)} IN ({inside}))", BOOLEAN)

    def _in_query(self, node: exp.Expr, value: Typed, query: exp.Expr) -> Typed:
        sql, kinds = self._queries.subquery(query, self._names)
        given = kinds[0] if len(kinds) == 1 else row(kinds)
        kind = common(value.type, given)
        if kind is None:
            raise self._mismatch(
                node, f"Value expression and result of subquery must be of the same type: {value.type} vs {given}"
            )
        packed = ", ".join(f"field{index} := c{index}" for index in range(len(kinds)))
        column = "c0" if len(kinds) == 1 else f"struct_pack({packed})"
        return Typed(f"({self.coerced(value, kind)} IN (SELECT {cast(column, given, kind)} FROM ({sql})))", BOOLEAN)

    def _exists(self, node: exp.Expr) -> Typed:
        return Typed(f"EXISTS ({self._queries.subquery(_unwrapped(node.this), self._names)[0]})", BOOLEAN)

    def _scalar_subquery(self, node: exp.Expr) -> Typed:
        sql, kinds = self._queries.subquery(_unwrapped(node), self._names)
        if len(kinds) != 1:
            place = self._place(node)
            raise QueryFailed(
                "NOT_SUPPORTED", f"{place}: Multiple columns returned by subquery are not yet supported. Found {len(kinds)}"
            )
        return Typed(f"({sql})", kinds[0])

    def _like(self, node: exp.Expr) -> Typed:
        escape = ""
        if isinstance(node, exp.Escape):
            escape = f" ESCAPE {self.compile(node.expression).sql}"
            node = node.this
        value, pattern = self.compile(node.this), self.compile(node.expression)
        for side, what in ((value, "Left side of LIKE expression"), (pattern, "Pattern for LIKE expression")):
            if side.type.name not in ("varchar", "char", "unknown"):
                raise self._mismatch(node, f"{what} must evaluate to a varchar (actual: {side.type})")
        return Typed(f"({value.sql} LIKE {pattern.sql}{escape})", BOOLEAN)

    def _is(self, node: exp.Expr) -> Typed:
        if not isinstance(node.expression, exp.Null):
            raise QueryFailed("SYNTAX_ERROR", f"{self._place(node)}: Trino's IS takes NULL, NOT NULL and DISTINCT FROM only")
        return Typed(f"({self.compile(node.this).sql} IS NULL)", BOOLEAN)

    def _case(self, node: exp.Expr) -> Typed:
        results = [self.compile(branch.args["true"]) for branch in node.args["ifs"]]
        default = self.compile(node.args["default"]) if node.args.get("default") else Typed("NULL", UNKNOWN)
        kind = self._shared(
            node, [*results, default], "All CASE results must be the same type or coercible to a common type: {first}"
        )
        whens = [self._when(node, branch.this) for branch in node.args["ifs"]]
        branches = " ".join(f"WHEN {when} THEN {self.coerced(then, kind)}" for when, then in zip(whens, results, strict=True))
        return Typed(f"CASE {branches} ELSE {self.coerced(default, kind)} END", kind)

    def _when(self, node: exp.Expr, condition: exp.Expr) -> str:
        operand = node.args.get("this")
        if operand is None:
            return self._term(condition, "CASE WHEN clause")
        left, right = self.compile(operand), self.compile(condition)
        kind = common(left.type, right.type)
        if kind is None:
            raise self._mismatch(
                condition, f"CASE operand type does not match WHEN clause operand type: {left.type} vs {right.type}"
            )
        return f"({self.coerced(left, kind)} = {self.coerced(right, kind)})"

    def _if(self, node: exp.Expr) -> Typed:
        condition = self._term(node.this, "IF condition")
        yes = self.compile(node.args["true"])
        no = self.compile(node.args["false"]) if node.args.get("false") else Typed("NULL", UNKNOWN)
        kind = self._shared(node, [yes, no], "Result types for IF must be the same: {first} and {other}")
        return Typed(f"CASE WHEN {condition} THEN {self.coerced(yes, kind)} ELSE {self.coerced(no, kind)} END", kind)

    def _concatenation(self, node: exp.Expr) -> Typed:
        left, right = self.compile(node.this), self.compile(node.expression)
        if left.type.name == "array" or right.type.name == "array":
            kind = self._array_of_both(node, left, right)
            sides = [side if side.type.name == "array" else Typed(f"[{side.sql}]", array(side.type)) for side in (left, right)]
            return Typed(f"({self.coerced(sides[0], kind)} || {self.coerced(sides[1], kind)})", kind)
        for side in (left, right):
            if side.type.name not in ("varchar", "char", "unknown", "varbinary"):
                message = f"Unexpected parameters ({left.type}, {right.type}) for function concat"
                expected = library.signatures_text(functions().signatures["concat"])
                raise QueryFailed("FUNCTION_NOT_FOUND", f"{self._place(node)}: {message}. Expected: {expected}")
        return Typed(f"({left.sql} || {right.sql})", VARBINARY if left.type == VARBINARY else VARCHAR)

    def _array_of_both(self, node: exp.Expr, left: Typed, right: Typed) -> Type:
        items = [side.type.items[0] if side.type.name == "array" else side.type for side in (left, right)]
        kind = common(items[0], items[1])
        if kind is None:
            raise self._operator_mismatch(node, "||", left.type, right.type)
        return array(kind)

    # casts and moments

    def _cast(self, node: exp.Expr) -> Typed:
        inner = self.compile(node.this)
        if inner.text is not None and self._queries.source.is_typed_literal(node.this):
            return self._typed_literal(node, inner.text)
        to = self._type_of(node)
        return Typed(self._cast_or_mismatch(node, inner, to, self._prefix), to)

    def _try_cast(self, node: exp.Expr) -> Typed:
        to = self._type_of(node)
        with_prefix, self._prefix = self._prefix, "null_"
        inner = self.compile(node.this)
        sql = self._cast_or_mismatch(node, inner, to, "null_")
        self._prefix = with_prefix
        return Typed(f"TRY({sql})", to)

    def _type_of(self, node: exp.Expr) -> Type:
        try:
            return parse_type(_type_text(node.args["to"]))
        except QueryFailed as unknown:
            raise QueryFailed(unknown.code, f"{self._place(node)}: {unknown.reason.partition(': ')[2]}") from unknown

    def _cast_or_mismatch(self, node: exp.Expr, inner: Typed, to: Type, prefix: str) -> str:
        try:
            return cast(inner.sql, inner.type, to, prefix)
        except QueryFailed as refused:
            raise QueryFailed(refused.code, f"{self._place(node)}: {refused.reason.partition(': ')[2]}") from refused

    def _typed_literal(self, node: exp.Expr, text: str) -> Typed:
        """``DATE '2024-01-01'``, ``DECIMAL '1.50'``: the text settles the type's details."""
        if node.args["to"].this == exp.DType.DECIMAL:
            return _number(text) if "." in text else Typed(f"CAST('{text}' AS DECIMAL({len(text)}, 0))", decimal(len(text), 0))
        to = self._type_of(node)
        zone = re.fullmatch(r"(.*\d) ([A-Za-z].*)", text.strip())
        if to.name.startswith("timestamp") and zone:
            local = cast(text_literal(zone[1]), VARCHAR, Type("timestamp", to.params), self._prefix)
            return Typed(f"timezone({text_literal(zone[2])}, {local})", replace(ZONED, params=to.params, zone=zone[2]))
        return Typed(cast(text_literal(text), VARCHAR, to, self._prefix), to)

    def _at_time_zone(self, node: exp.Expr) -> Typed:
        return self._in_zone(node, self.compile(node.this), self.compile(node.args["zone"]))

    def _in_zone(self, node: exp.Expr, inner: Typed, zone: Typed) -> Typed:
        if zone.text is None:
            raise not_done(f"a time zone that is not a literal, at {self._place(node)}")
        if inner.type.name not in ("timestamp", "timestamp with time zone"):
            raise self._mismatch(
                node, f"Type of value must be a time or timestamp with or without time zone (actual {inner.type})"
            )
        kind = Type("timestamp with time zone", inner.type.params, zone=zone.text)
        return Typed(self.coerced(inner, replace(kind, zone=inner.type.zone)), kind)

    def _at_timezone(self, node: exp.Expr) -> Typed:
        value, zone = (self.compile(item) for item in node.expressions)
        return self._in_zone(node, value, zone)

    def _from_unixtime(self, node: exp.Expr) -> Typed:
        instant = self._call(node, "from_unixtime", node.expressions[:1])
        return instant if len(node.expressions) == 1 else self._in_zone(node, instant, self.compile(node.expressions[1]))

    def _now(self, node: exp.Expr) -> Typed:
        return Typed(f"CAST('{self._queries.started:%Y-%m-%d %H:%M:%S.%f}+00' AS TIMESTAMPTZ)", ZONED)

    def _local_now(self, node: exp.Expr) -> Typed:
        return Typed(f"CAST('{self._queries.started:%Y-%m-%d %H:%M:%S.%f}' AS TIMESTAMP)", Type("timestamp", (3,)))

    def _today(self, node: exp.Expr) -> Typed:
        return Typed(f"CAST('{self._queries.started:%Y-%m-%d}' AS DATE)", DATE)

    def _user(self, node: exp.Expr) -> Typed:
        return Typed(text_literal(self._queries.user), VARCHAR)

    def _extract(self, node: exp.Expr) -> Typed:
        field = node.this.name.upper()
        return self._call(node, _EXTRACTED.get(field, field.lower()), [node.expression])

    def _trim(self, node: exp.Expr) -> Typed:
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get((node.args.get("position") or "").upper(), "trim")
        return self._call(node, name, [node.this, *([node.expression] if node.expression else [])])

    def _substring(self, node: exp.Expr) -> Typed:
        return self._call(node, "substring", [node.args[name] for name in ("this", "start", "length") if node.args.get(name)])

    def _position(self, node: exp.Expr) -> Typed:
        return self._call(node, "strpos", [node.this, node.args["substr"]])

    # calls

    def _anonymous(self, node: exp.Expr) -> Typed:
        return self._decorated(node, lambda sql: sql, windowed=False)

    def _decorated(self, node: exp.Expr, decorate: Decorate, windowed: bool) -> Typed:
        if isinstance(node, exp.GroupConcat):
            return self._listagg(node, decorate)
        if not isinstance(node, exp.Anonymous):
            raise QueryFailed("SYNTAX_ERROR", f"{self._place(node)}: FILTER and OVER belong to function calls")
        name = node.name.lower()
        special = _SPECIAL_CALLS.get(name)
        if special is not None:
            return special(self, node)
        return self._call(node, name, node.expressions, decorate, windowed)

    def _filter(self, node: exp.Expr) -> Typed:
        condition = self.boolean(node.expression.this, "FILTER clause")
        return self._decorated(node.this, lambda sql: f"{sql} FILTER (WHERE {condition})", windowed=False)

    def _window(self, node: exp.Expr) -> Typed:
        inner, nulls, condition = node.this, "", ""
        if isinstance(inner, exp.IgnoreNulls | exp.RespectNulls):
            nulls, inner = (" IGNORE NULLS" if isinstance(inner, exp.IgnoreNulls) else ""), inner.this
        if isinstance(inner, exp.Filter):
            condition = f" FILTER (WHERE {self.boolean(inner.expression.this, 'FILTER clause')})"
            inner = inner.this
        over = f" OVER ({self._window_text(node)})"

        def decorate(sql: str) -> str:
            inside = f"{sql[:-1]}{nulls})" if nulls else sql
            return f"{inside}{condition}{over}"

        return self._decorated(inner, decorate, windowed=True)

    def _window_text(self, node: exp.Expr) -> str:
        name = node.args.get("alias")
        base = self._window_text(self._window_named(name)) if name else ""
        parts = [base] if base else []
        if node.args.get("partition_by"):
            parts.append("PARTITION BY " + ", ".join(self.compile(item).sql for item in node.args["partition_by"]))
        if node.args.get("order"):
            parts.append("ORDER BY " + ", ".join(self.ordering(item) for item in node.args["order"].expressions))
        if node.args.get("spec"):
            parts.append(self._frame(node.args["spec"]))
        return " ".join(parts)

    def _window_named(self, name: exp.Expr) -> exp.Window:
        if name.name.lower() not in self._windows:
            raise QueryFailed("INVALID_WINDOW_REFERENCE", f"{self._place(name)}: Cannot resolve WINDOW name {name.name}")
        return self._windows[name.name.lower()]

    def _frame(self, spec: exp.Expr) -> str:
        if spec.args.get("exclude"):
            raise not_done("EXCLUDE in a window frame")
        start = self._bound(spec.args["start"], spec.args.get("start_side"))
        end = self._bound(spec.args.get("end") or "CURRENT ROW", spec.args.get("end_side"))
        return f"{spec.args['kind']} BETWEEN {start} AND {end}"

    def _bound(self, edge: exp.Expr | str, side: str | None) -> str:
        text = edge if isinstance(edge, str) else self.compile(edge).sql
        return f"{text} {side}" if side else text

    def _call(
        self,
        node: exp.Expr,
        name: str,
        arguments: Sequence[exp.Expr],
        decorate: Decorate = lambda sql: sql,
        windowed: bool = False,
    ) -> Typed:
        candidates = functions().signatures.get(name, [])
        if not candidates:
            if name in functions().refused:
                raise not_done(f"the function {name}, at {self._place(node)}")
            raise QueryFailed("FUNCTION_NOT_FOUND", f"{self._place(node)}: Function '{name}' not registered")
        call = _Call(self, node, arguments)
        if name == "avg" and call.types and call.types[0].name == "decimal":
            return self._average(call, decorate)
        for function in candidates:
            if (result := call.matched(function)) is not None:
                self._check_kind(node, function, windowed)
                return self._expanded(call, function, *result, decorate)
        given = ", ".join(map(str, call.types))
        expected = library.signatures_text(candidates)
        message = f"{self._place(node)}: Unexpected parameters ({given}) for function {name}. Expected: {expected}"
        raise QueryFailed("FUNCTION_NOT_FOUND", message)

    def _check_kind(self, node: exp.Expr, function: Function, windowed: bool) -> None:
        if function.kind == "window" and not windowed:
            message = f"{self._place(node)}: Window function {function.name} requires an OVER clause"
            raise QueryFailed("MISSING_OVER", message)
        if function.kind == "scalar" and windowed:
            raise QueryFailed("FUNCTION_NOT_WINDOW", f"{self._place(node)}: Not a window function: {function.name}")

    def _expanded(self, call: _Call, function: Function, bound: Bindings, given: list[str], decorate: Decorate) -> Typed:
        result = library.settled(function.result, bound)
        zone = bound.get("zone", ZONED).zone
        fixed = {"zone": zone, "now": self._now(call.node).sql, "typeof": text_literal(str(call.types[0])) if call.types else ""}

        def fill(hole: re.Match[str]) -> str:
            if hole[1] == "*":
                return ", ".join(given)
            return given[int(hole[1])] if hole[1].isdigit() else fixed[hole[1]]

        sql = _HOLE.sub(fill, function.template.replace("trino_", self._prefix))
        if function.kind != "scalar":
            before, mark, after = sql.partition("@")
            sql = decorate(before) + after if mark else decorate(sql)
        return Typed(self._of_result_type(sql, function, result), result)

    def _of_result_type(self, sql: str, function: Function, result: Type) -> str:
        if result.name == "decimal" or result.name in INTEGERS and function.kind == "scalar":
            return f"CAST({sql} AS {duckdb_type(result)})"
        return f"({sql})" if function.kind == "scalar" else sql

    def _average(self, call: _Call, decorate: Decorate) -> Typed:
        """AVG of a decimal stays one of its scale, rounded half up."""
        value = call.given[0].sql
        total = f"{self._prefix}unscaled({decorate(f'sum({value})')})"
        count = f"CAST(nullif({decorate(f'count({value})')}, 0) AS HUGEINT)"
        return self._quotient(total, 0, count, call.types[0])

    def _listagg(self, node: exp.Expr, decorate: Decorate) -> Typed:
        inner, order = node.this, ""
        if isinstance(inner, exp.Order):
            order = " ORDER BY " + ", ".join(self.ordering(item) for item in inner.expressions)
            inner = inner.this
        distinct = "DISTINCT " if isinstance(inner, exp.Distinct) else ""
        value = self.compile(inner.expressions[0] if distinct else inner)
        if value.type.name not in ("varchar", "char", "unknown"):
            raise self._mismatch(node, f"Expected expression of varchar, but {value.type} found")
        separator = self.compile(node.args["separator"]).sql if node.args.get("separator") else "''"
        return Typed(decorate(f"string_agg({distinct}{value.sql}, {separator}{order})"), VARCHAR)

    # calls with rules of their own

    def _coalesce(self, node: exp.Expr) -> Typed:
        items = [self.compile(item) for item in node.expressions]
        kind = self._shared(
            node, items, "All COALESCE operands must be the same type or coercible to a common type: {first}, {other}"
        )
        return Typed(f"coalesce({', '.join(self.coerced(item, kind) for item in items)})", kind)

    def _nullif(self, node: exp.Expr) -> Typed:
        left, right = (self.compile(item) for item in node.expressions)
        kind = common(left.type, right.type)
        if kind is None:
            raise self._mismatch(node, f"Types are not comparable with NULLIF: {left.type} vs {right.type}")
        same = f"{self.coerced(left, kind)} = {self.coerced(right, kind)}"
        return Typed(f"CASE WHEN {same} THEN NULL ELSE {left.sql} END", left.type)

    def _try(self, node: exp.Expr) -> Typed:
        with_prefix, self._prefix = self._prefix, "null_"
        inner = self.compile(node.expressions[0])
        self._prefix = with_prefix
        return Typed(f"TRY({inner.sql})", inner.type)

    def _row_call(self, node: exp.Expr) -> Typed:
        return self._row_of([self.compile(item) for item in node.expressions])

    def _if_call(self, node: exp.Expr) -> Typed:
        names = ("this", "true", "false")
        return self._if(exp.If(**dict(zip(names, node.expressions, strict=False))))

    def _grouping(self, node: exp.Expr) -> Typed:
        inside = ", ".join(self.compile(item).sql for item in node.expressions)
        return Typed(f"CAST(grouping({inside}) AS INTEGER)", INTEGER)

    def _precise_now(self, node: exp.Expr) -> Typed:
        kind = replace(ZONED, params=(int(node.expressions[0].name),))
        return Typed(self._now(node).sql, kind)

    def _format(self, node: exp.Expr) -> Typed:
        pattern, *rest = (self.compile(item) for item in node.expressions)
        if pattern.text is None or re.search(
            r"%[^sdxfe%]", re.sub(r"%[-,0]*\d*(\.\d+)?([sdxfe])", "", pattern.text).replace("%%", "")
        ):
            raise not_done(f"this format string of format(), at {self._place(node)}")
        letters = re.findall(r"%[-,0]*\d*(?:\.\d+)?([sdxfe])", pattern.text.replace("%%", ""))
        if len(letters) > len(rest):
            raise QueryFailed("INVALID_FUNCTION_ARGUMENT", f"Format specifier '%{letters[len(rest)]}'")
        given = [_for_format(self, letter, value) for letter, value in zip(letters, rest, strict=False)]
        return Typed(f"printf({', '.join([pattern.sql, *given])})", VARCHAR)


def _for_format(compiler: Expressions, letter: str, value: Typed) -> str:
    if letter == "s":
        return compiler.coerced(value, VARCHAR) if coerces(value.type, VARCHAR) else cast(value.sql, value.type, VARCHAR)
    return f"CAST({value.sql} AS {'BIGINT' if letter in 'dx' else 'DOUBLE'})"


class _Call:
    """The arguments of one call, compiled once; functions among them when their parameters' types are known."""

    def __init__(self, compiler: Expressions, node: exp.Expr, arguments: Sequence[exp.Expr]) -> None:
        self.node = node
        self._compiler = compiler
        self._lambdas: dict[int, exp.Lambda] = {}
        self.given: list[Typed] = []
        for index, argument in enumerate(arguments):
            self._add(index, argument)

    @property
    def types(self) -> list[Type]:
        return [item.type for item in self.given]

    def _add(self, index: int, argument: exp.Expr) -> None:
        if isinstance(argument, exp.Lambda):
            self._lambdas[index] = argument
            self.given.append(Typed("", Type("function")))
        elif isinstance(argument, exp.Star):
            self.given.append(Typed("*", Type("*")))
        elif isinstance(argument, exp.Distinct):
            items = [self._compiler.compile(item) for item in argument.expressions]
            self.given += [replace(items[0], sql=f"DISTINCT {items[0].sql}", text=None), *items[1:]]
        elif isinstance(argument, exp.Order):
            self._add(index, argument.this)
            order = ", ".join(self._compiler.ordering(item) for item in argument.expressions)
            self.given[-1] = replace(self.given[-1], sql=f"{self.given[-1].sql} ORDER BY {order}")
        else:
            self.given.append(self._compiler.compile(argument))

    def matched(self, function: Function) -> tuple[Bindings, list[str]] | None:
        """The type variables and the arguments' texts, if the signature fits."""
        star = [kind.name for kind in self.types] == ["*"]
        if star or [pattern.name for pattern in function.arguments] == ["*"]:
            return ({}, ["*"]) if star and str(function) == "count(*)" else None
        if not function.takes(len(self.given)):
            return None
        bound: Bindings = {}
        for index, item in enumerate(self.given):
            pattern = function.pattern(index)
            is_function = index in self._lambdas
            if is_function != (pattern.name == "function") or not is_function and not library.bind(pattern, item.type, bound):
                return None
            if item.type.name == "timestamp with time zone":
                bound["zone"] = item.type
        bodies = {index: self._body(function, index, bound) for index in self._lambdas}
        return bound, [bodies.get(index) or self._argument(function, index, bound) for index in range(len(self.given))]

    def _argument(self, function: Function, index: int, bound: Bindings) -> str:
        item, pattern = self.given[index], function.pattern(index)
        if pattern.name.endswith("_format"):
            return self._format(item, pattern)
        if pattern.name == "moment" and item.type.name == "timestamp with time zone":
            return f"timezone({text_literal(item.type.zone)}, {item.sql})"
        if item.sql.startswith("DISTINCT "):
            bare = replace(item, sql=item.sql.removeprefix("DISTINCT "))
            return "DISTINCT " + self._compiler.coerced(bare, library.wanted(pattern, item.type, bound))
        kind = library.wanted(pattern, item.type, bound)
        return (
            item.sql
            if kind.name == item.type.name and not kind.items and kind.name != "decimal"
            else self._compiler.coerced(item, kind)
        )

    def _format(self, item: Typed, pattern: Pattern) -> str:
        converted = library.duckdb_format(pattern.name, item.text) if item.text is not None else None
        if converted is None:
            raise not_done(f"the format {item.text or item.sql} of dates")
        return text_literal(converted)

    def _body(self, function: Function, index: int, bound: Bindings) -> str:
        """The function argument as DuckDB's lambda; its result settles the pattern's last variable."""
        node, patterns = self._lambdas[index], function.pattern(index).items
        names = [parameter.name.lower() for parameter in node.expressions]
        kinds = [library.settled(pattern, bound) for pattern in patterns[:-1]]
        as_entry = f"{{{index}:entry}}" in function.template
        result, text = self._compiler.lambda_of(node, names, kinds, as_entry)
        before = bound.get(patterns[-1].name)
        if not library.bind(patterns[-1], result.type, bound):
            raise QueryFailed("TYPE_MISMATCH", f"Lambda expression must return {patterns[-1]}, not {result.type}")
        if before is not None and bound[patterns[-1].name] != before:  # reduce(): the state widens to what its function returns
            return self._body(function, index, bound)
        return text


def direction(ordered: exp.Expr) -> str:
    """ASC or DESC and where nulls come: last, unless it says otherwise."""
    down = " DESC" if ordered.args.get("desc") else " ASC"
    return down + (" NULLS FIRST" if ordered.args.get("nulls_first") else " NULLS LAST")


def _power_of_ten(exponent: int) -> str:
    return f"0.{'1':0>{-exponent}}" if exponent else "1"


def _number(text: str) -> Typed:
    if re.fullmatch(r"\d+", text):
        value = int(text)
        if value < 2**31:
            return Typed(text, INTEGER)
        if value < 2**63:
            return Typed(f"CAST({text} AS BIGINT)", BIGINT)
        raise QueryFailed("NUMERIC_VALUE_OUT_OF_RANGE", f"Invalid numeric literal: {text}")
    if "e" in text.lower():
        return Typed(f"CAST({text} AS DOUBLE)", DOUBLE)
    whole, _, fraction = text.partition(".")
    kind = decimal(max(1, len(whole.lstrip("0")) + len(fraction)), len(fraction))
    return Typed(f"CAST('{text}' AS {duckdb_type(kind)})", kind)


def _unwrapped(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren) or isinstance(node, exp.Subquery) and not node.args.get("alias"):
        node = node.this
    return node


def _type_text(node: Any) -> str:
    """A type of the tree in Trino's words."""
    if not isinstance(node, exp.DataType):
        return str(node.sql(dialect="trino"))
    kind = node.this
    if kind in (exp.DType.ARRAY, exp.DType.MAP):
        return f"{kind.value.lower()}({', '.join(_type_text(item) for item in node.expressions)})"
    if kind == exp.DType.STRUCT:
        return f"row({', '.join(_field_text(item) for item in node.expressions)})"
    params = ",".join(item.name or item.this.name for item in node.expressions)
    name = _TYPE_WORDS.get(kind, kind.value.lower())
    if kind == exp.DType.TIMESTAMPTZ:
        return f"timestamp({params or 3}) with time zone"
    if kind == exp.DType.USERDEFINED:
        return str(node.args.get("kind") or node.name)
    return f"{name}({params})" if params else name


def _field_text(item: exp.Expr) -> str:
    if isinstance(item, exp.ColumnDef):
        return f'"{item.name}" {_type_text(item.args["kind"])}'
    return _type_text(item)


_TYPE_WORDS = {
    exp.DType.INT: "integer",
    exp.DType.FLOAT: "real",
    exp.DType.TEXT: "string",
    exp.DType.TIMESTAMPNTZ: "timestamp",
}

_HANDLERS: dict[type[exp.Expr], Callable[[Expressions, Any], Typed]] = {
    exp.Literal: Expressions._literal,
    exp.Null: Expressions._null,
    exp.Boolean: Expressions._boolean,
    exp.HexString: Expressions._hex,
    exp.Column: Expressions._column,
    exp.Identifier: Expressions._identifier,
    exp.Dot: Expressions._dot,
    exp.Paren: Expressions._paren,
    exp.Tuple: Expressions._tuple,
    exp.Array: Expressions._array,
    exp.Bracket: Expressions._subscript,
    exp.Neg: Expressions._negative,
    exp.Interval: Expressions._interval,
    exp.And: Expressions._logical,
    exp.Or: Expressions._logical,
    exp.Not: Expressions._not,
    exp.Between: Expressions._between,
    exp.In: Expressions._in,
    exp.Exists: Expressions._exists,
    exp.Subquery: Expressions._scalar_subquery,
    exp.Like: Expressions._like,
    exp.Escape: Expressions._like,
    exp.Is: Expressions._is,
    exp.Case: Expressions._case,
    exp.If: Expressions._if,
    exp.DPipe: Expressions._concatenation,
    exp.TryCast: Expressions._try_cast,
    exp.Cast: Expressions._cast,
    exp.AtTimeZone: Expressions._at_time_zone,
    exp.CurrentTimestamp: Expressions._now,
    exp.Localtimestamp: Expressions._local_now,
    exp.CurrentDate: Expressions._today,
    exp.CurrentUser: Expressions._user,
    exp.ParseJSON: lambda self, node: self._call(node, "json_parse", [node.this]),
    exp.Extract: Expressions._extract,
    exp.Trim: Expressions._trim,
    exp.Substring: Expressions._substring,
    exp.StrPosition: Expressions._position,
    exp.Anonymous: Expressions._anonymous,
    exp.Filter: Expressions._filter,
    exp.Window: Expressions._window,
    exp.GroupConcat: lambda self, node: self._listagg(node, lambda sql: sql),
    **dict.fromkeys(_ARITHMETIC, Expressions._arithmetic),
    **dict.fromkeys(_COMPARISONS, Expressions._comparison),
    **dict.fromkeys(_DISTINCTNESS, Expressions._distinctness),
}

_SPECIAL_CALLS: dict[str, Callable[[Expressions, Any], Typed]] = {
    "coalesce": Expressions._coalesce,
    "nullif": Expressions._nullif,
    "try": Expressions._try,
    "row": Expressions._row_call,
    "if": Expressions._if_call,
    "grouping": Expressions._grouping,
    "current_timestamp": Expressions._precise_now,
    "format": Expressions._format,
    "at_timezone": Expressions._at_timezone,
    "from_unixtime": Expressions._from_unixtime,
}
