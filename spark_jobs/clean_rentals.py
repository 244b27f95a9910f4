"""Spark job 1: validate the raw data once. Good rentals and master tables go to the clean zone, bad
rows to the rejected.

spark-submit --py-files ... spark_jobs/clean_rentals.py --raw data --clean out/clean \\
    --rejected out/rejected --run-id try-1
"""

import argparse
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, NamedTuple, Optional
from urllib.parse import unquote

import csv_text
import lake_job
import master_tables
import raw_zone
import rejected_rows
import rental_rules
from contract import CLEAN_SUMMARY, MASTERS, RAW_COLUMNS, RENTALS, RUN_SUMMARY
from lake_files import Lake, join, run_folder
from lake_job import JobError, observed
from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from raw_zone import RawTable, RawZone
from rental_rules import CONTESTED, FIELDS, HEADER, KEPT, REJECTED

JOB = "clean_rentals"
BYTES_PER_RENTAL = 90  # of the raw text, to guess how many there are
# a master table up to this size is joined by sending its ids to every executor: some 60 bytes an id
BROADCAST_ROWS = 3000000


class Zones:
    """The folders of one run."""

    def __init__(self, clean: str, rejected: str, run_id: str) -> None:
        self.run_id = run_id
        self.work = run_folder(join(clean, "_work"), run_id)
        self.copies, self.twins, self.judged = (
            join(self.work, "raw"),
            join(self.work, "twins"),
            join(self.work, "judged"),
        )
        self.rentals = run_folder(join(clean, "rentals"), run_id)
        self.masters = {table: run_folder(join(clean, table), run_id) for table in MASTERS}
        self.rejected = {table: run_folder(join(rejected, table), run_id) for table in RAW_COLUMNS}
        self.clean_summary = join(self.rentals, CLEAN_SUMMARY)
        self.run_summary = join(self.rejected[RENTALS], RUN_SUMMARY)

    def all(self) -> List[str]:
        return [self.work, self.rentals, *self.rejected.values(), *self.masters.values()]


class Rejects(NamedTuple):
    """How many rows of a table are rejected, and how many of them each reason has."""

    rows: int
    by_reason: Dict[str, int]


