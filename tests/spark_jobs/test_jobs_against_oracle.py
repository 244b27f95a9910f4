"""The Spark jobs and the oracle, given the same raw files, agree on every table, every kept and every rejected row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import generate_sample_data
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from oracle.contract import KPI_TABLES, contract_tables
from oracle.job_runs import Run
from oracle.raw_lakes import RawZone, raw_zones, write_raw_zone
from pyspark.sql import SparkSession


def assert_equal_to_oracle(run: Run, raw: Path) -> None:
    expected = contract_tables(raw)
    assert run.kept_rentals() == expected["kept_rentals"]
    assert run.rejected_rentals() == expected["rejected_rentals"]
    for table in KPI_TABLES:
        assert run.table(table) == expected[table], table


def test_a_sample_with_every_defect(run_jobs: Callable[..., Run], tmp_path: Path) -> None:
    generate_sample_data.main(["--rentals", "3000", "--seed", "7", "--defects", "0.05", "--output", str(tmp_path / "raw")])
    assert_equal_to_oracle(run_jobs(tmp_path / "raw"), tmp_path / "raw")


@settings(max_examples=6, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
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
