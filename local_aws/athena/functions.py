"""Parses functions.txt, and matches the argument types of a call with the signatures."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from local_aws.athena.types import DATE, Type, coerces, common, decimal, is_number, parse_type, row

_TABLE = Path(__file__).with_name("functions.txt")
_VARIABLES = "TKVUS"
_LINE = re.compile(r"(?P<name>\w+)\((?P<arguments>.*?)\) -> (?P<result>.+?) : (?P<template>.+)")
_ORDERED = (
    "array",
    "row",
    "map",
    "json",
    "function",
    "varbinary",
)  # arrays and rows can be ordered in Trino; maps and JSON cannot


@dataclass(frozen=True)
class Pattern:
    """The type of an argument or result, as written in functions.txt."""

    name: str
    items: tuple[Pattern, ...] = ()
    many: bool = False

    @staticmethod
    def of(text: str) -> Pattern:
        """Parses ``array(T)``, ``function(T, boolean)``, ``decimal(p,s)``, ``varchar...``."""
        text = text.strip()
        many = text.endswith("...")
        text = text.removesuffix("...")
        name, opening, inside = text.partition("(")
        if not opening or name in ("timestamp", "decimal", "whole", "wider"):
            return Pattern(text, many=many)
        return Pattern(name, tuple(Pattern.of(part) for part in _split(inside[:-1])), many)

    def __str__(self) -> str:
        inside = f"({', '.join(map(str, self.items))})" if self.items else ""
        return f"{'T' if self.name == 'comparable' else self.name}{inside}"


@dataclass(frozen=True)
class Signature:
    """One signature of a function."""

    name: str
    kind: str
    arguments: tuple[Pattern, ...]
    result: Pattern
    template: str

    def accepts(self, count: int) -> bool:
        """Returns whether the function accepts that number of arguments."""
        if self.arguments and self.arguments[-1].many:
            return count >= len(self.arguments)
        return count == len(self.arguments)

    def pattern(self, index: int) -> Pattern:
        """The pattern of an argument; the last pattern of a variadic function repeats."""
        return self.arguments[min(index, len(self.arguments) - 1)]

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(str, self.arguments))})"


Bindings = dict[str, Type]


def bind(pattern: Pattern, given: Type, bound: Bindings) -> bool:
    """Returns whether the type ``given`` matches the pattern, exactly or by coercion.

    Adds the type variables that it resolves to ``bound``.
    """
    if pattern.name in _VARIABLES or pattern.name in ("number", "comparable"):
        return _bind_variable(pattern, given, bound)
    if pattern.name == "decimal(p,s)":
        bound["decimal"] = given
        return given.name == "decimal"
    if given.name == "unknown":
        return True
    if pattern.name == "moment":
        return given.name in ("date", "timestamp", "timestamp with time zone")
    if pattern.name.endswith("_format"):
        return given.name == "varchar"
    if pattern.items:
        return _bind_items(pattern, given, bound)
    if pattern.name == "timestamp":
        return given.name in ("timestamp", "date")
    return coerces(given, parse_type(pattern.name))


def _bind_variable(pattern: Pattern, given: Type, bound: Bindings) -> bool:
    if pattern.name == "number" and not is_number(given):
        return False
    if pattern.name == "comparable" and given.name in _ORDERED[2:]:
        return False
    variable = "T" if pattern.name in ("number", "comparable") else pattern.name
    shared = common(bound[variable], given) if variable in bound else given
    if shared is None:
        return False
    bound[variable] = shared
    return True


def _bind_items(pattern: Pattern, given: Type, bound: Bindings) -> bool:
    name = "row" if pattern.name == "entry" else pattern.name
    if given.name != name or len(given.items) != len(pattern.items):
        return False
    return all(
        bind(inner, item, bound) for inner, item in zip(pattern.items, given.items, strict=True)
    )


def wanted(pattern: Pattern, given: Type, bound: Bindings) -> Type:
    """The type to which an argument of type ``given`` is cast; all variables must be bound."""
    if pattern.name in ("moment", "mysql_format", "joda_format"):
        return given
    if pattern.name == "timestamp" and given.name == "timestamp":
        return given
    return settled(pattern, bound)


def settled(pattern: Pattern, bound: Bindings) -> Type:
    """The pattern as a type: its variables are replaced by their types."""
    if pattern.name in _VARIABLES or pattern.name in ("number", "comparable"):
        return bound["T" if pattern.name in ("number", "comparable") else pattern.name]
    if pattern.name in _DECIMALS:
        return _DECIMALS[pattern.name](*bound["decimal"].params)
    if pattern.name == "decimal(38,s)":
        return decimal(38, bound["decimal"].params[1])
    if pattern.name == "zoned":
        return Type("timestamp with time zone", (3,), zone=bound.get("zone", DATE).zone)
    if pattern.items:
        items = [settled(inner, bound) for inner in pattern.items]
        return row(items) if pattern.name == "entry" else Type(pattern.name, items=tuple(items))
    return parse_type(pattern.name)


_DECIMALS: dict[str, Callable[[int, int], Type]] = {
    "decimal(p,s)": decimal,
    "whole(p,s)": lambda p, s: decimal(max(1, p - s + min(1, s)), 0),
    "wider(p,s)": lambda p, s: decimal(p + 1, s),
}


class FunctionTable:
    def __init__(self, text: str) -> None:
        self.signatures: dict[str, list[Signature]] = {}
        self.refused: set[str] = set()
        kind = ""
        for line in text.splitlines():
            if line.startswith("["):
                kind = line.strip("[]")
            elif kind == "refused":
                self.refused |= set(line.split())
            elif line and not line.startswith("#"):
                self._add(kind, line)

    def _add(self, kind: str, line: str) -> None:
        found = _LINE.fullmatch(line)
        if found is None:
            raise ValueError(f"{_TABLE.name} has an invalid line: {line}")
        arguments = tuple(Pattern.of(part) for part in _split(found["arguments"]))
        function = Signature(
            found["name"], kind, arguments, Pattern.of(found["result"]), found["template"]
        )
        self.signatures.setdefault(function.name, []).append(function)


@functools.cache
def functions() -> FunctionTable:
    """The content of functions.txt, parsed once."""
    return FunctionTable(_TABLE.read_text(encoding="utf-8"))


def _split(text: str) -> list[str]:
    """Splits at commas outside parentheses."""
    parts, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return [part.strip() for part in parts if part.strip()]


_MYSQL = {
    "a": "%a", "b": "%b", "c": "%-m", "d": "%d", "e": "%-d", "f": "%f", "H": "%H", "h": "%I",
    "I": "%I", "i": "%M", "j": "%j",
    "k": "%-H", "l": "%-I", "M": "%B", "m": "%m", "p": "%p", "r": "%I:%M:%S %p", "S": "%S",
    "s": "%S", "T": "%H:%M:%S", "v": "%V",
    "W": "%A", "w": "%w", "x": "%G", "Y": "%Y", "y": "%y", "%": "%%",
}  # fmt: skip
_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "yy": "%y", "MMMM": "%B", "MMM": "%b", "MM": "%m",
    "M": "%-m", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S",
    "s": "%-S", "SSS": "%g", "EEEE": "%A",
    "EEE": "%a", "EE": "%a", "E": "%a", "e": "%u", "a": "%p", "D": "%-j", "DDD": "%j", "w": "%-V",
    "ww": "%V", "xxxx": "%G",
}  # fmt: skip


def duckdb_format(kind: str, text: str) -> str | None:
    """Translates a date format of MySQL or Joda for strftime; None if strftime lacks a part."""
    table, letters = (
        (_MYSQL, r"%(.)|([^%])")
        if kind == "mysql_format"
        else (_JODA, r"(([A-Za-z])\2*)|('(?:[^']|'')*')|(.)")
    )
    parts = []
    for found in re.finditer(letters, text, re.DOTALL):
        letter, plain = found[1], found[found.lastindex or 1]
        if letter is None:
            parts.append(_unquoted(plain).replace("%", "%%"))
        elif letter in table:
            parts.append(table[letter])
        else:
            return None
    return "".join(parts)


def _unquoted(text: str) -> str:
    if not text.startswith("'"):
        return text
    return text[1:-1].replace("''", "'") or "'"


def signatures_text(candidates: Sequence[Signature]) -> str:
    """The signatures as in Trino's error message."""
    return ", ".join(str(function) for function in candidates)
