"""The import graph of scripts/: arrows go from main.py over the step scripts to the library, and
never back."""

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
    """The modules of scripts/ that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found & MODULES.keys() - {LIBRARY}


IMPORTS = {name: imported_by(path) for name, path in MODULES.items()}
IN_LIBRARY = {name: imports for name, imports in IMPORTS.items() if name.startswith(LIBRARY + ".")}


def room(module: str) -> str:
    """The folder of a module in the library, or the module itself if it is in none."""
    return module.split(".")[1]


def test_no_room_of_the_library_imports_itself_over_others():
    rooms: dict[str, set[str]] = {}
    for module, imports in IN_LIBRARY.items():
        rooms.setdefault(room(module), set()).update(
            {room(name) for name in imports} - {room(module)}
        )
    check_order(rooms)


def test_no_module_of_the_library_imports_itself_over_others():
    check_order(IN_LIBRARY)


def check_order(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' <- '.join(error.args[1])}")


def test_the_library_imports_no_script():
    assert {
        name: imports - IN_LIBRARY.keys()
        for name, imports in IN_LIBRARY.items()
        if imports - IN_LIBRARY.keys()
    } == {}


def test_no_script_imports_another():
    scripts = MODULES.keys() - IN_LIBRARY.keys() - {LIBRARY}
    assert set(STEPS) <= scripts
    assert {name: IMPORTS[name] & scripts for name in scripts if IMPORTS[name] & scripts} == {}
