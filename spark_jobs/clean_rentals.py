"""Spark job 1: validate the raw data once.

Kept rentals and master rows go to the clean zone; rejected ones go to the rejected zone.

spark-submit --py-files ... spark_jobs/clean_rentals.py --raw data --clean out/clean \\
    --rejected out/rejected --run-id try-1
"""

import argparse
import sys
import time
from typing import Any, Dict, List, Optional

import csv_text
import lake_job
import raw_zone
import rejected_rows
import rental_rules
from contract import (
    CLEAN_RENTALS,
    CLEAN_SUMMARY,
    CLEAN_WORK,
    MASTERS,
    RAW_COLUMNS,
    RENTALS,
    RUN_SUMMARY,
)
from lake_files import Lake, join, literal, run_folder
from lake_job import JobError, observed
from master_tables import write_masters
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from raw_zone import RawTable
from rejected_rows import KEPT, REJECTED
from rental_rules import CONTESTED, FIELDS, RENTAL_COLUMNS, verdict_counts

JOB = "clean_rentals"
BYTES_PER_RENTAL = 90  # average size in the raw files, to estimate the number of rentals
# largest master table for a broadcast join; about 60 bytes per id on every executor
BROADCAST_ROWS = 3000000


class Zones:
    """The folders of one run."""

    def __init__(self, clean: str, rejected: str, run_id: str) -> None:
        self.run_id = run_id
        self.work = run_folder(join(clean, CLEAN_WORK), run_id)
        self.copies = join(self.work, "raw")
        self.suspects = join(self.work, "suspects")
        self.judged = {table: join(self.work, "judged", table) for table in RAW_COLUMNS}
        self.rentals = run_folder(join(clean, CLEAN_RENTALS), run_id)
        self.masters = {table: run_folder(join(clean, table), run_id) for table in MASTERS}
        self.rejected = {table: run_folder(join(rejected, table), run_id) for table in RAW_COLUMNS}
        self.clean_summary = join(self.rentals, CLEAN_SUMMARY)
        self.run_summary = join(self.rejected[RENTALS], RUN_SUMMARY)

    def all(self) -> List[str]:
        return [self.work, self.rentals, *self.rejected.values(), *self.masters.values()]


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    with lake_job.session(JOB) as spark:
        clean(spark, args.raw, Zones(args.clean, args.rejected, args.run_id), args.max_reject_rate)


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = lake_job.parser(
        JOB,
        "Validate the raw data once: good rentals and the master tables go to the clean zone as"
        " typed Parquet; rows that break a rule go to the rejected zone with their reasons.",
    )
    parser.add_argument(
        "--raw",
        required=True,
        metavar="URI",
        help="raw zone: <raw>/<table>/**/*.csv[.gz] and <raw>/<table>.csv[.gz]",
    )
    parser.add_argument(
        "--clean",
        required=True,
        metavar="URI",
        help="clean zone: rentals, users, vehicles, locations go there",
    )
    parser.add_argument(
        "--rejected",
        required=True,
        metavar="URI",
        help="rejected zone: rejected rows and the run summary",
    )
    parser.add_argument(
        "--max-reject-rate",
        type=rate,
        default=0.05,
        metavar="RATE",
        help="fail when a larger share of the rentals or of a master table is rejected, 0 to 1"
        " (default: %(default)s)",
    )
    return parser.parse_args(argv)


