"""Every named query is valid Athena SQL, uses existing columns, and gives the known answer."""

from __future__ import annotations

import functools
import tempfile
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from car_rental.athena.client import Athena
from car_rental.athena.named_queries import NamedQuery, named_queries
from car_rental.glue.rejected_table import register_failed_run
from oracle.contract import KPI_TABLES, contract_tables
from oracle.small_lake import write_small_lake
from sqlglot import expressions
from sqlglot.errors import OptimizeError
from sqlglot.optimizer.qualify import qualify
from support.published_lake import MASTERS, PublishedLake

from local_aws.server import LocalAws

QUERIES = named_queries()


def money(text: str) -> Decimal:
    return Decimal(text)


def share(part: str, whole: str) -> Any:
    return pytest.approx(100 * float(part) / float(whole))


# the answers for the rows of tests/notebooks/conftest.py, counted by hand
ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "run_facts": [
        ("r2", date(2024, 1, 1), date(2024, 1, 9), 4, 5, money("1430.15"), money("286.03"), 3)
    ],
    "top_locations": [
        (1, "Airport", "Boston", "MA", 3, money("1420.05"), share("1420.05", "1430.15")),
        (2, "Harbour", "Salem", "MA", 1, money("10.10"), share("10.10", "1430.15")),
        (3, "location 3", "Boston", "MA", 1, money("0.00"), 0.0),
    ],
    "vehicle_types": [
        ("basic", 3, share("3", "5"), money("30.10"), share("30.10", "1430.15"), money("10.03")),
        (
            "high_end",
            1,
            share("1", "5"),
            money("1300.05"),
            share("1300.05", "1430.15"),
            money("1300.05"),
        ),
        ("unknown", 1, share("1", "5"), money("100.00"), share("100", "1430.15"), money("100.00")),
    ],
    "top_customers": [
        ("U1", "Ann", "Lee", 3, money("1320.05"), money("440.02"), "Top Spender"),
        ("U3", "Cy", "Poe", 1, money("100.00"), money("100.00"), "Medium Spender"),
        ("U2", "Bo", "Ray", 1, money("10.10"), money("10.10"), "Occasional Spender"),
    ],
    "daily_trend": [
        (date(2024, 1, 1), 2, money("20.00"), None),
        (date(2024, 1, 2), 1, money("10.10"), None),
        (date(2024, 1, 3), 1, money("1300.05"), None),
        (date(2024, 1, 4), 0, money("0.00"), None),
        (date(2024, 1, 5), 0, money("0.00"), None),
        (date(2024, 1, 6), 0, money("0.00"), None),
        (date(2024, 1, 7), 0, money("0.00"), money("190.02")),
        (date(2024, 1, 8), 0, money("0.00"), money("187.16")),
        (date(2024, 1, 9), 1, money("100.00"), money("200.01")),
    ],
    "rentals_by_hour": [
        (0, 1, money("100.00")),
        *((hour, 0, money("0.00")) for hour in range(1, 10)),
        (10, 3, money("30.10")),
        *((hour, 0, money("0.00")) for hour in range(11, 23)),
        (23, 1, money("1300.05")),
    ],
    "rentals_by_weekday": [
        (1, "Monday", 2, 2, money("20.00"), 1.0),
        (2, "Tuesday", 2, 2, money("110.10"), 1.0),
        (3, "Wednesday", 1, 1, money("1300.05"), 1.0),
    ],
    "brands": [
        ("Ferrari", 1, money("1300.05"), money("1300.05"), 1),
        ("unknown", 1, money("100.00"), money("100.00"), 1),
        ("Nissan", 3, money("30.10"), money("10.03"), 1),
    ],
    "cities": [
        ("Boston", "MA", 2, 4, money("1420.05"), money("710.03")),
        ("Salem", "MA", 1, 1, money("10.10"), money("10.10")),
        ("Lynn", "MA", 1, 0, money("0.00"), money("0.00")),
    ],
    "revenue_by_customer_decile": [
        (1, 1, money("1320.05"), share("1320.05", "1430.15")),
        (2, 1, money("100.00"), share("100.00", "1430.15")),
        (3, 1, money("10.10"), share("10.10", "1430.15")),
    ],
    "fleet_utilisation": [
        ("high_end", 1, money("26.00"), 26.0, money("50.00")),
        ("basic", 1, money("3.50"), 3.5, money("8.60")),
        ("unknown", 1, money("10.00"), 10.0, money("10.00")),
    ],
    "growth_since_last_run": [
        ("r2", date(2024, 1, 9), 5, money("1430.15"), 3),
        ("r1", date(2024, 1, 2), 2, money("30.10"), 2),
    ],
    "rejected_rentals": [("bad_amount", 1, 2), ("negative_amount", 1, 2), ("unknown_user", 1, 2)],
}


def test_every_query_has_a_known_answer() -> None:
    assert set(ANSWERS) == set(QUERIES)


@pytest.mark.parametrize("name", sorted(QUERIES))
def test_a_query_gives_the_known_answer(known_lake: PublishedLake, name: str) -> None:
    answer = Athena(known_lake.aws).run(QUERIES[name].sql, name)
    assert list(answer.rows) == ANSWERS[name]
    assert [type(cell) for cell in answer.rows[0]] == [_exact(cell) for cell in ANSWERS[name][0]]


