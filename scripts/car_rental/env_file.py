"""Parses an `.env` file and reports every line that is not a setting."""

from __future__ import annotations

import io
import os.path
import re
from dataclasses import dataclass
from pathlib import Path

from car_rental.errors import ConfigError
from dotenv.parser import Binding, parse_stream

_EXPORT = re.compile(r"^export[ \t]+")
_NAME = re.compile(r"[A-Za-z_][\w.-]*", re.ASCII)


@dataclass(frozen=True)
class Line:
    """One setting: its name, its value as typed (``${x}`` is not expanded), and its line number."""

    name: str
    value: str
    number: int


@dataclass(frozen=True)
class EnvFile:
    """A settings file: its name, its settings in order, and a problem for each other line."""

    name: str
    lines: tuple[Line, ...] = ()
    problems: tuple[str, ...] = ()

    def numbers(self, name: str) -> list[int]:
        """The line numbers that set ``name``."""
        return [line.number for line in self.lines if line.name == name]


def read_env_file(path: Path) -> EnvFile:
    """The settings in the file; an empty result if there is no file.

    Raises ``ConfigError`` if it is unreadable.
    """
    if not os.path.lexists(path):
        return EnvFile(path.name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            "configuration",
            f"{path} cannot be read: {error}",
            "Save it as UTF-8 text, readable for you.",
        ) from error
    bindings = [found for found in parse_stream(io.StringIO(text)) if found.key or found.error]
    problems = [(_number(found), _problem(found)) for found in bindings]
    lines = [
        Line(found.key or "", found.value or "", _number(found))
        for found in bindings
        if not _problem(found)
    ]
    return EnvFile(
        path.name,
        tuple(lines),
        tuple(f"{path.name}, line {at}: {why}" for at, why in problems if why),
    )


def _number(binding: Binding) -> int:
    """The line on which the setting begins; dotenv names the first blank line above it instead."""
    text = binding.original.string
    return binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")


def _problem(binding: Binding) -> str:
    """The problem with a line; empty for a good one. Never shows a value, which may be secret."""
    text = binding.original.string.strip()
    name, equals, value = _EXPORT.sub("", text).partition("=")
    name, value = name.strip(), value.strip()
    if not equals or not _NAME.fullmatch(name.strip("'")):
        return "is not a setting: a setting is NAME=value, a comment begins with #"
    if value[:1] in ("'", '"') and (binding.error or "\n" in value):
        return (
            f"the value of {name} begins with {value[0]} and does not end with it: close the quote"
            " on this line"
        )
    return f"the value of {name} cannot be parsed" if binding.error else ""
