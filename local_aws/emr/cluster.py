"""A cluster and its steps: their states, and one thread per cluster that changes these."""

from __future__ import annotations

import logging
import secrets
import string
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from local_aws.clients import ACCOUNT_ID
from local_aws.emr.step_execution import Failure
from local_aws.emr.submission import Submission, parse_submission
from local_aws.overlay import AwsError

log = logging.getLogger(__name__)

# These states take minutes on AWS; here, just long enough for a polling client to see them.
TRANSIENT_SECONDS = 0.1
# PENDING and RUNNING:
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/AddMoreThan256Steps.html
MOST_STEPS = 256
ENDED_STEP = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
ENDED_CLUSTER = frozenset({"TERMINATED", "TERMINATED_WITH_ERRORS"})
CLOSING = ENDED_CLUSTER | {"TERMINATING"}

_ID_LETTERS = string.ascii_uppercase + string.digits


class RunningStep(Protocol):
    """One run of a step: ``execute`` once, ``cancel`` at any time from any thread."""

    def execute(self) -> Failure | None:
        """Runs to the end; returns why it failed, ``None`` if it succeeded."""

    def cancel(self) -> None:
        """Ends the run."""


def new_id(prefix: str) -> str:
    """An id in EMR's format: ``j-2AXXXXXXGAPLF``."""
    return f"{prefix}-{''.join(secrets.choice(_ID_LETTERS) for _ in range(13))}"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Step:
    """One step: its submission and its state."""

    name: str
    on_failure: str
    args: Sequence[str]
    submission: Submission
    step_id: str = field(default_factory=lambda: new_id("s"))
    state: str = "PENDING"
    failure: Failure | None = None
    created: datetime = field(default_factory=now)
    started: datetime | None = None
    ended: datetime | None = None

    def end(self, state: str, failure: Failure | None = None) -> None:
        """Sets its final state."""
        self.state, self.failure, self.ended = state, failure, now()

    def describe(self) -> dict[str, Any]:
        """The step in the format of DescribeStep and ListSteps."""
        return {
            "Id": self.step_id,
            "Name": self.name,
            "ActionOnFailure": self.on_failure,
            "Config": {"Jar": "command-runner.jar", "Properties": {}, "Args": list(self.args)},
            "Status": self._status(),
        }

    @classmethod
    def from_record(cls, described: Mapping[str, Any]) -> Step:
        """A step of an earlier server, from that server's ``describe``."""
        status, failure = described["Status"], described["Status"].get("FailureDetails")
        moments = {key: _moment(value) for key, value in status["Timeline"].items()}
        args = described["Config"]["Args"]
        step = cls(
            described["Name"],
            described["ActionOnFailure"],
            args,
            parse_submission(args),
            described["Id"],
        )
        step.created, step.started = (
            moments["CreationDateTime"] or now(),
            moments.get("StartDateTime"),
        )
        step.state, step.ended = status["State"], moments.get("EndDateTime")
        if failure:
            step.failure = Failure(
                failure.get("Reason", ""), failure.get("Message", ""), failure.get("LogFile")
            )
        if step.state not in ENDED_STEP:
            step.end("CANCELLED")
        return step

    def _status(self) -> dict[str, Any]:
        status: dict[str, Any] = {
            "State": self.state,
            "StateChangeReason": {},
            "Timeline": timeline(
                CreationDateTime=self.created, StartDateTime=self.started, EndDateTime=self.ended
            ),
        }
        if self.failure:
            details = {
                "Reason": self.failure.reason,
                "Message": self.failure.message,
                "LogFile": self.failure.log_file,
            }
            status["FailureDetails"] = {key: value for key, value in details.items() if value}
        return status


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def timeline(**moments: datetime | None) -> dict[str, datetime]:
    """The ``moments`` that are not None."""
    return {name: moment for name, moment in moments.items() if moment}


@dataclass(frozen=True)
class ClusterSettings:
    """Settings that can change while a cluster runs; ``idle_timeout`` is in seconds."""

    concurrency: int = 1
    keep_alive: bool = False
    protected: bool = False
    idle_timeout: float | None = None

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> ClusterSettings:
        instances = request["Instances"]
        return cls(
            concurrency=request.get("StepConcurrencyLevel", 1),
            keep_alive=instances.get("KeepJobFlowAliveWhenNoSteps", False),
            protected=instances.get("TerminationProtected", False),
            idle_timeout=(
                request["AutoTerminationPolicy"].get("IdleTimeout", 3600)
                if "AutoTerminationPolicy" in request
                else None
            ),
        )


