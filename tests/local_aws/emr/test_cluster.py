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


class ClusterHarness:
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
def harness() -> Iterator[ClusterHarness]:
    harness = ClusterHarness()
    yield harness
    harness.cluster.terminate()
    assert harness.cluster.join(5)


def step(name: str, on_failure: str = "CONTINUE") -> Step:
    return Step(name, on_failure, ["spark-submit", "x.py"], Submission(False, (), "x.py", ()))


FAILURE = Failure("Unknown Error.", "no such column", None)


def test_a_cluster_passes_through_all_states_from_starting_to_terminated(
    harness: ClusterHarness,
) -> None:
    harness.create()
    harness.wait_for("WAITING")
    harness.cluster.terminate()
    harness.wait_for("TERMINATED")
    assert harness.states == [
        "STARTING",
        "BOOTSTRAPPING",
        "RUNNING",
        "WAITING",
        "TERMINATING",
        "TERMINATED",
    ]
    status = harness.cluster.status()
    assert status["StateChangeReason"] == {
        "Code": "USER_REQUEST",
        "Message": "Terminated by user request",
    }
    moments = status["Timeline"]
    assert moments["CreationDateTime"] < moments["ReadyDateTime"] < moments["EndDateTime"]


def test_steps_run_one_after_the_other(harness: ClusterHarness) -> None:
    harness.create(step("a"), step("b"))
    harness.wait_for_steps(a="RUNNING", b="PENDING")
    harness.runs["a"].end()
    harness.wait_for_steps(a="COMPLETED", b="RUNNING")
    harness.runs["b"].end()
    harness.wait_for("WAITING")
    a, b = harness.cluster.steps
    assert a.created <= a.started <= a.ended <= b.started <= b.ended  # type: ignore[operator]


def test_the_concurrency_level_limits_concurrent_steps(harness: ClusterHarness) -> None:
    harness.create(step("a"), step("b"), step("c"), concurrency=2)
    harness.wait_for_steps(a="RUNNING", b="RUNNING", c="PENDING")
    harness.runs["b"].end()
    harness.wait_for_steps(a="RUNNING", b="COMPLETED", c="RUNNING")


def test_a_higher_concurrency_level_starts_pending_steps(harness: ClusterHarness) -> None:
    harness.create(step("a"), step("b"))
    harness.wait_for_steps(a="RUNNING", b="PENDING")
    harness.cluster.change(concurrency=2)
    harness.wait_for_steps(a="RUNNING", b="RUNNING")


def test_continue_runs_the_next_step_after_a_failure(harness: ClusterHarness) -> None:
    harness.create(step("a"), step("b"))
    harness.wait_for_run("a").end(Failure("Unknown Error.", "no such column", "s3://b/stdout.gz"))
    harness.wait_for_steps(a="FAILED", b="RUNNING")
    details = harness.cluster.steps[0].describe()["Status"]["FailureDetails"]
    assert details == {
        "Reason": "Unknown Error.",
        "Message": "no such column",
        "LogFile": "s3://b/stdout.gz",
    }


def test_an_exception_in_local_aws_fails_the_step(harness: ClusterHarness) -> None:
    harness.create(step("a"))
    harness.wait_for_run("a").end(ValueError("oops"))
    harness.wait_for_steps(a="FAILED")
    assert harness.cluster.steps[0].failure == Failure(
        "local_aws has a bug", "ValueError: oops", None
    )


def test_cancel_and_wait_cancels_pending_steps(harness: ClusterHarness) -> None:
    harness.create(step("a", "CANCEL_AND_WAIT"), step("b"), step("c"))
    harness.wait_for_run("a").end(FAILURE)
    harness.wait_for_steps(a="FAILED", b="CANCELLED", c="CANCELLED")
    harness.wait_for("WAITING")


