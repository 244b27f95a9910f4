"""The findings of checks: severity, text, reason and remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from car_rental.display.console import Console


class Level(StrEnum):
    """Severity of a finding: a run fails with a ``PROBLEM`` and may fail with a ``WARNING``."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Finding:
    """One finding of a check. ``apply_fix`` is a call that fixes it, if there is one."""

    level: Level
    what: str
    why: str = ""
    fix: str = ""
    apply_fix: Callable[[], object] | None = field(default=None, compare=False)


def ok(what: str) -> Finding:
    """A finding without a problem."""
    return Finding(Level.OK, what)


def warning(what: str, why: str, fix: str) -> Finding:
    """A finding with which a run may still succeed."""
    return Finding(Level.WARNING, what, why, fix)


def problem(
    what: str, why: str, fix: str, apply_fix: Callable[[], object] | None = None
) -> Finding:
    """A finding with which a run would fail."""
    return Finding(Level.PROBLEM, what, why, fix, apply_fix)


def show(findings: Iterable[Finding], console: Console) -> None:
    """Prints each finding on a line, with reason and remedy below if it is not ok."""
    for finding in findings:
        lines = (finding.what, finding.why, finding.fix and f"-> {finding.fix}")
        console.labelled(finding.level, [line for line in lines if line])
