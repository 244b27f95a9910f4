"""The code that Spark generates for the jobs can be compiled: HotSpot leaves a method of 8000 bytes or more to its interpreter.

It would cost no result and no error, only half as much time again, on large data: a pass over all rentals had 10,229 bytes once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import clean_rentals
import generate_sample_data
import pytest
import raw_tables
import rental_lines
import user_transaction_metrics
import vehicle_location_metrics
from kpi_job import CleanRun
from lake_files import Lake
from oracle.job_runs import Run
from pyspark.sql import DataFrame, SparkSession

HUGE_METHOD_BYTES = 8000  # -XX:+DontCompileHugeMethods


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    generate_sample_data.main(["--rentals", "60", "--seed", "7", "--output", str(tmp_path / "raw")])
    return tmp_path / "raw"


@pytest.fixture
def plans_in_full(spark: SparkSession) -> Iterator[None]:
    """An adaptive plan has no code before it runs."""
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    yield
    spark.conf.unset("spark.sql.adaptive.enabled")


def largest_method(table: DataFrame) -> int:
    """Bytes of the largest method that Spark generates for the table, cached ones that it reads aside."""
    jvm = table.sparkSession._jvm
    code = jvm.org.apache.spark.sql.execution.debug.package.codegenString(table._jdf.queryExecution().executedPlan())
    return max(int(size) for size in re.findall(r"maxMethodCodeSize:(\d+)", code))


@pytest.mark.usefixtures("plans_in_full")
def test_of_the_pass_over_all_rentals(spark: SparkSession, raw: Path, tmp_path: Path) -> None:
    lake, zones = Lake.of_session(spark), clean_rentals.Zones(str(tmp_path / "clean"), str(tmp_path / "rejected"), "run-1")
    files = {table: raw_tables.find(lake, str(raw), table) for table in raw_tables.COLUMNS}
    masters = clean_rentals.write_masters(spark, files, zones)
    repeated = clean_rentals.repeated_ids(spark, files["rental_transactions"], zones.repeated)
    [(header, group)] = files["rental_transactions"].items()
    judged = clean_rentals.Known(spark, zones, masters, repeated).judge(rental_lines.read(spark, header, group), 0)
    assert 1000 < largest_method(judged) < HUGE_METHOD_BYTES


@pytest.mark.usefixtures("plans_in_full")
def test_of_the_kpi_tables(spark: SparkSession, raw: Path, run_jobs: Callable[..., Run]) -> None:
    run = run_jobs(raw)
    clean_run = CleanRun(spark, str(run.clean), run.run_id)
    for job in (vehicle_location_metrics, user_transaction_metrics):
        for name, table in job.tables(clean_run).items():
            assert 100 < largest_method(table) < HUGE_METHOD_BYTES, name
