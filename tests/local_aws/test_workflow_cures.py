"""Each cure of moto's interpreter is still needed: with the cure taken off, the flaw shows."""

from __future__ import annotations

import datetime
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.server import LocalAws

TRUST = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}


class Runner:
    """Runs definitions under the interpreter as it is."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.sfn = client("stepfunctions")
        trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        self.role = client("iam").create_role(RoleName="CuresTest", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
        self._made = 0

    def start(self, states: dict[str, Any], data: Any = None, **more: Any) -> str:
        self._made += 1
        definition = json.dumps({"StartAt": next(iter(states)), "States": states, **more})
        machine = self.sfn.create_state_machine(name=f"cures-{self._made}", definition=definition, roleArn=self.role)
        return str(
            self.sfn.start_execution(stateMachineArn=machine["stateMachineArn"], input=json.dumps(data or {}))["executionArn"]
        )

    def run(self, states: dict[str, Any], data: Any = None) -> dict[str, Any]:
        return self.wait(self.start(states, data))

    def wait(self, execution: str) -> dict[str, Any]:
        while (found := self.describe(execution))["status"] == "RUNNING":
            time.sleep(0.02)
        return found

    def describe(self, execution: str) -> dict[str, Any]:
        return dict(self.sfn.describe_execution(executionArn=execution))

    def types(self, execution: str) -> list[str]:
        return [event["type"] for event in self.sfn.get_execution_history(executionArn=execution)["events"]]

    def until(self, execution: str, event: str) -> None:
        deadline = time.monotonic() + 10
        while event not in self.types(execution):
            assert time.monotonic() < deadline, self.types(execution)
            time.sleep(0.02)


@pytest.fixture(scope="module")
def runner(client: Callable[[str], Any]) -> Runner:
    made = Runner(client)
    made.sfn.list_state_machines()  # puts the cures in
    return made


@pytest.fixture
def cures(runner: Runner) -> Any:
    """The module of the cures, imported when the server has set moto up."""
    from local_aws.workflow import cures

    return cures


@pytest.fixture
def tasks(runner: Runner) -> Any:
    """The module of the integrations."""
    from local_aws.workflow import tasks

    return tasks


def test_a_choice_without_a_match(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures.StateChoice, "_eval_state", cures._stock_choose)
    rule = {"Variable": "$.a", "NumericEquals": 1, "Next": "B"}
    ended = runner.run({"A": {"Type": "Choice", "Choices": [rule]}, "B": {"Type": "Succeed"}}, {"a": 2})
    assert ended["error"] == "States.Runtime"


@pytest.mark.parametrize(
    ("error", "handled", "caught"),
    [
        ("States.Runtime", "States.ALL", False),
        ("States.Runtime", "States.TaskFailed", False),
        ("States.DataLimitExceeded", "States.ALL", False),
        ("States.Timeout", "States.TaskFailed", False),
        ("States.Timeout", "States.ALL", True),
        ("States.TaskFailed", "States.ALL", True),
        ("States.NoChoiceMatched", "States.TaskFailed", True),
        ("Glue.CrawlerRunningException", "States.TaskFailed", True),
        ("Glue.CrawlerRunningException", "Glue.EntityNotFoundException", False),
    ],
)
def test_what_a_wildcard_catches(runner: Runner, error: str, handled: str, caught: bool) -> None:
    ended = runner.run(passed_on(handled), {"error": error})
    assert (ended["status"], ended.get("error")) == (("SUCCEEDED", None) if caught else ("FAILED", error))


@pytest.mark.parametrize(("error", "handled"), [("States.Runtime", "States.ALL"), ("States.Timeout", "States.TaskFailed")])
def test_what_motos_wildcards_catch(
    runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch, error: str, handled: str
) -> None:
    monkeypatch.setattr(cures.ErrorEqualsDecl, "_eval_body", cures._stock_match)
    assert runner.run(passed_on(handled), {"error": error})["status"] == "SUCCEEDED"


def passed_on(handled: str) -> dict[str, Any]:
    """A branch that fails with the input's error, and a Catch of ``handled``."""
    branch = {"StartAt": "B", "States": {"B": {"Type": "Fail", "ErrorPath": "$.error"}}}
    catch = [{"ErrorEquals": [handled], "Next": "C"}]
    return {"A": {"Type": "Parallel", "Branches": [branch], "Catch": catch, "End": True}, "C": {"Type": "Succeed"}}


@pytest.mark.parametrize(
    ("path", "moto", "aws"),
    [
        ("$.rows[1].data", [["x"]], ["x"]),
        ("$.rows[*].more.deep", 1, [1]),
        ("$.rows[?(@.no == 1)].data", None, []),
    ],
)
def test_values_of_paths(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch, path: str, moto: Any, aws: Any) -> None:
    data = {"rows": [{"more": {"deep": 1}}, {"data": ["x"]}]}
    states = {"A": {"Type": "Pass", "Parameters": {"it.$": path}, "End": True}}
    assert json.loads(runner.run(states, data)["output"]) == {"it": aws}
    monkeypatch.setattr(cures.json_path, "parse", cures.STOCK_PARSE)
    ended = runner.run(states, data)
    assert (json.loads(ended["output"])["it"] if ended["status"] == "SUCCEEDED" else None) == moto


