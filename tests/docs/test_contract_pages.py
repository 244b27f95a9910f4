"""The documents describe the data as the contract computes it, with the sample's numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from car_rental.config import ROOT
from car_rental.sample.generator import generate
from oracle.contract import COLUMNS, KPI_TABLES, Table, contract_tables

PAGE = (ROOT / "docs" / "data.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    """The contract's tables of the sample that the README describes."""
    folder: Path = tmp_path_factory.mktemp("sample") / "raw"
    generate(folder=folder, business=True)
    return contract_tables(folder)


def documented_columns(table: str) -> list[str]:
    """The columns of a table in the order of the page."""
    (row,) = re.findall(rf"^\| `{table}` \|(.*)\|$", PAGE, re.MULTILINE)
    return re.findall(r"`(\w+)`", row)


@pytest.mark.parametrize("table", COLUMNS)
def test_the_page_lists_the_columns_of_each_raw_file(table: str) -> None:
    assert documented_columns(table) == COLUMNS[table]


@pytest.mark.parametrize("table", KPI_TABLES)
def test_the_page_lists_the_columns_of_each_published_table(
    tables: dict[str, Table], table: str
) -> None:
    assert documented_columns(table) == list(tables[table].columns)


def test_the_page_lists_every_reason_of_a_rejection() -> None:
    oracle = ROOT / "tests" / "oracle"
    rules = "".join(
        (oracle / name).read_text(encoding="utf-8") for name in ("contract.sql", "contract.py")
    )
    kinds = "malformed_row|not_utf8|(?:missing|bad|end|negative|unknown|duplicate)_\\w+"
    reasons = set(re.findall(rf"""['"]({kinds})['"]""", rules))
    section = PAGE.split("## The validation")[1].split("## ")[0]
    assert (
        reasons
        and {
            name
            for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE)
            for name in re.findall(r"`(\w+)`", row)
        }
        == reasons
    )


def test_the_readme_shows_the_numbers_of_the_sample(tables: dict[str, Table]) -> None:
    kept, rejected = len(tables["kept_rentals"].rows), len(tables["rejected_rentals"].rows)
    revenue = sum(
        row[tables["daily_metrics"].columns.index("total_revenue")]
        for row in tables["daily_metrics"].rows
    )
    assert (
        f"${revenue:,.2f} | {kept:,} of {kept + rejected:,} |"
        f" {len(tables['user_metrics'].rows):,} |" in README
    )
    assert f"{rejected:,} rejected" in README


def test_the_chart_shows_the_ten_locations_with_the_highest_revenue(
    tables: dict[str, Table],
) -> None:
    columns = tables["location_metrics"].columns
    rows = [dict(zip(columns, row, strict=True)) for row in tables["location_metrics"].rows]
    best = sorted(rows, key=lambda row: row["total_revenue"], reverse=True)[:10]
    texts = re.findall(
        r"<text[^>]*>([^<]+)</text>",
        (ROOT / "docs" / "images" / "top_locations.svg").read_text(encoding="utf-8"),
    )
    names = [row["location_name"] for row in rows]
    # an id follows a name that several locations share
    labels = [text.partition(" (")[0] for text in texts]
    assert [row["location_name"] for row in best] == [label for label in labels if label in names]
    assert all(
        ("(" in text) == (names.count(label) > 1)
        for text, label in zip(texts, labels, strict=True)
        if label in names
    )
    assert {f"${row['total_revenue']:,.0f}" for row in best} <= set(texts)
