"""The troubleshooting page explains every failure that a user can cause.

Searching the page for a message's words finds its entry.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from car_rental.config import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
# functions that take a message for the user -> position of the message in the arguments
MESSAGE_POSITIONS = {
    **dict.fromkeys(("DataLakeError", "ConfigError", "Declined", "StillRunning", "Interrupted"), 1),
    **dict.fromkeys(("problem", "warning", "ArgumentTypeError"), 0),
    **dict.fromkeys(("JobError", "ContractError", "StartError", "DataDirError", "JavaNotFound"), 0),
}
SHORTEST = 6  # letters; a shorter piece between two values is useless in a search


def failures() -> Iterator[tuple[str, str]]:
    """The place and the searchable words of each failure in the sources."""
    for folder in ("main.py", "scripts", "spark_jobs", "local_aws"):
        path = ROOT / folder
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call):
                    words = searchable(call)
                    if words:
                        yield f"{file.relative_to(ROOT)}:{call.lineno}", words


def searchable(call: ast.Call) -> str:
    """The longest constant piece of the message, or an empty string if there is none."""
    place = MESSAGE_POSITIONS.get(ast.unparse(call.func).removeprefix("argparse."))
    if place is None or len(call.args) <= place:
        return ""
    pieces = [piece for text in texts(call.args[place]) for piece in re.split(r"\{\}|%s", text)]
    longest = max(pieces, key=len, default="").strip()
    return longest if len(longest) >= SHORTEST else ""


def texts(node: ast.AST) -> Iterator[str]:
    """The string literals of a message, except those inside the inserted expressions."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, (ast.FormattedValue, ast.Subscript)):
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def test_the_words_of_each_failure_are_on_the_page() -> None:
    places = dict(failures())
    assert places and {place: words for place, words in places.items() if words not in PAGE} == {}


def test_the_errors_of_the_state_machine_are_on_the_page() -> None:
    machine = json.loads(
        (ROOT / "step_functions" / "data_pipeline.asl.json").read_text(encoding="utf-8")
    )
    errors = {
        state["Error"] for state in states(machine) if state["Type"] == "Fail" and "Error" in state
    }
    assert errors and {error for error in errors if f"`{error}`" not in PAGE} == set()


def states(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for state in machine["States"].values():
        yield state
        for branch in state.get("Branches", []):
            yield from states(branch)


def test_every_entry_has_a_cause_and_a_remedy() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    assert [
        row for row in rows if len(row) not in (3, 4) or not all(cell.strip() for cell in row)
    ] == []
