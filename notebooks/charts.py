"""The charts of the analysis: a few kinds in one style.

They can be read in print, without colour, and by colour-blind people.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

# from the palette of Okabe and Ito, distinguishable with any colour vision:
# https://jfly.uni-koeln.de/color/
LEAD, PALE, MEAN = "#0072B2", "#9DC3DC", "#D55E00"
INK, FAINT = "#3D4852", "#DDE3E8"
_LONGEST = 36  # longest label, in characters; longer labels would leave no room for the bars
WIDTH = 7.6  # inches; the page scales it to its own width

_STYLE: Any = {
    "svg.fonttype": "none",  # text stays text: sharp, searchable, in the page's own typeface
    "svg.hashsalt": "car-rental",  # the same chart always has the same bytes
    "text.parse_math": False,  # a name with two dollar signs is not a formula
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "figure.constrained_layout.use": True,
}
_TYPEFACE = b"system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

Write = Callable[[float], str]


def dollars(value: float) -> str:
    """An amount for a label, to the dollar."""
    return f"-${-value:,.0f}" if value < 0 else f"${value:,.0f}"


def short_dollars(value: float) -> str:
    """An amount for an axis: ``$80k``, ``$1.5M``."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"${value / size:,.3g}{letter}"
    return f"${value:,.0f}"


def number(value: float) -> str:
    """A count for a label or an axis."""
    return f"{value:,.0f}"


def tenths(value: float) -> str:
    """A decimal number for a label."""
    return f"{value:,.1f}"


def percent(value: float) -> str:
    """A percentage for a label."""
    return f"{value:.1f}%"


@matplotlib.rc_context(_STYLE)
def bars(
    labels: Sequence[str],
    values: Sequence[Any],
    axis: str,
    write: Write,
    ticks: Write | None = None,
) -> Figure:
    """Horizontal bars with their values.

    The first bar is at the top and darker, because the title is about it.
    """
    figure, axes = _figure(0.7 + 0.27 * len(labels))
    numbers = [float(value) for value in values]
    drawn = axes.barh(
        range(len(labels)), numbers, color=[LEAD] + [PALE] * (len(labels) - 1), height=0.72
    )
    axes.bar_label(drawn, labels=[write(value) for value in numbers], padding=4)
    axes.set_yticks(range(len(labels)), [_short(label) for label in labels])
    axes.invert_yaxis()
    axes.margins(x=0.1, y=0.02)
    axes.spines["bottom"].set_visible(False)
    axes.grid(axis="x")
    axes.set_xlabel(axis)
    _ticks(axes.xaxis, ticks or write)
    return figure


@matplotlib.rc_context(_STYLE)
def columns(
    labels: Sequence[str],
    values: Sequence[Any],
    axes_labels: tuple[str, str],
    write: Write,
    *,
    lead: int,
    every: bool = True,
) -> Figure:
    """Columns in the order of ``labels``; the one at ``lead`` is darker.

    Every ``every``-th column shows its value, or only the leading one.
    """
    figure, axes = _figure(2.5)
    numbers = [float(value) for value in values]
    colours = [LEAD if index == lead else PALE for index in range(len(numbers))]
    drawn = axes.bar(range(len(labels)), numbers, color=colours, width=0.8)
    marks = [write(value) if every or index == lead else "" for index, value in enumerate(numbers)]
    axes.bar_label(drawn, labels=marks, padding=2)
    axes.set_xticks(range(len(labels)), labels)
    axes.margins(x=0.02, y=0.12)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_xlabel(axes_labels[0])
    axes.set_ylabel(axes_labels[1])
    _ticks(axes.yaxis, number)
    return figure


@matplotlib.rc_context(_STYLE)
def trend(days: Sequence[date], values: Sequence[Any], means: Sequence[Any], axis: str) -> Figure:
    """Daily values as pale columns, with the mean of seven days as a line."""
    figure, axes = _figure(2.8)
    dates: Any = list(days)
    axes.bar(dates, [float(value) for value in values], color=PALE, width=0.8, label="a day")
    known = [index for index, mean in enumerate(means) if mean is not None]
    if known:
        axes.plot(
            [dates[index] for index in known],
            [float(means[index]) for index in known],
            color=MEAN,
            linewidth=2,
            label="mean of seven days",
        )
    axes.margins(x=0.01)
    axes.set_ylim(bottom=0)
    axes.spines["left"].set_visible(False)
    axes.grid(axis="y")
    axes.set_ylabel(axis)
    axes.set_xlabel("date (UTC)")
    locator = AutoDateLocator(minticks=3, maxticks=9)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]
    _ticks(axes.yaxis, short_dollars)
    figure.legend(loc="outside upper left", ncols=2, frameon=False)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height))
    return figure, figure.add_subplot()


def _short(label: str) -> str:
    return label if len(label) <= _LONGEST else label[: _LONGEST - 1] + "…"


def _ticks(axis: Any, write: Write) -> None:
    # ticks at whole numbers only: otherwise labels without decimals would be 0 0 1 1 2
    axis.set_major_locator(MaxNLocator(nbins=5, integer=True, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))


@matplotlib.rc_context(_STYLE)
def svg(figure: Figure) -> bytes:
    """The chart as a self-contained SVG file."""
    with io.BytesIO() as file:
        figure.savefig(
            file, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
        return file.getvalue().replace(b"'DejaVu Sans'", _TYPEFACE)
