"""The parts of the page: exact amounts, escaped data, and readable charts."""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Any

import charts
import page
import pandas as pd
import pytest
from page import Column


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """The outputs of the parts in their order."""
    bundles: list[dict[str, Any]] = []
    monkeypatch.setattr(page, "display", lambda bundle, **_: bundles.append(bundle))
    return bundles


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("1234567.89", "$1,234,567.89"),
        ("-5.5", "-$5.50"),
        ("98765432109876543.01", "$98,765,432,109,876,543.01"),
    ],
)
def test_amounts_are_shown_to_the_cent(amount: str, text: str) -> None:
    assert page.money(Decimal(amount)) == text


def test_a_mean_is_rounded_half_up() -> None:
    assert page.mean(pd.Series([Decimal("0.01"), Decimal("0.02")])) == Decimal("0.02")


@pytest.mark.parametrize(
    ("before", "now", "text"),
    [
        (4, 5, "+25.0%"),
        (Decimal("2.00"), Decimal("1.50"), "\N{MINUS SIGN}25.0%"),
        (3, 3, "unchanged"),
        (0, 3, "none before"),
    ],
)
def test_a_change_is_shown_in_percent_of_the_previous_value(
    before: Any, now: Any, text: str
) -> None:
    assert page.change(before, now) == text


def test_days_are_written_in_english() -> None:
    assert page.day(date(2024, 2, 29)) == "Thursday, 29 February 2024"


def test_markup_in_names_is_escaped(outputs: list[dict[str, Any]]) -> None:
    markup_in_name = '<script>alert("1")</script>{other}'
    page.finding("{name} & co earn {amount}.", name=markup_in_name, amount="$1")
    page.table(
        pd.DataFrame({"name": [markup_in_name]}),
        markup_in_name,
        {"name": Column(markup_in_name)},
        headline=markup_in_name,
    )
    page.facts({markup_in_name: markup_in_name}, {markup_in_name: markup_in_name})
    page.chart(
        charts.bars([markup_in_name], [1], "x", charts.number),
        title=markup_in_name,
        subtitle=markup_in_name,
        alt=markup_in_name,
    )
    for bundle in outputs:
        html = bundle["text/html"]
        assert "<script" not in html
        assert "&lt;script&gt;" in html
    assert "{other}" in outputs[0]["text/plain"]


def test_quotes_in_attributes_are_escaped(outputs: list[dict[str, Any]]) -> None:
    page.chart(
        charts.bars(["a"], [1], "x", charts.number), title="t", subtitle="s", alt='1" onload="x'
    )
    assert 'onload="' not in outputs[0]["text/html"]


def test_a_missing_value_is_marked(outputs: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame({"amount": [None], "share": [float("nan")]})
    page.table(
        frame, "t", {"amount": Column("Amount", page.money), "share": Column("Share", page.percent)}
    )
    assert outputs[0]["text/html"].count(f">{page.NOTHING}</td>") == 2


def test_numbers_are_aligned_to_the_right(outputs: list[dict[str, Any]]) -> None:
    page.table(
        pd.DataFrame({"name": ["a"], "many": [1000]}),
        "t",
        {"name": Column("N"), "many": Column("M", page.count)},
    )
    assert '<td>a</td><td class="number">1,000</td>' in outputs[0]["text/html"]


def test_a_headline_has_exact_amounts_and_their_unit(outputs: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame({"name": ["a"], "amount": [Decimal("0.10")]})
    page.table(
        frame,
        "t",
        {"name": Column("Name"), "amount": Column("Revenue", page.money)},
        headline="Top",
    )
    assert outputs[0][page.HEADLINE] == {
        "title": "Top",
        "columns": ["Name", "Revenue ($)"],
        "rows": [["a", {"decimal": "0.10"}]],
    }


# --- charts


@pytest.mark.parametrize("values", [[1], [1, 2], [0, 3], [0], [4, 1, 5]])
def test_an_axis_of_few_counts_has_no_duplicate_label(values: list[int]) -> None:
    days = ["Monday", "Tuesday", "Wednesday"][: len(values)]
    vertical = charts.columns(days, values, ("weekday", "rentals"), charts.number, lead=0)
    horizontal = charts.bars(days, values, "rentals", charts.number)
    for axis in (vertical.axes[0].yaxis, horizontal.axes[0].xaxis):
        labels = [label.get_text() for label in axis.get_ticklabels()]
        assert labels and len(labels) == len(set(labels)), labels


def test_the_same_chart_has_the_same_bytes() -> None:
    first, second = (
        charts.svg(charts.bars(["a", "b"], [2, 1], "rentals", charts.number)) for _ in range(2)
    )
    assert first == second


def test_a_chart_loads_no_external_resource() -> None:
    image = charts.svg(charts.trend([date(2024, 1, 1)], [1], [None], "revenue ($)")).decode()
    addresses = set(re.findall(r'https?://[^"\s<>]+', image))
    assert all(
        re.match(
            r"https?://(www\.w3\.org|creativecommons\.org|purl\.org|matplotlib\.org)/", address
        )
        for address in addresses
    )
    assert not re.search(r'(href|src)="(?!#)', image)


def test_bars_start_at_the_top_and_show_their_values() -> None:
    image = charts.svg(
        charts.bars(["first", "second"], [2000, 1000], "rentals", charts.number)
    ).decode()
    texts = re.findall(r">([^<>\n]+)</text>", image)
    assert {"first", "second", "2,000", "1,000", "rentals"} <= set(texts)
    assert _height_of("first", image) < _height_of("second", image)


def _height_of(text: str, image: str) -> float:
    position = re.search(rf'<text[^>]*?(?:y="|translate\([\d.]+ )([\d.]+)[^>]*>{text}<', image)
    assert position
    return float(position[1])


def test_dollar_signs_and_long_names_are_readable() -> None:
    image = charts.svg(charts.bars(["$a_b$", "x" * 200], [2, 1], "rentals", charts.number)).decode()
    assert ">$a_b$<" in image
    assert f">{'x' * 35}…<" in image


@pytest.mark.parametrize(
    ("value", "text"), [(0, "$0"), (950, "$950"), (80_000, "$80k"), (1_500_000, "$1.5M")]
)
def test_labels_of_axes_are_short(value: float, text: str) -> None:
    assert charts.short_dollars(value) == text


def test_the_leading_bar_differs_in_lightness() -> None:
    assert _lightness(charts.PALE) - _lightness(charts.LEAD) > 0.25
    assert _lightness(charts.PALE) - _lightness(charts.MEAN) > 0.25


def _lightness(colour: str) -> float:
    """Relative luminance as the Web Content Accessibility Guidelines define it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("ink", "ground"),
    [
        ("#52606d", "#ffffff"),
        ("#52606d", "#f4f6f8"),
        ("#c9dbe8", "#0b3c5d"),
        (charts.INK, "#ffffff"),
    ],
)
def test_text_has_sufficient_contrast(ink: str, ground: str) -> None:
    light, dark = sorted((_lightness(ink), _lightness(ground)), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