def test_errors_that_begin_with_states_in_a_fail_state(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fail = {"A": {"Type": "Fail", "ErrorPath": "$.error"}}
    assert runner.run(fail, {"error": "States.TaskFailed"})["error"] == "States.TaskFailed"
    monkeypatch.setattr(cures.custom_error_name, "ILLEGAL_CUSTOM_ERROR_PREFIX", "States.")
    assert runner.run(fail, {"error": "States.TaskFailed"})["error"] == "States.Runtime"


def test_the_prefix_was_what_moto_forbids(cures: Any) -> None:
    assert cures.STOCK_ILLEGAL_PREFIX == "States."


def test_names_of_sdk_errors(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures.state_task_service_aws_sdk, "_SERVICE_ERROR_NAMES", cures.STOCK_SERVICE_ERROR_NAMES)
    crawler = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:glue:getCrawler", "Parameters": {"Name": "x"}, "End": True}
    assert runner.run({"A": crawler})["error"] == "glue.EntityNotFoundException"


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_times_in_answers(runner: Runner, cures: Any, tasks: Any, stand_in: LocalAws, monkeypatch: pytest.MonkeyPatch) -> None:
    """moto's own clients leave datetimes in state data, and then no answer about the execution can be written."""
    monkeypatch.setattr(tasks.state_task_factory, "state_task_service_for", tasks.stock_task_for)
    monkeypatch.setattr(cures.boto_client, "boto3", cures.STOCK_BOTO3)
    monkeypatch.setenv("MOTO_PORT", str(stand_in.port))  # where those clients call
    machines = {"Type": "Task", "Resource": "arn:aws:states:::aws-sdk:sfn:listStateMachines", "Parameters": {}, "End": True}
    execution = runner.start({"A": machines})
    with pytest.raises(ClientError):
        runner.wait(execution)


def test_the_start_time_in_the_context(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures.Execution, "get_start_execution_details", cures._stock_execution_details)
    parts = {"Type": "Pass", "Parameters": {"it.$": "States.StringSplit($$.Execution.StartTime, 'T')"}, "End": True}
    assert runner.run({"A": parts})["status"] == "FAILED"


def test_a_pause_before_a_retry(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures.JitterStrategyDecl, "_eval_body", cures._stock_jitter)
    again = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 8, "MaxAttempts": 1}]
    resource = "arn:aws:states:::aws-sdk:glue:getCrawler"
    execution = runner.start(
        {"A": {"Type": "Task", "Resource": resource, "Parameters": {"Name": "x"}, "Retry": again, "End": True}}
    )
    runner.until(execution, "TaskFailed")
    runner.sfn.stop_execution(executionArn=execution)
    assert runner.describe(execution)["status"] == "RUNNING"


def test_the_reason_of_a_stop(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cures.ExecutionWorker, "stop", cures._stock_stop_worker)
    execution = runner.start({"A": {"Type": "Wait", "Seconds": 30, "End": True}})
    runner.until(execution, "WaitStateEntered")
    runner.sfn.stop_execution(executionArn=execution, error="Enough", cause="seen it all")
    assert not runner.describe(execution).get("cause")


def test_the_worker_before_it_runs(cures: Any) -> None:
    worker = cures.ExecutionWorker.__new__(cures.ExecutionWorker)
    worker.env = None
    with pytest.raises(AttributeError):
        cures._stock_stop_worker(worker, stop_date=datetime.datetime.now(datetime.UTC), error=None, cause=None)


def test_what_happens_after_the_end(runner: Runner, cures: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Parallel state that is stopped goes on to succeed."""
    branch = {"StartAt": "B", "States": {"B": {"Type": "Wait", "Seconds": 30, "End": True}}}
    states = {"A": {"Type": "Parallel", "Branches": [branch], "End": True}}

    def types_when_stopped() -> list[str]:
        execution = runner.start(states)
        runner.until(execution, "WaitStateEntered")
        runner.sfn.stop_execution(executionArn=execution)
        return runner.types(execution)

    assert types_when_stopped()[-2:] == ["WaitStateEntered", "ExecutionAborted"]
    monkeypatch.setattr(cures.EventManager, "add_event", cures._stock_add_event)
    assert "ParallelStateSucceeded" in types_when_stopped()


def test_an_error_after_a_stop(cures: Any) -> None:
    """What a stopped state trips over makes the execution FAILED."""
    env = cures.Environment.__new__(cures.Environment)
    env._state_mutex, env._frames, env.program_state_event = threading.RLock(), [], threading.Event()
    env._program_state = cures.ProgramStopped(stop_date=None, error=None, cause=None)
    cures._set_error(env, {"error": "late"})
    assert isinstance(env.program_state(), cures.ProgramStopped)
    cures._stock_set_error(env, {"error": "late"})
    assert not isinstance(env.program_state(), cures.ProgramStopped)


def test_the_integrations_that_moto_lacks(tasks: Any) -> None:
    for service in ("elasticmapreduce", "athena"):
        assert type(tasks.stock_task_for(service)).__name__ == "StateTaskServiceUnsupported"


def test_names_of_services_and_parameters(tasks: Any) -> None:
    """Stock moto calls botocore's service of the same name, and hands parameters over as they are."""
    stock = tasks.StateTaskServiceAwsSdk
    assert stock._SERVICE_NAME_SFN_TO_BOTO_OVERRIDES.get("eventbridge") is None
    assert stock._normalise_parameters is tasks.StateTaskService._normalise_parameters
