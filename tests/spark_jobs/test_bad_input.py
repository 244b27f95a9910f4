"""Bad input ends a run with an error that says what, where and what to do, and nothing that a later
job would take for good."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lake_files import literal
from lake_job import JobError
from oracle.contract import COLUMNS
from oracle.job_runs import Run
from oracle.small_lake import ROWS, write_small_lake, write_table
from pyspark.sql import SparkSession

BAD_RENTAL = "R9,U1,V1,2024-01-01 10:00:00,2024-01-01 09:00:00,1,77,-1.00"


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    return write_small_lake(tmp_path / "raw")


# these few rows cost less than the Java that Spark would generate and compile for them
INTERPRETED = {
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
}


@pytest.fixture
def run(tmp_path: Path, spark: SparkSession) -> Iterator[Run]:
    for name, value in INTERPRETED.items():
        spark.conf.set(name, value)
    yield Run(spark, tmp_path / "lake [1] {x}", "run-1")
    for name in INTERPRETED:
        spark.conf.unset(name)


def assert_refused(run: Run, raw: Path, *words: str, max_reject_rate: float = 1.0) -> None:
    with pytest.raises(JobError) as error:
        run.validate(raw, max_reject_rate)
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)
    assert not list(run.clean.glob("rentals/*/_summary.json")), (
        "the KPI jobs would take it for complete"
    )


GOOD = ROWS["rental_transactions"]


def spoiled_header(raw: Path) -> None:
    write_table(raw, "users", [], columns=["other", *COLUMNS["users"][1:]], name="second file.csv")


def column_twice(raw: Path) -> None:
    write_table(raw, "users", [], columns=[*COLUMNS["users"], "user_id"], name="twice.csv")


def no_csv(raw: Path) -> None:
    (raw / "users" / "part.csv").rename(raw / "users" / "part.csv.uploading")


def zipped(raw: Path, content: bytes, name: str = "b.csv.gz") -> None:
    (raw / "rental_transactions" / name).write_bytes(content)


PACKED = gzip.compress("\n".join([",".join(COLUMNS["rental_transactions"]), *GOOD]).encode())
LONG = gzip.compress(
    "\n".join([",".join(COLUMNS["rental_transactions"]), *map(str, range(99999))]).encode()
)
WIDE = ",".join([*COLUMNS["users"], *(f"c{number}" for number in range(20500))])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            spoiled_header,
            ["users/second file.csv lacks the column user_id;", "its header has other, first_name"],
        ),
        (column_twice, ["twice.csv has the column user_id twice"]),
        (
            no_csv,
            [
                "users/ holds no .csv or .csv.gz file",
                "part.csv.uploading",
                "upload the raw data first",
            ],
        ),
        (lambda raw: (raw / "users" / "cut.csv").touch(), ["cut.csv is empty"]),
        (
            lambda raw: (raw / "users" / "wide.csv").write_text(WIDE),
            ["wide.csv has a header of more than"],
        ),
        (
            lambda raw: (raw / "users" / "b_10:00.csv").touch(),
            ["users/b_10:00.csv has a ':'", "rename it"],
        ),
        (
            lambda raw: (raw / "users" / "gone.csv").symlink_to(raw / "nowhere"),
            ["users/gone.csv is a link to a file that does not exist", "repair or remove it"],
        ),
        (lambda raw: zipped(raw, b""), ["b.csv.gz cannot be read", "upload it again"]),
        (lambda raw: zipped(raw, gzip.compress(b"")), ["b.csv.gz is empty"]),
        (lambda raw: zipped(raw, gzip.compress(PACKED)), ["b.csv.gz is gzipped once more"]),
        (lambda raw: zipped(raw, PACKED[:-4]), ["b.csv.gz cannot be read", "upload it again"]),
        (
            lambda raw: zipped(raw, PACKED[:-8] + b"\1\2\3\4" + PACKED[-4:]),
            ["b.csv.gz cannot be read", "upload it again"],
        ),
        (
            lambda raw: zipped(raw, PACKED + bytes(20)),
            ["b.csv.gz cannot be read", "upload it again"],
        ),
        (lambda raw: zipped(raw, b"no gzip"), ["b.csv.gz cannot be read", "upload it again"]),
        (
            lambda raw: zipped(raw, LONG[:-2000], "B.CSV.GZ"),
            ["raw/rental_transactions/B.CSV.GZ cannot be read to its end", "upload it again"],
        ),
    ],
    ids=lambda value: value[0][:40] if isinstance(value, list) else "",
)
def test_a_file_that_cannot_be_read_is_named(
    run: Run, raw: Path, spoil: Callable[[Path], object], words: list[str]
) -> None:
    spoil(raw)
    assert_refused(run, raw, *words)


def test_no_raw_zone_at_all(run: Run, tmp_path: Path) -> None:
    assert_refused(run, tmp_path / "nowhere", "nowhere/", "upload the raw data first")


def test_a_second_header_with_another_order_of_columns(run: Run, raw: Path) -> None:
    columns = COLUMNS["rental_transactions"]
    write_table(
        raw,
        "rental_transactions",
        [*GOOD, ",".join([*columns[:5], columns[6], columns[5], columns[7]])],
    )
    assert_refused(
        run,
        raw,
        "rental_transactions/part.csv has a second header whose columns come in another order",
    )


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ["the users files hold no row"]),
        (
            [*ROWS["users"], "U3,Cy"],
            ["1 of 3 rows of users are rejected", "malformed_row 1", "users/part.csv"],
        ),
    ],
)
def test_a_master_table_that_is_mostly_unusable(
    run: Run, raw: Path, rows: list[str], words: list[str]
) -> None:
    write_table(raw, "users", rows)
    assert_refused(run, raw, *words, max_reject_rate=0.3)


def test_rows_that_are_not_utf8_are_over_the_limit(run: Run, raw: Path) -> None:
    users = raw / "users" / "part.csv"
    users.write_bytes(users.read_bytes().replace(b"Ann", b"Zo\xeb").replace(b"Bo", b"Jos\xe9"))
    assert_refused(
        run,
        raw,
        "not one of 2 rows of users could be kept: not_utf8 2",
        "users/part.csv",
        max_reject_rate=0.5,
    )


def test_a_quote_that_is_never_closed_spoils_the_rest_of_its_file_and_is_named(
    run: Run, raw: Path
) -> None:
    write_table(
        raw,
        "rental_transactions",
        [GOOD[0], 'R5,"U1,V1,2024-01-01 10:00:00,2024-01-01 11:00:00,1,1,5.00', *GOOD[1:]],
    )
    assert_refused(
        run,
        raw,
        "4 of 5 rentals are rejected",
        "malformed_row 4",
        "part.csv: a quote is never closed, or not within 10000 lines, so 4 of its lines",
        max_reject_rate=0.5,
    )


def test_a_header_and_no_rental(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [])
    assert_refused(run, raw, "no rental")


def test_too_many_bad_rentals_fail_the_run_with_the_counts_by_reason(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [*ROWS["rental_transactions"], BAD_RENTAL])
    reasons = "end_not_after_start 1, negative_amount 1, unknown_dropoff_location 1"
    assert_refused(run, raw, "1 of 5 rentals are rejected", "0.19", reasons, max_reject_rate=0.19)
    assert len(run.rejected_rentals().rows) == 1


def test_as_many_bad_rentals_as_are_allowed(run: Run, raw: Path) -> None:
    good = [GOOD[0].replace("R1", f"good{number}") for number in range(71)]
    bad = [BAD_RENTAL.replace("R9", f"bad{number}") for number in range(29)]
    write_table(raw, "rental_transactions", [*good, *bad])
    # 0.29 * 100 is less than 29 as a float
    assert run.validate(raw, 0.29)["rentals"]["rejected_by_reason"] == {
        "end_not_after_start": 29,
        "negative_amount": 29,
        "unknown_dropoff_location": 29,
    }


def test_not_one_good_rental_is_a_failure_however_many_bad_ones_are_allowed(
    run: Run, raw: Path
) -> None:
    write_table(raw, "rental_transactions", [BAD_RENTAL])
    reasons = "end_not_after_start 1, negative_amount 1, unknown_dropoff_location 1"
    assert_refused(run, raw, f"not one of 1 rentals could be kept: {reasons}")


@pytest.fixture(scope="module")
def validated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zones of a run after its validation, for tests to copy."""
    folder = tmp_path_factory.mktemp("validated")
    Run(spark, folder / "lake", "run-1").validate(write_small_lake(folder / "raw"))
    return folder / "lake"


def test_kpi_jobs_do_not_touch_a_run_whose_validation_was_never_finished(
    run: Run, validated: Path
) -> None:
    shutil.copytree(validated, run.clean.parent)
    (run.clean / "rentals" / "run_id=run-1" / "_summary.json").unlink()
    with pytest.raises(JobError, match="and to a good end"):
        run.compute()
    assert not run.staging.exists()


def test_a_kpi_table_that_does_not_add_up_stops_the_run(run: Run, validated: Path) -> None:
    shutil.copytree(validated, run.clean.parent)
    locations = run.clean / "locations" / "run_id=run-1"
    only_first = run.spark.read.parquet(literal(str(locations))).where("location_id = 1")
    only_first.write.parquet(str(run.clean / "other"))
    shutil.rmtree(locations)
    (run.clean / "other").rename(locations)
    with pytest.raises(
        JobError,
        match=r"location_metrics adds up to 3 rentals and 30.00, but 4 rentals and 40.00 were kept",
    ):
        run.compute()
    with pytest.raises(JobError, match="run vehicle_location_metrics for run run-1 first"):
        run.publish()
