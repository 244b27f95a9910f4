"""Spark job 1: validate the raw rentals once, for everybody: kept ones go to the clean zone, refused ones to the rejected.

    spark-submit --py-files ... spark_jobs/clean_rentals.py --raw data --clean out/clean --rejected out/rejected --run-id try-1
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Optional

import lake_job
import master_tables
import raw_tables
import rental_lines
import rental_rules
from lake_files import Lake, join, run_folder
from lake_job import JobError
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from rental_rules import CONTESTED, HEADER, KEPT, REJECTED
from text_fields import trimmed

JOB = "clean_rentals"
BYTES_PER_RENTAL = 90  # of the raw text, to guess how many there are
BROADCAST_ROWS = 3000000  # a master table up to this size is joined by sending its ids to every executor: some 60 bytes an id


class Zones:
    """Where the run's files go."""

    def __init__(self, clean: str, rejected: str, run_id: str) -> None:
        self.run_id = run_id
        self.work = run_folder(join(clean, "_work"), run_id)
        self.repeated, self.judged = join(self.work, "repeated"), join(self.work, "judged")
        self.rentals = run_folder(join(clean, "rentals"), run_id)
        self.masters = {table: run_folder(join(clean, table), run_id) for table in raw_tables.ID_COLUMN}
        self.rejected = run_folder(join(rejected, "rental_transactions"), run_id)
        self.clean_summary = join(self.rentals, "_summary.json")
        self.run_summary = join(self.rejected, "_run_summary.json")

    def all(self) -> List[str]:
        return [self.work, self.rentals, self.rejected] + list(self.masters.values())


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    with lake_job.session(JOB) as spark:
        clean(spark, args.raw, Zones(args.clean, args.rejected, args.run_id), args.max_reject_rate)


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = lake_job.parser("Validate the raw rentals once: kept rentals go to the clean zone as typed Parquet, refused ones "
                             "with all their reasons to the rejected zone, master tables to the clean zone with integer keys.")
    parser.add_argument("--raw", required=True, metavar="URI",
                        help="raw zone: <raw>/<table>/*.csv[.gz] or <raw>/<table>.csv[.gz]")
    parser.add_argument("--clean", required=True, metavar="URI", help="clean zone: rentals, users, vehicles, locations go there")
    parser.add_argument("--rejected", required=True, metavar="URI", help="rejected zone: refused rentals and the run summary")
    parser.add_argument("--max-reject-rate", type=rate, default=0.05, metavar="RATE",
                        help="fail when a larger share of the rentals is refused, 0 to 1")
    return parser.parse_args(argv)


