"""Validates the state machine's definition with Step Functions: free, and changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator

from car_rental.aws import Aws
from car_rental.checks.findings import Finding, ok, problem, warning
from car_rental.state_machine.definition import IF_MATCH, deployable_definition

_FIX = (
    "Correct step_functions/data_pipeline.asl.json there. Steps 5 to 8 by themselves (--process)"
    " need no state machine."
)


def definition_is_valid(aws: Aws) -> Iterator[Finding]:
    """Step Functions accepts the definition that step 4 would send."""
    machine, objections = deployable_definition(aws)
    for one in objections:
        yield problem(
            "Step Functions refuses the state machine's definition:"
            f" {one.get('location', 'somewhere')}: {one['code']}: {one['message']}",
            "Step 4 would fail.",
            _FIX,
        )
    if objections:
        return
    if IF_MATCH not in json.dumps(machine):
        yield warning(
            f"Step Functions does not know {IF_MATCH} of s3:putObject here",
            "Two executions that take over the lock of the same dead run in the same moment both"
            " create a cluster. Only one of them publishes.",
            "Nothing: step 4 deploys the definition without it.",
        )
        return
    yield ok(
        f"Step Functions accepts the definition of {aws.settings.step_functions_state_machine_name}"
    )
