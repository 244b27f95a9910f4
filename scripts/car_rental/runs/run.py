"""A run of main.py: its steps, and what they share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Aws, explain
from car_rental.display.console import Console
from car_rental.emr.costs import Usage
from car_rental.iam.roles_file import ROLES_FILE
from car_rental.runs.records import RunRecord
from car_rental.steps import STEPS

StepFunction = Callable[..., Any]  # the function of a step script; it has the name of its step


@dataclass
class Run:
    """One run. ``steps`` holds the names of the steps to run."""

    aws: Aws
    console: Console
    record: RunRecord
    steps: Sequence[str] = tuple(STEPS)
    roles_file: Path = ROLES_FILE
    keep_cluster: bool = False
    wait: bool = False
    usage: Usage | None = None

    def includes(self, function: StepFunction) -> bool:
        """Returns whether the step that ``function`` does is part of this run."""
        return function.__name__ in self.steps

    def step(self, function: StepFunction, **arguments: Any) -> Any:
        """Runs a step, displays and records it, and returns its result.

        If AWS rejects a request or cannot be reached, the raised error names the step.
        """
        step = STEPS[function.__name__]
        current = self.record.begin(step)
        with self.console.step(current), self.record.recording_outcome(current):
            try:
                result = function(self.aws, self.console, **arguments)
            except (ClientError, BotoCoreError) as error:
                raise explain(error, step.name) from error
            self.record.record_result(current, result)
        return result
