#!/usr/bin/env python3
"""Draws the state machine: docs/state_machine.md, a Mermaid diagram made from step_functions/data_pipeline.asl.json.

Run it after a change of the definition; a test fails while the diagram is out of date.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from typing import Any

from config import ROOT
from workflow.state_machine import DEFINITION

DOCUMENT = ROOT / "docs" / "state_machine.md"
_HEAD = """\
<!-- The state machine as a diagram, made by scripts/draw_state_machine.py from step_functions/data_pipeline.asl.json -->
# The state machine

What step 4 deploys and step 9 runs. Arrows that say "fails" are taken when a state fails. Whatever fails once there is a
cluster ends in `TerminateAfterFailure`. An end that no state sees (the execution is stopped or times out as a whole) is
answered by the cluster reaper and, should that fail too, by the cluster's own idle timeout.

"""

State = dict[str, Any]


def document() -> str:
    """The text of the document."""
    definition = json.loads(DEFINITION.read_text(encoding="utf-8"))
    return f"{_HEAD}```mermaid\nstateDiagram-v2\n" + "\n".join(_machine(definition, 1)) + "\n```\n"


def _machine(machine: State, depth: int) -> Iterator[str]:
    """The lines of a machine: the whole, a branch of a Parallel state, or what a Map state does with each item."""
    indent = "    " * depth
    yield f"{indent}[*] --> {machine['StartAt']}"
    for name, state in machine["States"].items():
        yield from _inner_machines(name, state, depth)
        for target in _targets(state):
            yield f"{indent}{name} --> {target}"
        for caught in state.get("Catch", []):
            yield f"{indent}{name} --> {caught['Next']}: fails ({', '.join(caught['ErrorEquals'])})"
        if state["Type"] == "Fail":
            yield f"{indent}{name}: {name} ✗"


def _inner_machines(name: str, state: State, depth: int) -> Iterator[str]:
    inner = [*state.get("Branches", []), *([state["ItemProcessor"]] if "ItemProcessor" in state else [])]
    if not inner:
        return
    indent = "    " * depth
    yield f"{indent}state {name} {{"
    for number, machine in enumerate(inner):
        if number:
            yield f"{indent}    --"  # side by side
        yield from _machine(machine, depth + 1)
    yield f"{indent}}}"


def _targets(state: State) -> list[str]:
    """Where the state leads when it does not fail; ``[*]`` is the end."""
    choices = [choice["Next"] for choice in state.get("Choices", [])]
    after = [state[key] for key in ("Default", "Next") if key in state]
    ends = ["[*]"] if state.get("End") or state["Type"] in ("Succeed", "Fail") else []
    return list(dict.fromkeys([*choices, *after, *ends]))


def main() -> int:
    """Writes the document."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(document(), encoding="utf-8")
    sys.stderr.write(f"{DOCUMENT.relative_to(ROOT)} written\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
