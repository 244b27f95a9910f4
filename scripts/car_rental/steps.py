"""The ten steps and their phases: one list for help, progress, summaries, records and documents."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# phase (also the flag of main.py) -> its steps (also the names of the scripts); `orchestrate`
# replaces `process`
PHASES = {
    "setup": (
        "setup_iam_roles",
        "setup_aws_environment",
        "setup_glue_crawlers",
        "deploy_step_functions",
    ),
    "process": (
        "create_emr_cluster",
        "run_spark_jobs",
        "run_glue_crawlers",
        "terminate_emr_cluster",
    ),
    "orchestrate": ("execute_step_functions",),
    "analyze": ("analyze",),
}


@dataclass(frozen=True)
class Step:
    """One of the ten steps."""

    number: int
    name: str
    phase: str

    @property
    def title(self) -> str:
        """The step for people: ``6 run_spark_jobs``."""
        return f"{self.number} {self.name}"


_IN_ORDER = [(phase, name) for phase, names in PHASES.items() for name in names]
STEPS = {name: Step(number, name, phase) for number, (phase, name) in enumerate(_IN_ORDER, start=1)}


def numbers(phase: str) -> str:
    """The numbers of a phase's steps: ``steps 5 to 8``, ``step 9``."""
    names = PHASES[phase]
    first, last = STEPS[names[0]].number, STEPS[names[-1]].number
    return f"step {first}" if first == last else f"steps {first} to {last}"


@dataclass
class StepRun:
    """The progress of one step of a run: recorded, and shown on the terminal."""

    step: Step
    began: datetime
    outcome: str = "running"
    seconds: float = 0.0
    summary: str = ""
    result: dict[str, Any] | None = None
    last: str = ""  # the last message: the thing it waits for, and its state

    @property
    def elapsed(self) -> float:
        """Seconds so far, or in total once the step has ended."""
        return (
            self.seconds
            if self.outcome != "running"
            else (datetime.now(UTC) - self.began).total_seconds()
        )
