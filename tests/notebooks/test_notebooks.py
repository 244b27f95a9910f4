"""The notebooks are valid and committed without output, and local_testing.ipynb runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from analyze import NOTEBOOK, execute
from car_rental.config import load_settings
from support.published_lake import quiet

NOTEBOOKS = sorted(NOTEBOOK.parent.glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_valid_and_has_no_output(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        assert not cell.get("outputs"), cell.id
        assert cell.get("execution_count") is None, cell.id


def test_the_guide_s_two_notebooks_exist() -> None:
    assert {path.name for path in NOTEBOOKS} == {"athena_queries.ipynb", "local_testing.ipynb"}


def test_sentences_of_the_analysis_contain_no_typed_numbers() -> None:
    cells: list[dict[str, Any]] = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sentences = [
        line
        for cell in cells
        if "-finding" in cell["id"]
        for line in cell["source"]
        if "{" in line and '"' in line
    ]
    assert sentences
    for line in sentences:
        assert not any(letter.isdigit() for letter in line.split("{")[0]), line


@pytest.mark.jvm
@pytest.mark.all
def test_local_testing_runs_and_its_checks_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    cells = execute(NOTEBOOK.parent / "local_testing.ipynb", load_settings({}), quiet())
    texts = {
        cell["id"]: cell["outputs"][-1]["data"]["text/plain"]
        for cell in cells
        if cell.get("outputs")
    }
    assert "missing_vehicle_id" in texts["rejected-own"]
    assert "negative_amount" in texts["rejected-own"]
    assert "by hand as by the job" in texts["check-location"]
