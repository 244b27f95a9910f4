"""Compiles one expression from Trino's SQL to DuckDB's, with Trino's types and errors."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from sqlglot import exp

from local_aws.athena.arithmetic import combined, decimal_number, number
from local_aws.athena.calls import Calls
from local_aws.athena.casts import cast
from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.functions import functions, signatures_text
from local_aws.athena.syntax import Source
from local_aws.athena.typed import Typed, direction, text_literal
from local_aws.athena.types import (
    BOOLEAN,
    DATE,
    DAY_TIME,
    INTEGERS,
    UNKNOWN,
    VARBINARY,
    VARCHAR,
    YEAR_MONTH,
    ZONED,
    Type,
    array,
    common,
    duckdb_type,
    is_number,
    row,
    type_of,
)


class Names(Protocol):
    """Resolves the names that are visible to an expression."""

    def resolve(self, parts: Sequence[str]) -> tuple[Typed, Sequence[str]] | None:
        """Splits ``a.b.c`` into the column and the row fields after it.

        Returns None if there is no such column; raises ``QueryFailed`` if it is ambiguous.
        """


class Queries(Protocol):
    """The query around an expression: its text, start time and user; compiles subqueries."""

    source: Source
    started: datetime
    user: str

    def subquery(self, node: exp.Expr, outer: Names) -> tuple[str, list[Type]]:
        """Compiles a subquery to its SQL and the types of its columns."""


_COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
}
_DISTINCTNESS: dict[type[exp.Expr], str] = {
    exp.NullSafeEQ: "IS NOT DISTINCT FROM",
    exp.NullSafeNEQ: "IS DISTINCT FROM",
}
_ARITHMETIC: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}
_DAY_TIME_UNITS = ("SECOND", "MINUTE", "HOUR", "DAY")
_YEAR_MONTH_UNITS = ("MONTH", "YEAR")


class Expressions:
    """Compiles the expressions of one clause; ``names`` resolves columns."""

    def __init__(
        self, queries: Queries, names: Names, windows: dict[str, exp.Window] | None = None
    ) -> None:
        self._queries = queries
        self._names = names
        self._lambdas: list[dict[str, Typed]] = []
        self._calls: Calls = Calls(self, windows or {})
        # selects the macros; inside TRY it is "null_", and errors become NULL
        self.prefix = "trino_"

    # entry points

    def compile(self, node: exp.Expr) -> Typed:
        """The compiled expression; raises ``QueryFailed`` if it is invalid or unsupported."""
        for kind in type(node).__mro__:
            handler = _HANDLERS.get(kind)
            if handler is not None:
                return handler(self, node)
        raise unsupported(f"{type(node).__name__} in an expression, at {self.place(node)}")

    def boolean(self, node: exp.Expr, what: str) -> str:
        """Compiles a condition; ``what`` names the clause in error messages."""
        compiled = self.compile(node)
        if compiled.type.name not in ("boolean", "unknown"):
            raise self.mismatch(
                node, f"{what} must evaluate to a boolean: actual type {compiled.type}"
            )
        return compiled.sql

    def coerced(self, given: Typed, to: Type) -> str:
        """The SQL of ``given`` as type ``to``."""
        return given.as_type(to, self.prefix)

    @contextmanager
    def lenient(self) -> Iterator[None]:
        """Within this block, compiled expressions return NULL instead of raising an error."""
        before, self.prefix = self.prefix, "null_"
        yield
        self.prefix = before

    def ordering(self, ordered: exp.Expr) -> str:
        """Compiles one item of ORDER BY, with NULLs where Trino sorts them."""
        return self.compile(ordered.this).sql + direction(ordered)

    def lambda_of(
        self, node: exp.Expr, names: list[str], kinds: list[Type], as_entry: bool
    ) -> tuple[Typed, str]:
        """The compiled body of a lambda, and the whole lambda in DuckDB's SQL.

        ``as_entry``: the lambda's two parameters are the key and the value of a map entry.
        """
        if len(names) != len(kinds):
            raise QueryFailed(
                "INVALID_PARAMETER_USAGE", f"Expected a lambda that takes {len(kinds)} argument(s)"
            )
        level = len(self._lambdas)
        inner = (
            [f"l{level}.key", f"l{level}.value"]
            if as_entry
            else [f"l{level}_{index}" for index in range(len(names))]
        )
        self._lambdas.append(
            {name: Typed(sql, kind) for name, sql, kind in zip(names, inner, kinds, strict=True)}
        )
        body = self.compile(node.this)
        self._lambdas.pop()
        return body, f"lambda {f'l{level}' if as_entry else ', '.join(inner)}: {body.sql}"

    # errors

    def place(self, node: exp.Expr) -> str:
        """The position of ``node``, such as ``line 1:8``."""
        return self._queries.source.place(node)

    def failed(self, node: exp.Expr, code: str, message: str) -> QueryFailed:
        """An error at the position of ``node``."""
        return QueryFailed(code, f"{self.place(node)}: {message}")

    def mismatch(self, node: exp.Expr, message: str) -> QueryFailed:
        """TYPE_MISMATCH at the position of ``node``."""
        return self.failed(node, "TYPE_MISMATCH", message)

    def _operator_mismatch(self, node: exp.Expr, sign: str, left: Type, right: Type) -> QueryFailed:
        place = self._queries.source.place_of_operator(node, node.expression)
        return QueryFailed(
            "TYPE_MISMATCH", f"{place}: Cannot apply operator: {left} {sign} {right}"
        )

    # literals and names

    def _literal(self, node: exp.Expr) -> Typed:
        value = str(node.this)
        if node.args["is_string"]:
            return Typed(text_literal(value), Type("varchar", (len(value),)), value)
        return number(value)

    def _null(self, node: exp.Expr) -> Typed:
        return Typed("NULL", UNKNOWN)

    def _boolean(self, node: exp.Expr) -> Typed:
        return Typed("true" if node.this else "false", BOOLEAN)

    def _hex(self, node: exp.Expr) -> Typed:
        return Typed(f"unhex({text_literal(str(node.this))})", VARBINARY)

    def _column(self, node: exp.Column) -> Typed:
        if isinstance(node.this, exp.Star):
            raise self.failed(node, "SYNTAX_ERROR", "* is not an expression")
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
            raise QueryFailed(
                ambiguous.code, f"{self.place(node)}: {ambiguous.reason.partition(': ')[2]}"
            ) from ambiguous
        if found is None:
            name = ".".join(parts).lower()
            message = (
                f"Column '{name}' cannot be resolved or requester is not authorized to access"
                " requested resources"
            )
            raise self.failed(node, "COLUMN_NOT_FOUND", message)
        return self._fields(node, *found)

    def _fields(self, node: exp.Expr, base: Typed, fields: Sequence[str]) -> Typed:
        for field in fields:
            names = [name.lower() if name else "" for name in base.type.fields]
            if base.type.name != "row" or field.lower() not in names:
                raise self.failed(node, "COLUMN_NOT_FOUND", f"Column '{field}' cannot be resolved")
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
        return self.row_of([self.compile(item) for item in node.expressions])

    def row_of(self, items: Sequence[Typed]) -> Typed:
        fields = ", ".join(f"field{index} := {item.sql}" for index, item in enumerate(items))
        return Typed(f"struct_pack({fields})", row([item.type for item in items]))

    def _array(self, node: exp.Expr) -> Typed:
        return self._array_of(node, [self.compile(item) for item in node.expressions])

    def _array_of(self, node: exp.Expr, items: Sequence[Typed]) -> Typed:
        kind = (
            self.common_type_of(node, items, "All ARRAY elements must be the same type: {first}")
            if items
            else UNKNOWN
        )
        inside = ", ".join(self.coerced(item, kind) for item in items)
        return Typed(f"CAST([{inside}] AS {duckdb_type(array(kind))})", array(kind))

    def common_type_of(self, node: exp.Expr, items: Sequence[Typed], message: str) -> Type:
        """The common type of ``items``.

        Raises TYPE_MISMATCH if there is none; ``{first}`` and ``{other}`` in ``message`` are types.
        """
        kind = items[0].type
        for item in items[1:]:
            common_type_of = common(kind, item.type)
            if common_type_of is None:
                raise self.mismatch(node, message.format(first=kind, other=item.type))
            kind = common_type_of
        return kind

    def _subscript(self, node: exp.Expr) -> Typed:
        base, index = self.compile(node.this), self.compile(node.expressions[0])
        if base.type.name == "map":
            key = self.coerced(index, base.type.items[0])
            return Typed(f"{self.prefix}map_subscript({base.sql}, {key})", base.type.items[1])
        if base.type.name == "row":
            return self._row_subscript(node, base, index)
        if base.type.name != "array" or index.type.name not in INTEGERS:
            raise self.mismatch(node, f"Cannot apply operator: {base.type}[{index.type}]")
        return Typed(f"{self.prefix}subscript({base.sql}, {index.sql})", base.type.items[0])

    def _row_subscript(self, node: exp.Expr, base: Typed, index: Typed) -> Typed:
        if not index.sql.isdigit() or not 1 <= int(index.sql) <= len(base.type.items):
            raise self.mismatch(
                node, "Subscript expression on ROW requires a constant index within its fields"
            )
        key = base.type.field_keys()[int(index.sql) - 1]
        return Typed(
            f"struct_extract({base.sql}, {text_literal(key)})", base.type.items[int(index.sql) - 1]
        )

    # arithmetic

    def _negative(self, node: exp.Expr) -> Typed:
        inner = self.compile(node.this)
        if not is_number(inner.type) and not inner.type.name.startswith("interval"):
            raise self.mismatch(node, f"Cannot negate {inner.type}")
        return Typed(f"(-{inner.sql})", inner.type)

    def _arithmetic(self, node: exp.Expr) -> Typed:
        left, right, sign = (
            self.compile(node.this),
            self.compile(node.expression),
            _ARITHMETIC[type(node)],
        )
        result = combined(left, right, sign, self.prefix)
        if result is None:
            raise self._operator_mismatch(node, sign, left.type, right.type)
        return result

    def _interval(self, node: exp.Expr) -> Typed:
        unit = node.args.get("unit")
        if (
            isinstance(unit, exp.IntervalSpan)
            or unit is None
            or not isinstance(node.this, exp.Literal)
        ):
            raise unsupported(f"the interval {node.sql()}")
        name = unit.name.upper()
        if name not in _DAY_TIME_UNITS + _YEAR_MONTH_UNITS or not re.fullmatch(
            r"[+-]?\d+(\.\d+)?", node.this.name
        ):
            raise self.failed(
                node, "SYNTAX_ERROR", f"Invalid INTERVAL {name} value: {node.this.name}"
            )
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
        return Typed(
            f"({self.coerced(left, kind)} {sign} {word} (SELECT {cast('c0', kinds[0], kind)} FROM"
            f" ({sql})))",
            BOOLEAN,
        )

    def _logical(self, node: exp.Expr) -> Typed:
        word = "AND" if isinstance(node, exp.And) else "OR"
        sides = [
            self._term(side, "Logical expression term") for side in (node.this, node.expression)
        ]
        return Typed(f"({sides[0]} {word} {sides[1]})", BOOLEAN)

    def _not(self, node: exp.Expr) -> Typed:
        return Typed(f"(NOT {self._term(node.this, 'Value of logical NOT expression')})", BOOLEAN)

    def _term(self, node: exp.Expr, what: str) -> str:
        inner = self.compile(node)
        if inner.type.name not in ("boolean", "unknown"):
            raise self.mismatch(node, f"{what} must evaluate to a boolean (actual: {inner.type})")
        return inner.sql

    def _between(self, node: exp.Expr) -> Typed:
        value, low, high = (self.compile(node.args[name]) for name in ("this", "low", "high"))
        kind = common(value.type, low.type)
        kind = kind and common(kind, high.type)
        if kind is None:
            raise self.mismatch(
                node, f"Cannot check if {value.type} is BETWEEN {low.type} and {high.type}"
            )
        tested, least, most = (self.coerced(side, kind) for side in (value, low, high))
        return Typed(f"({tested} BETWEEN {least} AND {most})", BOOLEAN)

    def _in(self, node: exp.Expr) -> Typed:
        value = self.compile(node.this)
        query = node.args.get("query")
        if query is not None:
            return self._in_query(node, value, _unwrapped(query))
        items = [self.compile(item) for item in node.expressions]
        kind = self.common_type_of(
            node, [value, *items], "IN value and list items must be the same type: {first}, {other}"
        )
        inside = ", ".join(self.coerced(item, kind) for item in items)
        return Typed(f"({self.coerced(value, kind)} IN ({inside}))", BOOLEAN)

    def _in_query(self, node: exp.Expr, value: Typed, query: exp.Expr) -> Typed:
        sql, kinds = self._queries.subquery(query, self._names)
        given = kinds[0] if len(kinds) == 1 else row(kinds)
        kind = common(value.type, given)
        if kind is None:
            raise self.mismatch(
                node,
                f"Value expression and result of subquery must be of the same type: {value.type} vs"
                f" {given}",
            )
        packed = ", ".join(f"field{index} := c{index}" for index in range(len(kinds)))
        column = "c0" if len(kinds) == 1 else f"struct_pack({packed})"
        return Typed(
            f"({self.coerced(value, kind)} IN (SELECT {cast(column, given, kind)} FROM ({sql})))",
            BOOLEAN,
        )

    def _exists(self, node: exp.Expr) -> Typed:
        return Typed(
            f"EXISTS ({self._queries.subquery(_unwrapped(node.this), self._names)[0]})", BOOLEAN
        )

    def _scalar_subquery(self, node: exp.Expr) -> Typed:
        sql, kinds = self._queries.subquery(_unwrapped(node), self._names)
        if len(kinds) != 1:
            place = self.place(node)
            raise QueryFailed(
                "NOT_SUPPORTED",
                f"{place}: Multiple columns returned by subquery are not yet supported. Found"
                f" {len(kinds)}",
            )
        return Typed(f"({sql})", kinds[0])

    def _like(self, node: exp.Expr) -> Typed:
        escape = ""
        if isinstance(node, exp.Escape):
            escape = f" ESCAPE {self.compile(node.expression).sql}"
            node = node.this
        value, pattern = self.compile(node.this), self.compile(node.expression)
        for side, what in (
            (value, "Left side of LIKE expression"),
            (pattern, "Pattern for LIKE expression"),
        ):
            if side.type.name not in ("varchar", "char", "unknown"):
                raise self.mismatch(
                    node, f"{what} must evaluate to a varchar (actual: {side.type})"
                )
        return Typed(f"({value.sql} LIKE {pattern.sql}{escape})", BOOLEAN)

    def _is(self, node: exp.Expr) -> Typed:
        if not isinstance(node.expression, exp.Null):
            raise self.failed(
                node, "SYNTAX_ERROR", "Trino's IS takes NULL, NOT NULL and DISTINCT FROM only"
            )
        return Typed(f"({self.compile(node.this).sql} IS NULL)", BOOLEAN)

    def _case(self, node: exp.Expr) -> Typed:
        results = [self.compile(branch.args["true"]) for branch in node.args["ifs"]]
        default = (
            self.compile(node.args["default"])
            if node.args.get("default")
            else Typed("NULL", UNKNOWN)
        )
        kind = self.common_type_of(
            node,
            [*results, default],
            "All CASE results must be the same type or coercible to a common type: {first}",
        )
        whens = [self._when(node, branch.this) for branch in node.args["ifs"]]
        branches = " ".join(
            f"WHEN {when} THEN {self.coerced(then, kind)}"
            for when, then in zip(whens, results, strict=True)
        )
        return Typed(f"CASE {branches} ELSE {self.coerced(default, kind)} END", kind)

    def _when(self, node: exp.Expr, condition: exp.Expr) -> str:
        operand = node.args.get("this")
        if operand is None:
            return self._term(condition, "CASE WHEN clause")
        left, right = self.compile(operand), self.compile(condition)
        kind = common(left.type, right.type)
        if kind is None:
            raise self.mismatch(
                condition,
                f"CASE operand type does not match WHEN clause operand type: {left.type} vs"
                f" {right.type}",
            )
        return f"({self.coerced(left, kind)} = {self.coerced(right, kind)})"

    def conditional(self, node: exp.Expr) -> Typed:
        """Compiles ``IF(condition, true, false)``."""
        condition = self._term(node.this, "IF condition")
        yes = self.compile(node.args["true"])
        no = self.compile(node.args["false"]) if node.args.get("false") else Typed("NULL", UNKNOWN)
        kind = self.common_type_of(
            node, [yes, no], "Result types for IF must be the same: {first} and {other}"
        )
        return Typed(
            f"CASE WHEN {condition} THEN {self.coerced(yes, kind)} ELSE"
            f" {self.coerced(no, kind)} END",
            kind,
        )

    def _concatenation(self, node: exp.Expr) -> Typed:
        left, right = self.compile(node.this), self.compile(node.expression)
        if left.type.name == "array" or right.type.name == "array":
            kind = self._array_of_both(node, left, right)
            sides = [
                side if side.type.name == "array" else Typed(f"[{side.sql}]", array(side.type))
                for side in (left, right)
            ]
            return Typed(
                f"({self.coerced(sides[0], kind)} || {self.coerced(sides[1], kind)})", kind
            )
        for side in (left, right):
            if side.type.name not in ("varchar", "char", "unknown", "varbinary"):
                message = f"Unexpected parameters ({left.type}, {right.type}) for function concat"
                expected = signatures_text(functions().signatures["concat"])
                raise self.failed(node, "FUNCTION_NOT_FOUND", f"{message}. Expected: {expected}")
        return Typed(
            f"({left.sql} || {right.sql})", VARBINARY if left.type == VARBINARY else VARCHAR
        )

    def _array_of_both(self, node: exp.Expr, left: Typed, right: Typed) -> Type:
        items = [
            side.type.items[0] if side.type.name == "array" else side.type for side in (left, right)
        ]
        kind = common(items[0], items[1])
        if kind is None:
            raise self._operator_mismatch(node, "||", left.type, right.type)
        return array(kind)

    # casts, dates and times

    def _cast(self, node: exp.Expr) -> Typed:
        inner = self.compile(node.this)
        if inner.text is not None and self._queries.source.is_typed_literal(node.this):
            return self._typed_literal(node, inner.text)
        to = self._type_of(node)
        return Typed(self._cast_or_mismatch(node, inner, to, self.prefix), to)

    def _try_cast(self, node: exp.Expr) -> Typed:
        to = self._type_of(node)
        with self.lenient():
            inner = self.compile(node.this)
            sql = self._cast_or_mismatch(node, inner, to, self.prefix)
        return Typed(f"TRY({sql})", to)

    def _type_of(self, node: exp.Expr) -> Type:
        try:
            return type_of(node.args["to"])
        except QueryFailed as unknown:
            raise QueryFailed(
                unknown.code, f"{self.place(node)}: {unknown.reason.partition(': ')[2]}"
            ) from unknown

    def _cast_or_mismatch(self, node: exp.Expr, inner: Typed, to: Type, prefix: str) -> str:
        try:
            return cast(inner.sql, inner.type, to, prefix)
        except QueryFailed as refused:
            raise QueryFailed(
                refused.code, f"{self.place(node)}: {refused.reason.partition(': ')[2]}"
            ) from refused

    def _typed_literal(self, node: exp.Expr, text: str) -> Typed:
        """Compiles ``DATE '2024-01-01'`` or ``DECIMAL '1.50'``, whose text determines the type."""
        if node.args["to"].this == exp.DType.DECIMAL:
            return decimal_number(text)
        to = self._type_of(node)
        zone = re.fullmatch(r"(.*\d) ([A-Za-z].*)", text.strip())
        if to.name.startswith("timestamp") and zone:
            local = cast(text_literal(zone[1]), VARCHAR, Type("timestamp", to.params), self.prefix)
            return Typed(
                f"timezone({text_literal(zone[2])}, {local})",
                replace(ZONED, params=to.params, zone=zone[2]),
            )
        return Typed(cast(text_literal(text), VARCHAR, to, self.prefix), to)

    def _at_time_zone(self, node: exp.Expr) -> Typed:
        return self.in_zone(node, self.compile(node.this), self.compile(node.args["zone"]))

    def in_zone(self, node: exp.Expr, inner: Typed, zone: Typed) -> Typed:
        """Converts a timestamp to another time zone; the point in time stays the same."""
        if zone.text is None:
            raise unsupported(f"a time zone that is not a literal, at {self.place(node)}")
        if inner.type.name not in ("timestamp", "timestamp with time zone"):
            raise self.mismatch(
                node,
                "Type of value must be a time or timestamp with or without time zone (actual"
                f" {inner.type})",
            )
        kind = Type("timestamp with time zone", inner.type.params, zone=zone.text)
        return Typed(self.coerced(inner, replace(kind, zone=inner.type.zone)), kind)

    def now(self, node: exp.Expr) -> Typed:
        """The query's start time, so that all calls in one query return the same value."""
        return Typed(
            f"CAST('{self._queries.started:%Y-%m-%d %H:%M:%S.%f}+00' AS TIMESTAMPTZ)", ZONED
        )

    def _local_now(self, node: exp.Expr) -> Typed:
        return Typed(
            f"CAST('{self._queries.started:%Y-%m-%d %H:%M:%S.%f}' AS TIMESTAMP)",
            Type("timestamp", (3,)),
        )

    def _today(self, node: exp.Expr) -> Typed:
        return Typed(f"CAST('{self._queries.started:%Y-%m-%d}' AS DATE)", DATE)

    def _user(self, node: exp.Expr) -> Typed:
        return Typed(text_literal(self._queries.user), VARCHAR)


