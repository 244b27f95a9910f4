"""`main.py --all --local` is killed in the middle of a step and at once run again: it ends well,
with the right numbers.

Nothing of a killed run lives on but the lake: no process, and with the process of the local AWS no
cluster of it either.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from car_rental.config import ROOT
from car_rental.sample.generator import generate
from car_rental.steps import PHASES, STEPS
from oracle.contract import KPI_TABLES, contract_tables, published_table
from support.processes import user_cache, with_in_its_environment
from support.run_records import is_running, newest_record

pytestmark = pytest.mark.jvm
BUCKET = "car-rental-data-lake"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# how far into a step the signal comes; the steps of the setup take no longer than that
SECONDS_INTO = {"run_spark_jobs": 3.0, "execute_step_functions": 3.0, "analyze": 2.0}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    generate(rentals=200, seed=7, folder=folder, defects=0.02)
    return folder


@pytest.fixture
def home(raw: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder for all that a run makes, with its settings; no process of a run is left behind the
    test."""
    kept = {
        "DATA_DIR": raw,
        **{f"{name.upper()}_DIR": tmp_path / name for name in ("local_aws", "reports", "runs")},
    }
    (tmp_path / "x.env").write_text("".join(f"{name}={path}\n" for name, path in kept.items()))
    yield tmp_path
    for pid in processes_of(tmp_path):
        os.kill(pid, signal.SIGKILL)


def start(home: Path, *flags: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        str(ROOT / "main.py"),
        "--all",
        "--local",
        "--env",
        str(home / "x.env"),
        *flags,
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": str(home), **user_cache()}
    return subprocess.Popen(
        command, cwd=home, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def processes_of(home: Path) -> list[int]:
    """All that a run started: the local AWS, Spark's drivers and Python workers, the notebook's
    kernel."""
    return with_in_its_environment(str(home))


def killed_during(home: Path, step: str, number: signal.Signals) -> tuple[int, str]:
    """Starts a run and sends it ``number`` during ``step``; returns its exit code and words."""
    before = len(list((home / "runs").glob("*.json")))
    flags = ("--orchestrate",) if step == "execute_step_functions" else ()
    with start(home, *flags) as process:
        wait_for(lambda: is_in(home, step, before) or process.poll() is not None, 120)
        time.sleep(SECONDS_INTO.get(step, 0.0))
        process.send_signal(number)
        _, words = process.communicate(timeout=60)
    assert newest_record(home / "runs")["steps"][-1]["name"] == step, words
    return process.returncode, words


def is_in(home: Path, step: str, before: int) -> bool:
    """Returns whether a new run is in the middle of ``step``; in that of the cluster, whether there
    is one."""
    if len(list((home / "runs").glob("*.json"))) == before:
        return False
    record = newest_record(home / "runs")
    return is_running(record, step) and (
        step != "create_emr_cluster" or "cluster_id" in record["ids"]
    )


def wait_for(condition, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.005)


def ends_as_it_should(home: Path, number: signal.Signals, code: int, words: str) -> None:
    """What a killed run leaves: its exit code and its record, and when it could see to that, its
    words and no process."""
    record = newest_record(home / "runs")
    if number == signal.SIGKILL:
        assert (code, record["outcome"]) == (-9, "running")
        return
    assert (code, record["outcome"], record["exit_code"]) == (130, "interrupted", 130), words
    assert "Traceback" not in words
    assert processes_of(home) == []
    if record["steps"][-1]["name"] in PHASES["process"]:
        assert f"cluster {record['ids']['cluster_id']} is being terminated" in words


def ends_well(home: Path, raw: Path) -> None:
    """A run now ends well, and publishes exactly what the data contract says of the raw data."""
    with start(home) as process:
        _, words = process.communicate(timeout=200)
    assert process.returncode == 0, words
    processed, expected = home / "local_aws" / "s3" / BUCKET / "processed", contract_tables(raw)
    runs = [{path.name for path in (processed / table).iterdir()} for table in KPI_TABLES]
    assert all(
        there == runs[0] for there in runs
    )  # a run that was killed late has published, one that was killed early not
    for table in KPI_TABLES:
        assert (
            published_table(processed, table, max(runs[0]).removeprefix("run_id="))
            == expected[table]
        )
    assert processes_of(home) == []  # of all runs that there were


@pytest.mark.all
def test_killed_three_times_it_ends_well_when_run_again(home: Path, raw: Path) -> None:
    for step, number in (
        ("create_emr_cluster", signal.SIGINT),
        ("run_spark_jobs", signal.SIGTERM),
        ("run_spark_jobs", signal.SIGKILL),
    ):
        ends_as_it_should(home, number, *killed_during(home, step, number))
    ends_well(home, raw)


@pytest.mark.long
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("step", STEPS)
def test_killed_during_any_step_it_ends_well_when_run_again(
    home: Path, raw: Path, step: str, number: signal.Signals
) -> None:
    ends_as_it_should(home, number, *killed_during(home, step, number))
    ends_well(home, raw)
