"""Bad input ends a run with one error that names place, cause and remedy.

Nothing is left that a later job would take for complete.
"""

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


# faster for a few rows than generating and compiling Java
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


def assert_rejected(run: Run, raw: Path, *words: str, max_reject_rate: float = 1.0) -> None:
    with pytest.raises(JobError) as error:
        run.validate(raw, max_reject_rate)
    assert "\n" not in str(error.value)
    for part in words:
        assert part in str(error.value)
    assert not list(run.clean.glob("rentals/*/_summary.json")), (
        "the summary would let the KPI jobs start"
    )


GOOD = ROWS["rental_transactions"]


def spoiled_header(raw: Path) -> None:
    write_table(raw, "users", [], columns=["other", *COLUMNS["users"][1:]], name="second file.csv")


def column_twice(raw: Path) -> None:
    write_table(raw, "users", [], columns=[*COLUMNS["users"], "user_id"], name="twice.csv")


def no_csv(raw: Path) -> None:
    (raw / "users" / "part.csv").rename(raw / "users" / "part.csv.uploading")


def write_gzip(raw: Path, content: bytes, name: str = "b.csv.gz") -> None:
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
        (lambda raw: write_gzip(raw, b""), ["b.csv.gz cannot be read", "upload it again"]),
        (lambda raw: write_gzip(raw, gzip.compress(b"")), ["b.csv.gz is empty"]),
        (lambda raw: write_gzip(raw, gzip.compress(PACKED)), ["b.csv.gz is gzipped once more"]),
        (lambda raw: write_gzip(raw, PACKED[:-4]), ["b.csv.gz cannot be read", "upload it again"]),
        (
            lambda raw: write_gzip(raw, PACKED[:-8] + b"\1\2\3\4" + PACKED[-4:]),
            ["b.csv.gz cannot be read", "upload it again"],
        ),
        (
            lambda raw: write_gzip(raw, PACKED + bytes(20)),
            ["b.csv.gz cannot be read", "upload it again"],
        ),
        (lambda raw: write_gzip(raw, b"no gzip"), ["b.csv.gz cannot be read", "upload it again"]),
        (
            lambda raw: write_gzip(raw, LONG[:-2000], "B.CSV.GZ"),
            ["raw/rental_transactions/B.CSV.GZ cannot be read to its end", "upload it again"],
        ),
    ],
    ids=lambda value: value[0][:40] if isinstance(value, list) else "",
)
def test_an_unreadable_file_is_named_with_cause_and_remedy(
    run: Run, raw: Path, spoil: Callable[[Path], object], words: list[str]
) -> None:
    spoil(raw)
    assert_rejected(run, raw, *words)


def test_a_missing_raw_zone_is_an_error(run: Run, tmp_path: Path) -> None:
    assert_rejected(run, tmp_path / "nowhere", "nowhere/", "upload the raw data first")


def test_a_second_header_with_another_order_of_columns_is_an_error(run: Run, raw: Path) -> None:
    columns = COLUMNS["rental_transactions"]
    write_table(
        raw,
        "rental_transactions",
        [*GOOD, ",".join([*columns[:5], columns[6], columns[5], columns[7]])],
    )
    assert_rejected(
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
def test_too_many_rejected_master_rows_fail_the_run(
    run: Run, raw: Path, rows: list[str], words: list[str]
) -> None:
    write_table(raw, "users", rows)
    assert_rejected(run, raw, *words, max_reject_rate=0.3)


def test_master_rows_that_are_not_utf8_count_as_rejected(run: Run, raw: Path) -> None:
    users = raw / "users" / "part.csv"
    users.write_bytes(users.read_bytes().replace(b"Ann", b"Zo\xeb").replace(b"Bo", b"Jos\xe9"))
    assert_rejected(
        run,
        raw,
        "not one of 2 rows of users could be kept: not_utf8 2",
        "users/part.csv",
        max_reject_rate=0.5,
    )


def test_an_unclosed_quote_makes_the_rest_of_its_file_malformed(run: Run, raw: Path) -> None:
    write_table(
        raw,
        "rental_transactions",
        [GOOD[0], 'R5,"U1,V1,2024-01-01 10:00:00,2024-01-01 11:00:00,1,1,5.00', *GOOD[1:]],
    )
    assert_rejected(
        run,
        raw,
        "4 of 5 rentals are rejected",
        "malformed_row 4",
        "part.csv: a quote is never closed, or not within 10000 lines, so 4 of its lines",
        max_reject_rate=0.5,
    )


def test_a_file_without_rentals_fails_the_run(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [])
    assert_rejected(run, raw, "no rental")


def test_too_many_rejected_rentals_fail_the_run_with_counts_by_reason(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [*ROWS["rental_transactions"], BAD_RENTAL])
    reasons = "end_not_after_start 1, negative_amount 1, unknown_dropoff_location 1"
    assert_rejected(run, raw, "1 of 5 rentals are rejected", "0.19", reasons, max_reject_rate=0.19)
    assert len(run.rejected_rentals().rows) == 1


def test_a_run_may_reject_exactly_the_maximum_rate(run: Run, raw: Path) -> None:
    good = [GOOD[0].replace("R1", f"good{number}") for number in range(71)]
    bad = [BAD_RENTAL.replace("R9", f"bad{number}") for number in range(29)]
    write_table(raw, "rental_transactions", [*good, *bad])
    # 0.29 * 100 is less than 29 as a float
    assert run.validate(raw, 0.29)["rentals"]["rejected_by_reason"] == {
        "end_not_after_start": 29,
        "negative_amount": 29,
        "unknown_dropoff_location": 29,
    }


def test_a_run_without_a_kept_rental_fails_at_any_reject_rate(run: Run, raw: Path) -> None:
    write_table(raw, "rental_transactions", [BAD_RENTAL])
    reasons = "end_not_after_start 1, negative_amount 1, unknown_dropoff_location 1"
    assert_rejected(run, raw, f"not one of 1 rentals could be kept: {reasons}")


@pytest.fixture(scope="module")
def validated(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The zones of a run after its validation, for tests to copy."""
    folder = tmp_path_factory.mktemp("validated")
    Run(spark, folder / "lake", "run-1").validate(write_small_lake(folder / "raw"))
    return folder / "lake"


def test_kpi_jobs_reject_a_run_without_a_finished_validation(run: Run, validated: Path) -> None:
    shutil.copytree(validated, run.clean.parent)
    (run.clean / "rentals" / "run_id=run-1" / "_summary.json").unlink()
    with pytest.raises(JobError, match="and to a good end"):
        run.compute()
    assert not run.staging.exists()


def test_a_kpi_table_with_missing_rentals_fails_the_run(run: Run, validated: Path) -> None:
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
