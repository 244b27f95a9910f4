"""The state machine as a Mermaid diagram, drawn from its definition."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from car_rental.state_machine.definition import DEFINITION

State = dict[str, Any]


def state_machine() -> str:
    """The diagram."""
    definition = json.loads(DEFINITION.read_text(encoding="utf-8"))
    return "```mermaid\nstateDiagram-v2\n" + "\n".join(_machine(definition, 1)) + "\n```"


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
