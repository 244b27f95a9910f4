"""Validates the graph of a definition: names, transitions, reachability, ends, handlers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from local_aws.step_functions.problems import SCHEMA, TARGET, Problem

_LAST = ("Succeed", "Fail")  # types of states that end the execution without ``End``
_ALL_ERRORS = "States.ALL"


@dataclass(frozen=True)
class Machine:
    """The whole definition, a branch of a Parallel state, or the processor of a Map state."""

    location: str
    start_at: Any
    states: dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Transition:
    """A field that names the next state."""

    target: Any
    field: str
    location: str


def machines(definition: dict[str, Any], location: str = "") -> Iterator[Machine]:
    """Yields ``definition`` and every state machine inside it."""
    states = {
        name: state
        for name, state in (definition.get("States") or {}).items()
        if isinstance(state, dict)
    }
    yield Machine(location, definition.get("StartAt"), states)
    for name, state in states.items():
        for inner, where in _inside(state):
            yield from machines(inner, f"{location}/States/{name}/{where}")


def _inside(state: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    for number, branch in enumerate(state.get("Branches") or []):
        yield branch, f"Branches[{number}]"
    for field in ("ItemProcessor", "Iterator"):
        if field in state:
            yield state[field], field


def graph_problems(definition: dict[str, Any]) -> Iterator[Problem]:
    found = list(machines(definition))
    yield from _duplicates(found)
    for machine in found:
        yield from _targets(machine)
        yield from _unreachable(machine)
        for name, state in machine.states.items():
            yield from _way_out(state, f"{machine.location}/States/{name}")
            yield from _handlers(state, f"{machine.location}/States/{name}")


def _duplicates(found: list[Machine]) -> Iterator[Problem]:
    times = Counter(name for machine in found for name in machine.states)
    for machine in found:
        for name in machine.states:
            if times[name] > 1:
                yield Problem(
                    "DUPLICATE_STATE_NAME",
                    f"Duplicate State name: {name}",
                    f"{machine.location}/States/{name}",
                )


def _targets(machine: Machine) -> Iterator[Problem]:
    start = Transition(machine.start_at, "StartAt", f"{machine.location}/StartAt")
    leaving = [
        way
        for name, state in machine.states.items()
        for way in _transitions(state, f"{machine.location}/States/{name}")
    ]
    for way in (start, *leaving):
        if way.target not in machine.states:
            yield Problem(TARGET, f"Missing '{way.field}' target: {way.target}", way.location)


def _unreachable(machine: Machine) -> Iterator[Problem]:
    reached: set[str] = set()
    ahead = [machine.start_at]
    while ahead:
        name = ahead.pop()
        if name in machine.states and name not in reached:
            reached.add(name)
            ahead += [way.target for way in _transitions(machine.states[name], "")]
    for name in machine.states:
        if name not in reached:
            yield Problem(
                TARGET, f'State "{name}" is not reachable.', f"{machine.location}/States/{name}"
            )


def _transitions(state: dict[str, Any], location: str) -> Iterator[Transition]:
    for field in ("Next", "Default"):
        if field in state:
            yield Transition(state[field], field, f"{location}/{field}")
    for field in ("Choices", "Catch"):
        for number, rule in enumerate(state.get(field) or []):
            if "Next" in rule:
                yield Transition(rule["Next"], "Next", f"{location}/{field}[{number}]/Next")


def _way_out(state: dict[str, Any], location: str) -> Iterator[Problem]:
    kind, ways = state.get("Type"), [field for field in ("Next", "End") if field in state]
    if kind in _LAST or kind == "Choice":
        for field in ways:
            yield Problem(
                SCHEMA,
                f"The field '{field}' is not supported for a {kind} state",
                f"{location}/{field}",
            )
    elif len(ways) != 1 or state.get("End", True) is not True:
        yield Problem(
            SCHEMA,
            "A state must have exactly one of the fields 'Next' and 'End', and 'End' must be true",
            location,
        )


def _handlers(state: dict[str, Any], location: str) -> Iterator[Problem]:
    for field in ("Retry", "Catch"):
        rules = state.get(field) or []
        for number, rule in enumerate(rules):
            errors = rule.get("ErrorEquals", [])
            if _ALL_ERRORS in errors and (len(errors) > 1 or number < len(rules) - 1):
                where = f"{location}/{field}[{number}]/ErrorEquals"
                yield Problem(
                    SCHEMA, f"{_ALL_ERRORS} must appear alone, and in the last of the rules", where
                )
