"""The whole pipeline by one command, on real Spark, crawls and SQL, without a network.

The raw data are two gzipped files per table with reordered columns. The environment has credentials
that look real. The first run is killed during its Spark jobs; the tables of the second run are
compared with those that DuckDB computes from the same files.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from car_rental.config import ROOT
from car_rental.s3.raw_data import RAW_TABLES
from car_rental.sample.generator import generate
from oracle.contract import KPI_TABLES, contract_tables, published_table
from support.polling import until
from support.processes import user_cache
from support.run_records import is_running, newest_record

pytestmark = pytest.mark.jvm
BUCKET = "car-rental-data-lake"
SPARK_STEPS = ("run_spark_jobs", "execute_step_functions")  # every run has one of them
# loaded by every Python process of the run: records and blocks connections to other machines
TRAP = """
import os, socket

_connect = socket.socket.connect

def connect(self, address):
    if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "localhost", "::1"):
        with open(os.environ["CONNECTION_TRAP"], "a") as trap:
            print(address, file=trap)
        raise OSError(f"no network in this test: {address}")
    return _connect(self, address)

socket.socket.connect = connect
"""
AWS_CONFIG = """
[default]
region = eu-west-1
aws_access_key_id = AKIDFROMFILE
aws_secret_access_key = secret-from-file
endpoint_url = https://elsewhere.example.com
services = elsewhere
[services elsewhere]
s3 =
  endpoint_url = https://s3.elsewhere.example.com
"""


@dataclass
class FinishedRun:
    """A finished run of main.py after a killed one: exit code, output and folders."""

    killed: dict[str, Any]
    code: int
    out: str
    err: str
    home: Path
    raw: Path

    @property
    def processed(self) -> Path:
        return self.home / "local_aws" / "s3" / BUCKET / "processed"

    def run_ids(self, table: str) -> list[str]:
        return sorted(
            path.name.removeprefix("run_id=") for path in (self.processed / table).glob("run_id=*")
        )


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sample with every kind of defect, in files that the generator would not write."""
    folder = tmp_path_factory.mktemp("raw")
    generate(rentals=4000, seed=11, folder=folder, defects=0.03)
    for table in RAW_TABLES:
        plain = folder / f"{table}.csv"
        header, *rows = list(csv.reader(io.StringIO(plain.read_text(encoding="utf-8"), newline="")))
        (folder / table).mkdir()
        for part, part_rows in enumerate((rows[::2], rows[1::2])):
            order = list(reversed(range(len(header)))) if part else [*range(1, len(header)), 0]
            write_part(folder / table / f"part-{part}.csv.gz", [header, *part_rows], order)
        plain.unlink()
    (folder / "sample_data.json").unlink()
    return folder


