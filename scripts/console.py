"""How we show: words for people on stderr, results on stdout; colour and live lines only on a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

from errors import DataLakeError
from rich.console import Console as RichConsole
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.status import Status


def is_plain(stream: IO[str], environ: Mapping[str, str] = os.environ) -> bool:
    """Whether ``stream`` gets plain lines: no terminal, CI, NO_COLOR or a dumb terminal."""
    asked = any(environ.get(name) for name in ("CI", "NO_COLOR")) or environ.get("TERM") == "dumb"
    return bool(asked) or not stream.isatty()


class Console:
    """What a run says. ``note``, ``progress``, ``warn`` and ``fail`` go to stderr, ``table`` and ``result`` to stdout."""

    def __init__(self, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        self._out = _rich(out or sys.stdout)
        self._err = _rich(err or sys.stderr)
        self._plain = is_plain(err or sys.stderr)
        self._live: Status | None = None
        self._last_state: dict[str, str] = {}

    def note(self, text: str) -> None:
        """One line about what was done."""
        self._err.print(f"  {escape(text)}", highlight=False, soft_wrap=self._plain)

    def warn(self, text: str) -> None:
        """One line that a person should not overlook."""
        self._err.print(f"  [yellow]! {escape(text)}[/]", highlight=False, soft_wrap=self._plain)

    def heading(self, text: str) -> None:
        """The name of what begins now."""
        self._err.print(f"[bold]{escape(text)}[/]", highlight=False, soft_wrap=self._plain)

    def progress(self, what: str, state: str, elapsed: float) -> None:
        """One look at something that takes time: a live line on a terminal, a line a change of state elsewhere."""
        if self._live is not None:
            self._live.update(f"{escape(what)}: {escape(state)} [dim]{elapsed:.0f} s[/]")
        elif self._last_state.get(what) != state:
            self.note(f"{what}: {state} ({elapsed:.0f} s)")
        self._last_state[what] = state

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """While inside, progress is one live line on a terminal."""
        if self._plain or self._live is not None:
            yield
            return
        with self._err.status(escape(text)) as self._live:
            try:
                yield
            finally:
                self._live = None

    def fail(self, error: DataLakeError) -> None:
        """A failure: where, what, what to do, where the log is. A box on a terminal, plain lines elsewhere."""
        lines = [error.what, *(f"  {line}" for line in error.details)]
        if error.fix:
            lines.append(f"-> {error.fix}")
        if error.log:
            lines.append(f"log: {error.log}")
        if self._plain:
            self._err.print(escape("\n".join([f"FAILED {error.where}", *lines])), highlight=False, soft_wrap=True)
        else:
            title = f"[bold]{escape(error.where)}[/]"
            self._err.print(Panel(escape("\n".join(lines)), title=title, title_align="left", border_style="red"))

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """A result for people as a table; numbers stand on the right."""
        if title:
            self._out.print(f"\n[bold]{escape(title)}[/]", highlight=False)
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for index, column in enumerate(columns):
            numeric = bool(rows) and all(_is_number(row[index]) for row in rows)
            table.add_column(escape(column), justify="right" if numeric else "left", overflow="fold")
        for row in rows:
            table.add_row(*(escape(_shown(cell)) for cell in row))
        self._out.print(Padding(table, (0, 0, 0, 2)))

    def result(self, text: str) -> None:
        """A result for pipes: the line as it is."""
        self._out.print(escape(text), highlight=False, soft_wrap=True)


def _rich(stream: IO[str]) -> RichConsole:
    plain = is_plain(stream)
    # a pipe has no width: 100 columns keep tables readable in logs
    width = 100 if not stream.isatty() and "COLUMNS" not in os.environ else None
    return RichConsole(file=stream, no_color=plain, force_terminal=False if plain else None, width=width)


def _is_number(cell: Any) -> bool:
    return cell is None or (not isinstance(cell, (str, bool)) and hasattr(cell, "__round__"))


def _shown(cell: Any) -> str:
    if cell is None:
        return "-"
    if _is_number(cell):
        return f"{cell:,}"
    return str(cell)
