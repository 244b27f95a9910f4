"""The states of a cluster and its steps, with fake runs that end on command."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_aws.emr.cluster import Cluster, Step
from local_aws.emr.step_execution import Failure
from local_aws.emr.submission import Submission
from local_aws.overlay import AwsError


class FakeRun:
    """A run that lasts until ``end`` or ``cancel``."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.cancelled = False
        self._ended = threading.Event()
        self._error: Failure | Exception | None = None

    def execute(self) -> Failure | None:
        assert self._ended.wait(10)
        if isinstance(self._error, Exception):
            raise self._error
        return self._error

    def cancel(self) -> None:
        self.cancelled = True
        self.end(Failure("Unknown Error.", "killed", None))

    def end(self, error: Failure | Exception | None = None) -> None:
        self._error = error
        self._ended.set()


class ClusterLog:
    """One cluster, its runs by the name of the step, and every state that was observed."""

    def __init__(self) -> None:
        self.runs: dict[str, FakeRun] = {}
        self.states: list[str] = []
        self.cluster: Cluster

    def create(
        self,
        *steps: Step,
        keep_alive: bool = True,
        concurrency: int = 1,
        protected: bool = False,
        **parameters: Any,
    ) -> Cluster:
        instances = {"KeepJobFlowAliveWhenNoSteps": keep_alive, "TerminationProtected": protected}
        request = {
            "Name": "c",
            "Instances": instances,
            "StepConcurrencyLevel": concurrency,
            **parameters,
        }
        self.cluster = Cluster(request, "us-east-1", self._start)
        self.cluster.add(steps)
        self.cluster.start()
        return self.cluster

    def _start(self, _cluster: Cluster, step: Step) -> FakeRun:
        return self.runs.setdefault(step.name, FakeRun(step))

    def wait(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + 5
        while not condition():
            self._record_state()
            assert time.monotonic() < deadline, (
                f"{self.cluster.state} {[(s.name, s.state) for s in self.cluster.steps]}"
            )
            time.sleep(0.002)
        self._record_state()

    def _record_state(self) -> None:
        if self.states[-1:] != [self.cluster.state]:
            self.states.append(self.cluster.state)

    def wait_for(self, state: str) -> None:
        self.wait(lambda: self.cluster.state == state)

    def wait_for_run(self, name: str) -> FakeRun:
        self.wait(lambda: name in self.runs)
        return self.runs[name]

    def wait_for_steps(self, **states: str) -> None:
        """Waits for these states: ``a="COMPLETED"`` is the state of step a."""
        self.wait(lambda: {step.name: step.state for step in self.cluster.steps} == states)


@pytest.fixture
def log() -> Iterator[ClusterLog]:
    log = ClusterLog()
    yield log
    log.cluster.terminate()
    assert log.cluster.join(5)


def step(name: str, on_failure: str = "CONTINUE") -> Step:
    return Step(name, on_failure, ["spark-submit", "x.py"], Submission(False, (), "x.py", ()))


FAILURE = Failure("Unknown Error.", "no such column", None)


def test_a_cluster_passes_through_all_states_from_starting_to_terminated(log: ClusterLog) -> None:
    log.create()
    log.wait_for("WAITING")
    log.cluster.terminate()
    log.wait_for("TERMINATED")
    assert log.states == [
        "STARTING",
        "BOOTSTRAPPING",
        "RUNNING",
        "WAITING",
        "TERMINATING",
        "TERMINATED",
    ]
    status = log.cluster.status()
    assert status["StateChangeReason"] == {
        "Code": "USER_REQUEST",
        "Message": "Terminated by user request",
    }
    moments = status["Timeline"]
    assert moments["CreationDateTime"] < moments["ReadyDateTime"] < moments["EndDateTime"]


def test_steps_run_one_after_the_other(log: ClusterLog) -> None:
    log.create(step("a"), step("b"))
    log.wait_for_steps(a="RUNNING", b="PENDING")
    log.runs["a"].end()
    log.wait_for_steps(a="COMPLETED", b="RUNNING")
    log.runs["b"].end()
    log.wait_for("WAITING")
    a, b = log.cluster.steps
    assert a.created <= a.started <= a.ended <= b.started <= b.ended  # type: ignore[operator]


def test_the_concurrency_level_limits_concurrent_steps(log: ClusterLog) -> None:
    log.create(step("a"), step("b"), step("c"), concurrency=2)
    log.wait_for_steps(a="RUNNING", b="RUNNING", c="PENDING")
    log.runs["b"].end()
    log.wait_for_steps(a="RUNNING", b="COMPLETED", c="RUNNING")


def test_a_higher_concurrency_level_starts_pending_steps(log: ClusterLog) -> None:
    log.create(step("a"), step("b"))
    log.wait_for_steps(a="RUNNING", b="PENDING")
    log.cluster.change(concurrency=2)
    log.wait_for_steps(a="RUNNING", b="RUNNING")


def test_continue_runs_the_next_step_after_a_failure(log: ClusterLog) -> None:
    log.create(step("a"), step("b"))
    log.wait_for_run("a").end(Failure("Unknown Error.", "no such column", "s3://b/stdout.gz"))
    log.wait_for_steps(a="FAILED", b="RUNNING")
    details = log.cluster.steps[0].describe()["Status"]["FailureDetails"]
    assert details == {
        "Reason": "Unknown Error.",
        "Message": "no such column",
        "LogFile": "s3://b/stdout.gz",
    }


def test_an_exception_in_local_aws_fails_the_step(log: ClusterLog) -> None:
    log.create(step("a"))
    log.wait_for_run("a").end(ValueError("oops"))
    log.wait_for_steps(a="FAILED")
    assert log.cluster.steps[0].failure == Failure("local_aws has a bug", "ValueError: oops", None)


def test_cancel_and_wait_cancels_pending_steps(log: ClusterLog) -> None:
    log.create(step("a", "CANCEL_AND_WAIT"), step("b"), step("c"))
    log.wait_for_run("a").end(FAILURE)
    log.wait_for_steps(a="FAILED", b="CANCELLED", c="CANCELLED")
    log.wait_for("WAITING")


@pytest.mark.parametrize("action", ["TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_terminate_cluster_terminates_after_a_failure(log: ClusterLog, action: str) -> None:
    log.create(step("a", action), step("b"))
    log.wait_for_run("a").end(FAILURE)
    log.wait_for("TERMINATED_WITH_ERRORS")
    log.wait_for_steps(a="FAILED", b="CANCELLED")
    assert log.cluster.status()["StateChangeReason"] == {
        "Code": "STEP_FAILURE",
        "Message": "Shut down as step failed",
    }


def test_a_protected_cluster_survives_a_failure(log: ClusterLog) -> None:
    log.create(step("a", "TERMINATE_CLUSTER"), step("b"), protected=True)
    log.wait_for_run("a").end(FAILURE)
    log.wait_for_steps(a="FAILED", b="CANCELLED")
    log.wait_for("WAITING")


def test_termination_cancels_running_and_pending_steps(log: ClusterLog) -> None:
    log.create(step("a"), step("b"))
    running = log.wait_for_run("a")
    log.cluster.terminate()
    log.wait_for("TERMINATED")
    assert running.cancelled and "b" not in log.runs
    log.wait_for_steps(a="CANCELLED", b="CANCELLED")


def test_a_starting_cluster_can_be_terminated(log: ClusterLog) -> None:
    log.create(step("a"))
    log.cluster.terminate()
    log.wait_for("TERMINATED")
    assert log.runs == {}
    log.wait_for_steps(a="CANCELLED")


def test_a_pending_step_is_cancelled_at_once(log: ClusterLog) -> None:
    log.create(step("a"), step("b"))
    log.wait_for_steps(a="RUNNING", b="PENDING")
    assert log.cluster.cancel(log.cluster.steps[1]) == ""
    log.wait_for_steps(a="RUNNING", b="CANCELLED")
    log.runs["a"].end()
    log.wait_for("WAITING")
    assert "b" not in log.runs


def test_cancelling_a_running_step_starts_the_next(log: ClusterLog) -> None:
    log.create(step("a", "TERMINATE_CLUSTER"), step("b"))
    running = log.wait_for_run("a")
    assert log.cluster.cancel(running.step) == ""
    log.wait_for_steps(a="CANCELLED", b="RUNNING")
    assert running.cancelled


def test_a_completed_step_cannot_be_cancelled(log: ClusterLog) -> None:
    log.create(step("a"))
    log.wait_for_run("a").end()
    log.wait_for_steps(a="COMPLETED")
    assert "COMPLETED" in log.cluster.cancel(log.cluster.steps[0])


def test_a_cluster_that_is_not_kept_alive_terminates_after_its_last_step(log: ClusterLog) -> None:
    log.create(step("a"), keep_alive=False)
    log.wait_for_run("a").end()
    log.wait_for("TERMINATED")
    assert log.cluster.status()["StateChangeReason"] == {
        "Code": "ALL_STEPS_COMPLETED",
        "Message": "Steps completed",
    }


def test_the_auto_termination_policy_counts_from_the_last_step(log: ClusterLog) -> None:
    log.create(step("a"), AutoTerminationPolicy={"IdleTimeout": 0.5})
    run = log.wait_for_run("a")
    time.sleep(0.6)
    assert log.cluster.state == "RUNNING"
    run.end()
    log.wait_for("WAITING")
    began = time.monotonic()
    log.wait_for("TERMINATED")
    assert 0.4 < time.monotonic() - began < 2
    assert log.cluster.status()["StateChangeReason"]["Code"] == "USER_REQUEST"


def test_termination_protection_suspends_the_auto_termination_policy(log: ClusterLog) -> None:
    log.create(protected=True, AutoTerminationPolicy={"IdleTimeout": 0.1})
    log.wait_for("WAITING")
    time.sleep(0.3)
    assert log.cluster.state == "WAITING"
    log.cluster.change(protected=False)
    log.wait_for("TERMINATED")


@pytest.mark.parametrize("state", ["TERMINATED", "TERMINATING"])
def test_a_terminating_cluster_accepts_no_steps(log: ClusterLog, state: str) -> None:
    log.create(step("a"))
    log.wait_for_run("a")
    log.cluster.terminate()
    if state == "TERMINATED":
        log.wait_for(state)
    with pytest.raises(
        AwsError, match="shutting down, terminated, or finished may not be modified"
    ):
        log.cluster.add([step("b")])


def test_a_cluster_accepts_at_most_256_active_steps(log: ClusterLog) -> None:
    log.create(*(step(str(number)) for number in range(256)))
    with pytest.raises(AwsError, match="Maximum number of active steps"):
        log.cluster.add([step("one more")])


@pytest.mark.parametrize("action", ["CANCEL_AND_WAIT", "TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_concurrent_steps_have_to_continue_on_failure(log: ClusterLog, action: str) -> None:
    log.create(concurrency=2)
    with pytest.raises(AwsError, match=f"ActionOnFailure {action} is not valid"):
        log.cluster.add([step("a", action)])
    assert log.cluster.steps == []
