"""The business-like sample has its distributions and prices, and every month is reproducible."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pytest
from car_rental.s3.raw_data import find_raw_files
from car_rental.sample import generator
from car_rental.sample.generator import add_month, generate
from generate_sample_data import main

RENTALS = (
    "read_csv(['{0}/rental_transactions.csv', '{0}/rental_transactions/*.csv'], all_varchar = true)"
)


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The first five months and three more, without defects."""
    folder = tmp_path_factory.mktemp("business")
    generate(folder=folder, seed=7, defects=0, business=True)
    assert [add_month(folder) for _ in range(3)] == [
        f"rental_transactions/2024-0{month}.csv" for month in (6, 7, 8)
    ]
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE r AS FROM {RENTALS.format(folder)}")
        connection.execute(
            f"CREATE TABLE vehicles AS FROM read_csv('{folder}/vehicles.csv', all_varchar = true)"
        )
        connection.execute(
            f"CREATE TABLE locations AS FROM read_csv('{folder}/locations.csv', all_varchar = true)"
        )
        connection.execute("ALTER TABLE r ADD COLUMN start TIMESTAMP")
        connection.execute("UPDATE r SET start = CAST(rental_start_time AS TIMESTAMP)")
        yield connection


def rows(sql: duckdb.DuckDBPyConnection, query: str) -> dict[Any, Any]:
    return dict(sql.execute(query).fetchall())


def test_the_first_five_months_have_as_many_rentals_as_the_guide_s_sample(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    assert sql.execute("SELECT count(*) FROM r WHERE start < '2024-06-01'").fetchone() == (20_080,)
    assert sql.execute(
        "SELECT min(start) >= '2024-01-01', max(start) < '2024-09-01' FROM r"
    ).fetchone() == (True, True)


def test_rentals_grow_from_month_to_month(sql: duckdb.DuckDBPyConnection) -> None:
    months = list(rows(sql, "SELECT month(start), count(*) FROM r GROUP BY 1 ORDER BY 1").values())
    assert months[7] > months[5] > months[3] > months[0] * 1.2


def test_rush_hours_and_saturdays_have_the_most_rentals(sql: duckdb.DuckDBPyConnection) -> None:
    hours = rows(sql, "SELECT hour(start), count(*) FROM r WHERE isodow(start) <= 5 GROUP BY 1")
    assert min(hours[8], hours[17]) > 1.4 * hours[13] > 5 * hours[3]
    days = rows(sql, "SELECT isodow(start), count(*) FROM r GROUP BY 1")
    assert max(days, key=lambda day: days[day]) == 6 and min(days, key=lambda day: days[day]) == 2


def test_airports_have_more_rentals_than_other_locations(sql: duckdb.DuckDBPyConnection) -> None:
    rentals_per_location = (
        "SELECT location_name LIKE '%Airport', count(*) / count(DISTINCT location_id) FROM r JOIN"
        " locations "
    )
    airports = rows(sql, rentals_per_location + "ON pickup_location = location_id GROUP BY 1")
    assert airports[True] > 3 * airports[False]


def test_most_customers_rent_again_and_their_number_grows(sql: duckdb.DuckDBPyConnection) -> None:
    customers = list(
        rows(
            sql, "SELECT month(start), count(DISTINCT user_id) FROM r GROUP BY 1 ORDER BY 1"
        ).values()
    )
    assert customers[-1] > 1.3 * customers[0]
    rentals_per_user = rows(sql, "SELECT user_id, count(*) FROM r GROUP BY 1").values()
    assert (
        sum(count > 1 for count in rentals_per_user) > 0.7 * len(rentals_per_user)
        and 20 < max(rentals_per_user) < 150
    )


def test_a_rental_costs_its_hours_times_the_rate_of_its_type_and_ends_elsewhere(
    sql: duckdb.DuckDBPyConnection,
) -> None:
    wrong = sql.execute("""
        SELECT count(*) FROM r JOIN vehicles USING (vehicle_id)
        WHERE total_amount::DECIMAL(12, 2) <> CASE vehicle_type
            WHEN 'basic' THEN 10 WHEN 'premium' THEN 20 ELSE 50 END
              * epoch(rental_end_time::TIMESTAMP - start) / 3600
           OR epoch(rental_end_time::TIMESTAMP - start) NOT BETWEEN 3600 AND 72 * 3600
           OR pickup_location = dropoff_location
        """).fetchone()
    assert wrong == (0,)
    assert sql.execute("SELECT count(*) - count(DISTINCT rental_id) FROM r").fetchone() == (0,)


def test_the_same_seed_gives_the_same_bytes_for_every_month(tmp_path: Path) -> None:
    contents = []
    for name in ("a", "b"):
        generate(500, 3, tmp_path / name, business=True)
        month = add_month(tmp_path / name)
        contents.append(
            [(tmp_path / name / file).read_bytes() for file in ("rental_transactions.csv", month)]
        )
    assert contents[0] == contents[1]


def test_the_manifest_counts_the_defects_of_later_months(tmp_path: Path) -> None:
    generate(2_000, 3, tmp_path, 0.1, business=True)
    name = add_month(tmp_path)
    manifest = json.loads((tmp_path / "sample_data.json").read_text())
    lines = sum(
        len(list(csv.reader((tmp_path / file).open()))) - 1
        for file in ("rental_transactions.csv", name)
    )
    assert manifest["rows"]["rental_transactions"] == lines
    assert manifest["rejected"] + manifest["odd_but_kept"] == round(lines * 0.1)
    assert Counter(manifest["by_reason"]).total() >= manifest["rejected"]
    assert manifest["months"][-1] == "2024-06"


@pytest.mark.parametrize("rentals", [1, 5, 40])
def test_small_samples_can_grow_by_a_month(tmp_path: Path, rentals: int) -> None:
    sample = generate(rentals, 1, tmp_path, 0.5, business=True)
    assert sample.rows["rental_transactions"] == rentals
    assert add_month(tmp_path) == "rental_transactions/2024-06.csv"


def test_ids_stay_unique_across_chunks_of_a_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "CHUNK", 100)
    generate(2_000, 1, tmp_path, defects=0, business=True)
    with (tmp_path / "rental_transactions.csv").open() as file:
        ids = [row[0] for row in csv.reader(file)][1:]
    assert len(set(ids)) == 2_000


def test_a_new_sample_replaces_the_months_of_the_old_one(tmp_path: Path) -> None:
    generate(500, 1, tmp_path, business=True)
    name = add_month(tmp_path)
    assert tmp_path / name in find_raw_files(tmp_path).files["rental_transactions"]
    generate(500, 2, tmp_path)
    assert not (tmp_path / name).exists() and find_raw_files(tmp_path).not_read.keys() <= {
        "sample_data.json"
    }
    assert add_month(tmp_path) == ""  # an evenly spread sample does not grow


def test_next_month_starts_a_sample_in_an_empty_folder_and_leaves_foreign_data_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--next-month", "--rentals", "300", "--output", str(tmp_path)]
    assert main(flags) == 0 and main(flags) == 0
    assert (tmp_path / "rental_transactions/2024-06.csv").exists()
    (tmp_path / "users.csv").write_text("mine")
    before = sorted(path.name for path in tmp_path.iterdir())
    assert main(flags) == 0
    assert "holds other data: it stays" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == before
