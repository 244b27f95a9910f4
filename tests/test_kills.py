"""A killed `main.py --all --local` succeeds when it is run again, with correct numbers.

Only the lake survives a killed run: no process does, and no cluster, because clusters end with the
process of the local AWS.
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
from support.polling import wait_for
from support.processes import pids_with_environment, user_cache
from support.run_records import is_running, newest_record

pytestmark = pytest.mark.jvm
BUCKET = "car-rental-data-lake"
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
# seconds from the start of a step to the signal; the setup's steps are over sooner
SECONDS_INTO_STEP = {"run_spark_jobs": 3.0, "execute_step_functions": 3.0, "analyze": 2.0}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw")
    generate(rentals=200, seed=7, folder=folder, defects=0.02)
    return folder


@pytest.fixture
def home(raw: Path, tmp_path: Path) -> Iterator[Path]:
    """A folder for everything that a run writes, with its settings; kills leftover processes."""
    paths = {
        "DATA_DIR": raw,
        **{f"{name.upper()}_DIR": tmp_path / name for name in ("local_aws", "reports", "runs")},
    }
    (tmp_path / "x.env").write_text("".join(f"{name}={path}\n" for name, path in paths.items()))
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
    """All processes of a run: local AWS, Spark, Python workers, the notebook's kernel."""
    return pids_with_environment(str(home))


def kill_during(home: Path, step: str, number: signal.Signals) -> tuple[int, str]:
    """Starts a run and sends it ``number`` during ``step``; returns its exit code and stderr."""
    before = len(list((home / "runs").glob("*.json")))
    flags = ("--orchestrate",) if step == "execute_step_functions" else ()
    with start(home, *flags) as process:
        wait_for(lambda: is_in(home, step, before) or process.poll() is not None, 120)
        time.sleep(SECONDS_INTO_STEP.get(step, 0.0))
        process.send_signal(number)
        _, stderr = process.communicate(timeout=60)
    assert newest_record(home / "runs")["steps"][-1]["name"] == step, stderr
    return process.returncode, stderr


def is_in(home: Path, step: str, before: int) -> bool:
    """Tells whether a new run is in ``step``; in step 5, with the cluster's id recorded."""
    if len(list((home / "runs").glob("*.json"))) == before:
        return False
    record = newest_record(home / "runs")
    return is_running(record, step) and (
        step != "create_emr_cluster" or "cluster_id" in record["ids"]
    )


def check_killed_run(home: Path, number: signal.Signals, code: int, stderr: str) -> None:
    """Checks the exit code and record of a killed run.

    A run that could handle the signal also has to report it and to leave no process.
    """
    record = newest_record(home / "runs")
    if number == signal.SIGKILL:
        assert (code, record["outcome"]) == (-9, "running")
        return
    assert (code, record["outcome"], record["exit_code"]) == (130, "interrupted", 130), stderr
    assert "Traceback" not in stderr
    assert processes_of(home) == []
    if record["steps"][-1]["name"] in PHASES["process"]:
        assert f"cluster {record['ids']['cluster_id']} is being terminated" in stderr


def check_next_run_succeeds(home: Path, raw: Path) -> None:
    """Checks that a new run succeeds and publishes exactly the contract's tables."""
    with start(home) as process:
        _, stderr = process.communicate(timeout=200)
    assert process.returncode == 0, stderr
    processed, expected = home / "local_aws" / "s3" / BUCKET / "processed", contract_tables(raw)
    runs = [{path.name for path in (processed / table).iterdir()} for table in KPI_TABLES]
    # a run that was killed late may be published too
    assert all(run_ids == runs[0] for run_ids in runs)
    for table in KPI_TABLES:
        assert (
            published_table(processed, table, max(runs[0]).removeprefix("run_id="))
            == expected[table]
        )
    assert processes_of(home) == []  # of any run


@pytest.mark.all
def test_a_run_killed_three_times_succeeds_when_run_again(home: Path, raw: Path) -> None:
    for step, number in (
        ("create_emr_cluster", signal.SIGINT),
        ("run_spark_jobs", signal.SIGTERM),
        ("run_spark_jobs", signal.SIGKILL),
    ):
        check_killed_run(home, number, *kill_during(home, step, number))
    check_next_run_succeeds(home, raw)


@pytest.mark.long
@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
@pytest.mark.parametrize("step", STEPS)
def test_a_run_killed_during_any_step_succeeds_when_run_again(
    home: Path, raw: Path, step: str, number: signal.Signals
) -> None:
    check_killed_run(home, number, *kill_during(home, step, number))
    check_next_run_succeeds(home, raw)
