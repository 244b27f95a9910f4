"""Compiles function calls by the signatures of functions.txt; also FILTER, OVER and lambdas."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from local_aws.athena import functions as library
from local_aws.athena.arithmetic import quotient
from local_aws.athena.casts import cast
from local_aws.athena.errors import QueryFailed, unsupported
from local_aws.athena.functions import Bindings, Pattern, Signature, functions
from local_aws.athena.typed import Typed, text_literal
from local_aws.athena.types import (
    INTEGER,
    INTEGERS,
    VARCHAR,
    ZONED,
    Type,
    coerces,
    common,
    duckdb_type,
)

if TYPE_CHECKING:  # at run time this import would be circular
    from local_aws.athena.expressions import Expressions

Decorate = Callable[[str], str]

_EXTRACTED = {
    "DOW": "day_of_week",
    "DOY": "day_of_year",
    "YOW": "year_of_week",
    "DAY_OF_MONTH": "day",
}
_HOLE = re.compile(r"\{(\d+|\*|[a-z]+)(:entry)?\}")


def _bare(sql: str) -> str:
    return sql


def is_aggregate(node: exp.Expr) -> bool:
    if isinstance(node, exp.GroupConcat):
        return True
    signatures = (
        functions().signatures.get(node.name.lower(), ()) if isinstance(node, exp.Anonymous) else ()
    )
    return any(function.kind == "aggregate" for function in signatures)


class Calls:
    """Compiles the calls in ``expressions``; ``windows`` are the query's named windows."""

    def __init__(self, expressions: Expressions, windows: dict[str, exp.Window]) -> None:
        self._expressions = expressions
        self._windows = windows

    def plain(self, node: exp.Expr) -> Typed:
        """Compiles a call without FILTER and OVER."""
        return self._decorated(node, None, windowed=False)

    def _decorated(self, node: exp.Expr, decorate: Decorate | None, windowed: bool) -> Typed:
        if isinstance(node, exp.GroupConcat):
            return self._listagg(node, decorate)
        if not isinstance(node, exp.Anonymous):
            raise self._expressions.failed(
                node, "SYNTAX_ERROR", "FILTER and OVER belong to function calls"
            )
        name = node.name.lower()
        special = _SPECIAL_CALLS.get(name)
        if special is not None:
            self._check_plain(node, name, decorate, windowed)
            return special(self, node)
        return self.call(node, name, node.expressions, decorate, windowed)

    def filtered(self, node: exp.Expr) -> Typed:
        """Compiles ``call FILTER (WHERE condition)``."""
        condition = self._expressions.boolean(node.expression.this, "FILTER clause")
        return self._decorated(
            node.this, lambda sql: f"{sql} FILTER (WHERE {condition})", windowed=False
        )

    def windowed(self, node: exp.Expr) -> Typed:
        """Compiles ``call [FILTER ...] [IGNORE NULLS] OVER (...)``."""
        inner, nulls, condition = node.this, "", ""
        if isinstance(inner, exp.IgnoreNulls | exp.RespectNulls):
            nulls, inner = (
                (" IGNORE NULLS" if isinstance(inner, exp.IgnoreNulls) else ""),
                inner.this,
            )
        if isinstance(inner, exp.Filter):
            condition = (
                " FILTER (WHERE"
                f" {self._expressions.boolean(inner.expression.this, 'FILTER clause')})"
            )
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
            parts.append(
                "PARTITION BY "
                + ", ".join(
                    self._expressions.compile(item).sql for item in node.args["partition_by"]
                )
            )
        if node.args.get("order"):
            parts.append(
                "ORDER BY "
                + ", ".join(
                    self._expressions.ordering(item) for item in node.args["order"].expressions
                )
            )
        if node.args.get("spec"):
            parts.append(self._frame(node.args["spec"]))
        return " ".join(parts)

    def _window_named(self, name: exp.Expr) -> exp.Window:
        if name.name.lower() not in self._windows:
            raise self._expressions.failed(
                name, "INVALID_WINDOW_REFERENCE", f"Cannot resolve WINDOW name {name.name}"
            )
        return self._windows[name.name.lower()]

    def _frame(self, spec: exp.Expr) -> str:
        if spec.args.get("exclude"):
            raise unsupported("EXCLUDE in a window frame")
        start = self._bound(spec.args["start"], spec.args.get("start_side"))
        end = self._bound(spec.args.get("end") or "CURRENT ROW", spec.args.get("end_side"))
        return f"{spec.args['kind']} BETWEEN {start} AND {end}"

    def _bound(self, edge: exp.Expr | str, side: str | None) -> str:
        text = edge if isinstance(edge, str) else self._expressions.compile(edge).sql
        return f"{text} {side}" if side else text

    def call(
        self,
        node: exp.Expr,
        name: str,
        arguments: Sequence[exp.Expr],
        decorate: Decorate | None = None,
        windowed: bool = False,
    ) -> Typed:
        """Compiles a call of ``name``; ``decorate`` adds FILTER and OVER to an aggregate's SQL."""
        candidates = functions().signatures.get(name, [])
        if not candidates:
            if name in functions().refused:
                raise unsupported(f"the function {name}, at {self._expressions.place(node)}")
            raise self._expressions.failed(
                node, "FUNCTION_NOT_FOUND", f"Function '{name}' not registered"
            )
        call = _Call(self._expressions, node, arguments)
        if name == "avg" and call.types and call.types[0].name == "decimal":
            return self._average(call, decorate)
        for function in candidates:
            if (result := call.matched(function)) is not None:
                self._check_kind(node, function, decorate, windowed)
                return self._expanded(call, function, *result, decorate)
        given = ", ".join(map(str, call.types))
        expected = library.signatures_text(candidates)
        message = (
            f"{self._expressions.place(node)}: Unexpected parameters ({given}) for function {name}."
            f" Expected: {expected}"
        )
        raise QueryFailed("FUNCTION_NOT_FOUND", message)

    def _check_kind(
        self, node: exp.Expr, function: Signature, decorate: Decorate | None, windowed: bool
    ) -> None:
        if function.kind == "window" and not windowed:
            message = (
                f"{self._expressions.place(node)}: Window function {function.name} requires an OVER"
                " clause"
            )
            raise QueryFailed("MISSING_OVER", message)
        if function.kind == "scalar":
            self._check_plain(node, function.name, decorate, windowed)

    def _check_plain(
        self, node: exp.Expr, name: str, decorate: Decorate | None, windowed: bool
    ) -> None:
        place = self._expressions.place(node)
        if windowed:
            raise QueryFailed("FUNCTION_NOT_WINDOW", f"{place}: Not a window function: {name}")
        if decorate is not None:
            raise QueryFailed(
                "FUNCTION_NOT_AGGREGATE", f"{place}: Filter is only valid for aggregation functions"
            )

    def _expanded(
        self,
        call: _Call,
        function: Signature,
        bound: Bindings,
        given: list[str],
        decorate: Decorate | None,
    ) -> Typed:
        result = library.settled(function.result, bound)
        zone = bound.get("zone", ZONED).zone
        fixed = {
            "zone": zone,
            "now": self._expressions.now(call.node).sql,
            "typeof": text_literal(str(call.types[0])) if call.types else "",
        }

        def fill(hole: re.Match[str]) -> str:
            if hole[1] == "*":
                return ", ".join(given)
            return given[int(hole[1])] if hole[1].isdigit() else fixed[hole[1]]

        sql = _HOLE.sub(fill, function.template.replace("trino_", self._expressions.prefix))
        if decorate is not None:
            before, mark, after = sql.partition("@")
            sql = decorate(before) + after if mark else decorate(sql)
        else:
            sql = sql.replace("@", "") if function.kind == "aggregate" else sql
        return Typed(self._of_result_type(sql, function, result), result)

    def _of_result_type(self, sql: str, function: Signature, result: Type) -> str:
        if result.name == "decimal" or result.name in INTEGERS and function.kind == "scalar":
            return f"CAST({sql} AS {duckdb_type(result)})"
        return f"({sql})" if function.kind == "scalar" else sql

    def _average(self, call: _Call, decorate: Decorate | None) -> Typed:
        """AVG of a decimal: the result has the same scale and is rounded half up."""
        value = call.given[0].sql
        decorate = decorate or _bare
        total = f"{self._expressions.prefix}unscaled({decorate(f'sum({value})')})"
        count = f"CAST(nullif({decorate(f'count({value})')}, 0) AS HUGEINT)"
        return quotient(total, 0, count, call.types[0], self._expressions.prefix)

    def _listagg(self, node: exp.Expr, decorate: Decorate | None) -> Typed:
        inner, order = node.this, ""
        if isinstance(inner, exp.Order):
            order = " ORDER BY " + ", ".join(
                self._expressions.ordering(item) for item in inner.expressions
            )
            inner = inner.this
        distinct = "DISTINCT " if isinstance(inner, exp.Distinct) else ""
        value = self._expressions.compile(inner.expressions[0] if distinct else inner)
        if value.type.name not in ("varchar", "char", "unknown"):
            raise self._expressions.mismatch(
                node, f"Expected expression of varchar, but {value.type} found"
            )
        separator = (
            self._expressions.compile(node.args["separator"]).sql
            if node.args.get("separator")
            else "''"
        )
        return Typed(
            (decorate or _bare)(f"string_agg({distinct}{value.sql}, {separator}{order})"), VARCHAR
        )

    def _coalesce(self, node: exp.Expr) -> Typed:
        items = [self._expressions.compile(item) for item in node.expressions]
        kind = self._expressions.common_type_of(
            node,
            items,
            "All COALESCE operands must be the same type or coercible to a common type: {first},"
            " {other}",
        )
        return Typed(
            f"coalesce({', '.join(self._expressions.coerced(item, kind) for item in items)})", kind
        )

    def _nullif(self, node: exp.Expr) -> Typed:
        left, right = (self._expressions.compile(item) for item in node.expressions)
        kind = common(left.type, right.type)
        if kind is None:
            raise self._expressions.mismatch(
                node, f"Types are not comparable with NULLIF: {left.type} vs {right.type}"
            )
        same = f"{self._expressions.coerced(left, kind)} = {self._expressions.coerced(right, kind)}"
        return Typed(f"CASE WHEN {same} THEN NULL ELSE {left.sql} END", left.type)

    def _try(self, node: exp.Expr) -> Typed:
        with self._expressions.lenient():
            inner = self._expressions.compile(node.expressions[0])
        return Typed(f"TRY({inner.sql})", inner.type)

    def _row_call(self, node: exp.Expr) -> Typed:
        return self._expressions.row_of(
            [self._expressions.compile(item) for item in node.expressions]
        )

    def _if_call(self, node: exp.Expr) -> Typed:
        names = ("this", "true", "false")
        return self._expressions.conditional(
            exp.If(**dict(zip(names, node.expressions, strict=False)))
        )

    def _grouping(self, node: exp.Expr) -> Typed:
        inside = ", ".join(self._expressions.compile(item).sql for item in node.expressions)
        return Typed(f"CAST(grouping({inside}) AS INTEGER)", INTEGER)

    def _precise_now(self, node: exp.Expr) -> Typed:
        kind = replace(ZONED, params=(int(node.expressions[0].name),))
        return Typed(self._expressions.now(node).sql, kind)

    def _format(self, node: exp.Expr) -> Typed:
        pattern, *rest = (self._expressions.compile(item) for item in node.expressions)
        if pattern.text is None or re.search(
            r"%[^sdxfe%]",
            re.sub(r"%[-,0]*\d*(\.\d+)?([sdxfe])", "", pattern.text).replace("%%", ""),
        ):
            raise unsupported(f"this format string of format(), at {self._expressions.place(node)}")
        letters = re.findall(r"%[-,0]*\d*(?:\.\d+)?([sdxfe])", pattern.text.replace("%%", ""))
        if len(letters) > len(rest):
            raise QueryFailed(
                "INVALID_FUNCTION_ARGUMENT", f"Format specifier '%{letters[len(rest)]}'"
            )
        given = [
            _for_format(self._expressions, letter, value)
            for letter, value in zip(letters, rest, strict=False)
        ]
        return Typed(f"printf({', '.join([pattern.sql, *given])})", VARCHAR)

    def extract(self, node: exp.Expr) -> Typed:
        """Compiles ``EXTRACT(field FROM value)``."""
        field = node.this.name.upper()
        return self.call(node, _EXTRACTED.get(field, field.lower()), [node.expression])

    def trim(self, node: exp.Expr) -> Typed:
        """Compiles ``TRIM([BOTH] characters FROM text)``."""
        name = {"LEADING": "ltrim", "TRAILING": "rtrim"}.get(
            (node.args.get("position") or "").upper(), "trim"
        )
        return self.call(node, name, [node.this, *([node.expression] if node.expression else [])])

    def substring(self, node: exp.Expr) -> Typed:
        """Compiles ``SUBSTRING(text FROM start FOR length)``."""
        return self.call(
            node,
            "substring",
            [node.args[name] for name in ("this", "start", "length") if node.args.get(name)],
        )

    def position(self, node: exp.Expr) -> Typed:
        """Compiles ``POSITION(part IN text)``."""
        return self.call(node, "strpos", [node.this, node.args["substr"]])

    def _at_timezone(self, node: exp.Expr) -> Typed:
        value, zone = (self._expressions.compile(item) for item in node.expressions)
        return self._expressions.in_zone(node, value, zone)

    def _from_unixtime(self, node: exp.Expr) -> Typed:
        instant = self.call(node, "from_unixtime", node.expressions[:1])
        return (
            instant
            if len(node.expressions) == 1
            else self._expressions.in_zone(
                node, instant, self._expressions.compile(node.expressions[1])
            )
        )