def rate(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def clean(spark: SparkSession, raw: str, zones: Zones, max_reject_rate: float) -> Dict[str, Any]:
    """Write the clean and the rejected zone of a run anew, whatever an earlier try left there; return the summary."""
    watch, lake = lake_job.Stopwatch(), Lake.of_session(spark)
    files = {table: raw_tables.find(lake, raw, table) for table in raw_tables.COLUMNS}
    lake_job.size_shuffles(spark, raw_tables.size(lake, files["rental_transactions"]) // BYTES_PER_RENTAL)
    for folder in zones.all():
        lake.delete(folder)
    masters, repeated = write_masters(spark, files, zones), repeated_ids(spark, files["rental_transactions"], zones.repeated)
    known = Known(spark, zones, masters, repeated)
    counts = write_rentals(spark, lake, files["rental_transactions"], known, zones)
    summary = {"job": JOB, "run_id": zones.run_id, "seconds": watch.seconds(), "rentals": counts, "masters": masters}
    finish(lake, zones, summary, max_reject_rate)
    return summary


def write_masters(spark: SparkSession, files: Dict[str, raw_tables.Groups], zones: Zones) -> Dict[str, Dict[str, int]]:
    """All at once: each is a small job of its own."""
    with ThreadPoolExecutor(len(zones.masters)) as writers:
        counts = writers.map(lambda table: write_master(raw_tables.read(spark, table, files[table]), table, zones.masters[table]),
                             zones.masters)
        return dict(zip(zones.masters, counts))


def write_master(raw: DataFrame, table: str, folder: str) -> Dict[str, int]:
    rows, counts = master_tables.counted(master_tables.with_id(raw, table), table)
    kept = Observation("kept " + table)
    unique = master_tables.unique_rows(rows, table).observe(kept, F.count(F.lit(1)).alias("rows"))
    master_tables.with_keys(unique, table).write.parquet(folder)
    return master_tables.oddities(counts.get, kept.get["rows"])


class Known:
    """What rentals are judged by: the ids of the master tables, and the rental ids that more than one line has."""

    def __init__(self, spark: SparkSession, zones: Zones, masters: Dict[str, Dict[str, int]], repeated: DataFrame) -> None:
        self._users, self._vehicles = [sized(spark.read.parquet(zones.masters[table]), masters[table]["kept"])
                                       for table in ("users", "vehicles")]
        self._locations = spark.read.parquet(zones.masters["locations"])
        self._repeated = repeated

    def judge(self, lines: DataFrame, header_number: int) -> DataFrame:
        rentals = rental_rules.with_masters(
            rental_rules.parsed(lines), self._users.select("user_id", "user_key"),
            self._vehicles.select("vehicle_id", "vehicle_key", "vehicle_type", "brand"), self._locations)
        return rental_rules.judged(with_repeated(rentals, self._repeated), header_number)


def sized(table: DataFrame, rows: int) -> DataFrame:
    """Broadcast what is known to be small enough; how to join the rest is Spark's choice."""
    return F.broadcast(table) if rows <= BROADCAST_ROWS else table


def repeated_ids(spark: SparkSession, files: raw_tables.Groups, folder: str) -> DataFrame:
    """Hashes of the rental ids that more than one line has: few rows. Whoever is taken for repeated wrongly comes to no harm."""
    found = Observation("repeated ids")
    ids = raw_tables.read_field(spark, "rental_id", files).select(trimmed("rental_id").alias("rental_id"))
    repeated_hashes(ids).observe(found, F.count(F.lit(1)).alias("ids")).write.parquet(folder)
    return sized(spark.read.parquet(folder), found.get["ids"])


def repeated_hashes(ids: DataFrame) -> DataFrame:
    """Sorted, nearly as many hashes as rentals are compared without a table of them."""
    in_order = ids.select(F.xxhash64("rental_id").alias("id_hash")).repartition("id_hash").sortWithinPartitions("id_hash")
    return in_order.groupBy("id_hash").count().where("count > 1").select("id_hash", F.lit(True).alias("is_repeated"))


def with_repeated(rentals: DataFrame, repeated: DataFrame) -> DataFrame:
    """Adds `repeated`: whether another row may have this rental's id."""
    return (rentals.withColumn("id_hash", F.xxhash64("rental_id")).join(repeated, on="id_hash", how="left")
            .withColumn("repeated", F.col("is_repeated").isNotNull()))


def write_rentals(spark: SparkSession, lake: Lake, files: raw_tables.Groups, known: Known, zones: Zones) -> Dict[str, Any]:
    """All rentals, one folder a verdict; then the few contested ones are settled, and all goes where it belongs."""
    first = write_judged(spark, files, known, zones)
    headers = sum(len(group) for group in files.values())
    read = first["lines"] - headers
    if not read:
        raise JobError("the rental_transactions files hold a header and no rental: nothing to compute")
    passes = [first]
    settled = rental_rules.settled(not_kept(spark, zones, files, CONTESTED))
    if first["contested"]:
        passes.append(write_winners(settled, join(zones.judged, "verdict=" + KEPT)))
    refused = not_kept(spark, zones, files, REJECTED).unionByName(settled.where(F.col("verdict") == REJECTED))
    if first["headers"] > headers:
        refused = refused.unionByName(rental_rules.repeated_headers(not_kept(spark, zones, files, HEADER)))
    by_reason = write_rejected(refused, zones.rejected)
    if lake.exists(join(zones.judged, "verdict=" + KEPT)):
        lake.move(join(zones.judged, "verdict=" + KEPT), zones.rentals)
    lake.delete(zones.work)
    return rental_rules.summed_up(read, passes, by_reason)


def write_judged(spark: SparkSession, files: raw_tables.Groups, known: Known, zones: Zones) -> Dict[str, Any]:
    counts = Observation("judged")
    judged = raw_tables.union([known.judge(rental_lines.read(spark, header, group), number)
                               for number, (header, group) in enumerate(files.items())])
    judged.observe(counts, *rental_rules.verdict_counts()).write.partitionBy("verdict").parquet(zones.judged)
    return counts.get


def not_kept(spark: SparkSession, zones: Zones, files: raw_tables.Groups, verdict: str) -> DataFrame:
    rows = spark.read.parquet(zones.judged).where(F.col("verdict") == verdict)
    return rental_lines.as_they_came(rental_rules.with_refused(rows), list(files))


def write_winners(settled: DataFrame, folder: str) -> Dict[str, Any]:
    """The one rental of each contested id that is kept joins the kept ones."""
    won = Observation("winners")
    winners = settled.where(F.col("verdict") == KEPT).observe(won, *rental_rules.verdict_counts())
    winners.select(*rental_rules.RENTAL_COLUMNS).write.mode("append").parquet(folder)
    return won.get


def write_rejected(refused: DataFrame, folder: str) -> Dict[str, int]:
    reasons = Observation("reasons")
    rental_rules.rejected_rows(refused).observe(reasons, *rental_rules.reason_counts()).write.parquet(folder)
    return reasons.get


def finish(lake: Lake, zones: Zones, summary: Dict[str, Any], max_reject_rate: float) -> None:
    """Report; the clean zone's own summary is written last and only when the run is good: without it no KPI job starts."""
    rentals = summary["rentals"]
    problem = what_is_wrong(rentals, max_reject_rate)
    summary["status"] = "failed" if problem else "cleaned"
    lake.write_json(zones.run_summary, summary)
    lake_job.report(summary)
    if problem:
        raise JobError(f"{problem}. The refused rows with their reasons are in {zones.rejected}")
    lake.write_json(zones.clean_summary, summary)


def what_is_wrong(rentals: Dict[str, Any], max_reject_rate: float) -> str:
    """Why the run may not go on, '' where it may."""
    if rentals["read"] != rentals["kept"] + rentals["rejected"]:
        return "{read} rentals were read, but {kept} kept and {rejected} rejected: a fault of this job".format(**rentals)
    if rentals["rejected"] > max_reject_rate * rentals["read"]:
        counts = ", ".join(f"{reason} {count}" for reason, count in rentals["rejected_by_reason"].items())
        return "{} of {} rentals are refused, more than the share of {} that is allowed: {}".format(
            rentals["rejected"], rentals["read"], max_reject_rate, counts)
    return "" if rentals["kept"] else "not one of {read} rentals could be kept".format(**rentals)


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
