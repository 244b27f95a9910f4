"""A run killed with SIGKILL at any moment gives the same tables when it is run again.

Readers never see a part of a run.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from generate_sample_data import main as generate
from oracle.contract import KPI_TABLES, contract_tables
from oracle.job_runs import Run
from pyspark.sql import SparkSession

# ANSI mode makes no difference to files
pytestmark = [pytest.mark.all, pytest.mark.parametrize("spark", ["false"], indirect=True)]
ROOT = Path(__file__).parents[2]
CHAIN = """
import sys
from pathlib import Path
import lake_job
from oracle.job_runs import Run
with lake_job.session("killed") as spark:
    run = Run(spark, Path(sys.argv[2]), "run-1")
    print("begun", flush=True)
    run.all(Path(sys.argv[1]))
    print("done", flush=True)
"""


class Chain:
    """The four jobs in a process group of their own."""

    def __init__(self, raw: Path, lake: Path, log: Path) -> None:
        path = os.pathsep.join(str(ROOT / folder) for folder in ("spark_jobs", "tests"))
        submit = (
            "--conf spark.sql.shuffle.partitions=2 --conf spark.ui.enabled=false "
            "--driver-java-options '-XX:TieredStopAtLevel=1 -XX:+UseSerialGC' pyspark-shell"
        )
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PYSPARK_SUBMIT_ARGS": submit,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
        }
        for gateway in ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET"):
            environment.pop(gateway, None)
        with log.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", CHAIN, str(raw), str(lake)],
                env=environment,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self.wait_for("begun")

    def wait_for(self, word: str) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.strip() == word:
                return
        raise AssertionError(f"the jobs ended without printing '{word}'")

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.communicate()


def published_runs(run: Run) -> dict[str, set[str]]:
    runs: dict[str, set[str]] = {}
    for folder in run.processed.glob("*/run_id=*"):
        runs.setdefault(folder.name, set()).add(folder.parent.name)
    return runs


def kill_and_run_again(spark: SparkSession, folder: Path, times: int) -> None:
    generate(["--rentals", "400", "--seed", "3", "--output", str(folder / "raw")])
    expected = contract_tables(folder / "raw")
    complete_chain = Chain(folder / "raw", folder / "complete", folder / "complete.log")
    began = time.monotonic()
    complete_chain.wait_for("done")
    seconds = time.monotonic() - began
    complete_chain.kill()
    moments = random.Random(2024)
    for number in range(times):
        lake, moment = folder / f"lake-{number}", moments.uniform(0, seconds)
        chain = Chain(folder / "raw", lake, folder / f"{number}.log")
        time.sleep(moment)
        chain.kill()
        second_run = Run(spark, lake, "run-1" if number % 2 else "run-2").all(folder / "raw")
        for table in KPI_TABLES:
            assert second_run.table(table) == expected[table], (
                f"{table} after a kill at {moment:.2f} s"
            )
        assert set(map(frozenset, published_runs(second_run).values())) == {
            frozenset(KPI_TABLES)
        }, f"killed at {moment:.2f} s"


def test_a_run_killed_at_two_moments_can_be_run_again(spark: SparkSession, tmp_path: Path) -> None:
    kill_and_run_again(spark, tmp_path, times=2)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_run_killed_at_twenty_moments_can_be_run_again(
    spark: SparkSession, tmp_path: Path
) -> None:
    kill_and_run_again(spark, tmp_path, times=20)
