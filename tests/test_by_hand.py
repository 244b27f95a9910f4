"""Every script, run in the guide's order and with its flags against `python -m local_aws`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from car_rental.config import ROOT
from car_rental.sample.generator import generate
from contract import KPI_TABLES as TABLES
from support.processes import user_cache

pytestmark = [pytest.mark.jvm, pytest.mark.all]
Script = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The lines for .env that `python -m local_aws` prints."""
    command = [
        sys.executable,
        "-m",
        "local_aws",
        "--data-dir",
        str(tmp_path_factory.mktemp("server")),
    ]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout
        yield "".join(process.stdout.readline() for _ in range(3))
        process.terminate()


@pytest.fixture(scope="module")
def script(server: str, tmp_path_factory: pytest.TempPathFactory) -> Script:
    """`script("create_emr_cluster.py", "--region", "us-east-1")` runs a script in a process."""
    folder = tmp_path_factory.mktemp("hand")
    generate(rentals=2000, seed=3, folder=folder / "data")
    env_file = folder / "x.env"
    env_file.write_text(f"{server}DATA_DIR={folder / 'data'}\nENVIRONMENT=hand\n")

    def run(name: str, *flags: str) -> subprocess.CompletedProcess[str]:
        environ = {"PATH": os.environ["PATH"], "HOME": str(folder), **user_cache()}
        command = [sys.executable, str(ROOT / "scripts" / name), "--env", str(env_file), *flags]
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=200
        )

    return run


def output_of_success(result: subprocess.CompletedProcess[str]) -> str:
    """The output of a script that has to succeed."""
    assert result.returncode == 0, result.stderr
    return result.stdout


def stderr_of_failure(result: subprocess.CompletedProcess[str]) -> str:
    """The stderr of a script that has to fail without a traceback."""
    assert result.returncode in (1, 2), result.stdout
    assert "Traceback" not in result.stderr
    return result.stderr


def test_each_step_names_the_step_to_run_first(script: Script) -> None:
    steps = (
        "setup_glue_crawlers",
        "create_emr_cluster",
        "run_spark_jobs",
        "run_glue_crawlers",
        "execute_step_functions",
    )
    for name in steps:
        assert "Run step 2 first: python scripts/setup_aws_environment.py" in stderr_of_failure(
            script(f"{name}.py")
        )
    assert "setup_iam_roles.py" in stderr_of_failure(script("deploy_step_functions.py"))


def test_the_guide_s_steps_succeed_in_its_order(script: Script, tmp_path: Path) -> None:
    roles = ROOT / "iam_roles.json"
    roles_before = roles.read_bytes() if roles.exists() else None
    try:
        output_of_success(script("setup_iam_roles.py", "--region", "us-east-1"))
        assert "hand-StepFunctionsExecutionRole" in json.dumps(json.loads(roles.read_text()))
    finally:
        roles.unlink(missing_ok=True)
        if roles_before is not None:
            roles.write_bytes(roles_before)
    output_of_success(script("setup_aws_environment.py"))
    assert "deploy_step_functions.py" in stderr_of_failure(script("execute_step_functions.py"))
    output_of_success(script("setup_glue_crawlers.py"))
    output_of_success(script("deploy_step_functions.py"))
    assert "run_spark_jobs.py" in stderr_of_failure(script("run_glue_crawlers.py"))
    cluster_id = output_of_success(script("create_emr_cluster.py")).strip()
    assert cluster_id.startswith("j-")
    assert "2,000 rentals read" in output_of_success(
        script("run_spark_jobs.py", "--cluster-id", cluster_id)
    )
    listed = output_of_success(script("run_glue_crawlers.py"))
    assert [table for table in TABLES if table not in listed] == []
    assert "TERMINATED" in output_of_success(
        script("terminate_emr_cluster.py", "--cluster-id", cluster_id)
    )
    assert "is TERMINATED" in stderr_of_failure(
        script("run_spark_jobs.py", "--cluster-id", cluster_id)
    )


def test_the_state_machine_succeeds_after_the_steps(script: Script) -> None:
    output_of_success(script("execute_step_functions.py"))
    assert "no active cluster" in stderr_of_failure(script("run_spark_jobs.py"))