def _for_format(expressions: Expressions, letter: str, value: Typed) -> str:
    if letter == "s":
        return (
            expressions.coerced(value, VARCHAR)
            if coerces(value.type, VARCHAR)
            else cast(value.sql, value.type, VARCHAR)
        )
    return f"CAST({value.sql} AS {'BIGINT' if letter in 'dx' else 'DOUBLE'})"


class _Call:
    """The arguments of one call, compiled once.

    Lambdas are compiled later, when a signature determines the types of their parameters.
    """

    def __init__(
        self, expressions: Expressions, node: exp.Expr, arguments: Sequence[exp.Expr]
    ) -> None:
        self.node = node
        self._expressions = expressions
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
            items = [self._expressions.compile(item) for item in argument.expressions]
            self.given += [replace(items[0], sql=f"DISTINCT {items[0].sql}", text=None), *items[1:]]
        elif isinstance(argument, exp.Order):
            self._add(index, argument.this)
            order = ", ".join(self._expressions.ordering(item) for item in argument.expressions)
            self.given[-1] = replace(self.given[-1], sql=f"{self.given[-1].sql} ORDER BY {order}")
        else:
            self.given.append(self._expressions.compile(argument))

    def matched(self, function: Signature) -> tuple[Bindings, list[str]] | None:
        """Matches the arguments with a signature; None if they do not fit.

        Returns the types of the signature's variables, and the SQL of the arguments.
        """
        star = [kind.name for kind in self.types] == ["*"]
        if star or [pattern.name for pattern in function.arguments] == ["*"]:
            return ({}, ["*"]) if star and str(function) == "count(*)" else None
        if not function.accepts(len(self.given)):
            return None
        bound: Bindings = {}
        for index, item in enumerate(self.given):
            pattern = function.pattern(index)
            is_function = index in self._lambdas
            if (
                is_function != (pattern.name == "function")
                or not is_function
                and not library.bind(pattern, item.type, bound)
            ):
                return None
            if item.type.name == "timestamp with time zone":
                bound["zone"] = item.type
        bodies = {index: self._body(function, index, bound) for index in self._lambdas}
        return bound, [
            bodies.get(index) or self._argument(function, index, bound)
            for index in range(len(self.given))
        ]

    def _argument(self, function: Signature, index: int, bound: Bindings) -> str:
        item, pattern = self.given[index], function.pattern(index)
        if pattern.name.endswith("_format"):
            return self._format(item, pattern)
        if pattern.name == "moment" and item.type.name == "timestamp with time zone":
            return f"timezone({text_literal(item.type.zone)}, {item.sql})"
        if item.sql.startswith("DISTINCT "):
            bare = replace(item, sql=item.sql.removeprefix("DISTINCT "))
            return "DISTINCT " + self._expressions.coerced(
                bare, library.wanted(pattern, item.type, bound)
            )
        kind = library.wanted(pattern, item.type, bound)
        return (
            item.sql
            if kind.name == item.type.name and not kind.items and kind.name != "decimal"
            else self._expressions.coerced(item, kind)
        )

    def _format(self, item: Typed, pattern: Pattern) -> str:
        converted = (
            library.duckdb_format(pattern.name, item.text) if item.text is not None else None
        )
        if converted is None:
            raise unsupported(f"the date format {item.text or item.sql}")
        return text_literal(converted)

    def _body(self, function: Signature, index: int, bound: Bindings) -> str:
        """Compiles a lambda argument, and binds the type variable of its result."""
        node, patterns = self._lambdas[index], function.pattern(index).items
        names = [parameter.name.lower() for parameter in node.expressions]
        kinds = [library.settled(pattern, bound) for pattern in patterns[:-1]]
        as_entry = f"{{{index}:entry}}" in function.template
        result, text = self._expressions.lambda_of(node, names, kinds, as_entry)
        before = bound.get(patterns[-1].name)
        if not library.bind(patterns[-1], result.type, bound):
            raise QueryFailed(
                "TYPE_MISMATCH", f"Lambda expression must return {patterns[-1]}, not {result.type}"
            )
        # reduce(): the lambda returned a wider type than the state has, so compile it again
        if before is not None and bound[patterns[-1].name] != before:
            return self._body(function, index, bound)
        return text


_SPECIAL_CALLS: dict[str, Callable[[Calls, Any], Typed]] = {
    "coalesce": Calls._coalesce,
    "nullif": Calls._nullif,
    "try": Calls._try,
    "row": Calls._row_call,
    "if": Calls._if_call,
    "grouping": Calls._grouping,
    "current_timestamp": Calls._precise_now,
    "format": Calls._format,
    "at_timezone": Calls._at_timezone,
    "from_unixtime": Calls._from_unixtime,
}
