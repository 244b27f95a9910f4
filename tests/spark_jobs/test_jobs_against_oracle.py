"""The Spark jobs and the oracle, given the same raw files, agree on every table, every kept and every rejected row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import generate_sample_data
from oracle.contract import KPI_TABLES, contract_tables
from oracle.job_runs import Run


def assert_equal_to_oracle(run: Run, raw: Path) -> None:
    expected = contract_tables(raw)
    assert run.kept_rentals() == expected["kept_rentals"]
    assert run.rejected_rentals() == expected["rejected_rentals"]
    for table in KPI_TABLES:
        assert run.table(table) == expected[table], table


def test_a_sample_with_every_defect(run_jobs: Callable[..., Run], tmp_path: Path) -> None:
    generate_sample_data.main(["--rentals", "3000", "--seed", "7", "--defects", "0.05", "--output", str(tmp_path / "raw")])
    assert_equal_to_oracle(run_jobs(tmp_path / "raw"), tmp_path / "raw")
