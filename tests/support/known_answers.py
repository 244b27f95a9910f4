"""Reads known answers of SQL from a file: each case is a query and its expected answer.

The answer follows ``-->``, one row per line, with cells separated by `` | ``::

    SELECT 7 / 2 --> 3

    SELECT x, y FROM (VALUES (1, NULL), (2, '')) t(x, y)
    --> 1 | NULL
    --> 2 | ''

An answer without rows is ``--> (no rows)``. In a file of rejected queries, ``-->`` is followed by
words of the error. Lines that begin with ``-- `` are headings and comments.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

MARK = "-->"


@dataclass
class Case:
    """A query and the lines of its expected answer."""

    line: int
    sql: str = ""
    answer: list[str] = field(default_factory=list)

    @property
    def rows(self) -> list[list[str | None]]:
        """The expected rows of text; None is NULL."""
        rows = [line for line in self.answer if line != "(no rows)"]
        return [[_cell(text) for text in row.split(" | ")] for row in rows]

    @property
    def words(self) -> str:
        """The expected words of the error."""
        return "\n".join(self.answer)


def _cell(text: str) -> str | None:
    return {"NULL": None, "''": ""}.get(text, text)


def known_answers(file: Path) -> list[object]:
    """The cases of a file as pytest parameters; file and line are their ids."""
    cases: list[Case] = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip() or line.startswith("-- "):
            continue
        if not cases or (cases[-1].answer and not line.startswith(MARK)):
            cases.append(Case(number))
        sql, mark, answer = line.partition(MARK)
        cases[-1].sql = f"{cases[-1].sql}\n{sql}".strip()
        if mark:
            cases[-1].answer.append(answer.strip())
    assert all(case.sql and case.answer for case in cases), file
    return [pytest.param(case, id=f"{file.name}:{case.line}") for case in cases]
