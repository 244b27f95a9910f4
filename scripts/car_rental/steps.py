"""The steps and the phases that they belong to: the names that help, progress, summary, record and docs share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

# phase, which is also the flag of main.py -> its steps, each also the name of its script; `orchestrate` stands for `process`
PHASES = {
    "setup": ("setup_iam_roles", "setup_aws_environment", "setup_glue_crawlers", "deploy_step_functions"),
    "process": ("create_emr_cluster", "run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"),
    "orchestrate": ("execute_step_functions",),
    "analyze": ("analyze",),
}


@dataclass(frozen=True)
class Step:
    """One step of the workflow."""

    number: int
    name: str
    phase: str

    @property
    def title(self) -> str:
        """The step as people see it: ``6 run_spark_jobs``."""
        return f"{self.number} {self.name}"


_IN_ORDER = [(phase, name) for phase, names in PHASES.items() for name in names]
STEPS = {name: Step(number, name, phase) for number, (phase, name) in enumerate(_IN_ORDER, start=1)}


def numbers(phase: str) -> str:
    """The numbers of a phase's steps as people say them: ``steps 5 to 8``, ``step 9``."""
    names = PHASES[phase]
    first, last = STEPS[names[0]].number, STEPS[names[-1]].number
    return f"step {first}" if first == last else f"steps {first} to {last}"


@dataclass
class StepRun:
    """How a step of one run goes: the record keeps it, the terminal shows it."""

    step: Step
    began: datetime
    outcome: str = "running"
    seconds: float = 0.0
    summary: str = ""
    result: dict[str, Any] | None = None
    last: str = ""  # the last that was heard of it: what it waits for, and in which state that is

    @property
    def elapsed(self) -> float:
        """Seconds so far, or in all once it has ended."""
        return self.seconds if self.outcome != "running" else (datetime.now(UTC) - self.began).total_seconds()


def changes_in_words(changes: Mapping[str, str]) -> str:
    """``5 roles created; database unchanged``: what was done to things, each called by its kind and its name."""
    by_change: dict[str, Counter[str]] = {}
    for thing, change in changes.items():
        by_change.setdefault(change, Counter())[thing.rpartition(" ")[0]] += 1
    return "; ".join(f"{_kinds(kinds)} {change}" for change, kinds in by_change.items())


def _kinds(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}s" if count > 1 else kind for kind, count in kinds.items())
