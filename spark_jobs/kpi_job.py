"""The shared part of the KPI jobs: reads the clean zone, writes checked tables to staging."""

import argparse
import time
from decimal import Decimal
from typing import Any, Callable, Dict, List, Optional

import lake_job
from contract import CLEAN_RENTALS, CLEAN_SUMMARY, CONSERVED, job_summary
from lake_files import Lake, join, literal, run_folder
from lake_job import JobError
from measures import in_cents
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F


class CleanRun:
    """The clean zone of a run: its rentals, its master tables, and its summary.

    The summary exists only when the zone is complete.
    """

    def __init__(self, spark: SparkSession, clean: str, run_id: str) -> None:
        self._spark, self._clean, self._run_id = spark, clean, run_id
        lake, summary = Lake.of_session(spark), join(self._folder(CLEAN_RENTALS), CLEAN_SUMMARY)
        if not lake.exists(summary):
            raise JobError(
                f"{summary} is not there: run clean_rentals for run {run_id} first, and to a"
                " good end"
            )
        rentals = lake.read_json(summary)["rentals"]
        self.kept = int(rentals["kept"])
        self.revenue = Decimal(rentals["revenue"])

    def rentals(self, *columns: str) -> DataFrame:
        """These columns of the kept rentals, with `cents` and `seconds`."""
        return in_cents(self.table(CLEAN_RENTALS), *columns)

    def table(self, name: str) -> DataFrame:
        return self._spark.read.parquet(literal(self._folder(name)))

    def _folder(self, name: str) -> str:
        return run_folder(join(self._clean, name), self._run_id)


Tables = Callable[[CleanRun], Dict[str, DataFrame]]


def main(job: str, tables: Tables, args: argparse.Namespace) -> None:
    with lake_job.session(job) as spark:
        compute(spark, job, tables, args.clean, args.staging, args.run_id)


def compute(
    spark: SparkSession, job: str, tables: Tables, clean: str, staging: str, run_id: str
) -> Dict[str, Any]:
    """Write the job's tables to staging, then its summary, which publish_run requires."""
    began, lake = time.time(), Lake.of_session(spark)
    run = CleanRun(spark, clean, run_id)
    lake_job.size_shuffles(spark, run.kept)
    folder = run_folder(staging, run_id)
    summary_file = join(folder, job_summary(job))
    lake.delete(summary_file)
    written = {
        name: stage(lake, table, join(folder, name), run) for name, table in tables(run).items()
    }
    summary = {
        "job": job,
        "run_id": run_id,
        "seconds": round(time.time() - began, 1),
        "tables": written,
    }
    lake.write_json(summary_file, summary)
    lake_job.report(summary)
    return summary


def parse(job: str, description: str, argv: Optional[List[str]]) -> argparse.Namespace:
    parser = lake_job.parser(job, description)
    parser.add_argument(
        "--clean", required=True, metavar="URI", help="clean zone, as clean_rentals wrote it"
    )
    parser.add_argument(
        "--staging",
        required=True,
        metavar="URI",
        help=(
            "staging zone: tables go to <staging>/run_id=<ID>/<table>/ until publish_run moves them"
        ),
    )
    return parser.parse_args(argv)


def stage(lake: Lake, table: DataFrame, folder: str, run: CleanRun) -> Dict[str, Any]:
    """Replace a staged table; raise JobError if its sums differ from the kept rentals.

    The sums are observed while the table is written, so they cover exactly the written rows.
    """
    name = folder.rsplit("/", 1)[1]
    lake.delete(folder)
    totals = Observation()
    counted, summed = CONSERVED[name]
    table.observe(
        totals,
        F.count(F.lit(1)).alias("rows"),
        F.sum(counted).alias("rentals"),
        F.sum(summed).alias("revenue"),
    ).write.parquet(folder)
    sums = totals.get
    if (sums["rentals"], sums["revenue"]) != (run.kept, run.revenue):
        raise JobError(
            "{} adds up to {} rentals and {}, but {} rentals and {} were kept: a fault of this job,"
            " nothing is published".format(
                name, sums["rentals"], sums["revenue"], run.kept, run.revenue
            )
        )
    return {"rows": sums["rows"], "files": lake.files(folder)}
