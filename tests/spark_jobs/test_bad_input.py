"""Bad input ends a run with an error that says what, where and what to do, and nothing that a later job would take for good."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from lake_job import JobError
from oracle.contract import COLUMNS
from oracle.job_runs import Run
from oracle.small_lake import ROWS, write_small_lake, write_table
from pyspark.sql import SparkSession

BAD_RENTAL = "R9,U1,V1,2024-01-01 10:00:00,2024-01-01 09:00:00,1,77,-1.00"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_small_lake(tmp_path / "raw")


@pytest.fixture
def run(tmp_path: Path, spark: SparkSession) -> Run:
    return Run(spark, tmp_path / "lake", "run-1")


def assert_refused(run: Run, raw: Path, *words: str, max_reject_rate: float = 1.0) -> None:
    with pytest.raises(JobError) as error:
        run.validate(raw, max_reject_rate)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
    with pytest.raises(JobError, match="run clean_rentals for run run-1 first"):
        run.compute()


@pytest.mark.parametrize("table", COLUMNS)
def test_a_missing_column_is_named_with_its_file_and_with_what_is_there(run: Run, raw: Path, table: str) -> None:
    write_table(raw, table, [], columns=["other", *COLUMNS[table][1:]], name="second file.csv")
    first, second = COLUMNS[table][:2]
    assert_refused(run, raw, f"{raw}/{table}/second file.csv", f"lacks the column {first};", f"other, {second}")


def test_a_column_that_is_there_twice(run: Run, raw: Path) -> None:
    write_table(raw, "users", [], columns=[*COLUMNS["users"], "user_id"], name="twice.csv")
    assert_refused(run, raw, "twice.csv has the column user_id twice")


@pytest.mark.parametrize("table", COLUMNS)
def test_an_empty_folder(run: Run, raw: Path, table: str) -> None:
    (raw / table / "part.csv").rename(raw / table / "part.csv.uploading")
    assert_refused(run, raw, f"{raw}/{table}/ holds no .csv or .csv.gz file")


def test_no_raw_zone_at_all(run: Run, tmp_path: Path) -> None:
    assert_refused(run, tmp_path / "nowhere", "nowhere/", "upload the raw data first")


def test_a_file_without_even_a_header(run: Run, raw: Path) -> None:
    (raw / "rental_transactions" / "cut.csv").touch()
    assert_refused(run, raw, "cut.csv is empty")


def test_a_header_and_no_rental(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [])
    assert_refused(run, raw, "no rental")


def test_too_many_bad_rentals_fail_the_run_with_the_counts_by_reason(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [*ROWS["rental_transactions"], BAD_RENTAL])
    reasons = "end_not_after_start 1, negative_amount 1, unknown_dropoff_location 1"
    assert_refused(run, raw, "1 of 5 rentals are refused", "0.19", reasons, max_reject_rate=0.19)
    assert len(run.rejected_rentals().rows) == 1


def test_as_many_bad_rentals_as_are_allowed(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [*ROWS["rental_transactions"], BAD_RENTAL])
    assert run.validate(raw, 0.2)["rentals"]["rejected_by_reason"] == {
        "end_not_after_start": 1, "negative_amount": 1, "unknown_dropoff_location": 1}


def test_not_one_good_rental_is_a_failure_however_many_bad_ones_are_allowed(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [BAD_RENTAL])
    assert_refused(run, raw, "not one of 1 rentals could be kept")


def test_a_stray_quote_spoils_its_own_line_only(run: Run, raw: Path) -> None:
    stray = 'R5,"U1,V1,2024-01-01 10:00:00,2024-01-01 11:00:00,1,1,5.00'
    write_table(raw, "rental_transactions", [stray, *ROWS["rental_transactions"]])
    rentals = run.validate(raw)["rentals"]
    assert (rentals["kept"], rentals["rejected"]) == (4, 1)


def test_kpi_jobs_do_not_touch_a_run_whose_validation_was_never_finished(run: Run, raw: Path) -> None:
    run.validate(raw)
    (run.clean / "rentals" / "run_id=run-1" / "_summary.json").unlink()
    with pytest.raises(JobError, match="and to a good end"):
        run.compute()
    assert not run.staging.exists()


def test_a_kpi_table_that_does_not_add_up_stops_the_run(run: Run, raw: Path) -> None:
    run.validate(raw)
    shutil.rmtree(run.clean / "locations" / "run_id=run-1")
    write_table(raw, "locations", ROWS["locations"][:1])
    other = Run(run.spark, raw.parent / "other", "run-1")
    other.validate(raw)
    shutil.copytree(other.clean / "locations" / "run_id=run-1", run.clean / "locations" / "run_id=run-1")
    with pytest.raises(JobError, match=r"location_metrics adds up to 3 rentals and 30.00, but 4 rentals and 40.00 were kept"):
        run.compute()
    with pytest.raises(JobError, match="run vehicle_location_metrics for run run-1 first"):
        run.publish()
