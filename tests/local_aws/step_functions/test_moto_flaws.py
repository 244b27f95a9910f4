"""Flaws of moto that ``local_aws`` patches: the stand-in behaves like AWS, moto alone does not.

Each case runs on the stand-in in ``make test``. The tests marked ``moto`` run the same case on moto
without the patches, in ``make upgrade``; a failure there names the patch that can be removed.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from support.polling import wait_for

Client = Callable[[str], Any]
States = dict[str, Any]
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "states.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
TLS_ONLY = {
    "Effect": "Deny",
    "Principal": "*",
    "Action": "s3:*",
    "Condition": {"Bool": {"aws:SecureTransport": "false"}},
}


@dataclass
class Case:
    """An execution and one property of its end."""

    name: str
    states: States
    expected: Any  # the value on AWS
    read: Callable[[dict[str, Any]], Any]
    data: dict[str, Any] = field(default_factory=dict)
    stop_after: str = ""  # stop the execution after this event


def error(execution: dict[str, Any]) -> str | None:
    return execution.get("error")


def status(execution: dict[str, Any]) -> str:
    return str(execution["status"])


def value(execution: dict[str, Any]) -> Any:
    """The value that the state computed as ``result``."""
    return json.loads(execution["output"])["result"] if "output" in execution else execution


def last_events(execution: dict[str, Any]) -> list[str]:
    return list(execution["events"][-2:])


def sdk(action: str, **parameters: str) -> dict[str, Any]:
    resource = f"arn:aws:states:::{action}"
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, "End": True}


def computed(expression: str) -> States:
    return {"A": {"Type": "Pass", "Parameters": {"result.$": expression}, "End": True}}


def branch(state: dict[str, Any], **more: Any) -> dict[str, Any]:
    """A Parallel state around one state."""
    return {
        "Type": "Parallel",
        "Branches": [{"StartAt": "B", "States": {"B": state}}],
        "End": True,
        **more,
    }


def catching(handled: str) -> States:
    """A branch that fails with the input's error, and a Catch of ``handled``."""
    catch = [{"ErrorEquals": [handled], "Next": "C"}]
    fail = {"Type": "Fail", "ErrorPath": "$.error"}
    return {"A": branch(fail, Catch=catch), "C": {"Type": "Succeed"}}


ROWS = {"rows": [{"more": {"deep": 1}}, {"data": ["x"]}]}
TEXT = {"t": "日本"}
NO_MATCH = {"Type": "Choice", "Choices": [{"Variable": "$.a", "NumericEquals": 1, "Next": "B"}]}
RETRY = [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 8, "MaxAttempts": 1}]
CRAWLER = sdk("aws-sdk:glue:getCrawler", Name="x")
WAIT = {"Type": "Wait", "Seconds": 30, "End": True}
DAY = "States.StringSplit($$.Execution.StartTime, 'T')"
EMR_ERROR = "EMR.AmazonElasticMapReduceException"

