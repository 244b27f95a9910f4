"""Validates the state machine's definition with Step Functions, which is free and changes
nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

from car_rental.aws import Aws
from car_rental.checks.findings import Finding, ok, problem
from car_rental.config import Settings
from car_rental.state_machine.definition import definition

_FIX = (
    "Correct step_functions/data_pipeline.asl.json there. Steps 5 to 8 by themselves (--process)"
    " need no state machine."
)


def definition_is_valid(settings: Settings, aws: Aws) -> Iterator[Finding]:
    """Step Functions accepts the definition that step 4 would send.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_ValidateStateMachineDefinition.html
    """
    text = json.dumps(definition(settings, aws.tag_list, aws.partition))
    answer = aws.client("stepfunctions").validate_state_machine_definition(definition=text)
    if answer["result"] == "OK":
        yield ok(
            f"Step Functions accepts the definition of {settings.step_functions_state_machine_name}"
        )
        return
    errors = [
        f"{one.get('location', 'somewhere')}: {one['code']}: {one['message']}"
        for one in answer["diagnostics"]
    ]
    for error in errors or ["no reason given"]:
        yield problem(
            f"Step Functions refuses the state machine's definition: {error}",
            "Step 4 would fail.",
            _FIX,
        )
