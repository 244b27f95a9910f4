"""Missing packages, and Ctrl-C during the imports, end with one clear line."""

import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from car_rental.config import ROOT

SCRIPTS = [
    "main.py",
    "scripts/run_spark_jobs.py",
    "scripts/generate_sample_data.py",
    "scripts/query_lake.py",
]
BARE = {"PATH": os.environ["PATH"]}


@pytest.mark.parametrize("script", SCRIPTS)
def test_missing_packages_are_reported_with_the_command_that_installs_them(script):
    bare = [sys.executable, "-S", "-E", str(ROOT / script), "--help"]
    result = subprocess.run(bare, cwd=ROOT, env=BARE, capture_output=True, text=True, timeout=60)
    assert result.returncode == 2
    assert "lacks the packages boto3" in result.stderr
    assert ".venv/bin/python -m pip install -r requirements.txt" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("seconds", [0.1, 0.3, 0.6])
def test_ctrl_c_during_the_imports_ends_without_a_traceback(seconds):
    with socket.create_server(
        ("127.0.0.1", 0)
    ) as silent_server:  # never answers, so that the program cannot end by itself
        endpoint = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{silent_server.getsockname()[1]}"}
        keys = {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example"}
        command = [sys.executable, str(ROOT / "main.py"), "--plan"]
        with subprocess.Popen(
            command, cwd=ROOT, env={**BARE, **endpoint, **keys}, stderr=subprocess.PIPE, text=True
        ) as process:
            time.sleep(seconds)
            process.send_signal(signal.SIGINT)
            _, stderr = process.communicate(timeout=60)
    if "init_import_site" not in stderr:  # Python itself had started
        assert (process.returncode, "Traceback" in stderr, "Interrupted" in stderr) == (
            130,
            False,
            True,
        ), stderr
