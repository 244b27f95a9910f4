"""One Spark session for all tests of the jobs.

Its ANSI mode is the default of the release or the one in SPARK_ANSI.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import lake_job
import pyspark
import pytest
from oracle.job_runs import Run
from pyspark.sql import SparkSession

# SPARK_ANSI: off, on or both; Spark 4 has ANSI mode on by default
MODES = {"off": ["false"], "on": ["true"], "both": ["false", "true"]}
DEFAULT = "on" if pyspark.__version__ >= "4" else "off"


@pytest.fixture(scope="session", params=MODES[os.environ.get("SPARK_ANSI", DEFAULT)])
def spark(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SparkSession]:
    """A small local session with the jobs' own settings.

    The first session starts the JVM; the second one, in the same JVM, has the settings of
    `lake_job`.
    """
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    settings = {
        "spark.master": "local[2]",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.memory": "1g",
        # a full code cache would switch off the compiler during the tests
        "spark.driver.extraJavaOptions": (
            "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m"
        ),
        "spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse")),
        "spark.sql.ansi.enabled": request.param,
    }
    builder = SparkSession.builder
    for name, value in settings.items():
        builder = builder.config(name, value)
    builder.getOrCreate()
    with lake_job.session("tests") as session:
        assert session.conf.get("spark.sql.ansi.enabled") == request.param
        yield session


@pytest.fixture
def run_jobs(spark: SparkSession, tmp_path: Path) -> Callable[..., Run]:
    """`run_jobs(raw)` validates, computes and publishes; the zones are in the test's folder."""

    def run(raw: Path, run_id: str = "run-1", max_reject_rate: float = 1.0) -> Run:
        return Run(spark, tmp_path / "lake", run_id).all(raw, max_reject_rate)

    return run
