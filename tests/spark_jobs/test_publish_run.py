"""publish_run publishes all seven tables of a run or none, wherever it is interrupted."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import clean_rentals
import publish_run
import pytest
from lake_files import Lake
from lake_job import JobError
from publish_run import INTENT, KPI_JOBS, KPI_TABLES, Lock, Publication
from pyspark.sql import SparkSession

# ANSI mode makes no difference to files
pytestmark = pytest.mark.parametrize("spark", ["false"], indirect=True)
FILES = {"part-0.parquet": b"first", "part-1.parquet": b"second one"}


class Interrupted(Exception):
    """Raised by ``FailingLake`` in place of a kill."""


class FailingLake(Lake):
    """Stops at the n-th change.

    A move may stop half way, as on S3, where it is a copy and a delete.
    """

    changes_left = 0
    copies = False

    @classmethod
    def after(cls, spark: SparkSession, changes: int, how: str) -> Lake:
        lake: Any = cls.of_session(spark)
        lake.changes_left = changes
        lake.copies = how == "copied" or (how == "in turn" and changes % 2 == 1)
        return lake

    def delete(self, uri: str) -> None:
        self._change()
        super().delete(uri)

    def write_json(self, uri: str, value: dict[str, Any]) -> None:
        self._change()
        super().write_json(uri, value)

    def write_new_json(self, uri: str, value: dict[str, Any]) -> bool:
        self._change()
        return super().write_new_json(uri, value)

    def move(self, source: str, target: str) -> None:
        if self.changes_left == 0 and self.copies:
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        self._change()
        super().move(source, target)

    def _change(self) -> None:
        if self.changes_left == 0:
            raise Interrupted
        self.changes_left -= 1


# how the interrupted change ends; "in turn" alternates both ways over every third change
HOW = ["in turn", *(pytest.param(how, marks=pytest.mark.all) for how in ("not begun", "copied"))]


def interruptions(how: str) -> range:
    """The numbers of changes before an interruption; a publication makes fewer than 100."""
    return range(0, 100, 3 if how == "in turn" else 1)


class Zones:
    """A lake whose files look like staged tables to code that only moves them."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.clean, self.rejected = folder / "clean", folder / "rejected"
        self.staging, self.processed = folder / "staging", folder / "processed"
        self.spark = spark

    def stage(self, run_id: str) -> None:
        run = self.staging / f"run_id={run_id}"
        for job, tables in KPI_JOBS.items():
            for table in tables:
                (run / table).mkdir(parents=True)
                for name, content in FILES.items():
                    (run / table / name).write_bytes(content)
                (run / table / "_SUCCESS").touch()
            sizes = {name: len(content) for name, content in FILES.items()}
            manifest = {table: {"rows": 3, "files": sizes} for table in tables}
            (run / f"_{job}.json").write_text(
                json.dumps({"job": job, "run_id": run_id, "seconds": 1.5, "tables": manifest})
            )
        self.write_summary(run_id, "cleaned")

    def write_summary(self, run_id: str, status: str) -> None:
        summary = {
            "job": "clean_rentals",
            "run_id": run_id,
            "status": status,
            "seconds": 2.5,
            "rentals": {},
            "masters": {},
        }
        self.summary_file(run_id).parent.mkdir(parents=True, exist_ok=True)
        self.summary_file(run_id).write_text(json.dumps(summary))
        # Hadoop's checksum of the old content
        self.summary_file(run_id).with_name("._run_summary.json.crc").unlink(missing_ok=True)

    def summary_file(self, run_id: str) -> Path:
        return self.rejected / "rental_transactions" / f"run_id={run_id}" / "_run_summary.json"

    @property
    def lock(self) -> Path:
        return self.clean.parent / "lock"

    def publish(
        self, run_id: str, keep_runs: int = 30, lake: Lake | None = None, owner: str = ""
    ) -> dict[str, Any]:
        """Publishes a run; with an ``owner``, takes over the lock first."""
        lake = lake or Lake.of_session(self.spark)
        lock = Lock(lake)
        if owner:
            # in the format that Step Functions writes
            self.lock.write_text(json.dumps(f"{owner} j-1"))
            lock = Lock(lake, str(self.lock), owner)
        zones = publish_run.Zones(
            *map(str, [self.clean, self.rejected, self.staging, self.processed])
        )
        return Publication(lake, zones, lock).publish(run_id, keep_runs)

    def interrupt(self, run_id: str, changes: int, how: str, owner: str = "") -> bool:
        """Tells whether the publication was interrupted after ``changes`` changes."""
        try:
            self.publish(run_id, lake=FailingLake.after(self.spark, changes, how), owner=owner)
        except Interrupted:
            return True
        return False

    def processed_files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(self.processed.rglob("part-*"))}

    def published(self) -> dict[str, set[str]]:
        """Run id -> its published tables, which have to be complete."""
        tables_by_run: dict[str, set[str]] = {}
        for folder in self.processed.glob("*/run_id=*"):
            files = {path.name: path.read_bytes() for path in folder.glob("part-*")}
            assert files == FILES, f"{folder} is incomplete"
            tables_by_run.setdefault(folder.name.removeprefix("run_id="), set()).add(
                folder.parent.name
            )
        return tables_by_run


