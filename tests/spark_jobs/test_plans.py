"""Spark's plans are those that the jobs rest on: to lose one would cost no result and no error, only time on large data.

HotSpot leaves a method of 8000 bytes or more to its interpreter, which took half as long again: a pass over all rentals had
10,229 bytes once. And Spark leaves out a sort which no sum depends on, to plan two hash tables as large as the rentals instead.
"""

from __future__ import annotations

import re
from collections import Counter
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
from pyspark.sql import functions as F

HUGE_METHOD_BYTES = 8000  # -XX:+DontCompileHugeMethods


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    generate_sample_data.main(["--rentals", "60", "--seed", "7", "--output", str(tmp_path / "raw")])
    return tmp_path / "raw"


@pytest.fixture(autouse=True)
def plans_in_full(spark: SparkSession) -> Iterator[None]:
    """An adaptive plan has neither code nor all its operators before it runs."""
    spark.conf.set("spark.sql.adaptive.enabled", "false")
    yield
    spark.conf.unset("spark.sql.adaptive.enabled")


def largest_method(table: DataFrame) -> int:
    """Bytes of the largest method that Spark generates for the table, cached ones that it reads aside."""
    jvm = table.sparkSession._jvm
    code = jvm.org.apache.spark.sql.execution.debug.package.codegenString(table._jdf.queryExecution().executedPlan())
    return max(int(size) for size in re.findall(r"maxMethodCodeSize:(\d+)", code))


def test_code_of_the_pass_over_all_rentals(spark: SparkSession, raw: Path, tmp_path: Path) -> None:
    lake, zones = Lake.of_session(spark), clean_rentals.Zones(str(tmp_path / "clean"), str(tmp_path / "rejected"), "run-1")
    files = {table: raw_tables.find(lake, str(raw), table) for table in raw_tables.COLUMNS}
    masters = clean_rentals.write_masters(spark, files, zones)
    repeated = clean_rentals.repeated_ids(spark, files["rental_transactions"], zones.repeated)
    [(header, group)] = files["rental_transactions"].items()
    judged = clean_rentals.Known(spark, zones, masters, repeated).judge(rental_lines.read(spark, header, group), 0)
    assert 1000 < largest_method(judged) < HUGE_METHOD_BYTES


def test_code_of_the_kpi_tables(spark: SparkSession, raw: Path, run_jobs: Callable[..., Run]) -> None:
    run = run_jobs(raw)
    clean_run = CleanRun(spark, str(run.clean), run.run_id)
    for job in (vehicle_location_metrics, user_transaction_metrics):
        for name, table in job.tables(clean_run).items():
            assert 100 < largest_method(table) < HUGE_METHOD_BYTES, name


def operators(table: DataFrame) -> Counter[str]:
    """How many of those that sort, shuffle or sum up the plan has."""
    plan = table._jdf.queryExecution().executedPlan().toString()
    return Counter(re.findall(r"\b(HashAggregate|ObjectHashAggregate|SortAggregate|Sort|Exchange)[ (]", plan))


@pytest.fixture
def rentals(spark: SparkSession) -> DataFrame:
    return spark.range(10).select(*[F.col("id").alias(name) for name in (
        "rental_id", "user_key", "vehicle_key", "day", "cents", "seconds")])


def test_users_are_summed_up_in_one_sort(rentals: DataFrame) -> None:
    assert operators(user_transaction_metrics.renting_users(rentals)) == {"Exchange": 1, "Sort": 1, "SortAggregate": 2}


def test_users_of_a_day_are_counted_in_one_sort(rentals: DataFrame) -> None:
    plan = operators(user_transaction_metrics.users_of_days(rentals))
    assert plan == {"Exchange": 2, "Sort": 1, "SortAggregate": 1, "HashAggregate": 2}  # the hash tables are of days


def test_repeated_ids_are_found_in_one_sort(rentals: DataFrame) -> None:
    assert operators(clean_rentals.repeated_hashes(rentals)) == {"Exchange": 1, "Sort": 1, "SortAggregate": 1}
