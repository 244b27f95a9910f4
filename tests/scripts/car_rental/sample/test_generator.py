"""The sample data: distributions, reproducible bytes, and planted defects that the oracle finds."""

from __future__ import annotations

import csv
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import duckdb
import numpy as np
import pyarrow as pa
import pytest
from car_rental.data_contract import contract
from car_rental.errors import ConfigError, DataLakeError
from car_rental.sample import generator
from car_rental.sample.defects import RENTAL_DEFECTS, UNUSED_ID
from car_rental.sample.generator import TABLES, SampleData, generate
from car_rental.sample.tables import hex_ids, rentals_per_renter, sizes_for
from oracle.contract import contract_tables


def read_raw_table(folder: Path, table: str) -> pa.Table:
    """A raw file as text; fields are trimmed, rows padded or cut to the header's length."""
    with (folder / f"{table}.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert tuple(header) == contract.RAW_COLUMNS[table]
    padded = (
        [field.strip() for field in (row + [""] * len(header))[: len(header)]] for row in rows
    )
    columns = dict(zip(header, map(pa.array, zip(*padded, strict=True)), strict=True))
    return pa.table({"row_number": range(len(rows)), **columns})


def connect(folder: Path) -> duckdb.DuckDBPyConnection:
    """A connection with the raw files as tables of text."""
    connection = duckdb.connect()
    for table in TABLES:
        connection.register("raw", read_raw_table(folder, table))
        connection.execute(f"CREATE TABLE {table} AS FROM raw")
    return connection


@pytest.fixture(scope="module")
def guide_sample(tmp_path_factory: pytest.TempPathFactory) -> SampleData:
    """The sample of the guide's size with its default defects."""
    return generate(folder=tmp_path_factory.mktemp("guide"), seed=7)


@pytest.fixture(scope="module")
def sql(guide_sample: SampleData) -> Iterator[duckdb.DuckDBPyConnection]:
    """The sample of the guide's size as tables of text."""
    with connect(guide_sample.folder) as connection:
        yield connection


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Iterator[duckdb.DuckDBPyConnection]:
    """The sample of the guide's size without defects."""
    folder = generate(folder=tmp_path_factory.mktemp("clean"), defects=0).folder
    with connect(folder) as connection:
        yield connection


def test_the_contract_s_rules_find_exactly_the_planted_defects(
    guide_sample: SampleData, sql: duckdb.DuckDBPyConnection
) -> None:
    reasons = [row[0] for row in contract_tables(guide_sample.folder)["rejected_rentals"].rows]
    assert Counter(reason for row in reasons for reason in row) == guide_sample.by_reason
    assert len(reasons) == guide_sample.rejected
    assert sql.execute("SELECT count(*) FROM rental_transactions").fetchone() == (20_080,)


def test_every_reason_is_planted_below_the_limit_of_rejected_rentals(
    guide_sample: SampleData,
) -> None:
    assert set(guide_sample.by_reason) == {
        *(
            "malformed_row",
            "missing_rental_id",
            "missing_user_id",
            "missing_vehicle_id",
            "bad_start_time",
            "bad_end_time",
        ),
        *(
            "end_not_after_start",
            "bad_amount",
            "negative_amount",
            "unknown_user",
            "unknown_vehicle",
        ),
        *("unknown_pickup_location", "unknown_dropoff_location", "duplicate_rental_id"),
    }
    assert 0.008 < guide_sample.rejected / guide_sample.rows["rental_transactions"] <= 0.01
    assert guide_sample.odd_but_kept > 0


@pytest.mark.parametrize("rentals", [1, 2, 3, 10, 57, 1_000])
@pytest.mark.parametrize("defects", [0.0, 0.1, 0.5])
def test_small_samples_contain_the_defects_that_they_report(
    tmp_path: Path, rentals: int, defects: float
) -> None:
    sample = generate(rentals, 3, tmp_path, defects)
    tables = contract_tables(tmp_path)
    reasons = [row[0] for row in tables["rejected_rentals"].rows]
    assert len(tables["kept_rentals"].rows) + len(reasons) == rentals
    assert len(reasons) == sample.rejected == round(rentals * defects) - sample.odd_but_kept
    assert Counter(reason for row in reasons for reason in row) == sample.by_reason


def test_kinds_of_defects_alternate_across_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generator, "CHUNK", 700)
    sample = generate(100 * len(RENTAL_DEFECTS), 3, tmp_path, 0.1)
    malformed_defects = sum("malformed_row" in defect.reasons for defect in RENTAL_DEFECTS)
    assert sample.by_reason["malformed_row"] == 10 * malformed_defects
    ids = read_raw_table(tmp_path, "rental_transactions").column("rental_id").to_pylist()
    assert len(ids) == 100 * len(RENTAL_DEFECTS)