ALL = set(KPI_TABLES)


@pytest.fixture
def zones(tmp_path: Path, spark: SparkSession) -> Zones:
    return Zones(tmp_path, spark)


def test_publishing_moves_all_tables_of_a_run_from_staging(zones: Zones) -> None:
    zones.stage("run-1")
    summary = zones.publish("run-1")
    assert zones.published() == {"run-1": ALL}
    assert not (zones.staging / "run_id=run-1").exists()
    assert summary == json.loads(zones.summary_file("run-1").read_text())
    assert summary["status"] == "published"
    assert summary["seconds"] == {
        "clean_rentals": 2.5,
        "vehicle_location_metrics": 1.5,
        "user_transaction_metrics": 1.5,
    }


def test_a_second_publication_changes_nothing(zones: Zones) -> None:
    zones.stage("run-1")
    first = zones.publish("run-1")
    assert zones.publish("run-1") == first
    assert zones.published() == {"run-1": ALL}


def test_a_recomputed_run_replaces_its_published_tables(zones: Zones) -> None:
    zones.stage("run-1")
    zones.publish("run-1")
    for file in zones.processed.glob("*/run_id=run-1/part-0.parquet"):
        file.write_bytes(b"an old try")
    zones.stage("run-1")
    zones.publish("run-1")
    assert zones.published() == {"run-1": ALL}


@pytest.mark.parametrize("how", HOW)
def test_an_interrupted_publication_can_be_repeated(
    tmp_path: Path, spark: SparkSession, how: str
) -> None:
    for changes in interruptions(how):
        zones = Zones(tmp_path / str(changes), spark)
        zones.stage("run-1")
        if not zones.interrupt("run-1", changes, how):
            break
        zones.publish("run-1")
        assert zones.published() == {"run-1": ALL}
        assert not (zones.staging / "run_id=run-1").exists()
    assert changes > 2 * len(KPI_TABLES)


@pytest.mark.parametrize("how", HOW)
def test_an_interrupted_publication_is_resolved_by_the_next_owner(
    tmp_path: Path, spark: SparkSession, how: str
) -> None:
    for changes in interruptions(how):
        zones = Zones(tmp_path / str(changes), spark)
        zones.stage("run-1")
        if not zones.interrupt("run-1", changes, how, owner="first"):
            break
        zones.stage("run-2")
        zones.publish("run-2", owner="second")
        published = zones.published()
        assert published.pop("run-2") == ALL
        assert published in ({}, {"run-1": ALL}), f"half of run-1 is left after {changes} changes"
        assert not (zones.staging / "run_id=run-1" / INTENT).exists()
    assert changes > 2 * len(KPI_TABLES)


