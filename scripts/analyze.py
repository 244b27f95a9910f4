#!/usr/bin/env python3
"""Step 10: runs the analysis notebook over the published tables and writes an HTML report.

The report is one file under reports/. To open the notebook itself: python scripts/open_notebook.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from car_rental import cli
from car_rental.aws import Aws
from car_rental.config import ROOT, Settings
from car_rental.display.console import Console
from car_rental.errors import DataLakeError
from car_rental.files import short_path, write_whole
from car_rental.glue.published import published_runs, require_workgroup
from car_rental.glue.rejected_table import register_rejected_rentals
from car_rental.report.html_page import render
from car_rental.report.kernel import CellError, Kernel
from car_rental.report.settings_env import settings_environment

NOTEBOOK = ROOT / "notebooks" / "athena_queries.ipynb"
HEADLINE = "application/vnd.car-rental.headline+json"  # output of the notebook for the terminal
# an error of this project in the notebook: where, what, fix, details
ERROR = "application/vnd.car-rental.error+json"


@dataclass(frozen=True)
class Headline:
    """One of the main answers."""

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class AnalysisResult:
    """The path of the report, and the id of the run that it shows.

    It does not hold the answers: they name customers, and the run's record stores every result.
    """

    page: Path
    run_id: str

    def summary(self) -> str:
        """One line for the summary."""
        return short_path(self.page)


def analyze(aws: Aws, console: Console) -> AnalysisResult:
    """Executes the notebook, writes the report, prints the headlines.

    Raises ``DataLakeError`` if tables are missing.
    """
    require_workgroup(aws)
    runs = published_runs(aws)
    # needed after an execution of the state machine, which does not run step 7
    register_rejected_rentals(aws, runs)
    cells = execute(NOTEBOOK, aws.settings, console)
    page = aws.settings.reports_dir / f"car_rental_{runs[-1]}.html"
    write_whole(page, render(cells))
    for headline in headlines(cells):
        console.table(headline.title, headline.columns, headline.rows)
    console.result(f"\nReport: {short_path(page)}")
    return AnalysisResult(page, runs[-1])


def execute(notebook: Path, settings: Settings, console: Console) -> list[dict[str, Any]]:
    """Runs ``notebook`` from top to bottom with ``settings``, and returns its cells."""
    cells: list[dict[str, Any]] = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    with (
        console.waiting("analysis"),
        Kernel(notebook.parent, {**os.environ, **settings_environment(settings)}) as kernel,
    ):
        for number, cell in enumerate(cells, start=1):
            if cell["cell_type"] == "code":
                try:
                    cell["outputs"] = kernel.run("".join(cell["source"]))
                except CellError as error:
                    raise _explained(error, f"{short_path(notebook)}, cell {number}") from error
    return cells


def _explained(error: CellError, where: str) -> DataLakeError:
    """Converts a cell's error: an error of this project as it was raised, any other as its text."""
    for output in error.outputs:
        own = output.get("data", {}).get(ERROR)
        if own:
            return DataLakeError(
                own["where"], own["what"], own["fix"], details=tuple(own["details"])
            )
    return DataLakeError(
        where,
        str(error),
        "Open it in Jupyter to look closer: jupyter notebook notebooks/athena_queries.ipynb",
    )


def headlines(cells: Sequence[dict[str, Any]]) -> list[Headline]:
    """The headlines in the notebook's outputs, in their order."""
    outputs = (
        output for cell in cells if cell["cell_type"] == "code" for output in cell["outputs"]
    )
    found = (output["data"][HEADLINE] for output in outputs if HEADLINE in output.get("data", {}))
    return [
        Headline(
            one["title"], one["columns"], [[_value(cell) for cell in row] for row in one["rows"]]
        )
        for one in found
    ]


def _value(cell: Any) -> Any:
    return Decimal(cell["decimal"]) if isinstance(cell, dict) else cell


def _act(_: argparse.Namespace, aws: Aws, console: Console) -> None:
    analyze(aws, console)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    return cli.run(cli.parser(__doc__), argv, _act)


if __name__ == "__main__":
    sys.exit(main())