def test_odd_rows_of_master_tables_are_reported_correctly(
    guide_sample: SampleData, sql: duckdb.DuckDBPyConnection
) -> None:
    for table, key in (
        ("users", "user_id"),
        ("vehicles", "vehicle_id"),
        ("locations", "location_id"),
    ):
        ids = [row[0] for row in sql.execute(f"SELECT {key} FROM {table}").fetchall()]
        assert ids.count("") == guide_sample.oddities[table]["missing_id"], table
        assert (
            len(ids) - ids.count("") - len(set(ids) - {""})
            == guide_sample.oddities[table]["duplicate_id"]
        ), table
    empty = sql.execute(
        "SELECT count(*) FILTER (brand = ''), count(*) FILTER (vehicle_type = '') FROM vehicles"
    ).fetchone()
    assert empty == (
        guide_sample.oddities["vehicles"]["empty_brand"],
        guide_sample.oddities["vehicles"]["empty_vehicle_type"],
    )


def test_odd_rows_are_spread_over_the_file_without_moving_other_rows(
    sql: duckdb.DuckDBPyConnection, clean: duckdb.DuckDBPyConnection
) -> None:
    in_order = "SELECT vehicle_id FROM vehicles WHERE row_number < 109584 ORDER BY row_number"
    assert sql.execute(in_order).fetchall() == clean.execute(in_order).fetchall()
    odd = sql.execute(
        "SELECT row_number FROM vehicles WHERE brand = '' ORDER BY row_number"
    ).fetchnumpy()["row_number"]
    assert len(np.unique(odd // 10_000)) == 11  # in every part of the file


def test_a_sample_without_defects_has_no_duplicates(clean: duckdb.DuckDBPyConnection) -> None:
    distinct = clean.execute(
        "SELECT count(DISTINCT rental_id), count(DISTINCT user_id) FROM rental_transactions"
    ).fetchone()
    assert distinct == (20_080, 10_000)
    assert clean.execute("SELECT count(*), count(DISTINCT user_id) FROM users").fetchone() == (
        30_000,
        30_000,
    )
    assert clean.execute(
        "SELECT count(*), count(DISTINCT vehicle_id) FROM vehicles"
    ).fetchone() == (109_584, 109_584)
    assert clean.execute(
        "SELECT count(*), count(DISTINCT location_id) FROM locations"
    ).fetchone() == (300, 300)


def test_a_rental_costs_its_hours_times_the_rate_of_its_type(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    wrong_prices = clean.execute("""
        SELECT count(*) FROM rental_transactions JOIN vehicles USING (vehicle_id)
        WHERE total_amount::DECIMAL(12, 2) <> CASE vehicle_type
            WHEN 'basic' THEN 10 WHEN 'premium' THEN 20 ELSE 50 END
              * epoch(rental_end_time::TIMESTAMP - rental_start_time::TIMESTAMP) / 3600
        """).fetchone()
    assert wrong_prices == (0,)


def test_durations_and_start_days_are_uniformly_distributed(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    hours = clean.execute(
        "SELECT date_diff('hour', rental_start_time::TIMESTAMP, rental_end_time::TIMESTAMP) AS"
        " hours FROM rental_transactions"
    ).fetchnumpy()["hours"]
    assert (hours.min(), hours.max()) == (1, 72)
    assert chi_squared(hours) < 120  # 71 degrees of freedom; fails for one seed in 4,000
    starts = clean.execute(
        "SELECT min(rental_start_time), max(rental_start_time) FROM rental_transactions"
    ).fetchone()
    assert starts is not None
    assert starts[0] < "2024-01-01 01" and "2024-05-31 23" < starts[1] < "2024-06-01"
    days = clean.execute(
        "SELECT date_diff('day', DATE '2024-01-01', rental_start_time::DATE) AS day FROM"
        " rental_transactions"
    )
    assert chi_squared(days.fetchnumpy()["day"]) < 220  # 151 degrees of freedom


def chi_squared(values: np.ndarray) -> float:
    """The chi-squared statistic of the values against a uniform distribution."""
    counts = np.unique(values, return_counts=True)[1]
    return float(((counts - counts.mean()) ** 2 / counts.mean()).sum())


def test_vehicle_types_have_their_shares_of_rentals_and_fleet(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    rented = clean.execute(
        "SELECT vehicle_type, count(*) FROM rental_transactions JOIN vehicles USING (vehicle_id)"
        " GROUP BY 1"
    )
    shares = {name: count / 20_080 for name, count in rented.fetchall()}
    assert shares == pytest.approx({"basic": 0.4, "premium": 0.4, "high_end": 0.2}, abs=0.02)
    fleet = clean.execute(
        "SELECT vehicle_type, count(*), count(DISTINCT brand) FROM vehicles GROUP BY 1"
    ).fetchall()
    assert sorted(fleet) == [("basic", 36_528, 5), ("high_end", 36_528, 5), ("premium", 36_528, 5)]
    (vehicles,) = clean.execute(
        "SELECT count(DISTINCT vehicle_id) FROM rental_transactions"
    ).fetchone() or (0,)
    assert vehicles == pytest.approx(18_180, abs=150)


def test_a_user_has_one_to_three_consecutive_rentals(clean: duckdb.DuckDBPyConnection) -> None:
    users = (
        clean.execute("SELECT user_id FROM rental_transactions ORDER BY row_number")
        .fetchnumpy()["user_id"]
        .astype(str)
    )
    starts = np.flatnonzero(np.append(True, users[1:] != users[:-1]))
    assert len(starts) == len(set(users)) == 10_000
    lengths, counts = np.unique(np.diff(np.append(starts, len(users))), return_counts=True)
    assert dict(zip(lengths.tolist(), counts.tolist(), strict=True))[2] == pytest.approx(
        3_333, abs=200
    )
    assert set(lengths) <= {1, 2, 3, 4} and counts[:3].sum() > 9_900


def test_pickup_and_dropoff_locations_differ_and_cover_all_locations(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    counts = clean.execute("""
        SELECT count(*) FILTER (pickup_location = dropoff_location),
               count(DISTINCT pickup_location), count(DISTINCT dropoff_location)
        FROM rental_transactions
        """).fetchone()
    assert counts == (0, 300, 300)


def test_users_and_locations_have_plausible_values(clean: duckdb.DuckDBPyConnection) -> None:
    active = clean.execute("SELECT avg(is_active::INT) FROM users").fetchone()
    assert active == (pytest.approx(0.8, abs=0.01),)
    mails = clean.execute("SELECT email FROM users").fetchnumpy()["email"]
    assert {mail.split("@")[1] for mail in mails} == {"example.com", "example.net", "example.org"}
    assert all(mail.isascii() and mail.split("@")[0].count(".") == 1 for mail in mails)
    assert clean.execute(
        "SELECT count(DISTINCT state), count(DISTINCT city) FROM locations"
    ).fetchone() == (1, 50)
    assert clean.execute("SELECT bool_and(zip_code LIKE '0____') FROM locations").fetchone() == (
        True,
    )
    assert clean.execute(
        "SELECT count(*) > 0 FROM locations WHERE address LIKE '%,%'"
    ).fetchone() == (True,)


def test_ids_times_and_amounts_have_the_contract_s_formats(
    clean: duckdb.DuckDBPyConnection,
) -> None:
    formats = {
        ("rental_transactions", "rental_id"): r"[0-9a-f]{10}",
        ("rental_transactions", "rental_start_time"): r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d",
        ("rental_transactions", "total_amount"): r"\d+\.\d\d",
        ("users", "creation_date"): r"\d{4}-\d\d-\d\d",
        ("vehicles", "expiration_date"): r"\d\d-\d\d-\d{4}",
        ("vehicles", "last_update_timestamp"): r"\d\d-\d\d-\d{4} \d\d:\d\d:\d\d",
    }
    for (table, column), pattern in formats.items():
        matching = clean.execute(
            f"SELECT bool_and(regexp_full_match({column}, '{pattern}')) FROM {table}"
        ).fetchone()
        assert matching == (True,), column


@pytest.mark.parametrize("table", ["rentals", "users", "vehicles"])
def test_ids_are_unique_and_never_the_unused_id(table: str) -> None:
    ids = hex_ids(np.arange(500_000), table)
    assert len(set(ids.to_pylist())) == 500_000
    assert UNUSED_ID not in set(ids.to_pylist())


def test_the_same_seed_gives_the_same_bytes_and_another_seed_different_ones(tmp_path: Path) -> None:
    folders = [
        generate(2_000, seed, tmp_path / name).folder
        for seed, name in ((5, "a"), (5, "b"), (6, "c"))
    ]
    for table in TABLES:
        first, again, another_seed = ((folder / f"{table}.csv").read_bytes() for folder in folders)
        assert first == again
        assert first != another_seed


@pytest.mark.parametrize(
    ("rentals", "renters"), [(1, 1), (7, 7), (20_080, 10_000), (50_000, 4_000), (12, 10)]
)
def test_all_rentals_are_distributed_to_the_renters(rentals: int, renters: int) -> None:
    counts = rentals_per_renter(rentals, renters, np.random.default_rng(0))
    assert len(counts) == renters
    assert counts.min() >= 1
    assert counts.sum() == rentals


def test_master_tables_and_days_grow_with_the_number_of_rentals() -> None:
    sizes = [
        (s.users, s.vehicles, s.locations, s.days)
        for s in map(sizes_for, (20_080, 1_000_000, 10_000_000))
    ]
    assert sizes == [
        (30_000, 109_584, 300, 152),
        (450_000, 300_000, 800, 366),
        (2_000_000, 500_000, 1_500, 731),
    ]
    users = [
        sizes_for(rentals).users
        for rentals in (1, 100, 20_080, 300_000, 1_000_000, 5_000_000, 10_000_000)
    ]
    assert users == sorted(set(users))


def test_the_manifest_contains_defects_rows_and_bytes(guide_sample: SampleData) -> None:
    manifest = json.loads((guide_sample.folder / "sample_data.json").read_text(encoding="utf-8"))
    assert manifest["by_reason"] == guide_sample.by_reason
    assert manifest["rows"]["rental_transactions"] == 20_080
    assert manifest["bytes"] == {
        table: (guide_sample.folder / f"{table}.csv").stat().st_size for table in TABLES
    }


def test_a_new_sample_replaces_the_old_one_and_leaves_no_temporary_folder(tmp_path: Path) -> None:
    generate(500, 1, tmp_path)
    (tmp_path / ".generating").mkdir()  # left by a killed run
    generate(100, 1, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{table}.csv" for table in TABLES), "sample_data.json"]
    )


@pytest.mark.parametrize("manifest", [None, "{", "{}", '{"bytes": {"users": 3}}'])
def test_foreign_files_are_replaced_only_with_force(tmp_path: Path, manifest: str | None) -> None:
    (tmp_path / "users.csv").write_text("mine", encoding="utf-8")
    if manifest is not None:
        (tmp_path / "sample_data.json").write_text(manifest, encoding="utf-8")
    with pytest.raises(DataLakeError, match=r"did not write: users\.csv.*--force"):
        generate(100, 1, tmp_path)
    assert (tmp_path / "users.csv").read_text(encoding="utf-8") == "mine"
    generate(100, 1, tmp_path, force=True)
    assert (tmp_path / "users.csv").read_text(encoding="utf-8") != "mine"


def test_a_failure_leaves_the_old_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = generate(100, 1, tmp_path)
    users = (tmp_path / "users.csv").read_bytes()

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(generator, "rental_lines", full)
    with pytest.raises(DataLakeError, match="No space left on device"):
        generate(200, 2, tmp_path)
    assert (tmp_path / "users.csv").read_bytes() == users
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*(f"{t}.csv" for t in before.rows), "sample_data.json"]
    )


@pytest.mark.parametrize(
    "arguments",
    [{"rentals": 0}, {"rentals": 10**12}, {"seed": -1}, {"defects": 0.6}, {"defects": -0.1}],
)
def test_an_invalid_argument_is_an_error_before_anything_is_written(
    tmp_path: Path, arguments: dict[str, float]
) -> None:
    with pytest.raises(ConfigError, match="Choose"):
        generate(folder=tmp_path / "new", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "new").exists()


def test_too_little_disk_space_is_an_error_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10**6))
    with pytest.raises(
        DataLakeError, match=r"100,000 rentals need about 4\d MB, and .* has 1 MB left"
    ):
        generate(100_000, folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
