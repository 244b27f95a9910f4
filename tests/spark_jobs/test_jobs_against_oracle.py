"""The Spark jobs and the oracle, given the same raw files, agree on every table, every kept and every rejected row."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import generate_sample_data
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from oracle.contract import KPI_TABLES, MASTERS, contract_tables
from oracle.job_runs import Run
from oracle.raw_lakes import RawZone, raw_zones, write_raw_zone
from pyspark.sql import SparkSession


def assert_equal_to_oracle(run: Run, raw: Path) -> None:
    expected = contract_tables(raw)
    assert run.kept_rentals() == expected["kept_rentals"]
    assert run.rejected_rentals() == expected["rejected_rentals"]
    for table in MASTERS:
        assert run.rejected_rows(table).rows == expected[f"rejected_{table}"].rows, table
    for table in KPI_TABLES:
        assert run.table(table) == expected[table], table


@pytest.mark.parametrize("quoted", [False, True])
def test_a_sample_with_every_defect(run_jobs: Callable[..., Run], tmp_path: Path, quoted: bool) -> None:
    """As it is most lines are plain and cut at their commas; with quotes around its first field each has to be read as CSV."""
    raw = tmp_path / "raw"
    generate_sample_data.main(["--rentals", "3000", "--seed", "7", "--defects", "0.05", "--output", str(raw)])
    if quoted:
        file = raw / "rental_transactions.csv"
        header, *lines = file.read_text(encoding="utf-8").splitlines()
        lines = [re.sub(r'^([^",]*)(?=,)', r'"\1"', line) for line in lines]
        assert sum(line.startswith('"') for line in lines) > 2990
        file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    assert_equal_to_oracle(run_jobs(raw), raw)


def test_files_put_together_with_their_headers(run_jobs: Callable[..., Run], tmp_path: Path) -> None:
    """`cat january.csv february.csv`: the second header is a rental, and refused."""
    raw = tmp_path / "raw"
    generate_sample_data.main(["--rentals", "60", "--seed", "8", "--defects", "0", "--output", str(raw)])
    file = raw / "rental_transactions.csv"
    file.write_text(file.read_text(encoding="utf-8") * 2 + "\n \n", encoding="utf-8")
    run = run_jobs(raw)
    assert_equal_to_oracle(run, raw)
    assert any("rental_id" in row for row in run.rejected_rentals().rows)


@pytest.mark.parametrize("users", [1, pytest.param(5, marks=pytest.mark.all)])
def test_users_who_all_spend_the_same(run_jobs: Callable[..., Run], tmp_path: Path, users: int) -> None:
    """Nobody spends less than anybody: the percentile of all is 0, also where there are no others."""
    raw = tmp_path / "raw"
    generate_sample_data.main(["--rentals", "60", "--seed", "9", "--defects", "0", "--output", str(raw)])
    file = raw / "rental_transactions.csv"
    header, *rows = csv.reader(file.read_text(encoding="utf-8").splitlines())
    names = sorted({row[1] for row in rows})[:users]
    same = [[row[0], names[number % users], *row[2:7], "10.00"] for number, row in enumerate(rows)]
    file.write_text("\n".join(map(",".join, [header, *same])) + "\n", encoding="utf-8")
    run = run_jobs(raw)
    assert_equal_to_oracle(run, raw)
    metrics = run.table("user_metrics")
    percentiles = [row[metrics.columns.index("spending_percentile")] for row in metrics.rows]
    assert percentiles == [0.0] * users


@settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(zone=raw_zones())
def test_raw_zones_full_of_oddities(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, zone: RawZone) -> None:
    assert_jobs_agree_with_oracle(spark, tmp_path_factory.mktemp("zone"), zone)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(max_examples=150, deadline=None, phases=[Phase.generate, Phase.shrink], suppress_health_check=list(HealthCheck))
@given(zone=raw_zones())
def test_many_more_raw_zones(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, zone: RawZone) -> None:
    assert_jobs_agree_with_oracle(spark, tmp_path_factory.mktemp("zone"), zone)


def assert_jobs_agree_with_oracle(spark: SparkSession, folder: Path, zone: RawZone) -> None:
    write_raw_zone(zone, folder / "raw")
    assert_equal_to_oracle(Run(spark, folder / "lake", "run-1").all(folder / "raw"), folder / "raw")