def rate(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def clean(spark: SparkSession, raw: str, zones: Zones, max_reject_rate: float) -> Dict[str, Any]:
    """Write the clean and the rejected zone of a run, and return the summary.

    Replaces the output of an earlier attempt of the same run.
    """
    began, lake = time.time(), Lake.of_session(spark)
    for folder in zones.all():
        lake.delete(folder)
    zone = raw_zone.open_zone(spark, lake, raw, zones.copies)
    notes = raw_zone.notes(spark, zone)
    for note in notes:
        print("NOTE " + note, flush=True)
    lake_job.size_shuffles(spark, zone.size // BYTES_PER_RENTAL)
    masters = write_masters(spark, zone.tables, zones.judged, zones.masters, zones.rejected)
    summary = {
        "job": JOB,
        "run_id": zones.run_id,
        "masters": masters,
        "not_read": zone.not_read,
        "notes": notes,
    }  # type: Dict[str, Any]
    problem = masters_problem(spark, masters, zones, max_reject_rate)
    if not problem:
        known = known_masters(spark, masters, zones)
        summary["rentals"] = write_rentals(spark, lake, zone.tables[RENTALS], known, zones)
        problem = rentals_problem(spark, summary["rentals"], zones, max_reject_rate)
    lake.delete(zones.work)
    summary["seconds"] = round(time.time() - began, 1)
    finish(lake, zones, summary, problem)
    return summary


def finish(lake: Lake, zones: Zones, summary: Dict[str, Any], problem: str) -> None:
    """Report the counts; write the clean zone's summary if the run is valid, else raise JobError.

    The clean zone's summary is written last, because KPI jobs refuse to start without it.
    """
    summary["status"] = "failed" if problem else "cleaned"
    lake.write_json(zones.run_summary, summary)
    lake_job.report(summary)
    if problem:
        raise JobError("; ".join([problem, *summary["notes"]]))
    lake.write_json(zones.clean_summary, summary)


def masters_problem(
    spark: SparkSession, masters: Dict[str, Any], zones: Zones, max_reject_rate: float
) -> str:
    """The reason to stop the run because of its master tables; '' if there is none."""
    for table, counts in masters.items():
        if not counts["rows"]:
            return f"the {table} files hold no row: nothing can be validated against them"
        folder = zones.rejected[table]
        rows = f"rows of {table}"
        problem = rejected_rows.problem(spark, rows, counts, max_reject_rate, folder)
        if problem:
            return problem
    return ""


def rentals_problem(
    spark: SparkSession, rentals: Dict[str, Any], zones: Zones, max_reject_rate: float
) -> str:
    """The reason to stop the run because of its rentals; '' if there is none."""
    read, kept, rejected = rentals["read"], rentals["kept"], rentals["rejected"]
    if not read:
        return f"the {RENTALS} files hold a header and no rental: nothing to compute"
    if read != kept + rejected:
        words = f"{read} rentals were read, but {kept} kept and {rejected} rejected"
        return words + ": a fault of this job"
    counts, folder = dict(rentals, rows=read), zones.rejected[RENTALS]
    return rejected_rows.problem(spark, "rentals", counts, max_reject_rate, folder)


def known_masters(
    spark: SparkSession, masters: Dict[str, Any], zones: Zones
) -> Dict[str, DataFrame]:
    """The clean master tables by name; small ones are marked for a broadcast join."""
    return {
        table: sized(spark.read.parquet(literal(folder)), masters[table]["kept"])
        for table, folder in zones.masters.items()
    }


def sized(table: DataFrame, rows: int) -> DataFrame:
    """Mark a small table for a broadcast join; for a larger one, Spark chooses the join."""
    return F.broadcast(table) if rows <= BROADCAST_ROWS else table


def write_rentals(
    spark: SparkSession, lake: Lake, table: RawTable, masters: Dict[str, DataFrame], zones: Zones
) -> Dict[str, Any]:
    """Write all rentals and return their counts.

    Rentals are first written to one folder per verdict. Then the few contested ones are settled.
    At the end the kept rentals are moved to the clean zone.
    """
    counts, folder = Observation(), zones.judged[RENTALS]
    rentals, kept = judged_rentals(spark, table, masters, zones), join(folder, "verdict=" + KEPT)
    rentals.observe(counts, *verdict_counts()).write.partitionBy("verdict").parquet(folder)
    judged = spark.read.parquet(literal(folder))
    contested = judged.where(F.col("verdict") == CONTESTED).select(*RENTAL_COLUMNS, "rejection.*")
    settled = rental_rules.settled(contested)
    if observed(counts)["contested"]:
        winners = settled.where(F.col("verdict") == KEPT).select(*RENTAL_COLUMNS)
        winners.write.mode("append").parquet(kept)
    rejected, by_reason = rejected_rows.write_rejected(
        rejected_rows.of_judged(judged).unionByName(
            settled.where(F.col("verdict") == REJECTED).drop("verdict", *RENTAL_COLUMNS)
        ),
        FIELDS,
        rental_rules.REASONS,
        zones.rejected[RENTALS],
    )
    if lake.exists(kept):
        lake.move(kept, zones.rentals)
    return {
        "read": observed(counts)["lines"] - len(table.files),
        **kept_counts(spark, lake, zones.rentals),
        "rejected": rejected,
        "rejected_by_reason": by_reason,
    }


def judged_rentals(
    spark: SparkSession, table: RawTable, masters: Dict[str, DataFrame], zones: Zones
) -> DataFrame:
    """All rows of the rentals' files, with the columns of `rental_rules.judged`."""
    suspects, parts = suspect_ids(spark, table, zones.suspects), []
    for names, files in table.by_names().items():
        rows = raw_zone.rows(spark, files, FIELDS, rental_rules.patterns(names))
        rentals = rental_rules.with_masters(rental_rules.parsed(rows), masters)
        parts.append(rental_rules.judged(with_suspects(rentals, suspects), names))
    return raw_zone.union(parts)


def kept_counts(spark: SparkSession, lake: Lake, folder: str) -> Dict[str, Any]:
    """`kept` and `revenue`, read from the written files; without a folder no rental was kept."""
    if not lake.exists(folder):
        return {"kept": 0, "revenue": "0.00"}
    revenue = F.sum("total_amount").cast("string").alias("revenue")
    rentals = spark.read.parquet(literal(folder)).agg(F.count(F.lit(1)).alias("kept"), revenue)
    return dict(rentals.collect()[0].asDict())


def suspect_ids(spark: SparkSession, table: RawTable, folder: str) -> DataFrame:
    """Hashes of duplicate rental ids (few rows): `id_hash`, `is_suspect`.

    A hash collision only causes an unnecessary check. The hashes are written to a file, because
    otherwise Spark overestimates their number, and shuffles all rentals to join them.
    """
    parts = [
        raw_zone.records(spark, files).select(
            F.xxhash64(csv_text.field(names.index("rental_id"))).alias("id_hash")
        )
        for names, files in table.by_names().items()
    ]
    found = Observation()
    several = (
        raw_zone.union(parts)
        .groupBy("id_hash")
        .count()
        .where("count > 1")
        .select("id_hash", F.lit(True).alias("is_suspect"))
    )
    several.observe(found, F.count(F.lit(1)).alias("ids")).write.parquet(folder)
    return sized(
        spark.read.schema(several.schema).parquet(literal(folder)), observed(found).get("ids", 0)
    )


def with_suspects(rentals: DataFrame, suspects: DataFrame) -> DataFrame:
    """Adds `is_suspect`: whether another row may have this rental's id."""
    hashed = rentals.withColumn("id_hash", F.xxhash64("rental_id")).join(
        suspects, on="id_hash", how="left"
    )
    return hashed.withColumn("is_suspect", F.col("is_suspect").isNotNull())


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
