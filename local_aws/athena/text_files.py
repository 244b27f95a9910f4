"""Reads and writes lines of text files as Athena's SerDes do: LazySimpleSerDe and OpenCSVSerde."""

from __future__ import annotations

import base64
import bz2
import gzip
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from local_aws.athena.errors import unsupported
from local_aws.athena.results import formatted
from local_aws.athena.types import VARCHAR, Type

_DECOMPRESSED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.decompress, "bz2": bz2.decompress}
_NOT_READ = ("snappy", "zst", "lzo", "lz4", "deflate")
_LEVELS = "\x01\x02\x03\x04\x05\x06\x07\x08"  # Hive's default separators, outermost level first


def read_lines(key: str, body: bytes, properties: Mapping[str, str]) -> list[str]:
    """The lines of one object, without header and footer."""
    suffix = key.rpartition(".")[2]
    if suffix in _NOT_READ:
        raise unsupported(f"text compressed as {suffix}")
    _check_encoding(properties)
    text = _DECOMPRESSED.get(suffix, bytes)(body).decode("utf-8", errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
    header = int(properties.get("skip.header.line.count", 0))
    footer = int(properties.get("skip.footer.line.count", 0))
    return lines[header : len(lines) - footer] if text else []


def _check_encoding(properties: Mapping[str, str]) -> None:
    encoding = properties.get("serialization.encoding", "utf-8")
    if encoding.lower().replace("-", "") != "utf8":
        raise unsupported(f"text encoded as {encoding}")
    if properties.get("line.delim", "\n") not in ("\n", "10"):
        raise unsupported("a line.delim other than a line feed")


@dataclass(frozen=True)
class LazySimple:
    """LazySimpleSerDe: splits at every separator; there are no quotes.

    ``separators``: between fields, between items, between key and value, then for deeper levels.
    ``escape`` (empty: none) makes the next character literal.
    """

    separators: str
    escape: str
    null: str
    last_takes_rest: bool

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> LazySimple:
        # Hive itself misspells the second name
        items = properties.get("collection.delim") or properties.get("colelction.delim")
        given = (
            properties.get("field.delim") or properties.get("serialization.format"),
            items,
            properties.get("mapkey.delim"),
        )
        separators = [_byte(text) or default for text, default in zip(given, _LEVELS, strict=False)]
        return cls(
            separators="".join(separators) + _LEVELS[len(separators) :],
            escape=_byte(properties.get("escape.delim")),
            null=properties.get("serialization.null.format", "\\N"),
            last_takes_rest=properties.get("serialization.last.column.takes.rest") == "true",
        )

    def row(self, line: str, kinds: Sequence[Type]) -> list[Any]:
        """Splits a line into values, as text or lists of text; a short line has fewer values."""
        most = len(kinds) - 1 if self.last_takes_rest else -1
        return [
            self._value(raw, kind, 1)
            for raw, kind in zip(self._cut(line, 0, most), kinds, strict=False)
        ]

    def _cut(self, text: str, level: int, most: int = -1) -> list[str]:
        separator = self.separators[level]
        if not self.escape or self.escape not in text:
            return text.split(separator, most)
        parts: list[str] = []
        start = place = 0
        while place < len(text):
            if text[place] == self.escape:
                place += 1
            elif text[place] == separator and len(parts) != most:
                parts.append(text[start:place])
                start = place + 1
            place += 1
        return [*parts, text[start:]]

    def _value(self, raw: str, kind: Type, level: int) -> Any:
        if raw == self.null:
            return None
        if kind.name == "boolean":  # LazyBoolean accepts only true and false
            return raw.lower() if raw.lower() in ("true", "false") else None
        if not kind.items:
            return self._unescaped(raw)
        if level + (kind.name == "map") >= len(_LEVELS):
            raise unsupported(f"text columns nested too deeply ({kind})")
        if kind.name == "row":
            return self._row(raw, kind, level)
        items = self._cut(raw, level) if raw else []
        if kind.name == "array":
            return [self._value(item, kind.items[0], level + 1) for item in items]
        return [self._entry(item, kind, level + 1) for item in items]

    def _row(self, raw: str, kind: Type, level: int) -> dict[str, Any]:
        parts = zip(kind.field_keys(), self._cut(raw, level), kind.items, strict=False)
        return {key: self._value(part, item, level + 1) for key, part, item in parts}

    def _entry(self, raw: str, kind: Type, level: int) -> tuple[Any, Any]:
        key, *value = self._cut(raw, level, 1)
        found = self._value(value[0], kind.items[1], level + 1) if value else None
        return self._value(key, kind.items[0], level + 1), found

    def _unescaped(self, raw: str) -> str:
        if not self.escape or self.escape not in raw:
            return raw
        kept, escaped = [], False
        for char in raw:
            if char == self.escape and not escaped:
                escaped = True
            else:
                kept.append(char)
                escaped = False
        return "".join(kept)

    def line(self, values: Sequence[Any], kinds: Sequence[Type]) -> str:
        """Writes one row as a line."""
        cells = (self._text(value, kind, 1) for value, kind in zip(values, kinds, strict=True))
        return self.separators[0].join(cells)

    def _text(self, value: Any, kind: Type, level: int) -> str:
        if value is None:
            return self.null
        between = self.separators[level]
        if kind.name == "array":
            return between.join(self._text(item, kind.items[0], level + 1) for item in value)
        if kind.name == "row":
            pairs = zip(value.values(), kind.items, strict=True)
            return between.join(self._text(item, inner, level + 1) for item, inner in pairs)
        if kind.name == "map":
            inside = self.separators[level + 1]
            return between.join(
                inside.join(
                    self._text(item, inner, level + 2)
                    for item, inner in zip(entry, kind.items, strict=True)
                )
                for entry in value
            )
        text = (
            base64.b64encode(value).decode()
            if kind.name == "varbinary"
            else formatted(value, kind) or ""
        )
        return self._escaped(text)

    def _escaped(self, text: str) -> str:
        if not self.escape:
            return text
        return "".join(
            self.escape + char if char in self.separators or char == self.escape else char
            for char in text
        )


def _byte(text: str | None) -> str:
    """Reads a separator in Hive's notation: a code below 128, else the first character."""
    if not text:
        return ""
    return chr(int(text)) if text.isdigit() and int(text) < 128 else text[0]


def text_type(kind: Type) -> Type:
    """``kind`` with varchar for every scalar, as ``LazySimple.row`` returns the values."""
    items = tuple(text_type(item) for item in kind.items)
    return Type(kind.name, items=items, fields=kind.fields) if items else VARCHAR


def text_arrow_type(kind: Type) -> pa.DataType:
    """The Arrow type of ``text_type(kind)``."""
    items = [text_arrow_type(item) for item in kind.items]
    if kind.name == "array":
        return pa.list_(items[0])
    if kind.name == "map":
        return pa.map_(*items)
    return (
        pa.struct(list(zip(kind.field_keys(), items, strict=True)))
        if kind.name == "row"
        else pa.string()
    )


@dataclass(frozen=True)
class OpenCsv:
    """OpenCSVSerde: a row is one line, quotes work as in opencsv 2.3, every value is text."""

    separator: str
    quote: str
    escape: str

    @classmethod
    def of(cls, properties: Mapping[str, str]) -> OpenCsv:
        """Reads the SerDe's properties; ``"`` as ``escapeChar`` means a backslash, the default."""
        escape = properties.get("escapeChar", "\\")[:1]
        return cls(
            separator=properties.get("separatorChar", ",")[:1],
            quote=properties.get("quoteChar", '"')[:1],
            escape="\\" if escape == '"' else escape,
        )

    def row(self, line: str, kinds: Sequence[Type]) -> list[Any]:
        if self.quote not in line and self.escape not in line:
            return line.split(self.separator)
        return self._parsed(line)

    def _parsed(self, line: str) -> list[str]:
        fields, kept, quoted, place = [], "", False, 0
        while place < len(line):
            char, following = line[place], line[place + 1 : place + 2]
            if char == self.escape:
                if quoted and following and following in (self.quote, self.escape):
                    kept += following
                    place += 1
            elif char == self.quote and quoted and following == self.quote:
                kept += self.quote
                place += 1
            elif char == self.quote:
                quoted = not quoted
                if self._is_inside(line, place):
                    kept += char
            elif char == self.separator and not quoted:
                fields.append(kept)
                kept = ""
            else:
                kept += char
            place += 1
        return [*fields, kept]

    def _is_inside(self, line: str, place: int) -> bool:
        """Returns whether the quote is in the middle of a field (``a,bc"d"ef,g``) and is kept."""
        around = line[place - 1 : place] + line[place + 1 : place + 2]
        return place > 2 and len(around) == 2 and self.separator not in around