def write_part(path: Path, rows: list[list[str]], order: list[int]) -> None:
    """Writes a gzipped CSV with the columns in ``order``; malformed rows stay as they are."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [row[index] for index in order] if len(row) == len(rows[0]) else row for row in rows
    )
    path.write_bytes(gzip.compress(text.getvalue().encode()))


def run_main(raw: Path, home: Path, *flags: str) -> FinishedRun:
    """Kills a first run of main.py in a hostile environment, then runs it again."""
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(AWS_CONFIG)
    (home / "trap").mkdir()
    (home / "trap" / "sitecustomize.py").write_text(TRAP)
    (home / "x.env").write_text(
        "AWS_ACCESS_KEY_ID=AKIDFROMDOTENV\nAWS_SECRET_ACCESS_KEY=secret-from-dotenv\n"
        "STEP_FUNCTIONS_ROLE_ARN=arn:aws:iam::000000000000:role/Real\n"
        f"DATA_DIR={raw}\nLOCAL_AWS_DIR={home / 'local_aws'}\nREPORTS_DIR={home / 'reports'}\n"
        f"RUNS_DIR={home / 'runs'}\n"
    )
    environ = {
        "HOME": str(home),
        **user_cache(),
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(home / "trap"),
        "CONNECTION_TRAP": str(home / "connections.txt"),
        "AWS_PROFILE": "production",
        "AWS_ACCESS_KEY_ID": "AKIDFROMSHELL",
        "AWS_SECRET_ACCESS_KEY": "secret-from-shell",
        "AWS_ENDPOINT_URL_S3": "https://s3.elsewhere.example.com",
        "AWS_ENDPOINT_URL": "https://elsewhere.example.com",
    }
    command = [
        *without_network(),
        sys.executable,
        str(ROOT / "main.py"),
        "--local",
        "--env",
        str(home / "x.env"),
        *flags,
    ]
    with subprocess.Popen(
        command, env=environ, cwd=home, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as first:
        until(lambda: is_running(newest_record(home / "runs"), *SPARK_STEPS), bool, 120)
        time.sleep(3)
        first.kill()
    (killed,) = (json.loads(path.read_text()) for path in (home / "runs").glob("*.json"))
    result = subprocess.run(
        command, env=environ, cwd=home, capture_output=True, text=True, timeout=280
    )
    return FinishedRun(killed, result.returncode, result.stdout, result.stderr, home, raw)


def without_network() -> list[str]:
    """The prefix of a command without a network, or an empty list if that is not possible."""
    unshare = [
        "unshare",
        "--net",
        "--map-root-user",
        "sh",
        "-c",
        'ip link set lo up && exec "$@"',
        "sh",
    ]
    if (
        shutil.which("unshare")
        and shutil.which("ip")
        and subprocess.run([*unshare, "true"], capture_output=True).returncode == 0
    ):
        return unshare
    return []


@pytest.fixture(
    scope="module", params=["steps", pytest.param("state machine", marks=pytest.mark.all)]
)
def finished_run(
    request: pytest.FixtureRequest, raw: Path, tmp_path_factory: pytest.TempPathFactory
) -> FinishedRun:
    flags = ["--all"] if request.param == "steps" else ["--all", "--orchestrate"]
    return run_main(raw, tmp_path_factory.mktemp("home"), *flags)


def test_the_first_run_was_killed_during_its_spark_jobs(finished_run: FinishedRun) -> None:
    assert finished_run.killed["outcome"] == "running"
    assert finished_run.killed["steps"][-1]["name"] in SPARK_STEPS


def test_the_second_run_succeeds_and_prints_its_steps(finished_run: FinishedRun) -> None:
    assert finished_run.code == 0, finished_run.err
    steps = (
        "1 setup_iam_roles",
        "2 setup_aws_environment",
        "3 setup_glue_crawlers",
        "4 deploy_step_functions",
        "10 analyze",
    )
    assert [step for step in steps if step not in finished_run.out] == []
    assert "rentals read" in finished_run.out
    assert str(finished_run.home / "local_aws") in finished_run.out.replace("\n", "")
    assert list((finished_run.home / "reports").glob("*.html"))


@pytest.mark.parametrize("table", KPI_TABLES)
def test_every_published_table_equals_the_contract_s(
    finished_run: FinishedRun, table: str, expected: dict
) -> None:
    (run_id,) = finished_run.run_ids(table)
    assert published_table(finished_run.processed, table, run_id) == expected[table]


@pytest.fixture(scope="module")
def expected(raw: Path) -> dict:
    return contract_tables(raw)


def test_the_processed_zone_contains_only_the_tables(finished_run: FinishedRun) -> None:
    assert sorted(path.name for path in finished_run.processed.iterdir()) == sorted(KPI_TABLES)
    assert {tuple(finished_run.run_ids(table)) for table in KPI_TABLES} == {
        tuple(finished_run.run_ids("user_metrics"))
    }


def test_no_connection_left_this_machine(finished_run: FinishedRun) -> None:
    assert finished_run.code == 0
    assert not (finished_run.home / "connections.txt").exists(), (
        finished_run.home / "connections.txt"
    ).read_text()


def test_no_process_is_left_running(finished_run: FinishedRun) -> None:
    listed = subprocess.run(
        ["ps", "-eo", "args"], capture_output=True, text=True, check=True
    ).stdout
    assert not [line for line in listed.splitlines() if str(finished_run.home) in line]


def test_the_trap_records_a_connection_to_another_machine(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(TRAP)
    environ = {
        "PYTHONPATH": str(tmp_path),
        "CONNECTION_TRAP": str(tmp_path / "connections.txt"),
        "PATH": os.environ["PATH"],
    }
    code = "import socket; socket.create_connection(('192.0.2.1', 443), timeout=1)"
    assert (
        subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True).returncode
        != 0
    )
    assert "192.0.2.1" in (tmp_path / "connections.txt").read_text()