# days of one run from 1980 to 2024, more than sequence() returns
LONG = """WITH daily_metrics (run_id, rental_date, total_transactions, total_revenue) AS (
    VALUES ('r', DATE '1980-01-07', 1, CAST(1 AS DECIMAL(38, 2))), ('r', DATE '2024-12-31', 1,
    CAST(2 AS DECIMAL(38, 2)))
),
day_of_week_metrics (run_id, day_number, day_of_week, total_transactions, total_revenue) AS (
    VALUES ('r', 1, 'Monday', 1, CAST(1 AS DECIMAL(38, 2))), ('r', 2, 'Tuesday', 1,
    CAST(2 AS DECIMAL(38, 2)))
),
"""


def test_calendars_cover_many_years_of_rentals(known_lake: PublishedLake) -> None:
    def rows_of(name: str) -> list[tuple[Any, ...]]:
        return list(
            Athena(known_lake.aws).run(LONG + QUERIES[name].sql.split("WITH ", 1)[1], name).rows
        )

    trend = rows_of("daily_trend")
    assert (trend[0][0], trend[-1][0], len(trend)) == (date(2014, 12, 31), date(2024, 12, 31), 3654)
    # Python's calendar counts the same weekdays in these 16,430 days
    days = [
        date(1980, 1, 7) + timedelta(number)
        for number in range((date(2024, 12, 31) - date(1980, 1, 7)).days + 1)
    ]
    expected = {weekday: sum(day.isoweekday() == weekday for day in days) for weekday in (1, 2)}
    assert {row[0]: row[2] for row in rows_of("rentals_by_weekday")} == expected


def _exact(cell: Any) -> type:
    return float if type(cell).__name__ == "ApproxScalar" else type(cell)


def test_the_catalog_contains_rejected_rentals_of_published_runs_only(
    known_lake: PublishedLake,
) -> None:
    partitions = known_lake.aws.client("glue").get_partitions(
        DatabaseName=known_lake.settings.glue_database_name, TableName="rejected_rentals"
    )["Partitions"]
    assert sorted(partition["Values"][0] for partition in partitions) == ["r1", "r2"]


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_a_query_is_one_statement_of_athena_with_a_question(query: NamedQuery) -> None:
    (statement,) = sqlglot.parse(query.sql, read="athena")
    assert isinstance(statement, expressions.Query)
    assert query.question.endswith("?")
    assert query.comment


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_every_column_of_a_query_exists(query: NamedQuery) -> None:
    qualified(query.sql)


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES)
def test_the_column_check_finds_a_misspelt_column(query: NamedQuery) -> None:
    column = next(
        name
        for name in ("total_revenue", "total_spent", "total_transactions", "reasons")
        if name in query.sql
    )
    with pytest.raises(OptimizeError, match="could not be resolved|Unknown column"):
        qualified(query.sql.replace(column, column[:-1]))


def qualified(sql: str) -> expressions.Expression:
    schema = {
        table: dict.fromkeys((*columns, "run_id"), "unknown")
        for table, columns in columns_of_the_contract().items()
    }
    return qualify(sqlglot.parse_one(sql, read="athena"), schema=schema, dialect="athena")


@functools.cache
def columns_of_the_contract() -> dict[str, tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as raw:
        tables = contract_tables(write_small_lake(Path(raw)))
    return {name: tables[name].columns for name in (*KPI_TABLES, "rejected_rentals")}


def test_rejected_rentals_of_failed_runs_have_their_own_table(known_lake: PublishedLake) -> None:
    """A run after the newest published one is added only when it is known to have failed."""
    sql = (
        "SELECT run_id, rental_id FROM rejected_rentals_of_failed_runs WHERE rental_id = 'R8' ORDER"
        " BY 1"
    )
    assert Athena(known_lake.aws).run(sql).rows == (("r1-failed", "R8"),)
    assert register_failed_run(known_lake.aws, "r3-failed") is True
    assert Athena(known_lake.aws).run(sql).rows == (("r1-failed", "R8"), ("r3-failed", "R8"))
    assert register_failed_run(known_lake.aws, "no-such-run") is False
    known_lake.crawl()
    assert [row[0] for row in Athena(known_lake.aws).run(sql).rows] == ["r1-failed", "r3-failed"]


def test_locations_with_the_same_name_are_distinguished_by_id(
    stand_in: LocalAws, tmp_path: Path
) -> None:
    lake = PublishedLake.new(stand_in.url, "twins", tmp_path)
    first, *more_locations = MASTERS["locations"]
    rentals = ["R1,U1,V1,2024-01-01 10:00:00,2024-01-01 12:00:00,1,2,20.00"]
    rentals += ["R2,U1,V1,2024-01-02 10:00:00,2024-01-02 11:00:00,2,1,10.00"]
    rentals += ["R3,U1,V1,2024-01-03 10:00:00,2024-01-03 11:00:00,4,1,5.00"]
    twin = first.replace("1,Airport", "2,Airport", 1)
    lake.publish(
        "r1",
        {
            **MASTERS,
            "locations": [first, twin, *more_locations[1:]],
            "rental_transactions": rentals,
        },
    )
    lake.crawl()
    rows = Athena(lake.aws).run(QUERIES["top_locations"].sql).rows
    assert [row[1] for row in rows] == ["Airport (1)", "Airport (2)", "Nowhere"]
