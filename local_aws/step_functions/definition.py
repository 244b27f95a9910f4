"""Validates a definition as CreateStateMachine does, and rejects by name what cannot run here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from moto.stepfunctions.parser.asl.parse.asl_parser import ASLParserException

from local_aws.step_functions.graph import graph_problems, machines
from local_aws.step_functions.integrations import task_problems
from local_aws.step_functions.problems import SCHEMA, Problem, unsupported
from local_aws.step_functions.syntax import parse

_MOST_BYTES = 1024 * 1024
# https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
_LONGEST_NAME = 80
_DISTRIBUTED = ("ItemReader", "ItemBatcher", "ResultWriter")


class _Twice(ValueError):
    """A duplicate field in a JSON object; JSON parsers would keep the last one."""


def definition_problems(text: str) -> list[Problem]:
    """All problems of the definition; none if it can be created and executed."""
    if len(text.encode()) > _MOST_BYTES:
        return [Problem(SCHEMA, f"The definition is longer than {_MOST_BYTES} bytes", "/")]
    try:
        definition = json.loads(text, object_pairs_hook=_without_twins)
    except ValueError as error:
        return [Problem("INVALID_JSON_DESCRIPTION", str(error), "/")]
    if not isinstance(definition, dict) or not isinstance(definition.get("States"), dict):
        return [Problem(SCHEMA, 'The field "States" is required but was missing', "/")]
    return list(_query_language(definition)) or _problems(text, definition)


def _problems(text: str, definition: dict[str, Any]) -> list[Problem]:
    """Problems that moto's parser finds (fields and types), and those of this package."""
    try:
        parse(text)
    except ASLParserException as error:
        return [Problem(SCHEMA, "; ".join(error.errors) or "the definition cannot be read", "/")]
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        return _own_problems(definition) or [Problem(SCHEMA, str(error), "/")]
    return _own_problems(definition)


def _own_problems(definition: dict[str, Any]) -> list[Problem]:
    return [*graph_problems(definition), *_state_problems(definition)]


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise _Twice(f"Duplicate field '{key}'")
        found[key] = value
    return found


def _query_language(definition: dict[str, Any]) -> Iterator[Problem]:
    """Problems of JSONata; checked first, because it changes the meaning of all fields."""
    holders = [(definition, "")]
    holders += [
        (state, f"{machine.location}/States/{name}")
        for machine in machines(definition)
        for name, state in machine.states.items()
    ]
    for holder, location in holders:
        if holder.get("QueryLanguage", "JSONPath") != "JSONPath":
            yield unsupported(
                f"the query language {holder['QueryLanguage']}; use JSONPath",
                f"{location}/QueryLanguage",
            )


def _state_problems(definition: dict[str, Any]) -> Iterator[Problem]:
    for machine in machines(definition):
        for name, state in machine.states.items():
            location = f"{machine.location}/States/{name}"
            if len(name) > _LONGEST_NAME:
                yield Problem(
                    SCHEMA, f"State names must be {_LONGEST_NAME} characters or shorter", location
                )
            if state.get("Type") == "Task":
                yield from task_problems(state, location)
            if state.get("Type") == "Map":
                yield from _distributed(state, location)


def _distributed(state: dict[str, Any], location: str) -> Iterator[Problem]:
    settings = state.get("ItemProcessor", {}).get("ProcessorConfig", {})
    fields = [field for field in _DISTRIBUTED if field in state]
    if settings.get("Mode") == "DISTRIBUTED" or fields:
        yield unsupported("Map states in distributed mode", location)