def _unwrapped(node: exp.Expr) -> exp.Expr:
    while (
        isinstance(node, exp.Paren) or isinstance(node, exp.Subquery) and not node.args.get("alias")
    ):
        node = node.this
    return node


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
    exp.If: Expressions.conditional,
    exp.DPipe: Expressions._concatenation,
    exp.TryCast: Expressions._try_cast,
    exp.Cast: Expressions._cast,
    exp.AtTimeZone: Expressions._at_time_zone,
    exp.CurrentTimestamp: Expressions.now,
    exp.Localtimestamp: Expressions._local_now,
    exp.CurrentDate: Expressions._today,
    exp.CurrentUser: Expressions._user,
    exp.ParseJSON: lambda self, node: self._calls.call(node, "json_parse", [node.this]),
    exp.Extract: lambda self, node: self._calls.extract(node),
    exp.Trim: lambda self, node: self._calls.trim(node),
    exp.Substring: lambda self, node: self._calls.substring(node),
    exp.StrPosition: lambda self, node: self._calls.position(node),
    exp.Anonymous: lambda self, node: self._calls.plain(node),
    exp.Filter: lambda self, node: self._calls.filtered(node),
    exp.Window: lambda self, node: self._calls.windowed(node),
    exp.GroupConcat: lambda self, node: self._calls.plain(node),
    **dict.fromkeys(_ARITHMETIC, Expressions._arithmetic),
    **dict.fromkeys(_COMPARISONS, Expressions._comparison),
    **dict.fromkeys(_DISTINCTNESS, Expressions._distinctness),
}
