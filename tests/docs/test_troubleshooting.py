"""The troubleshooting page explains every failure that a user can cause: searching it for the
message finds it."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

from car_rental.config import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
# what the sources call with a message for the user, and the message's place among the arguments
CALLS = {
    **dict.fromkeys(("DataLakeError", "ConfigError", "StillRunning", "Interrupted"), 1),
    **dict.fromkeys(("problem", "warning", "ArgumentTypeError"), 0),
    **dict.fromkeys(("JobError", "ContractError", "StartError", "DataDirError", "JavaNotFound"), 0),
}
SHORTEST = 6  # letters: a shorter piece between two values is nothing to search for


def failures() -> Iterator[tuple[str, str]]:
    """Place and searchable words of each failure that the sources tell of."""
    for folder in ("main.py", "scripts", "spark_jobs", "local_aws"):
        path = ROOT / folder
        for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
            for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(call, ast.Call):
                    words = searchable(call)
                    if words:
                        yield f"{file.relative_to(ROOT)}:{call.lineno}", words


def searchable(call: ast.Call) -> str:
    """The longest piece of the message that is the same in every run; empty where all of it is
    somebody else's words."""
    place = CALLS.get(ast.unparse(call.func).removeprefix("argparse."))
    if place is None or len(call.args) <= place:
        return ""
    pieces = [piece for text in texts(call.args[place]) for piece in re.split(r"\{\}|%s", text)]
    longest = max(pieces, key=len, default="").strip()
    return longest if len(longest) >= SHORTEST else ""


def texts(node: ast.AST) -> Iterator[str]:
    """The literal texts of a message, without those that only compute what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif not isinstance(node, (ast.FormattedValue, ast.Subscript)):
        for child in ast.iter_child_nodes(node):
            yield from texts(child)


def test_each_failure_is_found_by_its_words() -> None:
    told = dict(failures())
    assert told and {place: words for place, words in told.items() if words not in PAGE} == {}


def test_the_errors_of_the_state_machine_are_found() -> None:
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


def test_every_entry_has_a_cause_and_something_to_do() -> None:
    rows = [line.strip("|").split("|") for line in PAGE.splitlines() if line.startswith("| ")]
    assert [
        row for row in rows if len(row) not in (3, 4) or not all(cell.strip() for cell in row)
    ] == []
