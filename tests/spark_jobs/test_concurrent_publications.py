"""Two concurrent publications: one is stopped before each of its changes while the other runs.

Both are real processes, stopped with SIGSTOP and continued. They share the test session's JVM, so
that none has to start its own.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from publish_run import INTENT, KPI_TABLES
from pyspark.sql import SparkSession
from spark_jobs.test_publish_run import FILES, Zones

pytestmark = pytest.mark.parametrize("spark", ["false"], indirect=True)
ROOT = Path(__file__).parents[2]
MOST_STEPS = 60
PUBLISHER = """
import json, os, signal, sys
import publish_run
from lake_files import Lake
from lake_job import JobError

class StoppingLake(Lake):
    steps = 0
    def step(self):
        StoppingLake.steps -= 1
        if StoppingLake.steps == 0:
            print(json.dumps({"stopped": True}), flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)

def stopping(name):
    work = getattr(Lake, name)
    def stop_first(self, *arguments):
        self.step()
        return work(self, *arguments)
    return stop_first

for name in ("delete", "move", "write_json", "write_new_json", "files"):
    setattr(StoppingLake, name, stopping(name))

lake = StoppingLake.of_gateway()
for line in sys.stdin:
    folder, run_id, owner, steps = json.loads(line)
    StoppingLake.steps = steps
    names = ("clean", "rejected", "staging", "processed")
    zones = publish_run.Zones(*(f"{folder}/{name}" for name in names))
    lock = publish_run.Lock(lake, f"{folder}/lock" if owner else "", owner)
    try:
        publish_run.Publication(lake, zones, lock).publish(run_id, 30)
        print(json.dumps({"published": True}), flush=True)
    except (JobError, OSError) as error:
        print(json.dumps({"published": False, "error": str(error)}), flush=True)
    except Exception as error:  # what the JVM raises when a file has gone
        print(json.dumps({"published": False, "error": type(error).__name__}), flush=True)
"""


class Publisher:
    """A process that publishes runs one after the other and can stop before its n-th change."""

    def __init__(self, spark: SparkSession) -> None:
        gateway = spark.sparkContext._gateway.gateway_parameters  # noqa: SLF001 - PySpark has no public name
        environ = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "spark_jobs"),
            "PYSPARK_GATEWAY_PORT": str(gateway.port),
            "PYSPARK_GATEWAY_SECRET": gateway.auth_token,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def begin(
        self, folder: Path, run_id: str, owner: str = "", stop_before: int = 0
    ) -> dict[str, object]:
        """Starts a publication; returns its outcome, or ``stopped``."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps([str(folder), run_id, owner, stop_before]) + "\n")
        self._process.stdin.flush()
        outcome = self._outcome()
        if "stopped" in outcome:
            os.waitpid(self._process.pid, os.WUNTRACED)
        return outcome

    def go_on(self) -> dict[str, object]:
        """Continues the stopped publication and returns its outcome."""
        self._process.send_signal(signal.SIGCONT)
        return self._outcome()

    def _outcome(self) -> dict[str, object]:
        assert self._process.stdout
        outcome: dict[str, object] = json.loads(self._process.stdout.readline())
        return outcome

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def publishers(spark: SparkSession) -> Iterator[tuple[Publisher, Publisher]]:
    pair = Publisher(spark), Publisher(spark)
    yield pair
    for publisher in pair:
        publisher.end()


def files_of(zones: Zones, run_id: str) -> list[dict[str, bytes]]:
    """The files of a published run by table."""
    folders = (zones.processed / table / f"run_id={run_id}" for table in KPI_TABLES)
    return [{path.name: path.read_bytes() for path in folder.glob("part-*")} for folder in folders]


def is_complete(zones: Zones, run_id: str) -> bool:
    return files_of(zones, run_id) == [FILES] * len(KPI_TABLES)


def no_incomplete_run_can_be_crawled(zones: Zones) -> bool:
    """Tells whether each incomplete run has an intent, which blocks a crawl."""
    run_folders = {path.parent.name for path in zones.processed.glob("*/run_id=*/part-*")}
    incomplete = [
        name for name in run_folders if not is_complete(zones, name.removeprefix("run_id="))
    ]
    return all((zones.staging / name / INTENT).exists() for name in incomplete)


STRIDES = [7, pytest.param(1, marks=pytest.mark.long)]


# owners of the lock: nobody, or the first and then the second while the first still lives
@pytest.mark.parametrize("stride", STRIDES)
@pytest.mark.parametrize("lock", ["nobody", "both"])
@pytest.mark.parametrize(
    ("first", "second"), [("run-1", "run-2"), ("run-2", "run-1"), ("run-1", "run-1")]
)
def test_a_run_reported_as_published_is_complete(
    spark: SparkSession,
    publishers: tuple[Publisher, Publisher],
    tmp_path: Path,
    first: str,
    second: str,
    lock: str,
    stride: int,
) -> None:
    stopped_publisher, other_publisher = publishers
    owners = ("", "") if lock == "nobody" else ("first", "second")
    outcomes = set()
    for step in range(1, MOST_STEPS, stride):
        zones = Zones(tmp_path / str(step), spark)
        for run_id in {first, second}:
            zones.stage(run_id)
        zones.lock.write_text("first")
        outcome = stopped_publisher.begin(zones.lock.parent, first, owners[0], step)
        if "stopped" not in outcome:
            break
        if lock == "both":
            zones.lock.write_text("second")
        other_outcome = other_publisher.begin(zones.lock.parent, second, owners[1])
        assert is_complete(zones, second) or not other_outcome["published"], (
            f"stopped before step {step}: {other_outcome}"
        )
        assert no_incomplete_run_can_be_crawled(zones), f"stopped before step {step}"
        outcome = stopped_publisher.go_on()
        assert is_complete(zones, first) or not outcome["published"], (
            f"stopped before step {step}: {outcome}"
        )
        assert is_complete(zones, second) or not other_outcome["published"], (
            f"stopped before step {step}: {other_outcome}, {outcome}"
        )
        assert no_incomplete_run_can_be_crawled(zones), f"stopped before step {step}"
        outcomes.add((outcome["published"], other_outcome["published"]))
    assert step > 3 * len(KPI_TABLES)
    assert (True, False) in outcomes or (False, True) in outcomes or first == second
