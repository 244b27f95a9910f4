"""The shared part of all Spark jobs: arguments, session, reports and failures."""

import argparse
import json
import re
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

from lake_files import print_to_stderr
from pyspark.sql import Observation, SparkSession

SUMMARY_PREFIX = "RUN_SUMMARY "
SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"
ROWS_PER_PARTITION = 500000  # some 30 MB of what is shuffled; AQE joins what turns out to be less
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# The results depend on these settings; nothing overrides them. All others (AQE, memory) are left
# to spark-submit and the cluster.
SETTINGS = {
    # times carry no zone and are read as UTC
    "spark.sql.session.timeZone": "UTC",
    # else what follows the damage in a file would be left out silently
    "spark.sql.files.ignoreCorruptFiles": "false",
    # in place of INT96, which is deprecated and which few other readers filter by
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
# These make the jobs fast and their files of a sensible size; --conf overrides them.
TUNING = {
    # a file open for each verdict, instead of sorting all rentals by it
    "spark.sql.maxConcurrentOutputFileWriters": "8",
    # of narrow rows: some 2 million, whose hash table fits into memory
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m",
    # few files of a sensible size, not one for each core
    "spark.sql.adaptive.coalescePartitions.parallelismFirst": "false",
}


class JobError(Exception):
    """Bad input or a failed check. The message says what is wrong, where, and what to do."""


def parser(job: str, description: str) -> argparse.ArgumentParser:
    job_parser = argparse.ArgumentParser(prog=f"{job}.py", description=description)
    job_parser.add_argument(
        "--run-id",
        required=True,
        type=run_id,
        metavar="ID",
        help=(
            "the run, the same for all its jobs; sorts by start time, e.g. 2026-11-23T03-20-06.123Z"
        ),
    )
    return job_parser


def run_id(text: str) -> str:
    if not RUN_ID.fullmatch(text):
        raise argparse.ArgumentTypeError(
            f"'{text}' is no run id: letters, digits, '.', '_' and '-', at most 64"
        )
    return text


@contextmanager
def session(job: str) -> Iterator[SparkSession]:
    """A session with the jobs' settings.

    It ends with the block, unless it existed before (see `all_jobs`).
    """
    is_shared = SparkSession.getActiveSession() is not None
    builder = SparkSession.builder.appName(job)
    for name, value in SETTINGS.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("WARN")
    for name, value in TUNING.items():
        set_unless_given(spark, name, value)
    try:
        yield spark
    finally:
        if not is_shared:
            spark.stop()


def size_shuffles(spark: SparkSession, rows: int) -> None:
    """Sets the number of shuffle partitions by the size of the data.

    Spark's fixed 200 partitions are 200 tiny tasks for a small lake and too few for a large one.
    """
    set_unless_given(spark, SHUFFLE_PARTITIONS, str(rows // ROWS_PER_PARTITION + 1))


def set_unless_given(spark: SparkSession, name: str, value: str) -> None:
    """A default of ours, for what neither spark-submit nor the cluster's configuration has set."""
    if not spark.sparkContext.getConf().contains(name):
        spark.conf.set(name, value)


def observed(observation: Observation) -> Dict[str, Any]:
    """The observed values; empty when Spark has pruned the plan to nothing (SPARK-50007).

    Make an Observation without a name: Spark 3.3 gives the counts to whichever has the name, also
    to that of another query.
    """
    return dict(observation.get)


def report(summary: Dict[str, Any]) -> None:
    print(SUMMARY_PREFIX + json.dumps(summary), flush=True)


def run(
    job: str, work: Callable[[Optional[List[str]]], None], argv: Optional[List[str]] = None
) -> int:
    """Run the job and return its exit code.

    An expected failure becomes one clear last line on both streams; a bug keeps its traceback.
    """
    try:
        work(argv)
    except JobError as error:
        line = f"ERROR {job}: {error}"
        print(line, flush=True)
        print_to_stderr(line)
        return 1
    return 0