def test_rolling_back_an_interrupted_run_keeps_other_runs(zones: Zones) -> None:
    zones.stage("run-1")
    zones.publish("run-1", owner="first")
    zones.stage("run-2")
    assert zones.interrupt("run-2", 9, "copied", owner="second")
    zones.stage("run-3")
    zones.publish("run-3", owner="third")
    assert zones.published() == {"run-1": ALL, "run-3": ALL}


def test_a_publication_leaves_staged_runs_alone(zones: Zones) -> None:
    zones.stage("run-1")
    zones.stage("run-2")
    zones.publish("run-1")
    zones.publish("run-2")
    assert zones.published() == {"run-1": ALL, "run-2": ALL}


@pytest.mark.parametrize("how", HOW)
def test_an_interrupted_roll_back_is_finished_by_the_next_owner(
    tmp_path: Path, spark: SparkSession, how: str
) -> None:
    for changes in interruptions(how):
        zones = Zones(tmp_path / str(changes), spark)
        zones.stage("run-1")
        assert zones.interrupt("run-1", 9, "copied", owner="first")
        zones.stage("run-2")
        if not zones.interrupt("run-2", changes, how, owner="second"):
            break
        zones.stage("run-3")
        zones.publish("run-3", owner="third")
        published = zones.published()
        assert "run-1" not in published
        assert set(map(frozenset, published.values())) == {frozenset(ALL)}
    assert changes > 3 * len(KPI_TABLES)


@pytest.mark.parametrize("owner", ["", "second"])
def test_a_publication_that_may_be_alive_is_left_alone(zones: Zones, owner: str) -> None:
    zones.stage("run-1")
    assert zones.interrupt("run-1", 9, "copied", owner="" if owner else "first")
    before = zones.processed_files()
    zones.stage("run-2")
    with pytest.raises(
        JobError, match="run run-1 is being published, or its publication was interrupted"
    ):
        zones.publish("run-2", owner=owner)
    assert zones.processed_files() == before
    zones.publish("run-1")
    zones.publish("run-2", owner=owner)
    assert zones.published() == {"run-1": ALL, "run-2": ALL}


def test_a_run_that_lost_the_lock_publishes_nothing(zones: Zones) -> None:
    zones.stage("run-1")
    for passed_on in (0, 3, 6):
        lake = PassingLake.after(zones, passed_on)
        with pytest.raises(JobError, match="lock names second: another run has taken over"):
            zones.publish("run-1", lake=lake, owner="first")
        assert json.loads(zones.summary_file("run-1").read_text())["status"] == "cleaned"


class PassingLake(Lake):
    """Passes the lock to another owner after a number of reads."""

    zones: Zones
    reads_left = 0

    @classmethod
    def after(cls, zones: Zones, reads: int) -> Lake:
        lake: Any = cls.of_session(zones.spark)
        lake.zones, lake.reads_left = zones, reads
        return lake

    def read_text(self, uri: str) -> str:
        if uri == str(self.zones.lock):
            if self.reads_left == 0:
                self.zones.lock.write_text("second")
            self.reads_left -= 1
        return super().read_text(uri)


class MeddlingLake(Lake):
    """Deletes a published file at one moment of the publication."""

    zones: Zones
    moment = ""

    @classmethod
    def at(cls, zones: Zones, moment: str) -> Lake:
        lake: Any = cls.of_session(zones.spark)
        lake.zones, lake.moment = zones, moment
        return lake

    def write_new_json(self, uri: str, value: dict[str, Any]) -> bool:
        if self.moment == "before its outcome":
            self._meddle()
        return super().write_new_json(uri, value)

    def write_json(self, uri: str, value: dict[str, Any]) -> None:
        super().write_json(uri, value)
        if self.moment == "after its outcome" and uri == str(self.zones.summary_file("run-1")):
            self._meddle()

    def _meddle(self) -> None:
        (self.zones.processed / KPI_TABLES[3] / "run_id=run-1" / "part-1.parquet").unlink()


