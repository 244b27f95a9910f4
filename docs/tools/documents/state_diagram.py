"""The state machine as a Mermaid diagram: its main states, and the paths between them.

The paths are read from the definition.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from car_rental.state_machine.definition import DEFINITION

State = dict[str, Any]

# states that do work, and final states; without polling, retries and error messages
MAIN_STATES = (
    *("ReadLock", "AnotherRunWorks", "LookForNewerRun", "RunIdIsOld", "CreateCluster"),
    *(
        "Work",
        "CleanRentals",
        "Metrics",
        "VehicleLocationMetrics",
        "UserTransactionMetrics",
        "PublishRun",
    ),
    *("TerminateCluster", "Publication", "StartCrawler", "CheckTables", "Published"),
    *("TerminateAfterFailure", "PipelineFailed"),
)


def state_machine() -> str:
    """The diagram."""
    definition = json.loads(DEFINITION.read_text(encoding="utf-8"))
    lines = ["```mermaid", "stateDiagram-v2", "    direction TB", *_machine(definition, 1), "```"]
    return "\n".join(lines)


def _machine(machine: State, depth: int) -> Iterator[str]:
    """The lines of the whole state machine, or of one branch of a Parallel state."""
    indent, states = "    " * depth, machine["States"]
    yield from (f"{indent}[*] --> {name}" for name in _main(states, [machine["StartAt"]]))
    for name in filter(MAIN_STATES.__contains__, states):
        yield from _branches(name, states[name], depth)
        after = [target for target in _main(states, _targets(states[name])) if target != name]
        yield from (f"{indent}{name} --> {target}" for target in after)
        caught = _main(states, (catch["Next"] for catch in states[name].get("Catch", [])))
        yield from (
            f"{indent}{name} --> {target}: fails"
            for target in caught
            if target not in (name, *after)
        )
        if states[name]["Type"] in ("Fail", "Succeed"):
            yield f"{indent}{name} --> [*]"


def _branches(name: str, state: State, depth: int) -> Iterator[str]:
    """The lines of a Parallel state: its branches side by side."""
    if "Branches" not in state:
        return
    indent = "    " * depth
    yield f"{indent}state {name} {{"
    for number, machine in enumerate(state["Branches"]):
        if number:
            yield f"{indent}    --"
        yield from _machine(machine, depth + 1)
    yield f"{indent}}}"


def _main(states: State, names: Iterable[str]) -> list[str]:
    """The first main states on every path that begins at one of ``names``."""
    found, seen, waiting = [], set(), list(names)
    while waiting:
        name = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        if name in MAIN_STATES:
            found.append(name)
        else:
            caught = [catch["Next"] for catch in states[name].get("Catch", [])]
            waiting += [*_targets(states[name]), *caught]
    return found


def _targets(state: State) -> list[str]:
    """The states that follow when the state succeeds."""
    choices = [choice["Next"] for choice in state.get("Choices", [])]
    return [*choices, *(state[key] for key in ("Default", "Next") if key in state)]