def main(argv: Optional[List[str]] = None) -> None:
    args = parse(argv)
    with lake_job.session(JOB) as spark:
        clean(spark, args.raw, Zones(args.clean, args.rejected, args.run_id), args.max_reject_rate)


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    parser = lake_job.parser(
        JOB,
        "Validate the raw data once: good rentals go to the clean zone as typed Parquet, master"
        " tables with integer keys; rows that break a rule go to the rejected zone with their"
        " reasons.",
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
    """Write the clean and the rejected zone of a run anew, whatever an earlier try left there;
    return the summary."""
    watch, lake = lake_job.Stopwatch(), Lake.of_session(spark)
    for folder in zones.all():
        lake.delete(folder)
    zone = raw_zone.open_zone(spark, lake, raw, zones.copies)
    notes = [*zone.notes(), *quote_notes(spark, zone)]
    for note in notes:
        print("NOTE " + note, flush=True)
    lake_job.size_shuffles(spark, zone.size // BYTES_PER_RENTAL)
    masters = write_masters(spark, zone, zones)
    summary = {
        "job": JOB,
        "run_id": zones.run_id,
        "masters": masters,
        "not_read": zone.not_read,
        "notes": notes,
    }  # type: Dict[str, Any]
    problem = masters_problem(spark, masters, zones, max_reject_rate)
    if not problem:
        summary["rentals"] = write_rentals(
            spark, lake, zone.tables[RENTALS], Known(spark, zones, masters), zones
        )
        problem = rentals_problem(spark, summary["rentals"], zones, max_reject_rate)
    lake.delete(zones.work)
    summary["seconds"] = watch.seconds()
    finish(lake, zones, summary, problem)
    return summary


def finish(lake: Lake, zones: Zones, summary: Dict[str, Any], problem: str) -> None:
    """Report; the clean zone's own summary is written last and only when the run is good: without
    it no KPI job starts."""
    summary["status"] = "failed" if problem else "cleaned"
    lake.write_json(zones.run_summary, summary)
    lake_job.report(summary)
    if problem:
        raise JobError("; ".join([problem, *summary["notes"]]))
    lake.write_json(zones.clean_summary, summary)


def quote_notes(spark: SparkSession, zone: RawZone) -> List[str]:
    """A sentence for each file that is read as a whole, with the line from which on a quote is
    never closed."""
    notes = []
    for table in zone.tables.values():
        whole = {file.read_name: file for file in table.files if file.whole}
        if whole:
            unclosed = (
                csv_text.joined_records(spark, [file.path for file in whole.values()])
                .where("unclosed")
                .groupBy("source_file")
                .agg(F.count(F.lit(1)).alias("lines"))
                .collect()
            )
            lines = {
                raw_zone.file_name(row["source_file"], whole): row["lines"] for row in unclosed
            }
            notes += [
                _quote_note(file.uploaded, lines.get(name, 0)) for name, file in whole.items()
            ]
    return notes


def _quote_note(path: str, unclosed: int) -> str:
    if unclosed:
        return f"{path}: a quote is never closed, so its last {unclosed} lines are malformed"
    return f"{path} has line breaks within quotes and is read as a whole"


def write_masters(spark: SparkSession, zone: RawZone, zones: Zones) -> Dict[str, Dict[str, Any]]:
    """The counts of each master table. All are written at once: each is a small Spark job of its
    own."""
    with ThreadPoolExecutor(len(zones.masters)) as writers:
        counts = writers.map(
            lambda table: write_master(spark, zone.tables[table], zones), zones.masters
        )
        return dict(zip(zones.masters, counts))


def write_master(spark: SparkSession, table: RawTable, zones: Zones) -> Dict[str, Any]:
    """Write the good rows, one an id, to the clean zone and the bad ones to the rejected; return
    the counts."""
    rows = judged_master(spark, table)
    seen, kept = Observation(), Observation()
    unique = master_tables.unique_rows(rows.observe(seen, *master_tables.row_counts()), table.name)
    good = unique.observe(kept, F.count(F.lit(1)).alias("rows"))
    master_tables.with_keys(good, table.name).write.parquet(zones.masters[table.name])
    # without one good row Spark drops the plan below the shuffle, and its counts with it
    counts = observed(seen) or rows.agg(*master_tables.row_counts()).collect()[0].asDict()
    read, left = counts["lines"] - len(table.files), observed(kept).get("rows", 0)
    rejects = Rejects(0, {})
    if counts["rejected"] or counts["headers"] > len(table.files):
        rejects = reject_master(rows, table, zones.rejected[table.name])
    return {
        "rows": read,
        "kept": left,
        "rejected": rejects.rows,
        "rejected_by_reason": rejects.by_reason,
        "duplicates": read - rejects.rows - left,
    }


def judged_master(spark: SparkSession, table: RawTable) -> DataFrame:
    """The columns of `master_tables.judged` for all files of the table."""
    parts = []
    for number, (names, files) in enumerate(table.by_names().items()):
        rows = csv_text.split_records(
            raw_zone.records(spark, files),
            master_tables.patterns(table.name, names),
            [file.header.text for file in files],
        )
        parts.append(master_tables.judged(rows, table.name, names, number))
    return raw_zone.union(parts)


def reject_master(rows: DataFrame, table: RawTable, folder: str) -> Rejects:
    bad = rows.where(F.col("reasons").isNotNull() & ~F.col("is_header"))
    bad = bad.unionByName(rejected_rows.repeated_headers(rows.where("is_header")))
    columns = RAW_COLUMNS[table.name]
    came = rejected_rows.with_came(bad.drop(*columns), list(table.by_names()), columns)
    return Rejects(*rejected_rows.write_rejected(came, columns, master_tables.REASONS, folder))


class Known:
    """What rentals are judged by: the ids of the master tables."""

    def __init__(
        self, spark: SparkSession, zones: Zones, masters: Dict[str, Dict[str, Any]]
    ) -> None:
        self._users, self._vehicles = [
            sized(spark.read.parquet(zones.masters[table]), masters[table]["kept"])
            for table in ("users", "vehicles")
        ]
        self._locations = spark.read.parquet(zones.masters["locations"])

    def joined(self, rentals: DataFrame) -> DataFrame:
        """`rental_rules.parsed` -> the columns of `rental_rules.with_masters`."""
        vehicles = self._vehicles.select("vehicle_id", "vehicle_key", "vehicle_type", "brand")
        return rental_rules.with_masters(
            rentals, self._users.select("user_id", "user_key"), vehicles, self._locations
        )


def sized(table: DataFrame, rows: int) -> DataFrame:
    """Broadcast what is known to be small enough; how to join the rest is Spark's choice."""
    return F.broadcast(table) if rows <= BROADCAST_ROWS else table


def twins(spark: SparkSession, table: RawTable, folder: str) -> DataFrame:
    """Hashes of the rental ids that several rows have: `id_hash`, `has_twin`; few rows.

    Two ids of one hash only cause a check more. Written to a file, because Spark takes the count of
    a group for large: it would shuffle all rentals to join these few.
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
        .select("id_hash", F.lit(True).alias("has_twin"))
    )
    several.observe(found, F.count(F.lit(1)).alias("ids")).write.parquet(folder)
    return sized(spark.read.schema(several.schema).parquet(folder), observed(found).get("ids", 0))


def with_twins(rentals: DataFrame, twin_ids: DataFrame) -> DataFrame:
    """Adds `has_twin`: whether another row may have this rental's id."""
    hashed = rentals.withColumn("id_hash", F.xxhash64("rental_id")).join(
        twin_ids, on="id_hash", how="left"
    )
    return hashed.withColumn("has_twin", F.col("has_twin").isNotNull())


def write_rentals(
    spark: SparkSession, lake: Lake, table: RawTable, known: Known, zones: Zones
) -> Dict[str, Any]:
    """Write all rentals, a folder for each verdict; then settle the few contested ones, and move
    all where they belong."""
    first = write_judged(spark, table, known, zones)
    read = first["lines"] - len(table.files)
    if not read:
        return rental_rules.summed_up(0, [], 0, {})
    passes, kept = [first], join(zones.judged, "verdict=" + KEPT)
    settled = rental_rules.settled(not_kept(spark, zones, table, CONTESTED))
    if first["contested"]:
        passes.append(write_winners(settled, kept))
    rejected = not_kept(spark, zones, table, REJECTED).unionByName(
        settled.where(F.col("verdict") == REJECTED)
    )
    if first["headers"] > len(table.files):
        rejected = rejected.unionByName(
            rejected_rows.repeated_headers(not_kept(spark, zones, table, HEADER))
        )
    counts = rejected_rows.write_rejected(
        rejected, FIELDS, rental_rules.REASONS, zones.rejected[RENTALS]
    )
    if lake.exists(kept):
        lake.move(kept, zones.rentals)
    return rental_rules.summed_up(read, passes, *counts)


def write_judged(
    spark: SparkSession, table: RawTable, known: Known, zones: Zones
) -> Dict[str, Any]:
    """Write the columns of `rental_rules.judged`, a folder for each verdict; return the
    `verdict_counts`."""
    twin_ids, parts = twins(spark, table, zones.twins), []
    for number, (names, files) in enumerate(table.by_names().items()):
        rows = csv_text.split_records(
            raw_zone.records(spark, files),
            rental_rules.patterns(names),
            [file.header.text for file in files],
        )
        rentals = known.joined(rental_rules.parsed(rows, names))
        parts.append(rental_rules.judged(with_twins(rentals, twin_ids), number))
    counts = Observation()
    judged = raw_zone.union(parts).observe(counts, *rental_rules.verdict_counts())
    judged.write.partitionBy("verdict").parquet(zones.judged)
    return observed(counts)


def not_kept(spark: SparkSession, zones: Zones, table: RawTable, verdict: str) -> DataFrame:
    """The rentals of a verdict: RENTAL_COLUMNS, the columns of `refused`, and CAME."""
    rows = (
        spark.read.parquet(zones.judged)
        .where(F.col("verdict") == verdict)
        .select("*", "refused.*")
        .drop("refused")
    )
    return rejected_rows.with_came(rows, list(table.by_names()), FIELDS)


def write_winners(settled: DataFrame, folder: str) -> Dict[str, Any]:
    """Add the one rental of each contested id that is kept to the kept ones."""
    won = Observation()
    winners = settled.where(F.col("verdict") == KEPT).observe(won, *rental_rules.verdict_counts())
    winners.select(*rental_rules.RENTAL_COLUMNS).write.mode("append").parquet(folder)
    return observed(won)


def masters_problem(
    spark: SparkSession, masters: Dict[str, Dict[str, Any]], zones: Zones, max_reject_rate: float
) -> str:
    """Why the run may not go on with its master tables, '' where it may."""
    for table, counts in masters.items():
        problem = master_tables.problem(
            table, counts, rejected_rows.told(counts["rejected_by_reason"]), max_reject_rate
        )
        if problem:
            return problem + where_rejected(spark, zones.rejected[table], counts["rejected"])
    return ""


def rentals_problem(
    spark: SparkSession, rentals: Dict[str, Any], zones: Zones, max_reject_rate: float
) -> str:
    """Why the run may not go on with its rentals, '' where it may."""
    if not rentals["read"]:
        return f"the {RENTALS} files hold a header and no rental: nothing to compute"
    read, kept, rejected = rentals["read"], rentals["kept"], rentals["rejected"]
    if read != kept + rejected:
        return f"{read} rentals were read, but {kept} kept and {rejected} rejected: a fault of this job"
    if rejected > max_reject_rate * read:
        problem = (
            f"{rejected} of {read} rentals are rejected, more than the share of {max_reject_rate}"
            " that is allowed"
        )
    elif not kept:
        problem = f"not one of {read} rentals could be kept"
    else:
        return ""
    reasons = rejected_rows.told(rentals["rejected_by_reason"])
    return f"{problem}: {reasons}{where_rejected(spark, zones.rejected[RENTALS], rejected)}"


def where_rejected(spark: SparkSession, folder: str, rows: int) -> str:
    """Where to look for the rejected rows, and the file that most of them come from."""
    if not rows:
        return ""
    of_files = (
        spark.read.parquet(folder)
        .groupBy("source_file")
        .count()
        .orderBy(F.desc("count"), "source_file")
    )
    most = unquote(of_files.collect()[0]["source_file"])
    return f". Most are of {most}. The rejected rows with their reasons are in {folder}"


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
