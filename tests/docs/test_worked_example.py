"""The worked example on the operations page works.

Applied to a copy of the project, it makes the tests fail first and pass at the end.
"""

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


def code_block(language: str) -> str:
    """The only code block of the page in that language."""
    (code,) = re.findall(rf"^ +```{language}\n(.*?)^ +```", PAGE, re.MULTILINE | re.DOTALL)
    return re.sub(r"^ {3}", "", code, flags=re.MULTILINE)


def code_span(start: str) -> str:
    """The only code span of the page that begins with ``start``."""
    (code,) = re.findall(rf"`({re.escape(start)}[^`]+)`", PAGE)
    return str(code)


def replace_once(file: Path, before: str, after: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(before) == 1, f"{file.name} has {before!r} {text.count(before)} times"
    file.write_text(text.replace(before, after), encoding="utf-8")


def jobs_agree_with_oracle(copy: Path) -> bool:
    """Tells whether the copy's jobs compute its contract; fails on any other test failure."""
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
    result = subprocess.run(command, cwd=copy, capture_output=True, text=True)
    assert result.returncode == 0 or TABLE in result.stdout, result.stdout + result.stderr
    return result.returncode == 0


@pytest.mark.long
def test_the_oracle_test_fails_after_the_contract_change_and_passes_after_the_job_change(
    tmp_path: Path,
) -> None:
    for folder in ("spark_jobs", "scripts", "notebooks", "local_aws", "tests"):
        shutil.copytree(
            ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "tests" / "oracle" / "contract.sql").open("a", encoding="utf-8") as contract:
        contract.write("\n" + code_block("sql"))
    assert not jobs_agree_with_oracle(tmp_path)
    table_call = code_span(f'"{TABLE}": {TABLE}(')
    replace_once(tmp_path / JOB, '"user_metrics": ', f'{table_call},\n        "user_metrics": ')
    replace_once(
        tmp_path / JOB,
        "\n\ndef daily_metrics(",
        f"\n\n{code_block('python')}\n\ndef daily_metrics(",
    )
    conservation_rule = code_span(f'"{TABLE}": (')
    first = '        "daily_metrics": ('
    replace_once(
        tmp_path / "spark_jobs" / "contract.py", first, f"        {conservation_rule},\n{first}"
    )
    assert jobs_agree_with_oracle(tmp_path)
