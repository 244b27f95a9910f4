"""The import graph of scripts/ leads from main.py over the steps to the library, without cycles."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from car_rental.config import ROOT
from car_rental.steps import STEPS

SCRIPTS = ROOT / "scripts"
LIBRARY = "car_rental"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(SCRIPTS).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for path in SCRIPTS.rglob("*.py")}


def imported_by(path: Path) -> set[str]:
    """The modules of scripts/ that a file imports anywhere."""
    imported = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return imported & MODULES.keys() - {LIBRARY}


IMPORTS = {name: imported_by(path) for name, path in MODULES.items()}
IN_LIBRARY = {name: imports for name, imports in IMPORTS.items() if name.startswith(LIBRARY + ".")}


def folder_of(module: str) -> str:
    """The library's folder of a module, or the module itself if it is in none."""
    return module.split(".")[1]


def test_folders_of_the_library_import_each_other_without_a_cycle():
    folders: dict[str, set[str]] = {}
    for module, imports in IN_LIBRARY.items():
        folders.setdefault(folder_of(module), set()).update(
            {folder_of(name) for name in imports} - {folder_of(module)}
        )
    check_no_cycle(folders)


def test_modules_of_the_library_import_each_other_without_a_cycle():
    check_no_cycle(IN_LIBRARY)


def check_no_cycle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' <- '.join(error.args[1])}")


def test_no_module_of_the_library_imports_a_script():
    assert {
        name: imports - IN_LIBRARY.keys()
        for name, imports in IN_LIBRARY.items()
        if imports - IN_LIBRARY.keys()
    } == {}


def test_no_script_imports_another_script():
    scripts = MODULES.keys() - IN_LIBRARY.keys() - {LIBRARY}
    assert set(STEPS) <= scripts
    assert {name: IMPORTS[name] & scripts for name in scripts if IMPORTS[name] & scripts} == {}