FLAWS = [
    Case(
        "a Choice without a match fails with an error of its own",
        {"A": NO_MATCH, "B": {"Type": "Succeed"}},
        "States.NoChoiceMatched",
        error,
        {"a": 2},
    ),
    Case("a path to a list gives the list", computed("$.rows[1].data"), ["x"], value, ROWS),
    Case("a path with a wildcard gives a list", computed("$.rows[*].more.deep"), [1], value, ROWS),
    Case(
        "a path that selects nothing gives no rows",
        computed("$.rows[?(@.no == 1)].data"),
        [],
        value,
        ROWS,
    ),
    Case(
        "a Fail state passes on an error that begins with States.",
        {"A": {"Type": "Fail", "ErrorPath": "$.error"}},
        "States.TaskFailed",
        error,
        {"error": "States.TaskFailed"},
    ),
    Case(
        "errors of the SDK begin with the service",
        {"A": CRAWLER},
        "Glue.EntityNotFoundException",
        error,
    ),
    Case(
        "the SDK's times are text", {"A": sdk("aws-sdk:sfn:listStateMachines")}, "SUCCEEDED", status
    ),
    Case(
        "the SDK has EventBridge by its name",
        {"A": sdk("aws-sdk:eventbridge:listRules")},
        "SUCCEEDED",
        status,
    ),
    Case(
        "the SDK takes parameters in PascalCase",
        {"A": sdk("aws-sdk:sfn:describeExecution", ExecutionArn="none")},
        "Sfn.InvalidArnException",
        error,
    ),
    Case(
        "EMR has an integration",
        {"A": sdk("elasticmapreduce:terminateCluster", ClusterId="j-NONE")},
        EMR_ERROR,
        error,
    ),
    Case(
        "Athena has an integration",
        {"A": sdk("athena:getQueryResults", QueryExecutionId="none")},
        "Athena.InvalidRequestException",
        error,
    ),
    Case("intrinsic functions take the start time", computed(DAY), "SUCCEEDED", status),
    # Python writes ü in a definition as \\u00fc
    Case(
        "text beyond ASCII is text", computed("States.Format('ü {}', $.t)"), "ü 日本", value, TEXT
    ),
    Case(
        "a quote can be escaped",
        computed("States.Format('it\\'s {}', $.t)"),
        "it's 日本",
        value,
        TEXT,
    ),
    Case(
        "a brace can be escaped", computed("States.Format('\\{{}\\}', $.t)"), "{日本}", value, TEXT
    ),
    Case("text beyond ASCII is encoded", computed("States.Base64Encode('ü')"), "w7w=", value),
    Case("text beyond ASCII is decoded", computed("States.Base64Decode('w7w=')"), "ü", value),
    Case(
        "JSON keeps text beyond ASCII",
        computed("States.JsonToString($)"),
        '{"t":"日本"}',
        value,
        TEXT,
    ),
    Case(
        "names and paths can be escaped",
        {'Ü "1"': {"Type": "Pass", "Parameters": {"it": 1}, "ResultPath": "$['ü']", "End": True}},
        {"ü": {"it": 1}},
        lambda execution: json.loads(execution.get("output", "{}")),
    ),
    Case(
        "a stop ends the pause before a retry",
        {"A": {**CRAWLER, "Retry": RETRY}},
        "ABORTED",
        status,
        {},
        "TaskFailed",
    ),
    Case(
        "a stop has a cause",
        {"A": WAIT},
        "seen enough",
        lambda execution: execution.get("cause"),
        {},
        "WaitStateEntered",
    ),
    Case(
        "nothing happens after a stop",
        {"A": branch(WAIT)},
        ["WaitStateEntered", "ExecutionAborted"],
        last_events,
        {},
        "WaitStateEntered",
    ),
]


class Runner:
    """Runs the states of a case on a server."""

    def __init__(self, client: Client) -> None:
        self.sfn = client("stepfunctions")
        trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
        role = f"MotoFlaws-{uuid.uuid4().hex[:8]}"
        self.role = client("iam").create_role(RoleName=role, AssumeRolePolicyDocument=trust)[
            "Role"
        ]["Arn"]

    def outcome(self, case: Case) -> Any:
        return case.read(self.run(case.states, case.data, case.stop_after))

    def run(self, states: States, data: dict[str, Any], stop_after: str = "") -> dict[str, Any]:
        """The execution's description at its end, with the types of its events."""
        definition = json.dumps({"StartAt": next(iter(states)), "States": states})
        name = f"flaw-{uuid.uuid4().hex[:8]}"
        machine = self.sfn.create_state_machine(name=name, definition=definition, roleArn=self.role)
        arn = machine["stateMachineArn"]
        execution = self.sfn.start_execution(stateMachineArn=arn, input=json.dumps(data))[
            "executionArn"
        ]
        if stop_after:
            wait_for(lambda: stop_after in self._events(execution))
            self.sfn.stop_execution(executionArn=execution, error="Enough", cause="seen enough")
        else:
            wait_for(
                lambda: self.sfn.describe_execution(executionArn=execution)["status"] != "RUNNING"
            )
        description = self.sfn.describe_execution(executionArn=execution)
        return {**description, "events": self._events(execution)}

    def _events(self, execution: str) -> list[str]:
        return [
            event["type"]
            for event in self.sfn.get_execution_history(executionArn=execution)["events"]
        ]


@pytest.fixture(scope="module")
def runner(client: Client) -> Runner:
    return Runner(client)


@pytest.mark.parametrize("case", FLAWS, ids=lambda case: case.name)
def test_the_stand_in_behaves_like_step_functions(runner: Runner, case: Case) -> None:
    assert runner.outcome(case) == case.expected


