"""The report has the contract's figures, needs no other file, and works in a browser."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from analyze import AnalysisResult, analyze
from bs4 import BeautifulSoup
from car_rental.athena.named_queries import named_queries
from car_rental.aws import Aws
from car_rental.display.console import Console
from car_rental.sample.generator import generate
from support.published_lake import MASTERS, PublishedLake

from local_aws.server import LocalAws

RUN = "2026-01-02T03-00-00.000Z"
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
needs_a_browser = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium here: apt-get install chromium"
)


@dataclass(frozen=True)
class Report:
    """The output of an analysis: its result, the page, and the text on the terminal."""

    lake: PublishedLake
    result: AnalysisResult
    page: BeautifulSoup
    terminal: str

    def section(self, heading: str) -> Any:
        (section,) = [part for part in self.page.find_all("section") if part.h2.text == heading]
        return section

    def finding(self, heading: str) -> str:
        return " ".join(part.text for part in self.section(heading).select(".finding"))

    def table(self, heading: str) -> list[list[str]]:
        rows = self.section(heading).select("tbody tr")
        return [[cell.text for cell in row.find_all("td")] for row in rows]

    def facts(self) -> dict[str, str]:
        return {fact.dt.text: fact.dd.text for fact in self.page.select(".head dl > div")}


def report_of(lake: PublishedLake, reports: Path, **settings: Any) -> Report:
    changed, out = replace(lake.settings, reports_dir=reports, **settings), io.StringIO()
    result = analyze(Aws(changed), Console(out, io.StringIO()))
    return Report(
        lake,
        result,
        BeautifulSoup(result.page.read_text(encoding="utf-8"), "html.parser"),
        out.getvalue(),
    )


@pytest.fixture(scope="session")
def report(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of 2,000 generated rentals in one run, three in a hundred with defects."""
    folder = tmp_path_factory.mktemp("sample_lake")
    lake = PublishedLake.new(stand_in.url, "sample", folder)
    generate(rentals=2000, seed=7, folder=folder / "raw", defects=0.03)
    lake.publish_raw(RUN, folder / "raw")
    lake.crawl()
    return report_of(lake, folder / "reports")


