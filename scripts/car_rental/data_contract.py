"""The data contract for the scripts: `from car_rental.data_contract import contract`.

The contract is the one module that jobs and scripts share. It is in spark_jobs/ because it ships
with the jobs.
"""

from __future__ import annotations

import sys
from pathlib import Path

from car_rental.config import ROOT

SPARK_JOBS = ROOT / "spark_jobs"
sys.path.append(str(SPARK_JOBS))  # last, so that no module of a job hides a module of the scripts

import contract as contract  # noqa: E402, PLC0414 - re-exported


def job_files() -> list[Path]:
    """Every file that the cluster needs: the four jobs and the modules that they share."""
    return sorted(SPARK_JOBS.glob("*.py"))
