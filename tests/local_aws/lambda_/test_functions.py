"""Lambda functions of the stand-in run by invocation and by EventBridge rules."""

from __future__ import annotations

import base64
import io
import json
import time
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.polling import wait_for

ROLE = "FunctionsTest"
CODE = """
import json, os, sys, time
import boto3

def echo(event, context):
    print("heard", event)
    print("to stderr", file=sys.stderr)
    buckets = [bucket["Name"] for bucket in boto3.client("s3").list_buckets()["Buckets"]]
    return {
        "event": event, "environ": dict(os.environ), "buckets": buckets,
        "name": context.function_name,
        "left": context.get_remaining_time_in_millis(), "id": context.aws_request_id,
    }

def fail(event, context):
    raise ValueError("no such rental")

def sleep(event, context):
    print("sleeping")
    time.sleep(60)

def leave(event, context):
    os._exit(3)

def keep(event, context):
    boto3.client("s3").put_object(Bucket="functions-test", Key=event.get("id", "event"),
    Body=json.dumps(event).encode())
"""


class Functions:
    """Creates functions and reads their logs."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.api, self.logs, self.s3 = client("lambda"), client("logs"), client("s3")
        trust = {
            "Effect": "Allow",
            "Principal": {"Service": ["lambda.amazonaws.com", "states.amazonaws.com"]},
            "Action": "sts:AssumeRole",
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        self.role = client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=document)[
            "Role"
        ]["Arn"]
        self.s3.create_bucket(Bucket="functions-test")

    def create(self, name: str, handler: str, **more: Any) -> str:
        package = io.BytesIO()
        with zipfile.ZipFile(package, "w") as archive:
            archive.writestr("code.py", CODE)
        settings = {
            "Runtime": "python3.12",
            "Timeout": 10,
            "Environment": {"Variables": {"TABLE": "rentals"}},
            **more,
        }
        created = self.api.create_function(
            FunctionName=name,
            Handler=f"code.{handler}",
            Role=self.role,
            Code={"ZipFile": package.getvalue()},
            **settings,
        )
        return str(created["FunctionArn"])

    def invoke(self, name: str, event: Any = None, **more: Any) -> tuple[dict[str, Any], Any]:
        response = self.api.invoke(
            FunctionName=name, Payload=json.dumps(event or {}).encode(), **more
        )
        payload = response["Payload"].read()
        return response, json.loads(payload) if payload else None

    def logged(self, name: str) -> list[str]:
        listed = self.logs.filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        return [event["message"] for event in listed]

    def stored_event(self, key: str, seconds: float = 10) -> Any:
        """Waits for the event that the handler ``keep`` stored under ``key``."""
        wait_for(lambda: key in self.objects(), seconds)
        return json.loads(self.s3.get_object(Bucket="functions-test", Key=key)["Body"].read())

    def objects(self) -> list[str]:
        return [
            item["Key"]
            for item in self.s3.list_objects_v2(Bucket="functions-test").get("Contents", [])
        ]


@pytest.fixture(scope="module")
def functions(client: Callable[[str], Any]) -> Functions:
    return Functions(client)


def test_a_function_runs_with_only_its_own_environment(
    functions: Functions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_USER", "1")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the user")
    functions.create("echo", "echo")
    response, result = functions.invoke("echo", {"a": 1}, LogType="Tail")
    assert (response["StatusCode"], "FunctionError" in response) == (200, False)
    assert (result["event"], result["name"], "functions-test" in result["buckets"]) == (
        {"a": 1},
        "echo",
        True,
    )
    assert result["environ"]["TABLE"] == "rentals"
    assert not {"SECRET_OF_THE_USER", "AWS_SESSION_TOKEN"} & result["environ"].keys()
    assert 5000 < result["left"] <= 10000
    assert "heard {'a': 1}\nto stderr\n" in base64.b64decode(response["LogResult"]).decode()
    lines = functions.logged("echo")
    assert lines[0] == f"START RequestId: {result['id']} Version: $LATEST"
    assert lines[1:3] == ["heard {'a': 1}", "to stderr"]
    assert lines[-1].startswith(f"REPORT RequestId: {result['id']}\tDuration: ")


def test_an_error_of_a_function_is_returned_and_logged(functions: Functions) -> None:
    functions.create("fail", "fail")
    response, error = functions.invoke("fail")
    assert response["FunctionError"] == "Unhandled"
    assert (error["errorType"], error["errorMessage"]) == ("ValueError", "no such rental")
    assert "code.py" in error["stackTrace"][0]
    assert "ValueError: no such rental" in functions.logged("fail")


def test_a_function_is_killed_after_its_timeout(functions: Functions) -> None:
    functions.create("sleep", "sleep", Timeout=1)
    response, error = functions.invoke("sleep")
    assert response["FunctionError"] == "Unhandled"
    assert error["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert "sleeping" in functions.logged("sleep")


def test_a_function_that_exits_without_a_result_has_failed(functions: Functions) -> None:
    functions.create("leave", "leave")
    assert "Runtime exited" in functions.invoke("leave")[1]["errorMessage"]


def test_a_missing_handler_is_an_error(functions: Functions) -> None:
    functions.create("missing", "no_such_handler")
    assert functions.invoke("missing")[1]["errorType"] == "AttributeError"


def test_an_asynchronous_invocation_returns_before_the_function_ends(functions: Functions) -> None:
    functions.create("later", "keep")
    response, result = functions.invoke("later", {"id": "asynchronous"}, InvocationType="Event")
    assert (response["StatusCode"], result) == (202, None)
    assert functions.stored_event("asynchronous") == {"id": "asynchronous"}


def test_an_unsupported_runtime_is_rejected_by_name(functions: Functions) -> None:
    functions.create("javascript", "echo", Runtime="nodejs20.x")
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*javascript of runtime nodejs20.x"):
        functions.invoke("javascript")


def test_invoking_an_unknown_function_is_an_error(functions: Functions) -> None:
    with pytest.raises(functions.api.exceptions.ResourceNotFoundException):
        functions.invoke("nobody")


# --- EventBridge


class WatchedMachine:
    """A state machine, and rules that match the end of its executions."""

    def __init__(self, client: Callable[[str], Any], functions: Functions) -> None:
        self.events, self.sfn, self.functions = client("events"), client("stepfunctions"), functions
        fail = {"Type": "Fail", "Error": "Lost", "Cause": "the car is gone"}
        definition = {
            "StartAt": "Which",
            "States": {
                "Which": {
                    "Type": "Choice",
                    "Choices": [{"Variable": "$.good", "BooleanEquals": True, "Next": "Good"}],
                    "Default": "Bad",
                },
                "Good": {"Type": "Succeed"},
                "Bad": fail,
            },
        }
        self.machine = self.sfn.create_state_machine(
            name="watched", definition=json.dumps(definition), roleArn=functions.role
        )["stateMachineArn"]

    def add(self, name: str, target: str, permitted: bool = True, **more: Any) -> None:
        pattern = {
            "source": ["aws.states"],
            "detail-type": ["Step Functions Execution Status Change"],
            "detail": {
                "status": ["FAILED", "TIMED_OUT", "ABORTED"],
                "stateMachineArn": [self.machine],
            },
        }
        rule = self.events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
        self.events.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": target, **more}])
        if permitted:
            self.functions.api.add_permission(
                FunctionName=target,
                StatementId=name,
                Action="lambda:InvokeFunction",
                Principal="events.amazonaws.com",
                SourceArn=rule,
            )

    def run(self, succeeds: bool = False) -> dict[str, Any]:
        return self._run(self.machine, {"good": succeeds})

    def run_machine(self, name: str, definition: dict[str, Any], **data: Any) -> dict[str, Any]:
        created = self.sfn.create_state_machine(
            name=name, definition=json.dumps(definition), roleArn=self.functions.role
        )
        return self._run(created["stateMachineArn"], data)

    def _run(self, machine: str, data: dict[str, Any]) -> dict[str, Any]:
        execution = self.sfn.start_execution(stateMachineArn=machine, input=json.dumps(data))[
            "executionArn"
        ]
        while (described := self.sfn.describe_execution(executionArn=execution))[
            "status"
        ] == "RUNNING":
            time.sleep(0.02)
        return dict(described)


@pytest.fixture(scope="module")
def watched(client: Callable[[str], Any], functions: Functions) -> WatchedMachine:
    return WatchedMachine(client, functions)


def event_keys(functions: Functions) -> list[str]:
    """The keys of stored events of EventBridge, which are UUIDs."""
    return [key for key in functions.objects() if len(key) == 36]


def test_a_failed_execution_invokes_the_target_of_a_rule(
    watched: WatchedMachine, functions: Functions
) -> None:
    target = functions.create("reaper", "keep")
    watched.add("reaper-rule", target)
    assert watched.run(succeeds=True)["status"] == "SUCCEEDED"
    ended = watched.run()
    wait_for(lambda: event_keys(functions), 10)
    # no event of the successful execution
    (event,) = map(functions.stored_event, event_keys(functions))
    assert (event["source"], event["detail-type"]) == (
        "aws.states",
        "Step Functions Execution Status Change",
    )
    assert event["resources"] == [ended["executionArn"]]
    detail = event["detail"]
    assert (detail["status"], detail["error"], detail["cause"]) == (
        "FAILED",
        "Lost",
        "the car is gone",
    )
    assert (detail["stateMachineArn"], detail["input"]) == (watched.machine, '{"good": false}')
    assert detail["stopDate"] == int(ended["stopDate"].timestamp() * 1000)


def test_events_that_cannot_be_delivered_are_logged(
    watched: WatchedMachine, functions: Functions, caplog: pytest.LogCaptureFixture
) -> None:
    watched.add(
        "unpermitted",
        functions.create("unpermitted", "keep"),
        permitted=False,
        Input='{"id": "unpermitted"}',
    )
    watched.add("mail", "arn:aws:sns:us-east-1:123456789012:alerts", permitted=False)
    watched.add("failing", functions.create("failing", "fail"))
    watched.run()
    expected = (
        "add-permission",
        "alerts: local_aws delivers unchanged events to Lambda functions only",
        "no such rental",
    )
    wait_for(lambda: all(text in caplog.text for text in expected), 10)
    assert "unpermitted" not in functions.objects()
    assert "ValueError: no such rental" in functions.logged("failing")
