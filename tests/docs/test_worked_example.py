"""The worked example of the operations page works: done to a copy of the project, the jobs agree
with the oracle again."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from car_rental.config import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8").split("## Worked example")[1]
TABLE = "monthly_metrics"
JOB = "spark_jobs/user_transaction_metrics.py"
TEST = "tests/spark_jobs/test_jobs_against_oracle.py"


def block(language: str) -> str:
    """The page's one block of code in that language."""
    (found,) = re.findall(rf"^ +```{language}\n(.*?)^ +```", PAGE, re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {3}", "", found, flags=re.MULTILINE)


def span(start: str) -> str:
    """The code between backticks that begins so."""
    (found,) = re.findall(rf"`({re.escape(start)}[^`]+)`", PAGE)
    return str(found)


def change(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file.name} has {before!r} {text.count(before)} times"
    file.write_text(text.replace(before, after), encoding="utf-8")


def agrees(copy: Path) -> bool:
    """Returns whether the jobs of the copy compute what its contract asks for."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        TEST,
        "-k",
        "every_defect",
        "-p",
        "no:cacheprovider",
    ]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0 or TABLE in done.stdout, done.stdout + done.stderr
    return done.returncode == 0


@pytest.mark.long
def test_the_tests_ask_for_the_new_table_and_find_it_when_the_job_makes_it(tmp_path: Path) -> None:
    for folder in ("spark_jobs", "scripts", "notebooks", "local_aws", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "tests" / "oracle" / "contract.sql").open("a", encoding="utf-8") as contract:
        contract.write("\n" + block("sql"))
    assert not agrees(tmp_path)
    made = span(f'"{TABLE}": {TABLE}(')
    change(tmp_path / JOB, '"user_metrics": ', f'{made},\n        "user_metrics": ')
    change(tmp_path / JOB, "\n\ndef daily_metrics(", f"\n\n{block('python')}\n\ndef daily_metrics(")
    conserved = span(f'"{TABLE}": (')
    first = '        "daily_metrics": ('
    change(tmp_path / "spark_jobs" / "contract.py", first, f"        {conserved},\n{first}")
    assert agrees(tmp_path)
