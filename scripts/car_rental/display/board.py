"""The board of a run: a table of its phases and steps, updated while the run goes on."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from car_rental.steps import Step, StepRun
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

_STYLES = {
    "ok": "green",
    "running": "bold cyan",
    "failed": "bold red",
    "interrupted": "yellow",
    "still running": "yellow",
}

# columns left free: a terminal echoes ^C behind the last row; a line break there would leave old
# rows on the screen
_FOR_CTRL_C = 3


class Board:
    """The steps of a run and their progress. rich renders it at every refresh."""

    def __init__(self, planned: Sequence[Step]) -> None:
        self._planned = planned
        self._runs: dict[str, StepRun] = {}
        self._left_out: set[Step] = set()
        self.ended = False  # once True, long results are shown in full

    def add(self, run: StepRun) -> None:
        """Adds a step that begins."""
        self._runs[run.step.name] = run

    def leave_out(self, step: Step) -> None:
        """Marks a step that is not part of this run."""
        self._left_out.add(step)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from console.render(
            self._table(), options.update(max_width=options.max_width - _FOR_CTRL_C)
        )

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        table.add_column("step", no_wrap=True)
        table.add_column("state", no_wrap=True)
        table.add_column("time", justify="right", no_wrap=True)
        table.add_column("result" if self.ended else "last heard", overflow="fold")
        for phase, steps in groupby(self._planned, lambda step: step.phase):
            members = list(steps)
            table.add_row(Text(phase, style="bold"), "", Text(self._seconds(members), style="bold"))
            for step in members:
                table.add_row(*self._row(step))
        table.add_row(
            Text("total", style="bold"), "", Text(self._seconds(self._planned), style="bold")
        )
        return table

    def _row(self, step: Step) -> tuple[Text, ...]:
        title = Text(f"{step.number:>4} {step.name}")
        run = self._runs.get(step.name)
        if run is None:
            title.stylize("dim")
            return title, Text("left out" if step in self._left_out else "", style="dim")
        words = Text(run.summary or run.last)
        # one line per step, so that the board fits a small terminal
        if not self.ended and run.outcome == "ok":
            words.no_wrap, words.overflow = True, "ellipsis"
        return (
            title,
            Text(run.outcome, style=_STYLES.get(run.outcome, "dim")),
            Text(_time(run.elapsed)),
            words,
        )

    def _seconds(self, steps: Sequence[Step]) -> str:
        runs = [self._runs[step.name] for step in steps if step.name in self._runs]
        return _time(sum(run.elapsed for run in runs)) if runs else ""


def _time(seconds: float) -> str:
    """``7.3 s`` up to a minute, ``12:05`` above."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d}"
