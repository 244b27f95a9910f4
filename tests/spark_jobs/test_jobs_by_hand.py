"""The jobs as a user or a cluster starts them: spark-submit, local paths, exit codes, output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from oracle.contract import KPI_TABLES, contract_tables, published_table
from oracle.small_lake import write_small_lake

JOBS = Path(__file__).parents[2] / "spark_jobs"
JOB_NAMES = ["clean_rentals", "vehicle_location_metrics", "user_transaction_metrics", "publish_run"]
ALL = "all_jobs"
ZONES = {
    "clean_rentals": [
        "--raw",
        "raw",
        "--clean",
        "out/clean",
        "--rejected",
        "out/rejected",
        "--max-reject-rate",
        "0.1",
    ],
    "vehicle_location_metrics": ["--clean", "out/clean", "--staging", "out/staging"],
    "user_transaction_metrics": ["--clean", "out/clean", "--staging", "out/staging"],
    "publish_run": [
        "--clean",
        "out/clean",
        "--rejected",
        "out/rejected",
        "--staging",
        "out/staging",
        "--processed",
        "out/processed",
    ],
}


def command_line(job: str) -> list[str]:
    return [*ZONES[job], "--run-id", "by-hand"]


def spark_submit(job: str, folder: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    """Submits a copy of the job alone in a folder, so that it needs the modules of --py-files."""
    programs = {ALL} if job == ALL else {*JOB_NAMES, ALL}
    shared = [path for path in sorted(JOBS.glob("*.py")) if path.stem not in programs]
    (folder / "jobs").mkdir(exist_ok=True)
    job_file = folder / "jobs" / f"{job}.py"
    job_file.write_text((JOBS / f"{job}.py").read_text())
    program = [sys.executable, "-m", "pyspark.find_spark_home"]
    home = subprocess.run(program, capture_output=True, text=True, check=True).stdout.strip()
    command = [
        f"{home}/bin/spark-submit",
        "--driver-java-options",
        "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "--py-files",
        ",".join(map(str, shared)),
        str(job_file),
        *arguments,
    ]
    return subprocess.run(
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )


def python(job: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(JOBS / f"{job}.py"), *arguments]
    return subprocess.run(command, env=_environment(), capture_output=True, text=True, check=False)


def _environment() -> dict[str, str]:
    spark_variables = (
        "PYSPARK_GATEWAY_PORT",
        "PYSPARK_GATEWAY_SECRET",
        "PYTHONPATH",
        "SPARK_ENV_LOADED",
    )
    environment = {name: value for name, value in os.environ.items() if name not in spark_variables}
    return {**environment, "PYSPARK_PYTHON": sys.executable, "SPARK_LOCAL_IP": "127.0.0.1"}


@pytest.mark.jvm
@pytest.mark.all
def test_the_four_jobs_run_with_spark_submit_on_local_paths(tmp_path: Path) -> None:
    write_small_lake(tmp_path / "raw")
    for job in JOB_NAMES:
        result = spark_submit(job, tmp_path, command_line(job))
        assert result.returncode == 0, result.stderr
        [summary] = [line for line in result.stdout.splitlines() if line.startswith("RUN_SUMMARY ")]
        assert json.loads(summary.removeprefix("RUN_SUMMARY "))["run_id"] == "by-hand"
    expected = contract_tables(tmp_path / "raw")
    for table in KPI_TABLES:
        assert published_table(tmp_path / "out" / "processed", table, "by-hand") == expected[table]
        assert (
            len(list((tmp_path / "out" / "processed" / table / "run_id=by-hand").glob("*.parquet")))
            == 1
        )


def in_one_application(folder: Path, *jobs: str) -> subprocess.CompletedProcess[str]:
    commands = [["--", job, *command_line(job)] for job in jobs]
    return spark_submit(ALL, folder, [argument for command in commands for argument in command][1:])


@pytest.mark.jvm
@pytest.mark.all
def test_the_four_jobs_run_in_one_application(tmp_path: Path) -> None:
    write_small_lake(tmp_path / "raw")
    result = in_one_application(tmp_path, *JOB_NAMES)
    assert result.returncode == 0, result.stderr
    assert [line for line in result.stdout.splitlines() if line.startswith("JOB ")] == [
        f"JOB {job}" for job in JOB_NAMES
    ]
    assert result.stdout.count("RUN_SUMMARY ") == len(JOB_NAMES)
    expected = contract_tables(tmp_path / "raw")
    for table in KPI_TABLES:
        assert published_table(tmp_path / "out" / "processed", table, "by-hand") == expected[table]


@pytest.mark.jvm
def test_a_failed_job_ends_the_application_and_is_named(tmp_path: Path) -> None:
    write_small_lake(tmp_path / "raw")
    result = in_one_application(tmp_path, "vehicle_location_metrics", "clean_rentals")
    assert result.returncode == 1
    file = "out/clean/rentals/run_id=by-hand/_summary.json"
    assert result.stdout.splitlines()[-1].startswith(
        f"ERROR vehicle_location_metrics: {file} is not there"
    )
    assert "JOB clean_rentals" not in result.stdout


@pytest.mark.jvm
def test_an_expected_failure_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    write_small_lake(tmp_path / "raw")
    (tmp_path / "raw" / "users" / "part.csv").write_text("user_id,first_name\n")
    result = spark_submit("clean_rentals", tmp_path, command_line("clean_rentals"))
    message = "ERROR clean_rentals: raw/users/part.csv lacks the columns last_name, email"
    assert result.returncode == 1
    assert result.stdout.splitlines()[-1].startswith(message)
    assert result.stdout.count("ERROR clean_rentals") == 1
    assert [line for line in result.stderr.splitlines() if line.startswith("ERROR")] == [
        result.stdout.splitlines()[-1]
    ]
    assert "Traceback" not in result.stdout + result.stderr


@pytest.mark.parametrize("job", JOB_NAMES)
@pytest.mark.parametrize("in_application", [False, True], ids=["alone", "in-one-application"])
def test_help_of_a_job_lists_every_argument(job: str, in_application: bool) -> None:
    result = python(ALL, job, "--help") if in_application else python(job, "--help")
    assert result.returncode == 0
    assert result.stdout.startswith(f"usage: {job}.py")
    for argument in [name for name in ZONES[job] if name.startswith("--")] + ["--run-id"]:
        assert argument in result.stdout


def test_help_of_the_application_lists_the_jobs() -> None:
    result = python(ALL, "--help")
    assert result.returncode == 0
    assert f"jobs: {', '.join(JOB_NAMES)}" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "'' is none of the jobs clean_rentals, "),
        (["clean_rental", "--raw", "raw"], "'clean_rental' is none of the jobs clean_rentals, "),
        (
            ["clean_rentals", *command_line("clean_rentals"), "--", "publish_run"],
            "publish_run.py: error: the following arguments are required: --run-id, --clean",
        ),
    ],
)
def test_an_invalid_command_line_is_rejected_before_the_first_job(
    arguments: list[str], message: str
) -> None:
    result = python(ALL, *arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "JOB" not in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--run-id", "a/b"], "'a/b' is no run id"),
        (["--run-id", "x", "--max-reject-rate", "2"], "2 is not between 0 and 1"),
        (["--run-id", "x"], "the following arguments are required: --raw, --clean, --rejected"),
    ],
)
def test_an_invalid_argument_is_exit_code_2(arguments: list[str], message: str) -> None:
    result = python("clean_rentals", *arguments)
    assert result.returncode == 2
    assert message in result.stderr
