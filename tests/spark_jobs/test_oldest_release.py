"""The jobs run on the oldest supported node, emr-6.10.0, with Python 3.7 and Spark only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

JOBS = Path(__file__).parents[2] / "spark_jobs"
SOURCES = sorted(JOBS.glob("*.py"))
NODE_HAS = {*sys.stdlib_module_names, "pyspark", "py4j", *[path.stem for path in SOURCES]}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_sources_import_only_modules_of_a_node(source: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(str(node.module).split(".")[0])
    assert imported <= NODE_HAS


def test_sources_run_on_python_3_7() -> None:
    vermin = [
        str(Path(sys.executable).with_name("vermin")),
        "--target=3.7-",
        "--no-tips",
        "--violations",
        "--no-parse-comments",
    ]
    result = subprocess.run(
        [*vermin, *map(str, SOURCES)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
