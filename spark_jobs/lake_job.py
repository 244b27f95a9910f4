"""The shared part of all Spark jobs: arguments, session, summaries and errors."""

import argparse
import json
import re
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional

from lake_files import print_to_stderr
from pyspark.sql import Observation, SparkSession

SUMMARY_PREFIX = "RUN_SUMMARY "
SHUFFLE_PARTITIONS = "spark.sql.shuffle.partitions"
ROWS_PER_PARTITION = 500000  # about 30 MB of shuffled data; AQE coalesces smaller partitions
RUN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

# Results depend on these settings, so nothing overrides them. All others (AQE, memory) are left to
# spark-submit and the cluster.
SETTINGS = {
    # times carry no zone and are read as UTC
    "spark.sql.session.timeZone": "UTC",
    # otherwise Spark silently drops the rest of a damaged file
    "spark.sql.files.ignoreCorruptFiles": "false",
    # the default INT96 is deprecated, and few other readers can filter by it
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
# Defaults for speed and for files of a sensible size; --conf overrides them.
TUNING = {
    # one open file per verdict; otherwise Spark sorts all rentals by verdict
    "spark.sql.maxConcurrentOutputFileWriters": "8",
    # about 2 million narrow rows, whose hash table fits into memory
    "spark.sql.adaptive.advisoryPartitionSizeInBytes": "16m",
    # otherwise Spark writes one small file per core
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

    The session is stopped after the block, unless it existed before (see `all_jobs`).
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

    Spark's default of 200 means 200 tiny tasks for a small lake, and is too low for a large one.
    """
    set_unless_given(spark, SHUFFLE_PARTITIONS, str(rows // ROWS_PER_PARTITION + 1))


def set_unless_given(spark: SparkSession, name: str, value: str) -> None:
    """Sets a value that neither spark-submit nor the cluster's configuration has set."""
    if not spark.sparkContext.getConf().contains(name):
        spark.conf.set(name, value)


def observed(observation: Observation) -> Dict[str, Any]:
    """The observed values; empty if Spark has optimized the plan away (SPARK-50007).

    Create each Observation without a name: Spark 3.3 mixes up the values of two queries whose
    observations have the same name.
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