@pytest.mark.parametrize("action", ["TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_terminate_cluster_terminates_after_a_failure(harness: ClusterHarness, action: str) -> None:
    harness.create(step("a", action), step("b"))
    harness.wait_for_run("a").end(FAILURE)
    harness.wait_for("TERMINATED_WITH_ERRORS")
    harness.wait_for_steps(a="FAILED", b="CANCELLED")
    assert harness.cluster.status()["StateChangeReason"] == {
        "Code": "STEP_FAILURE",
        "Message": "Shut down as step failed",
    }


def test_a_protected_cluster_survives_a_failure(harness: ClusterHarness) -> None:
    harness.create(step("a", "TERMINATE_CLUSTER"), step("b"), protected=True)
    harness.wait_for_run("a").end(FAILURE)
    harness.wait_for_steps(a="FAILED", b="CANCELLED")
    harness.wait_for("WAITING")


def test_termination_cancels_running_and_pending_steps(harness: ClusterHarness) -> None:
    harness.create(step("a"), step("b"))
    running = harness.wait_for_run("a")
    harness.cluster.terminate()
    harness.wait_for("TERMINATED")
    assert running.cancelled and "b" not in harness.runs
    harness.wait_for_steps(a="CANCELLED", b="CANCELLED")


def test_a_starting_cluster_can_be_terminated(harness: ClusterHarness) -> None:
    harness.create(step("a"))
    harness.cluster.terminate()
    harness.wait_for("TERMINATED")
    assert harness.runs == {}
    harness.wait_for_steps(a="CANCELLED")


def test_a_pending_step_is_cancelled_at_once(harness: ClusterHarness) -> None:
    harness.create(step("a"), step("b"))
    harness.wait_for_steps(a="RUNNING", b="PENDING")
    assert harness.cluster.cancel(harness.cluster.steps[1]) == ""
    harness.wait_for_steps(a="RUNNING", b="CANCELLED")
    harness.runs["a"].end()
    harness.wait_for("WAITING")
    assert "b" not in harness.runs


def test_cancelling_a_running_step_starts_the_next(harness: ClusterHarness) -> None:
    harness.create(step("a", "TERMINATE_CLUSTER"), step("b"))
    running = harness.wait_for_run("a")
    assert harness.cluster.cancel(running.step) == ""
    harness.wait_for_steps(a="CANCELLED", b="RUNNING")
    assert running.cancelled


def test_a_completed_step_cannot_be_cancelled(harness: ClusterHarness) -> None:
    harness.create(step("a"))
    harness.wait_for_run("a").end()
    harness.wait_for_steps(a="COMPLETED")
    assert "COMPLETED" in harness.cluster.cancel(harness.cluster.steps[0])


def test_a_cluster_that_is_not_kept_alive_terminates_after_its_last_step(
    harness: ClusterHarness,
) -> None:
    harness.create(step("a"), keep_alive=False)
    harness.wait_for_run("a").end()
    harness.wait_for("TERMINATED")
    assert harness.cluster.status()["StateChangeReason"] == {
        "Code": "ALL_STEPS_COMPLETED",
        "Message": "Steps completed",
    }


def test_the_auto_termination_policy_counts_from_the_last_step(harness: ClusterHarness) -> None:
    harness.create(step("a"), AutoTerminationPolicy={"IdleTimeout": 0.5})
    run = harness.wait_for_run("a")
    time.sleep(0.6)
    assert harness.cluster.state == "RUNNING"
    run.end()
    harness.wait_for("WAITING")
    began = time.monotonic()
    harness.wait_for("TERMINATED")
    assert 0.4 < time.monotonic() - began < 2
    assert harness.cluster.status()["StateChangeReason"]["Code"] == "USER_REQUEST"


def test_termination_protection_suspends_the_auto_termination_policy(
    harness: ClusterHarness,
) -> None:
    harness.create(protected=True, AutoTerminationPolicy={"IdleTimeout": 0.1})
    harness.wait_for("WAITING")
    time.sleep(0.3)
    assert harness.cluster.state == "WAITING"
    harness.cluster.change(protected=False)
    harness.wait_for("TERMINATED")


@pytest.mark.parametrize("state", ["TERMINATED", "TERMINATING"])
def test_a_terminating_cluster_accepts_no_steps(harness: ClusterHarness, state: str) -> None:
    harness.create(step("a"))
    harness.wait_for_run("a")
    harness.cluster.terminate()
    if state == "TERMINATED":
        harness.wait_for(state)
    with pytest.raises(
        AwsError, match="shutting down, terminated, or finished may not be modified"
    ):
        harness.cluster.add([step("b")])


def test_a_cluster_accepts_at_most_256_active_steps(harness: ClusterHarness) -> None:
    harness.create(*(step(str(number)) for number in range(256)))
    with pytest.raises(AwsError, match="Maximum number of active steps"):
        harness.cluster.add([step("one more")])


@pytest.mark.parametrize("action", ["CANCEL_AND_WAIT", "TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_concurrent_steps_have_to_continue_on_failure(harness: ClusterHarness, action: str) -> None:
    harness.create(concurrency=2)
    with pytest.raises(AwsError, match=f"ActionOnFailure {action} is not valid"):
        harness.cluster.add([step("a", action)])
    assert harness.cluster.steps == []