@pytest.mark.parametrize(
    ("raised", "handled", "is_caught"),
    [
        ("States.Runtime", "States.ALL", False),
        ("States.Runtime", "States.TaskFailed", False),
        ("States.Timeout", "States.TaskFailed", False),
        ("States.DataLimitExceeded", "States.ALL", False),
        ("States.Timeout", "States.ALL", True),
        ("States.TaskFailed", "States.ALL", True),
        ("States.NoChoiceMatched", "States.TaskFailed", True),
        ("Glue.CrawlerRunningException", "States.TaskFailed", True),
        ("Glue.CrawlerRunningException", "Glue.EntityNotFoundException", False),
    ],
)
def test_a_catch_handles_the_documented_errors(
    runner: Runner, raised: str, handled: str, is_caught: bool
) -> None:
    execution = runner.run(catching(handled), {"error": raised})
    assert (status(execution), error(execution)) == (
        ("SUCCEEDED", None) if is_caught else ("FAILED", raised)
    )


@contextlib.contextmanager
def bucket_with_policy(client: Client, statement: dict[str, Any]) -> Iterator[Any]:
    """Yields `head_object` of an object in a bucket that has the policy inside the block."""
    s3, name = client("s3"), f"policy-{uuid.uuid4().hex[:8]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    policy = {
        "Version": "2012-10-17",
        "Statement": [{**statement, "Resource": [f"arn:aws:s3:::{name}/*"]}],
    }
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    yield lambda: s3.head_object(Bucket=name, Key="a")
    # the mirror must be able to read all objects of the server
    s3.delete_bucket_policy(Bucket=name)


def test_a_tls_only_bucket_accepts_local_requests(client: Client) -> None:
    with bucket_with_policy(client, TLS_ONLY) as head:
        assert head()["ContentLength"] == 1


def test_an_unconditional_deny_is_enforced(client: Client) -> None:
    always = {key: part for key, part in TLS_ONLY.items() if key != "Condition"}
    with (
        bucket_with_policy(client, always) as head,
        pytest.raises(ClientError, match="Forbidden|AccessDenied"),
    ):
        head()


# --- moto without the patches


@pytest.fixture(scope="module")
def moto_client() -> Iterator[Client]:
    """Clients of a moto server in its own process, which runs executions."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # the interpreter's clients use MOTO_PORT
    environ = {
        **os.environ,
        "MOTO_PORT": str(port),
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }
    process = subprocess.Popen(
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _switch_interpreter_on(url)
        yield lambda service: boto3.client(
            service,
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id="a",
            aws_secret_access_key="b",
            config=Config(retries={"max_attempts": 0}, read_timeout=20),
        )
    finally:
        process.kill()
        process.wait()


def _switch_interpreter_on(url: str) -> None:
    settings = json.dumps({"stepfunctions": {"execute_state_machine": True}}).encode()
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(f"{url}/moto-api/config", settings, timeout=10).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "moto's server does not start"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def moto_runner(moto_client: Client) -> Runner:
    return Runner(moto_client)


@pytest.mark.moto
@pytest.mark.parametrize("case", FLAWS, ids=lambda case: case.name)
def test_moto_alone_does_not_behave_like_step_functions(moto_runner: Runner, case: Case) -> None:
    try:
        outcome = moto_runner.outcome(case)
    except (ClientError, BotoCoreError) as error_of_moto:
        outcome = error_of_moto
    assert outcome != case.expected, "moto behaves like AWS now: delete the patch"


@pytest.mark.moto
def test_moto_alone_ignores_the_condition_of_a_deny(moto_client: Client) -> None:
    with pytest.raises(ClientError), bucket_with_policy(moto_client, TLS_ONLY) as head:
        head()


LISTINGS = """
from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

listed, listings = backends.list_of_moto_modules, []
backends.list_of_moto_modules = lambda: listings.append(1) or listed()
for _ in range(2):
    DomainDispatcherApplication(create_backend_app).get_backend_for_host("glue.us-east-1.amazonaws.com")
print(len(listings))
"""


@pytest.mark.moto
def test_moto_alone_lists_its_services_on_each_request() -> None:
    result = subprocess.run(
        [sys.executable, "-c", LISTINGS], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) == 2, "moto lists its services once now: delete the patch"
