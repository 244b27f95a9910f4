"""The life of a cluster and its steps, with runs that end when the test says so."""

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


class World:
    """One cluster, its runs by the name of the step, and every state that the cluster was seen
    in."""

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
        **others: Any,
    ) -> Cluster:
        instances = {"KeepJobFlowAliveWhenNoSteps": keep_alive, "TerminationProtected": protected}
        request = {
            "Name": "c",
            "Instances": instances,
            "StepConcurrencyLevel": concurrency,
            **others,
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
            self._look()
            assert time.monotonic() < deadline, (
                f"{self.cluster.state} {[(s.name, s.state) for s in self.cluster.steps]}"
            )
            time.sleep(0.002)
        self._look()

    def _look(self) -> None:
        if self.states[-1:] != [self.cluster.state]:
            self.states.append(self.cluster.state)

    def wait_for(self, state: str) -> None:
        self.wait(lambda: self.cluster.state == state)

    def wait_for_run(self, name: str) -> FakeRun:
        self.wait(lambda: name in self.runs)
        return self.runs[name]

    def wait_for_steps(self, **states: str) -> None:
        """``a="COMPLETED"``: until step a is."""
        self.wait(lambda: {step.name: step.state for step in self.cluster.steps} == states)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.cluster.terminate()
    assert made.cluster.join(5)


def step(name: str, on_failure: str = "CONTINUE") -> Step:
    return Step(name, on_failure, ["spark-submit", "x.py"], Submission(False, (), "x.py", ()))


FAILURE = Failure("Unknown Error.", "no such column", None)


def test_a_cluster_passes_through_all_states_of_a_good_life(world: World) -> None:
    world.create()
    world.wait_for("WAITING")
    world.cluster.terminate()
    world.wait_for("TERMINATED")
    assert world.states == [
        "STARTING",
        "BOOTSTRAPPING",
        "RUNNING",
        "WAITING",
        "TERMINATING",
        "TERMINATED",
    ]
    status = world.cluster.status()
    assert status["StateChangeReason"] == {
        "Code": "USER_REQUEST",
        "Message": "Terminated by user request",
    }
    moments = status["Timeline"]
    assert moments["CreationDateTime"] < moments["ReadyDateTime"] < moments["EndDateTime"]


def test_steps_run_one_after_the_other(world: World) -> None:
    world.create(step("a"), step("b"))
    world.wait_for_steps(a="RUNNING", b="PENDING")
    world.runs["a"].end()
    world.wait_for_steps(a="COMPLETED", b="RUNNING")
    world.runs["b"].end()
    world.wait_for("WAITING")
    a, b = world.cluster.steps
    assert a.created <= a.started <= a.ended <= b.started <= b.ended  # type: ignore[operator]


def test_as_many_steps_run_side_by_side_as_the_concurrency_level_says(world: World) -> None:
    world.create(step("a"), step("b"), step("c"), concurrency=2)
    world.wait_for_steps(a="RUNNING", b="RUNNING", c="PENDING")
    world.runs["b"].end()
    world.wait_for_steps(a="RUNNING", b="COMPLETED", c="RUNNING")


def test_a_higher_concurrency_level_acts_at_once(world: World) -> None:
    world.create(step("a"), step("b"))
    world.wait_for_steps(a="RUNNING", b="PENDING")
    world.cluster.change(concurrency=2)
    world.wait_for_steps(a="RUNNING", b="RUNNING")


def test_a_failed_step_says_why_and_continue_goes_on(world: World) -> None:
    world.create(step("a"), step("b"))
    world.wait_for_run("a").end(Failure("Unknown Error.", "no such column", "s3://b/stdout.gz"))
    world.wait_for_steps(a="FAILED", b="RUNNING")
    details = world.cluster.steps[0].describe()["Status"]["FailureDetails"]
    assert details == {
        "Reason": "Unknown Error.",
        "Message": "no such column",
        "LogFile": "s3://b/stdout.gz",
    }


def test_a_bug_of_ours_is_a_failed_step_that_says_so(world: World) -> None:
    world.create(step("a"))
    world.wait_for_run("a").end(ValueError("oops"))
    world.wait_for_steps(a="FAILED")
    assert world.cluster.steps[0].failure == Failure(
        "local_aws has a bug", "ValueError: oops", None
    )


def test_cancel_and_wait_cancels_what_is_pending(world: World) -> None:
    world.create(step("a", "CANCEL_AND_WAIT"), step("b"), step("c"))
    world.wait_for_run("a").end(FAILURE)
    world.wait_for_steps(a="FAILED", b="CANCELLED", c="CANCELLED")
    world.wait_for("WAITING")


@pytest.mark.parametrize("action", ["TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_a_failure_that_must_end_the_cluster_ends_it(world: World, action: str) -> None:
    world.create(step("a", action), step("b"))
    world.wait_for_run("a").end(FAILURE)
    world.wait_for("TERMINATED_WITH_ERRORS")
    world.wait_for_steps(a="FAILED", b="CANCELLED")
    assert world.cluster.status()["StateChangeReason"] == {
        "Code": "STEP_FAILURE",
        "Message": "Shut down as step failed",
    }


def test_a_protected_cluster_outlives_such_a_failure(world: World) -> None:
    world.create(step("a", "TERMINATE_CLUSTER"), step("b"), protected=True)
    world.wait_for_run("a").end(FAILURE)
    world.wait_for_steps(a="FAILED", b="CANCELLED")
    world.wait_for("WAITING")


def test_terminating_kills_what_runs_and_cancels_what_waits(world: World) -> None:
    world.create(step("a"), step("b"))
    running = world.wait_for_run("a")
    world.cluster.terminate()
    world.wait_for("TERMINATED")
    assert running.cancelled and "b" not in world.runs
    world.wait_for_steps(a="CANCELLED", b="CANCELLED")


def test_a_cluster_can_be_terminated_while_it_starts(world: World) -> None:
    world.create(step("a"))
    world.cluster.terminate()
    world.wait_for("TERMINATED")
    assert world.runs == {}
    world.wait_for_steps(a="CANCELLED")


def test_a_pending_step_is_cancelled_at_once(world: World) -> None:
    world.create(step("a"), step("b"))
    world.wait_for_steps(a="RUNNING", b="PENDING")
    assert world.cluster.cancel(world.cluster.steps[1]) == ""
    world.wait_for_steps(a="RUNNING", b="CANCELLED")
    world.runs["a"].end()
    world.wait_for("WAITING")
    assert "b" not in world.runs


def test_a_running_step_is_killed_and_the_next_takes_its_place(world: World) -> None:
    world.create(step("a", "TERMINATE_CLUSTER"), step("b"))
    running = world.wait_for_run("a")
    assert world.cluster.cancel(running.step) == ""
    world.wait_for_steps(a="CANCELLED", b="RUNNING")
    assert running.cancelled


def test_an_ended_step_cannot_be_cancelled(world: World) -> None:
    world.create(step("a"))
    world.wait_for_run("a").end()
    world.wait_for_steps(a="COMPLETED")
    assert "COMPLETED" in world.cluster.cancel(world.cluster.steps[0])


def test_a_cluster_that_is_not_kept_alive_ends_after_its_last_step(world: World) -> None:
    world.create(step("a"), keep_alive=False)
    world.wait_for_run("a").end()
    world.wait_for("TERMINATED")
    assert world.cluster.status()["StateChangeReason"] == {
        "Code": "ALL_STEPS_COMPLETED",
        "Message": "Steps completed",
    }


def test_a_policy_ends_an_idle_cluster_and_counts_from_its_last_work(world: World) -> None:
    world.create(step("a"), AutoTerminationPolicy={"IdleTimeout": 0.5})
    run = world.wait_for_run("a")
    time.sleep(0.6)
    assert world.cluster.state == "RUNNING"
    run.end()
    world.wait_for("WAITING")
    began = time.monotonic()
    world.wait_for("TERMINATED")
    assert 0.4 < time.monotonic() - began < 2
    assert world.cluster.status()["StateChangeReason"]["Code"] == "USER_REQUEST"


def test_protection_holds_off_the_policy_until_it_is_lifted(world: World) -> None:
    world.create(protected=True, AutoTerminationPolicy={"IdleTimeout": 0.1})
    world.wait_for("WAITING")
    time.sleep(0.3)
    assert world.cluster.state == "WAITING"
    world.cluster.change(protected=False)
    world.wait_for("TERMINATED")


@pytest.mark.parametrize("state", ["TERMINATED", "TERMINATING"])
def test_a_cluster_at_its_end_takes_no_steps(world: World, state: str) -> None:
    world.create(step("a"))
    world.wait_for_run("a")
    world.cluster.terminate()
    if state == "TERMINATED":
        world.wait_for(state)
    with pytest.raises(
        AwsError, match="shutting down, terminated, or finished may not be modified"
    ):
        world.cluster.add([step("b")])


def test_no_more_than_256_steps_are_active(world: World) -> None:
    world.create(*(step(str(number)) for number in range(256)))
    with pytest.raises(AwsError, match="Maximum number of active steps"):
        world.cluster.add([step("one more")])


@pytest.mark.parametrize("action", ["CANCEL_AND_WAIT", "TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"])
def test_concurrent_steps_must_continue(world: World, action: str) -> None:
    world.create(concurrency=2)
    with pytest.raises(AwsError, match=f"ActionOnFailure {action} is not valid"):
        world.cluster.add([step("a", action)])
    assert world.cluster.steps == []
