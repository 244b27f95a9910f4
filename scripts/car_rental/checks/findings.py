"""What a check found: how bad it is, what, why it matters and what to do; and how that is shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from car_rental.display.console import Console


class Level(StrEnum):
    """How much a finding matters: with a ``PROBLEM`` a run would fail, with a ``WARNING`` it may."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say; ``mend`` is a call that puts it right, where one does."""

    level: Level
    what: str
    why: str = ""
    fix: str = ""
    mend: Callable[[], object] | None = field(default=None, compare=False)


def ok(what: str) -> Finding:
    """All is well with ``what``."""
    return Finding(Level.OK, what)


def warning(what: str, why: str, fix: str) -> Finding:
    """A run may go well all the same."""
    return Finding(Level.WARNING, what, why, fix)


def problem(what: str, why: str, fix: str, mend: Callable[[], object] | None = None) -> Finding:
    """A run would fail."""
    return Finding(Level.PROBLEM, what, why, fix, mend)


def show(findings: Iterable[Finding], console: Console) -> None:
    """Each finding on a line, what is not well with its reason and remedy below."""
    for finding in findings:
        lines = (finding.what, finding.why, finding.fix and f"-> {finding.fix}")
        console.labelled(finding.level, [line for line in lines if line])
