"""Local testing: the Spark jobs as modules, a Spark session, and a small sample of raw data."""

from __future__ import annotations

import atexit
import os
import sys
import tempfile
from pathlib import Path

from pyspark.sql import SparkSession

ROOT = Path(__file__).resolve().parent.parent
# the module path of main.py and spark-submit
sys.path[:0] = [str(ROOT), str(ROOT / "scripts"), str(ROOT / "spark_jobs")]

import lake_job
from car_rental.sample.generator import generate

from local_aws.java import find_java


def local_session() -> SparkSession:
    """A Spark session in this process with the jobs' own settings; end it with ``stop()``."""
    os.environ["JAVA_HOME"] = str(find_java().home)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    settings = {**lake_job.SETTINGS, **_SMALL}
    builder = SparkSession.builder.appName("local testing")
    for name, value in settings.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


# for a few hundred rows: no web UI, few tasks, and Java options for a fast start
_SMALL = {
    "spark.master": "local[2]",
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "2",
    "spark.driver.memory": "1g",
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
}


def new_lake(rentals: int, defects: float) -> Path:
    """A temporary folder with a generated raw zone; ``defects`` is the share of bad rentals."""
    folder = tempfile.TemporaryDirectory(prefix="car-rental-lake-")
    atexit.register(folder.cleanup)
    lake = Path(folder.name)
    generate(rentals=rentals, folder=lake / "raw", defects=defects)
    return lake
