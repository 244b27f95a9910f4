"""The Spark jobs and the oracle agree on every table and every kept and rejected row."""

from __future__ import annotations

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
from user_transaction_metrics import with_percentile


def assert_equal_to_oracle(run: Run, raw: Path) -> None:
    expected = contract_tables(raw)
    assert run.kept_rentals() == expected["kept_rentals"]
    assert run.rejected_rentals() == expected["rejected_rentals"]
    for table in MASTERS:
        assert run.rejected_rows(table).rows == expected[f"rejected_{table}"].rows, table
    for table in KPI_TABLES:
        assert run.table(table) == expected[table], table


def test_jobs_and_oracle_agree_on_a_sample_with_every_defect(
    run_jobs: Callable[..., Run], tmp_path: Path
) -> None:
    """Every second line has a quoted first field, so that both ways to split a line are used."""
    raw = tmp_path / "raw"
    generate_sample_data.main(
        ["--rentals", "3000", "--seed", "7", "--defects", "0.05", "--output", str(raw)]
    )
    file = raw / "rental_transactions.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    lines[::2] = [re.sub(r'^([^",]*)(?=,)', r'"\1"', line) for line in lines[::2]]
    assert sum(line.startswith('"') for line in lines) > 1490
    file.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    assert_equal_to_oracle(run_jobs(raw), raw)


@pytest.mark.parametrize("users", [1, 5])
def test_the_percentile_of_users_who_spend_the_same_is_zero(
    spark: SparkSession, users: int
) -> None:
    spenders = spark.range(users).selectExpr("string(id) AS user_id", "1000L AS cents")
    assert [row["spending_percentile"] for row in with_percentile(spenders).collect()] == [
        0.0
    ] * users


@settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(zone=raw_zones())
def test_jobs_and_oracle_agree_on_odd_raw_zones(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, zone: RawZone
) -> None:
    assert_jobs_agree_with_oracle(spark, tmp_path_factory.mktemp("zone"), zone)


@pytest.mark.long
@pytest.mark.timeout(3600)
@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(zone=raw_zones())
def test_jobs_and_oracle_agree_on_many_odd_raw_zones(
    spark: SparkSession, tmp_path_factory: pytest.TempPathFactory, zone: RawZone
) -> None:
    assert_jobs_agree_with_oracle(spark, tmp_path_factory.mktemp("zone"), zone)


def assert_jobs_agree_with_oracle(spark: SparkSession, folder: Path, zone: RawZone) -> None:
    write_raw_zone(zone, folder / "raw")
    assert_equal_to_oracle(Run(spark, folder / "lake", "run-1").all(folder / "raw"), folder / "raw")
