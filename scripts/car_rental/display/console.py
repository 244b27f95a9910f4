"""The console: messages on stderr, results on stdout; colour and live lines only on a terminal.

Steps call the methods below to report events; this package decides how they are displayed.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import IO, Any

from car_rental.display.board import Board
from car_rental.display.picture import save_picture
from car_rental.display.rendering import (
    LABEL_WIDTH,
    breaks_words,
    failure_box,
    failure_lines,
    failure_without_long_lines,
    is_plain,
    labelled_lines,
    rich_console,
    values_records,
    values_table,
)
from car_rental.errors import DataLakeError
from car_rental.steps import Step, StepRun
from rich.console import RenderableType
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.status import Status
from rich.text import Text

QUIET_SECONDS = 3.0  # seconds without a message after which plain output says what is going on


def _has_long_word(text: str, width: int) -> bool:
    """Returns whether a word of ``text`` would be broken over two lines."""
    return any(len(word) > width for word in text.split())


class Console:
    """The output of a run.

    ``note``, ``progress``, ``warn`` and ``fail`` write to stderr, ``table`` and ``result`` to
    stdout.
    """

    def __init__(self, out: IO[str] | None = None, err: IO[str] | None = None) -> None:
        self._out = rich_console(out or sys.stdout)
        self._err = rich_console(err or sys.stderr)
        self._plain = is_plain(err or sys.stderr)
        self._status: Status | None = None
        self._live: Live | None = None
        self._running: StepRun | None = None
        self._board: Board | None = None
        self._last_state: dict[str, str] = {}
        self._quiet: threading.Timer | None = None
        self._held_back: list[RenderableType] = []  # results that arrived while the board was live
        # everything that stays on the screen, for the picture
        self._shown: list[RenderableType] = []

    # --- messages, on stderr

    def note(self, text: str) -> None:
        """Prints one line about work done.

        While the board is live, it becomes the last message of the running step.
        """
        self._hear(text, text)

    def _hear(self, text: str, line: str) -> None:
        """Makes ``text`` the last message of the running step.

        Prints ``line`` if no live board shows that message.
        """
        if self._running:
            self._running.last = text
        if not (self._running and self._live):
            self._say(Text(line), indent=2, keep=self._running is None)

    def warn(self, text: str) -> None:
        """Prints one line that a person should not overlook."""
        self._say(Text(f"! {text}", style="yellow"), indent=2)

    def _say(self, words: Text, *, indent: int = 0, keep: bool = True) -> None:
        indented = Padding(words, (0, 0, 0, indent))
        unbroken = self._plain or _has_long_word(words.plain, self._err.width - indent)
        if self._quiet:
            self._quiet.cancel()
        if unbroken:
            self._err.print(Text(" " * indent).append_text(words), soft_wrap=True)
        else:
            self._err.print(indented)
        if keep:
            self._shown.append(indented)

    def progress(self, what: str, state: str, elapsed: float) -> None:
        """Reports one poll.

        A terminal shows a live line; elsewhere each change of state is printed as a line.
        """
        if self._status is not None:
            self._status.update(f"{escape(what)}: {escape(state)} [dim]{elapsed:.0f} s[/]")
        elif self._last_state.get(what) != state:
            self._hear(f"{what}: {state}", f"{what}: {state} ({elapsed:.0f} s)")
        self._last_state[what] = state

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Displays progress inside the block, on a live line or the board.

        Plain output gets one line, after ``QUIET_SECONDS`` without a message.
        """
        if self._running:
            self._running.last = text
        if self._plain:
            with self._said_after_a_while(text):
                yield
            return
        if self._live is not None or self._status is not None:
            yield
            return
        with self._err.status(escape(text)) as self._status:
            try:
                yield
            finally:
                self._status = None

    @contextmanager
    def _said_after_a_while(self, text: str) -> Iterator[None]:
        """Prints ``text`` if nothing else is printed within ``QUIET_SECONDS``."""
        self._quiet = threading.Timer(
            QUIET_SECONDS, lambda: self._say(Text(f"... {text}"), indent=2, keep=False)
        )
        self._quiet.daemon = True
        self._quiet.start()
        try:
            yield
        finally:
            self._quiet.cancel()

    def fail(self, error: DataLakeError) -> None:
        """Prints a failure: where, what, what to do, and the log. On a terminal in a box."""
        whole, long = failure_without_long_lines(error, self._err.width)
        box = failure_box(whole)
        self._shown.append(box)
        if self._plain:
            lines = [f"{error.label} {error.where}", *failure_lines(error)]
            self._err.print(Text("\n".join(lines)), soft_wrap=True)
        else:
            self._err.print(box)
            for line in long:  # an ARN, a path or a command to copy, which a box would break
                self._err.print(Text(line), soft_wrap=True)

    # --- the steps of a run

    @contextmanager
    def board(self, planned: Sequence[Step]) -> Iterator[None]:
        """Displays the steps inside the block.

        A terminal shows a live table; elsewhere each change is printed as a line.
        """
        self._board = Board(planned)
        self._shown.append(self._board)
        try:
            with self._live_board(self._board):
                yield
        finally:
            self._release()

    @contextmanager
    def _live_board(self, board: Board) -> Iterator[None]:
        display = (
            nullcontext() if self._plain else Live(board, console=self._err, refresh_per_second=4)
        )
        try:
            with display as self._live:
                try:
                    yield
                finally:
                    board.ended = True
        finally:
            self._live = None

    @contextmanager
    def step(self, run: StepRun) -> Iterator[None]:
        """Displays one step inside the block."""
        if self._board:
            self._board.add(run)
        self._say_in_plain(run.step.title)
        self._running = run
        try:
            yield
        finally:
            self._running = None
        self._say_in_plain(f"done in {run.seconds:.1f} s: {run.summary}", indent=2)

    def left_out(self, step: Step, why: str) -> None:
        """Displays a step that is not part of this run."""
        if self._board:
            self._board.leave_out(step)
        self._say_in_plain(step.title)
        self._say_in_plain(f"left out: {why}", indent=2)

    def _say_in_plain(self, text: str, *, indent: int = 0) -> None:
        if self._live is None:
            self._say(Text(text), indent=indent, keep=False)

    def summary(self) -> None:
        """Prints the board on stdout, unless it was live on the same terminal."""
        if self._board and (self._plain or not self._out.is_terminal):
            self._out.print(Text("\nSummary", style="bold"))
            self._out.print(self._board)

    # --- results, on stdout

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Prints a table for people; numbers are aligned right."""
        self._result(values_table(title, columns, rows))

    def rows(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Prints rows of a query as a table, or a line per value where a table would break words.

        Numbers have no commas between thousands, so that SQL accepts them.
        """
        table = values_table("", columns, rows, grouped=False)
        if rows and breaks_words(table, self._out):
            self._result(values_records(columns, rows), soft_wrap=True)
        else:
            self._result(table)

    def result(self, text: str) -> None:
        """Prints a line for pipes, unchanged."""
        self._result(Text(text), soft_wrap=True)

    def labelled(self, label: str, lines: Sequence[str]) -> None:
        """Prints lines beside a label. A terminal wraps them beside the label too."""
        if self._out.is_terminal:
            self._result(labelled_lines(label, lines))
            return
        for margin, line in zip([label, *[""] * len(lines)], lines, strict=False):
            self.result(f"{margin:<{LABEL_WIDTH}} {line}")

    def _result(self, result: RenderableType, *, soft_wrap: bool = False) -> None:
        self._shown.append(result)
        if self._live:  # stdout may be a pipe to the same terminal, as with tee
            self._held_back.append(result)
        else:
            self._out.print(result, soft_wrap=soft_wrap)

    def _release(self) -> None:
        for result in self._held_back:
            self._out.print(result, soft_wrap=isinstance(result, Text))
        self._held_back.clear()

    # --- a picture of it

    def save_picture(self, path: Path, command: str) -> None:
        """Writes the screen at the end of the run as an SVG file."""
        save_picture(path, command, self._shown)