@pytest.mark.parametrize("moment", ["before its outcome", "after its outcome"])
def test_a_publication_that_ends_incomplete_is_a_failure(zones: Zones, moment: str) -> None:
    zones.stage("run-1")
    with pytest.raises(
        JobError, match=f"run run-1 is not whole.*{KPI_TABLES[3]}/run_id=run-1 differs"
    ):
        zones.publish("run-1", lake=MeddlingLake.at(zones, moment))


def test_a_run_that_sorts_before_a_published_one_is_an_error(zones: Zones) -> None:
    for run_id in ("run-1", "run-2"):
        zones.stage(run_id)
    zones.publish("run-2", keep_runs=1)
    with pytest.raises(JobError, match="run run-1 sorts before run run-2, which is published"):
        zones.stage("run-1")
        zones.publish("run-1", keep_runs=1)
    assert zones.published() == {"run-2": ALL}


def test_a_started_publication_can_finish_beside_a_newer_run(zones: Zones) -> None:
    zones.stage("run-1")
    assert zones.interrupt("run-1", 9, "copied")
    for table in KPI_TABLES:
        shutil.copytree(
            zones.staging / "run_id=run-1" / KPI_TABLES[-1],
            zones.processed / table / "run_id=run-2",
        )
    zones.publish("run-1", keep_runs=1)
    assert zones.published() == {"run-1": ALL, "run-2": ALL}


@pytest.mark.parametrize("table", KPI_TABLES)
def test_a_run_with_a_missing_file_is_not_published(zones: Zones, table: str) -> None:
    zones.stage("run-1")
    (zones.staging / "run_id=run-1" / table / "part-1.parquet").unlink()
    with pytest.raises(JobError, match=f"{table} does not hold the 2 files"):
        zones.publish("run-1")
    assert zones.published() == {}
    assert not (zones.staging / "run_id=run-1" / INTENT).exists()


def test_a_run_with_an_unfinished_kpi_job_is_not_published(zones: Zones) -> None:
    zones.stage("run-1")
    (zones.staging / "run_id=run-1" / "_user_transaction_metrics.json").unlink()
    with pytest.raises(JobError, match="run user_transaction_metrics for run run-1 first"):
        zones.publish("run-1")
    assert zones.published() == {}


def test_a_run_with_a_failed_validation_is_not_published(zones: Zones) -> None:
    zones.stage("run-1")
    zones.write_summary("run-1", "failed")
    with pytest.raises(JobError, match="the validation of run run-1 failed"):
        zones.publish("run-1")
    assert zones.published() == {}


def test_an_unknown_run_is_an_error(zones: Zones) -> None:
    with pytest.raises(JobError, match="run clean_rentals for run run-9 first"):
        zones.publish("run-9")


def test_pruning_keeps_the_newest_runs(zones: Zones) -> None:
    for number in range(1, 5):
        zones.stage(f"run-{number}")
        zones.publish(f"run-{number}", keep_runs=2)
    assert zones.published() == {"run-3": ALL, "run-4": ALL}


def test_pruning_removes_old_runs_from_all_zones(zones: Zones) -> None:
    written = clean_rentals.Zones(str(zones.clean), str(zones.rejected), "run-0").all()
    folders = [zones.staging, *[Path(folder).parent for folder in written]]
    for run_id in ("run-0", "run-1", "run-2", "run-3"):
        zones.stage(run_id)
        for folder in folders:
            (folder / f"run_id={run_id}").mkdir(parents=True, exist_ok=True)
    for run_id in ("run-1", "run-2"):
        zones.publish(run_id, keep_runs=1)
    remaining = {folder.name: {path.name for path in folder.iterdir()} for folder in folders}
    newest = {"run_id=run-2", "run_id=run-3"}
    assert remaining == {
        folder.name: newest - {"run_id=run-2"} if folder == zones.staging else newest
        for folder in folders
    }
