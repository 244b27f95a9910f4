"""The record of a run, a JSON file: its steps, ids, times, row counts, cost, and outcome."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from car_rental.config import Settings
from car_rental.emr.costs import Usage
from car_rental.emr.spark_steps import new_run_id
from car_rental.errors import ExitStatus
from car_rental.failures import as_failure
from car_rental.files import write_whole
from car_rental.steps import Step, StepRun

# every other error: failed
_OUTCOMES = {ExitStatus.STILL_RUNNING: "still running", ExitStatus.INTERRUPTED: "interrupted"}
# ids in a step's result that later steps and people need
_IDS = ("run_id", "cluster_id", "execution_arn")


@dataclass
class RunRecord:
    """One run of main.py.

    It is saved after each step: the record of a killed run shows the last step as ``running``.
    """

    flags: list[str]
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    settings: dict[str, Any] = field(default_factory=dict)
    outcome: str = "running"
    exit_code: int | None = None
    ended: datetime | None = None
    error: dict[str, Any] | None = None
    ids: dict[str, str] = field(default_factory=dict)
    steps: list[StepRun] = field(default_factory=list)
    tables: dict[str, int] = field(default_factory=dict)
    cost: dict[str, Any] | None = None
    folder: Path | None = None

    @property
    def file(self) -> Path | None:
        """The path of the record; None until the settings are known."""
        return self.folder / f"{new_run_id(self.started)}.json" if self.folder else None

    @property
    def command(self) -> str:
        """The command line as typed, without --record: the picture shows it."""
        return re.sub(r" --record[ =]\S+", "", shlex.join(["python", "main.py", *self.flags]))

    def belongs_to(self, settings: Settings) -> None:
        """Saves the record in the settings' folder from now on."""
        shown = ("environment", "aws_region", "s3_bucket_name", "emr_release_label")
        self.settings = {name: getattr(settings, name) for name in shown} | {
            "local": settings.is_local
        }
        self.folder = settings.runs_dir
        self.save()

    def begin(self, step: Step) -> StepRun:
        """Adds a step that begins."""
        run = StepRun(step, began=datetime.now(UTC))
        self.steps.append(run)
        self.save()
        return run

    @contextmanager
    def recording_outcome(self, run: StepRun) -> Iterator[None]:
        """Records how the step inside the block ended. Errors pass through."""
        try:
            yield
        except BaseException as error:
            run.outcome = _outcome(_exit_status(error))
            raise
        finally:
            run.seconds = round((datetime.now(UTC) - run.began).total_seconds(), 1)
            self.save()

    def record_result(self, run: StepRun, result: Any) -> None:
        """Records the result of a successful step."""
        values = dataclasses.asdict(result)
        run.outcome, run.summary, run.result = "ok", result.summary(), values
        self.ids |= {name: str(values[name]) for name in _IDS if values.get(name)}
        tables = values.get("counts", {}).get("tables", {})
        self.tables |= {name: table["rows"] for name, table in tables.items()}

    def record_id(self, name: str, value: str) -> None:
        """Records an id before the step ends.

        The record of a killed run then names the resources that still exist.
        """
        self.ids[name] = value
        self.save()

    def record_usage(self, usage: Usage) -> None:
        """Records the usage of the cluster."""
        self.cost = dataclasses.asdict(usage)
        self.save()

    @contextmanager
    def recording_end(self) -> Iterator[None]:
        """Records how the run inside the block ended. Errors pass through."""
        try:
            yield
        except BaseException as error:
            self._end(_exit_status(error), error)
            raise
        self._end(ExitStatus.OK)

    def _end(self, status: ExitStatus, error: BaseException | None = None) -> None:
        self.ended, self.exit_code = datetime.now(UTC), int(status)
        self.outcome = "ok" if error is None else _outcome(status)
        if isinstance(error, Exception):
            failure = as_failure(error, "main")
            names = ("where", "what", "fix", "log", "details")
            self.error = {name: getattr(failure, name) for name in names if getattr(failure, name)}
        self.save()

    def as_json(self) -> str:
        """The record as JSON. Money and hours are strings, so that no digit is lost."""
        values = {name: value for name, value in vars(self).items() if name != "folder"}
        values["steps"] = [_step_values(run) for run in self.steps]
        return json.dumps(values, indent=2, default=_plain)

    def save(self) -> None:
        """Writes the file atomically, once the settings are known."""
        if self.file is not None:
            write_whole(self.file, self.as_json() + "\n")


def _step_values(run: StepRun) -> dict[str, Any]:
    ended = {"seconds": run.seconds} if run.outcome != "running" else {}
    good = {"summary": run.summary, "result": run.result} if run.outcome == "ok" else {}
    return {
        **dataclasses.asdict(run.step),
        "began": run.began,
        "outcome": run.outcome,
        **ended,
        **good,
    }


def _plain(value: Any) -> str:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)


def _exit_status(error: BaseException) -> ExitStatus:
    if isinstance(error, KeyboardInterrupt):
        return ExitStatus.INTERRUPTED
    return (
        as_failure(error, "main").exit_status if isinstance(error, Exception) else ExitStatus.FAILED
    )


def _outcome(status: ExitStatus) -> str:
    return _OUTCOMES.get(status, "failed")