class Cluster:
    """A cluster; its thread starts pending steps up to the concurrency level, and ends the cluster.

    Every method may be called from any thread. ``on_change`` is called on each change of state of
    the cluster or of a step.
    """

    def __init__(
        self,
        request: Mapping[str, Any],
        region: str,
        start_run: Callable[[Cluster, Step], RunningStep],
        on_change: Callable[[Cluster], None] = lambda cluster: None,
    ) -> None:
        self.request = request
        self.settings = ClusterSettings.of(request)
        self.region = region
        self.cluster_id = new_id("j")
        self.tags = {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}
        self.steps: list[Step] = []
        self.state = "STARTING"
        self.created = now()
        self.ready: datetime | None = None
        self.ended: datetime | None = None
        self.reason: dict[str, str] = {"Message": "Provisioning Amazon EC2 capacity"}
        self._start_run = start_run
        self._on_change = on_change
        self._changed = threading.Condition()
        self._runs: dict[str, RunningStep] = {}
        self._end_state: str | None = None
        self._idle_since = time.monotonic()
        self._thread = threading.Thread(target=self._run_thread, name=self.cluster_id, daemon=True)

    @property
    def arn(self) -> str:
        return f"arn:aws:elasticmapreduce:{self.region}:{ACCOUNT_ID}:cluster/{self.cluster_id}"

    @classmethod
    def from_record(
        cls, record: Mapping[str, Any], start_run: Callable[[Cluster, Step], RunningStep]
    ) -> Cluster:
        """A terminated cluster of an earlier server, from its ``record``."""
        cluster = cls(record["request"], record["region"], start_run)
        moments = {key: _moment(value) for key, value in record["status"]["Timeline"].items()}
        cluster.cluster_id, cluster.tags = record["id"], record["tags"]
        cluster.created, cluster.ready = (
            moments["CreationDateTime"] or now(),
            moments.get("ReadyDateTime"),
        )
        cluster.steps = [Step.from_record(step) for step in record["steps"]]
        cluster.state, cluster.reason = (
            record["status"]["State"],
            record["status"]["StateChangeReason"],
        )
        cluster.ended = moments.get("EndDateTime")
        if cluster.state not in ENDED_CLUSTER:
            cluster.state, cluster.ended = "TERMINATED_WITH_ERRORS", now()
            cluster.reason = {
                "Code": "INTERNAL_ERROR",
                "Message": "The local AWS ended while the cluster existed",
            }
        cluster._end_state = cluster.state
        return cluster

    def record(self) -> dict[str, Any]:
        """All that a later server needs to describe the cluster."""
        with self._changed:
            return {
                "id": self.cluster_id,
                "region": self.region,
                "request": self.request,
                "tags": self.tags,
                "status": self.status(),
                "steps": [step.describe() for step in self.steps],
            }

    def start(self) -> None:
        """Starts the cluster's thread; returns at once."""
        self._thread.start()

    def join(self, seconds: float) -> bool:
        """Waits for its end; returns whether it has ended."""
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    # called by read operations of the API

    def step(self, step_id: str) -> Step | None:
        return next((step for step in self.steps if step.step_id == step_id), None)

    def status(self) -> dict[str, Any]:
        """The cluster's status in the format of ``Cluster.Status``."""
        with self._changed:
            moments = timeline(
                CreationDateTime=self.created, ReadyDateTime=self.ready, EndDateTime=self.ended
            )
            return {
                "State": self.state,
                "StateChangeReason": dict(self.reason),
                "Timeline": moments,
            }

    # called by operations of the API that change something

    def add(self, steps: Sequence[Step]) -> None:
        """Queues ``steps``; raises AWS's ``AwsError`` if they cannot be queued."""
        with self._changed:
            if self._closing:
                raise AwsError(
                    "ValidationException",
                    "A job flow that is shutting down, terminated, or finished may not be"
                    " modified.",
                )
            if sum(step.state not in ENDED_STEP for step in self.steps) + len(steps) > MOST_STEPS:
                raise AwsError(
                    "ValidationException",
                    "Maximum number of active steps(State = 'Running', 'Pending' or"
                    " 'Cancel_Pending') for cluster exceeded.",
                )
            wrong = [step.on_failure for step in steps if step.on_failure != "CONTINUE"]
            if self.settings.concurrency > 1 and wrong:
                raise AwsError(
                    "ValidationException",
                    f"ActionOnFailure {wrong[0]} is not valid for a cluster whose"
                    " StepConcurrencyLevel is greater than 1. Use CONTINUE.",
                )
            self.steps += steps
            self._notify()

    def change(self, **settings: Any) -> None:
        """Changes ``ClusterSettings``, with immediate effect."""
        with self._changed:
            self.settings = replace(self.settings, **settings)
            self._changed.notify_all()

    def cancel(self, step: Step) -> str:
        """Cancels a step that has not ended; returns why that is impossible, or an empty string."""
        with self._changed:
            if step.state not in ("PENDING", "RUNNING"):
                return f"Step {step.step_id} is in state {step.state}, which cannot be cancelled"
            self._cancel(step)
            self._changed.notify_all()
            return ""

    def terminate(
        self,
        state: str = "TERMINATED",
        code: str = "USER_REQUEST",
        message: str = "Terminated by user request",
    ) -> None:
        """Starts the shutdown, unless it has started; ``state`` is the final state."""
        with self._changed:
            if self._end_state is None:
                self._end_state = state
                self.reason = {"Code": code, "Message": message}
                self._changed.notify_all()

    # the cluster's thread

    @property
    def _closing(self) -> bool:
        return self._end_state is not None

    def _run_thread(self) -> None:
        try:
            self._pause()
            self._enter_briefly("BOOTSTRAPPING", "Running bootstrap actions")
            self._enter_briefly("RUNNING", "Running step")
            self._run_steps()
            self._close()
        except Exception:
            log.exception("local_aws failed while it ran cluster %s", self.cluster_id)
            self._enter(
                "TERMINATED_WITH_ERRORS",
                {"Code": "INTERNAL_ERROR", "Message": "local_aws has a bug; see its log"},
            )

    def _enter_briefly(self, state: str, message: str) -> None:
        with self._changed:
            if not self._closing:
                self._enter(state, {"Message": message})
                self._pause()

    def _pause(self) -> None:
        """Waits for a moment in the current state, shorter if the shutdown starts."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing, TRANSIENT_SECONDS)

    def _run_steps(self) -> None:
        with self._changed:
            self.ready = now()
            self._idle_since = time.monotonic()
            while not self._closing:
                self._start_pending()
                self._update_state()
                if not self._closing:
                    self._changed.wait(self._until_idle_end())

    def _start_pending(self) -> None:
        pending = [step for step in self.steps if step.state == "PENDING"]
        for step in pending[: max(0, self.settings.concurrency - len(self._runs))]:
            step.state, step.started = "RUNNING", now()
            self._runs[step.step_id] = run = self._start_run(self, step)
            self._notify()
            threading.Thread(
                target=self._run, args=(step, run), name=step.step_id, daemon=True
            ).start()

    def _update_state(self) -> None:
        """Changes the cluster's state to match its steps."""
        if self._runs:
            self._enter("RUNNING", {"Message": "Running step"})
            return
        if not self.settings.keep_alive:
            failed = any(step.state == "FAILED" for step in self.steps)
            self.terminate(
                code="ALL_STEPS_COMPLETED",
                message="Steps completed with errors" if failed else "Steps completed",
            )
            return
        done = " after last step completed" if self.steps else " to run steps"
        if self.state != "WAITING":
            self._idle_since = time.monotonic()
            self._enter("WAITING", {"Message": f"Cluster ready{done}."})
        if self._until_idle_end() == 0:
            self.terminate(
                message=(
                    f"Cluster was idle for {self.settings.idle_timeout} seconds"
                    " (AutoTerminationPolicy)"
                )
            )

    def _until_idle_end(self) -> float | None:
        """Seconds until the auto-termination policy ends the cluster, or ``None``."""
        if self._runs or self.settings.idle_timeout is None or self.settings.protected:
            return None
        return max(0.0, self._idle_since + self.settings.idle_timeout - time.monotonic())

    def _close(self) -> None:
        with self._changed:
            self._enter("TERMINATING", self.reason)
            for step in self.steps:
                if step.state not in ENDED_STEP:
                    self._cancel(step)
            self._changed.wait_for(lambda: not self._runs)
        time.sleep(TRANSIENT_SECONDS)
        assert self._end_state
        self._enter(self._end_state, self.reason)

    def _enter(self, state: str, reason: dict[str, str]) -> None:
        with self._changed:
            self.state, self.reason = state, reason
            self.ended = now() if state in ENDED_CLUSTER else None
            self._notify()

    def _notify(self) -> None:
        self._on_change(self)
        self._changed.notify_all()

    def _run(self, step: Step, run: RunningStep) -> None:
        try:
            failure = run.execute()
        except Exception as error:
            log.exception("local_aws failed in step %s", step.step_id)
            failure = Failure("local_aws has a bug", f"{error.__class__.__name__}: {error}", None)
        with self._changed:
            del self._runs[step.step_id]
            if step.state == "CANCEL_PENDING":
                step.end("CANCELLED")
            else:
                step.end("FAILED" if failure else "COMPLETED", failure)
            if step.state == "FAILED":
                self._after_failure(step)
            self._notify()

    def _after_failure(self, step: Step) -> None:
        """Acts on the step's ActionOnFailure.

        A protected cluster survives the failure of a step that would end it, but its pending steps
        are cancelled:
        https://docs.aws.amazon.com/emr/latest/ManagementGuide/UsingEMR_TerminationProtection.html
        """
        if step.on_failure == "CONTINUE":
            return
        if step.on_failure == "CANCEL_AND_WAIT" or self.settings.protected:
            for other in self.steps:
                if other.state == "PENDING":
                    self._cancel(other)
            return
        self.terminate("TERMINATED_WITH_ERRORS", "STEP_FAILURE", "Shut down as step failed")

    def _cancel(self, step: Step) -> None:
        run = self._runs.get(step.step_id)
        if run is None:
            step.end("CANCELLED")
        else:
            step.state = "CANCEL_PENDING"
            run.cancel()