@pytest.fixture(scope="session")
def known_report(known_lake: PublishedLake, tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of the lake with known answers, without customer names."""
    return report_of(
        known_lake, tmp_path_factory.mktemp("known_reports"), report_customer_names=False
    )


@dataclass(frozen=True)
class Rental:
    """A kept rental of the contract."""

    rental_id: str
    user_id: str
    vehicle_id: str
    start: datetime
    end: datetime
    pickup: int
    dropoff: int
    amount: Decimal


@pytest.fixture(scope="session")
def kept(report: Report) -> list[Rental]:
    return [Rental(*row) for row in report.lake.expected[RUN]["kept_rentals"].rows]


def dollars(amount: Decimal) -> str:
    return f"${amount:,.2f}"


def mean(amounts: list[Decimal]) -> Decimal:
    return (sum(amounts, Decimal(0)) / len(amounts)).quantize(Decimal("0.01"), ROUND_HALF_UP)


def sums(pairs: Iterator[tuple[Any, Decimal]]) -> list[tuple[Any, Decimal, int]]:
    """(key, sum, count) with the largest sum first, then by key."""
    groups: dict[Any, list[Decimal]] = defaultdict(list)
    for key, amount in pairs:
        groups[key].append(amount)
    totals = [(key, sum(amounts, Decimal(0)), len(amounts)) for key, amounts in groups.items()]
    return sorted(totals, key=lambda total: (-total[1], total[0]))


# --- figures


def test_the_head_shows_revenue_rentals_customers_and_days(
    report: Report, kept: list[Rental]
) -> None:
    facts = report.facts()
    rejected = len(report.lake.expected[RUN]["rejected_rentals"].rows)
    revenue = sum(rental.amount for rental in kept)
    days = [rental.start.date() for rental in kept]
    assert facts["Revenue"] == dollars(revenue)
    assert facts["Rentals"] == facts["Rentals kept"] == f"{len(kept):,}"
    assert facts["Customers"] == f"{len({rental.user_id for rental in kept}):,}"
    assert facts["Mean amount of a rental"] == dollars(mean([rental.amount for rental in kept]))
    assert facts["Rentals read"] == "2,000"
    assert facts["Rentals rejected"] == str(rejected) == str(2000 - len(kept))
    assert facts["Run"] == RUN
    assert (
        facts["Rentals that start"]
        == f"{min(days).day} {min(days):%B %Y} to {max(days).day} {max(days):%B %Y}"
    )
    assert facts["Engine"] == "Athena engine version 3 (local stand-in)"


def test_the_head_shows_the_counts_of_master_tables(report: Report, known_report: Report) -> None:
    facts = known_report.facts()
    counted = "1,204 read, 1,200 kept, 3 rejected (bad_id 1, malformed_row 2), 1 duplicate"
    assert facts["Rows of locations"] == counted
    assert facts["Rows of users"] == "3 read, 3 kept, 0 rejected"
    assert not [name for name in report.facts() if name.startswith("Rows of ")], (
        "a run without counts"
    )


def test_bytes_and_costs_include_all_queries(report: Report) -> None:
    scanned, queries = re.fullmatch(
        r"([\d,]+) by (\d+) queries", report.facts()["Bytes scanned"]
    ).groups()
    assert int(scanned.replace(",", "")) > 0
    assert int(queries) == len(named_queries())
    # Athena bills ten megabytes at least, at $5 a terabyte
    assert (
        report.facts()["Cost of the queries"]
        == f"nothing here; ${int(queries) * 10 / 1_000_000 * 5:.5f} on AWS"
    )


def test_the_table_of_locations_has_the_contract_s_figures(
    report: Report, kept: list[Rental]
) -> None:
    rows = report.lake.expected[RUN]["location_metrics"].rows
    # locations with the same name are distinguished by their ids
    times = Counter(row[1] for row in rows)
    names = {
        row[0]: (row[1] if times[row[1]] == 1 else f"{row[1]} ({row[0]})", row[2]) for row in rows
    }
    best, revenue = (
        sums((rental.pickup, rental.amount) for rental in kept)[:10],
        sum(rental.amount for rental in kept),
    )
    shares = [float(100 * total / revenue) for _, total, _ in best]
    assert report.table("Which locations earn the most?") == [
        [*names[location], str(count), dollars(total), f"{share:.1f}%"]
        for (location, total, count), share in zip(best, shares, strict=True)
    ]
    finding = report.finding("Which locations earn the most?")
    assert (
        f"{names[best[0][0]][0]} earns the most: {dollars(best[0][1])} with {best[0][2]} rentals"
        in finding
    )
    assert f"bring in {sum(shares):.1f}% of all revenue" in finding


def test_the_table_of_vehicle_types_has_the_contract_s_figures(
    report: Report, kept: list[Rental]
) -> None:
    types = {row[0]: row for row in report.lake.expected[RUN]["vehicle_type_metrics"].rows}
    order = sorted(types.values(), key=lambda row: (-row[1], row[0]))
    revenue = sum(rental.amount for rental in kept)
    assert report.table("Which vehicle types are rented most?") == [
        [
            name,
            f"{count:,}",
            f"{100 * count / len(kept):.1f}%",
            dollars(total),
            f"{100 * total / revenue:.1f}%",
            dollars(each),
        ]
        for name, count, total, each, *_ in order
    ]
    richest = max(order, key=lambda row: row[2])
    finding = report.finding("Which vehicle types are rented most?")
    assert f"The type {order[0][0]} is rented most: {order[0][1]:,} rentals" in finding
    assert f"comes from {richest[0]}: {dollars(richest[2])}" in finding


def test_the_table_of_customers_has_the_contract_s_figures(
    report: Report, kept: list[Rental]
) -> None:
    names = {row[0]: (row[1:3], row[-1]) for row in report.lake.expected[RUN]["user_metrics"].rows}
    best = sums((rental.user_id, rental.amount) for rental in kept)[:10]
    amounts = defaultdict(list)
    for rental in kept:
        amounts[rental.user_id].append(rental.amount)
    assert report.table("Who spends the most?") == [
        [
            user,
            *names[user][0],
            str(count),
            dollars(total),
            dollars(mean(amounts[user])),
            names[user][1],
        ]
        for user, total, count in best
    ]
    together = sum((total for _, total, _ in best), Decimal(0))
    assert f"The ten best customers spent {dollars(together)}" in report.finding(
        "Who spends the most?"
    )


def test_the_figures_of_days_are_the_contract_s(report: Report, kept: list[Rental]) -> None:
    daily = {
        day: total
        for day, total, _ in sums((rental.start.date(), rental.amount) for rental in kept)
    }
    first, last = min(daily), max(daily)
    every = [
        daily.get(first + timedelta(number), Decimal(0))
        for number in range((last - first).days + 1)
    ]
    best = min(day for day in daily if daily[day] == max(daily.values()))
    finding = report.finding("How does business develop from day to day?")
    assert f"A day brings in {dollars(mean(every))} on average" in finding
    assert f"{best.day} {best:%B %Y} with {dollars(daily[best])}" in finding
    weeks = mean(every[:7]), mean(every[-7:])
    assert (
        f"The last seven days brought in {dollars(weeks[1])} a day, the first seven"
        f" {dollars(weeks[0])}" in finding
    )
    assert (
        f"{float(100 * (weeks[1] / weeks[0] - 1)):+.1f}%".replace("-", "\N{MINUS SIGN}") in finding
    )


def test_the_figures_of_hours_and_weekdays_are_the_contract_s(
    report: Report, kept: list[Rental]
) -> None:
    hours = Counter(rental.start.hour for rental in kept)
    busiest = min(hours, key=lambda hour: (-hours[hour], hour))
    days = {rental.start.date() for rental in kept}
    window = [min(days) + timedelta(number) for number in range((max(days) - min(days)).days + 1)]
    per_day = {
        f"{weekday:%A}": (
            sum(rental.start.weekday() == weekday.weekday() for rental in kept)
            / sum(day.weekday() == weekday.weekday() for day in window)
        )
        for weekday in window[:7]
    }
    finding = report.finding("When do rentals start?")
    assert f"between {busiest}:00 and {busiest}:59: {hours[busiest]}" in finding
    assert (
        f"{max(per_day, key=per_day.__getitem__)} with {max(per_day.values()):.1f} rentals a day"
        in finding
    )
    assert f"{min(per_day, key=per_day.__getitem__)} with {min(per_day.values()):.1f}" in finding


def test_the_tables_of_brands_and_cities_have_the_contract_s_figures(
    report: Report, kept: list[Rental]
) -> None:
    tables = report.lake.expected[RUN]
    brand, rentals, revenue, average, _ = max(tables["brand_metrics"].rows, key=lambda row: row[2])
    expected = (
        f"{brand} brings in the most: {dollars(revenue)} with {rentals} rentals of"
        f" {dollars(average)} on average"
    )
    assert expected in report.finding("Which brands bring in the most?")
    cities = {row[0]: row[2] for row in tables["location_metrics"].rows}
    city, total, _ = sums((cities[rental.pickup], rental.amount) for rental in kept)[0]
    places = Counter(cities.values())[city]
    each = (total / places).quantize(Decimal("0.01"), ROUND_HALF_UP)
    expected = (
        f"{city} brings in the most: {dollars(total)} from {places} locations, {dollars(each)} each"
    )
    assert expected in report.finding("Which cities bring in the most?")


def test_the_share_of_the_best_tenth_of_customers_is_the_contract_s(
    report: Report, kept: list[Rental]
) -> None:
    spent = [total for _, total, _ in sums((rental.user_id, rental.amount) for rental in kept)]
    revenue, size = sum(spent), len(spent)
    # the first groups are larger by one if the number is not a multiple of ten
    tenth = size // 10 + (size % 10 > 0)
    half = sum(size // 10 + (group < size % 10) for group in range(5))
    finding = report.finding("How much of the revenue comes from the best customers?")
    assert (
        f"({tenth}) brings in {100 * sum(spent[:tenth]) / revenue:.1f}% of the revenue" in finding
    )
    assert f"the better half {100 * sum(spent[:half]) / revenue:.1f}%" in finding


def test_the_utilisation_of_the_fleet_is_shown_by_type(report: Report) -> None:
    rows = {row[0]: row for row in report.lake.expected[RUN]["vehicle_type_metrics"].rows}
    shown = {row[0]: row[1:] for row in report.table("How well is the fleet used?")}
    for name, (_, _, revenue, *_rest, vehicles) in rows.items():
        hours = rows[name][6]
        each = (revenue / hours).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert shown[name] == [
            f"{vehicles:,}",
            f"{hours:,.1f}",
            f"{float(hours) / vehicles:,.1f}",
            dollars(each),
        ]


def test_the_reasons_of_rejected_rentals_are_counted(report: Report, kept: list[Rental]) -> None:
    rows = report.lake.expected[RUN]["rejected_rentals"].rows
    reasons = Counter(reason for row in rows for reason in row[0])
    first = min(reasons, key=lambda reason: (-reasons[reason], reason))
    finding = report.finding("Why were rentals rejected?")
    assert f"{len(rows)} of 2,000 rentals were rejected ({100 * len(rows) / 2000:.1f}%)" in finding
    assert f"most often for {first.replace('_', ' ')}: {reasons[first]}" in finding


def test_the_first_run_has_no_comparison(report: Report) -> None:
    assert "none before it" in report.finding("What has changed since the run before?")


def test_a_later_run_is_compared_with_the_previous_one(known_report: Report) -> None:
    finding = known_report.finding("What has changed since the run before?")
    assert finding == "Since the run before: rentals +150.0%, revenue +4651.3%, customers +50.0%."


def test_a_lake_with_a_single_free_rental_has_a_report(stand_in: LocalAws, tmp_path: Path) -> None:
    lake = PublishedLake.new(stand_in.url, "single", tmp_path)
    lake.publish(
        "r1",
        {
            **MASTERS,
            "rental_transactions": ["R1,U1,V1,2024-01-01 10:00:00,2024-01-01 12:00:00,3,2,0.00"],
        },
    )
    lake.crawl()
    single = report_of(lake, tmp_path / "reports")
    assert single.table("Which locations earn the most?") == [
        ["location 3", "Boston", "1", "$0.00", "–"]
    ]
    assert single.finding("Why were rentals rejected?") == "Not one of 1 rentals was rejected."
    # the only weekday is not also called the quietest
    assert single.finding("When do rentals start?").endswith(
        "The busiest weekday is Monday with 1.0 rentals a day; no other is quieter."
    )
    assert single.facts()["Rentals rejected"] == "0"


# --- the terminal


def test_the_terminal_shows_three_headlines_and_the_path(report: Report) -> None:
    titles = [line for line in report.terminal.splitlines() if line and not line.startswith(" ")]
    shown = f"Report: {report.result.page}"
    assert titles == [
        "Top locations by revenue",
        "Vehicle types by rentals",
        "Top customers by spending",
        shown,
    ]
    for row in report.table("Which locations earn the most?"):
        assert row[0] in report.terminal
        assert row[3].removeprefix("$") in report.terminal
    assert report.result.page.name == f"car_rental_{RUN}.html"


def test_the_terminal_shows_exact_amounts(known_report: Report) -> None:
    amounts = re.findall(r"[\d,]+\.\d\d", known_report.terminal.split("Vehicle types")[0])
    assert amounts == ["1,420.05", "10.10", "0.00"]


# --- customers


def test_customers_are_named_only_in_their_table(report: Report) -> None:
    _, first, last, *_ = report.table("Who spends the most?")[0]
    name = re.compile(rf"\b{re.escape(first)}\W+{re.escape(last)}\b")
    page = BeautifulSoup(report.result.page.read_text(encoding="utf-8"), "html.parser")
    table = page.find(id="who-spends-the-most").table.extract()
    assert name.search(table.get_text(" "))
    assert not name.search(page.get_text(" "))


def test_the_record_of_the_step_names_no_customer(report: Report) -> None:
    assert set(asdict(report.result)) == {"page", "run_id"}


def test_the_setting_removes_customer_names_from_all_output(known_report: Report) -> None:
    everything = known_report.result.page.read_text(encoding="utf-8") + known_report.terminal
    assert "U1" in everything
    for name in ("Ann", "Lee", "Poe", "First name"):
        assert not re.search(rf"\b{name}\b", everything), name


# --- the page


def test_the_page_loads_no_external_resource(report: Report) -> None:
    addresses = [
        tag[name] for name in ("src", "href") for tag in report.page.find_all(attrs={name: True})
    ]
    assert {address.split(",")[0] for address in addresses if not address.startswith("#")} == {
        "data:image/svg+xml;base64"
    }
    assert not re.search(
        r"url\(|@import|<script|<iframe|<link", report.result.page.read_text(encoding="utf-8")
    )


def test_the_page_shows_no_code_cell(report: Report) -> None:
    assert "lake.answer" not in report.page.text
    assert "How to run this notebook" not in report.page.text


def test_every_chart_has_a_title_and_a_description(report: Report) -> None:
    figures = report.page.find_all("figure")
    assert figures
    for figure in figures:
        assert figure.figcaption.b.text
        assert re.search(r"\d", figure.img["alt"]), figure.figcaption.text


def test_every_section_has_a_finding_with_a_number_and_its_query(report: Report) -> None:
    for section in report.page.find_all("section"):
        assert section.select(".finding"), section.h2.text
        assert section.select("details pre"), section.h2.text
    counted = [
        part.text for part in report.page.select(".brief li") if "first run" not in part.text
    ]
    assert all(re.search(r"\d", text) for text in counted)


def test_every_link_has_a_target(report: Report) -> None:
    anchors = {section["id"] for section in report.page.find_all("section")}
    assert {link["href"].removeprefix("#") for link in report.page.find_all("a")} == anchors


@pytest.mark.jvm
@needs_a_browser
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_every_chart_within_the_page_s_width(
    report: Report, tmp_path: Path, width: int
) -> None:
    seen = look_at(report.result.page, tmp_path, width)
    assert seen["charts"] == len(report.page.find_all("figure")) > 0
    assert seen["broken"] == []
    assert seen["overflow"] <= 0


LOOK = """<script>onload = () => {
  const images = [...document.images];
  document.body.dataset.seen = JSON.stringify({
    charts: images.filter(image => image.naturalWidth > 100).length,
    broken: images.filter(image => !image.complete || !image.naturalWidth).map(image => image.alt),
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  });
}</script></body>"""


def look_at(report: Path, folder: Path, width: int) -> dict[str, Any]:
    """Opens the page in a browser without a network."""
    page = folder / "page.html"
    page.write_text(report.read_text(encoding="utf-8").replace("</body>", LOOK), encoding="utf-8")
    assert CHROMIUM
    command = [
        *(
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--window-size={width},900",
            "--dump-dom",
        ),
        *(
            f"--user-data-dir={folder / 'profile'}",
            "--proxy-server=127.0.0.1:9",
            "--no-first-run",
            page.as_uri(),
        ),
    ]
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    seen = BeautifulSoup(dom, "html.parser").body["data-seen"]
    return dict(json.loads(str(seen)))
