"""Rendering with rich: consoles, tables of values, and error boxes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import IO, Any

from car_rental.errors import DataLakeError
from rich.console import Console as RichConsole
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

_BOX_WIDTH = 100  # columns; longer lines are hard to read
LABEL_WIDTH = 12  # columns


def is_plain(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Returns whether ``stream`` gets plain lines: no terminal, CI, NO_COLOR or a dumb terminal."""
    asked = any(environ.get(name) for name in ("CI", "NO_COLOR")) or environ.get("TERM") == "dumb"
    return bool(asked) or not stream.isatty()


def rich_console(stream: IO[str]) -> RichConsole:
    """A rich console on ``stream``, with colour and control codes only where they are wanted."""
    plain = is_plain(stream)
    # a pipe has no width; 100 columns keep tables readable in logs
    width = 100 if not stream.isatty() and "COLUMNS" not in os.environ else None
    return RichConsole(
        file=stream,
        no_color=plain,
        force_terminal=False if plain else None,
        width=width,
        highlight=False,
    )


def values_table(
    title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]], *, grouped: bool = True
) -> RenderableType:
    """A table of values with a title; numbers are aligned right.

    ``grouped``: with a comma between thousands.
    """
    table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
    for index, column in enumerate(columns):
        numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
        table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_as_text(cell, grouped)) for cell in row))
    indented = Padding(table, (0, 0, 0, 2))
    return Group(Text(""), Text(title, style="bold"), indented) if title else indented


def values_records(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Text:
    """One line per value, for rows that are too wide for a table; an empty line between rows."""
    width = max(map(len, columns))
    records = (
        "\n".join(
            f"  {column:<{width}}  {_as_text(cell, False)}"
            for column, cell in zip(columns, row, strict=True)
        )
        for row in rows
    )
    return Text("\n\n".join(records))


def breaks_words(table: RenderableType, console: RichConsole) -> bool:
    """Returns whether the console is too narrow for the longest words of the table's columns."""
    unlimited = console.options.update(width=1_000_000)
    return console.measure(table, options=unlimited).minimum > console.width


def _is_number(cell: Any) -> bool:
    return cell is None or (not isinstance(cell, (str, bool)) and hasattr(cell, "__round__"))


def _as_text(cell: Any, grouped: bool) -> str:
    if cell is None:
        return "-"
    if grouped and _is_number(cell):
        return f"{cell:,}"
    return str(cell)


def labelled_lines(label: str, lines: Sequence[str]) -> RenderableType:
    """Lines beside a label, wrapped to the remaining width."""
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(width=LABEL_WIDTH)
    table.add_column(overflow="fold")
    for margin, line in zip([label, *[""] * len(lines)], lines, strict=False):
        table.add_row(escape(margin), escape(line))
    return table


def failure_lines(error: DataLakeError) -> list[str]:
    """A failure as lines: what, details, what to do, where the log is."""
    lines = [error.what, *(f"  {line}" for line in error.details)]
    if error.fix:
        lines.append(f"-> {error.fix}")
    if error.log:
        lines.append(f"log: {error.log}")
    return lines


def failure_without_long_lines(error: DataLakeError, width: int) -> tuple[DataLakeError, list[str]]:
    """Splits off the details and the log that do not fit a box of ``width`` columns.

    A line does not fit if the box would break one of its words. Returns the rest of the error, and
    the lines that do not fit.
    """
    room = min(width, _BOX_WIDTH) - 6  # the borders of the box, and the indent of details
    long = [line for line in error.details if any(len(word) > room for word in line.split())]
    log = error.log if len(f"log: {error.log}") > room else ""
    short = tuple(line for line in error.details if line not in long)
    rest = type(error)(
        error.where, error.what, error.fix, log="" if log else error.log, details=short
    )
    return rest, [*long, *([f"log: {log}"] if log else [])]


def failure_box(error: DataLakeError) -> RenderableType:
    """A failure as a box, titled with its place."""
    title = Text(f"{error.label} {error.where}", style="bold")
    colour = "red" if error.label == DataLakeError.label else "yellow"
    return _Box(title, Text("\n".join(failure_lines(error)), overflow="fold"), colour)


class _Box:
    """A box of at most ``_BOX_WIDTH`` columns."""

    def __init__(self, title: Text, words: Text, colour: str) -> None:
        self._title = title
        self._words = words
        self._colour = colour

    def __rich_console__(self, console: RichConsole, options: Any) -> Any:
        width = min(options.max_width, _BOX_WIDTH)
        yield Panel(
            self._words,
            title=self._title,
            title_align="left",
            border_style=self._colour,
            width=width,
        )
