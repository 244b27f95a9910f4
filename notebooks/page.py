"""The parts of the analysis on screen: facts, findings, tables, charts.

The report uses the same parts.
"""

from __future__ import annotations

import base64
import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import charts
import pandas as pd
from IPython.display import display
from lake import Answer
from matplotlib.figure import Figure

# MIME type of output that scripts/analyze.py prints on the terminal; browsers ignore it
NOTHING = "–"
UNKNOWN = "not in the catalog"
HEADLINE = "application/vnd.car-rental.headline+json"


def money(value: Decimal) -> str:
    """An exact amount: ``$80,290.00``."""
    return f"-${-value:,.2f}" if value < 0 else f"${value:,.2f}"


def mean(amounts: pd.Series) -> Decimal:
    """The mean of exact amounts, rounded half up to the cent."""
    return (sum(amounts, Decimal(0)) / len(amounts)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def count(value: int) -> str:
    """``20,080``."""
    return f"{value:,}"


def percent(value: float) -> str:
    """A percentage: ``4.7%``; a dash if the whole is 0."""
    return NOTHING if pd.isna(value) else f"{value:.1f}%"


def tenths(value: float) -> str:
    """A decimal number: ``43.5``."""
    return f"{value:,.1f}"


def change(before: Any, now: Any) -> str:
    """The relative change in percent."""
    if not before:
        return "none before"
    share = 100 * (float(now) / float(before) - 1)
    return "unchanged" if now == before else f"{share:+.1f}%".replace("-", "\N{MINUS SIGN}")


MONTHS = (
    "January February March April May June July August September October November December"
).split()


def date_of(value: date) -> str:
    """``31 May 2024``, in English whatever the machine's locale."""
    month = MONTHS[value.month - 1]
    return f"{value.day} {month} {value.year}"


def day(value: date) -> str:
    """``Friday, 31 May 2024``."""
    weekday = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()[value.weekday()]
    return f"{weekday}, {date_of(value)}"


_UNITS: dict[Callable[[Any], str], str] = {money: " ($)", percent: " (%)"}


@dataclass(frozen=True)
class Column:
    """A column of a table: its title, and the format of its values."""

    title: str
    write: Callable[[Any], str] = str

    @property
    def is_number(self) -> bool:
        """Returns whether its values are aligned right."""
        return self.write is not str


def finding(sentence: str, **values: str) -> None:
    """A finding: ``sentence`` with its ``{values}``, each of them emphasised."""
    marked = {name: f"<strong>{html.escape(value)}</strong>" for name, value in values.items()}
    _show(
        "finding",
        f"<p>{html.escape(sentence, quote=False).format(**marked)}</p>",
        sentence.format(**values),
    )


def table(
    frame: pd.DataFrame, caption: str, columns: Mapping[str, Column], headline: str = ""
) -> None:
    """A table of the ``columns`` of ``frame``.

    With a ``headline``, the table also appears on the terminal, with the headline as its title.
    """
    cells = [
        [_written(value, column) for value, column in zip(row, columns.values(), strict=True)]
        for row in _rows(frame, columns)
    ]
    extra = {HEADLINE: _headline(headline, columns, frame)} if headline else {}
    _show(
        "table",
        _table(caption, list(columns.values()), cells),
        frame[list(columns)].to_string(index=False),
        extra,
    )


def _written(value: Any, column: Column) -> str:
    return NOTHING if pd.isna(value) else column.write(value)


def _table(caption: str, columns: Sequence[Column], cells: Sequence[Sequence[str]]) -> str:
    marks = [' class="number"' if column.is_number else "" for column in columns]
    heads = (
        f'<th scope="col"{mark}>{html.escape(column.title)}</th>'
        for column, mark in zip(columns, marks, strict=True)
    )
    rows = (
        "".join(
            f"<td{mark}>{html.escape(cell)}</td>" for cell, mark in zip(row, marks, strict=True)
        )
        for row in cells
    )
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    caption = f"<caption><span>{html.escape(caption)}</span></caption>"
    return (
        f"<table>{caption}<thead><tr>{''.join(heads)}</tr></thead>\n<tbody>{body}</tbody></table>"
    )


def _headline(title: str, columns: Mapping[str, Column], frame: pd.DataFrame) -> dict[str, Any]:
    """The table for the terminal, with units in the titles, so that numbers can be aligned."""
    titles = [column.title + _UNITS.get(column.write, "") for column in columns.values()]
    return {
        "title": title,
        "columns": titles,
        "rows": [[_plain(value) for value in row] for row in _rows(frame, columns)],
    }


def _rows(frame: pd.DataFrame, columns: Mapping[str, Column]) -> list[list[Any]]:
    return [[row[name] for name in columns] for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """A value for JSON; a decimal keeps its digits."""
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    return round(value, 1) if isinstance(value, float) else value


def chart(figure: Figure, title: str, subtitle: str, alt: str) -> None:
    """A chart with a ``title`` that states its message; ``alt`` describes it for screen readers."""
    image = base64.b64encode(charts.svg(figure)).decode()
    caption = (
        f"<figcaption><b>{html.escape(title)}</b> <span>{html.escape(subtitle)}</span></figcaption>"
    )
    picture = f'<img alt="{html.escape(alt)}" src="data:image/svg+xml;base64,{image}">'
    _show("chart", f"<figure>{caption}{picture}</figure>", f"{title} ({subtitle}): {alt}")


def query(answer: Answer) -> None:
    """The SQL of a section, collapsed."""
    sql = html.escape(answer.query.sql.strip())
    title = f"The query: {answer.query.name}.sql"
    _show(
        "query",
        f"<details><summary>{title}</summary><pre><code>{sql}</code></pre></details>",
        answer.query.sql,
    )


def facts(tiles: Mapping[str, str], details: Mapping[str, str]) -> None:
    """The head of the report: a few large numbers, and the source of all numbers."""
    large = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in tiles.items()
    )
    small = "".join(
        f"<div><dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd></div>"
        for name, value in details.items()
    )
    plain = "\n".join(f"{name}: {value}" for name, value in {**tiles, **details}.items())
    _show("facts", f'<dl class="tiles">{large}</dl>\n<dl class="facts">{small}</dl>', plain)


def _show(part: str, markup: str, plain: str, extra: Mapping[str, Any] | None = None) -> None:
    bundle = {"text/html": markup, "text/plain": plain, **(extra or {})}
    display(bundle, raw=True, metadata={"part": part})  # type: ignore[no-untyped-call]
