"""The troubleshooting page has every message that our own code prints, and none that it does not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from config import ROOT
from support.printed_messages import Message, printed_messages

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
OURS, OF_AWS = PAGE.split("## What AWS says")


def rows(text: str) -> list[list[str]]:
    """The cells of all tables' rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith(("| message", "| service"))]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def explained() -> set[str]:
    """The messages of our own that have an entry: those between backticks in the first cells."""
    return {message for cells in rows(OURS) for message in re.findall(r"`([^`]+)`", cells[0])}


@pytest.mark.parametrize("message", {one.text: one for one in printed_messages()}.values(), ids=lambda one: one.text[:60])
def test_it_has_an_entry(message: Message) -> None:
    assert message.text in explained(), f"{message.place} prints `{message.text}`: say in docs/troubleshooting.md what it means"


def test_every_entry_is_still_printed() -> None:
    assert explained() - {one.text for one in printed_messages()} == fail_states()


def fail_states() -> set[str]:
    """The errors with which the state machine itself ends."""
    machine = json.loads((ROOT / "step_functions" / "data_pipeline.asl.json").read_text(encoding="utf-8"))
    return {state["Error"] for state in _states(machine) if state["Type"] == "Fail" and "Error" in state}


def _states(machine: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for state in machine["States"].values():
        yield state
        for inner in [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]:
            yield from _states(inner)


def test_every_entry_has_a_cause_and_something_to_do() -> None:
    assert all(len(cells) == 3 and all(cells) for cells in rows(OURS))
    assert all(len(cells) == 4 and all(cells) for cells in rows(OF_AWS))
    assert len(rows(OF_AWS)) >= 30
