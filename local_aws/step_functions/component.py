"""The Step Functions API: moto stores and interprets state machines; this adds the rest."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import botocore.session
from botocore.exceptions import ClientError

from local_aws.clients import ACCOUNT_ID, Clients
from local_aws.overlay import AwsError, Call, Handler, not_supported
from local_aws.pages import page
from local_aws.state_log import StateLog
from local_aws.step_functions.past_executions import PastExecutions
from local_aws.step_functions.prerequisites import check_logging, check_role
from local_aws.step_functions.problems import UNSUPPORTED
from local_aws.unsupported import reject

# imported at the first request: moto's interpreter takes longer to import than the rest of the
# server
if TYPE_CHECKING:
    from moto.stepfunctions.parser.backend.execution import Execution

    from local_aws.step_functions.interpreter_clients import InterpreterClients
    from local_aws.step_functions.moto_patches import StopReason

log = logging.getLogger(__name__)

_TARGET = "AWSStepFunctions"
_STOP_SECONDS = 5.0  # from StopExecution until the execution is ABORTED, at most
_PAGE, _MOST = 100, 1000  # events per page of GetExecutionHistory: default and maximum
_MOST_DIAGNOSTICS = 100
# The fields that two requests to create the same state machine must share, with their defaults.
_IDENTITY: dict[str, Any] = {
    "definition": None,
    "type": "STANDARD",
    "loggingConfiguration": {"level": "OFF"},
    "tracingConfiguration": {"enabled": False},
}
# operations that moto implements well: they only store or return facts
_MOTOS = frozenset(
    "DeleteStateMachine ListStateMachines DescribeStateMachine DescribeStateMachineForExecution"
    " ListTagsForResource TagResource UntagResource SendTaskHeartbeat SendTaskSuccess"
    " SendTaskFailure".split()
)


class StepFunctionsComponent:
    """Step Functions of one server; ``on_end`` is called for every execution that ends."""

    def __init__(
        self, clients: Clients, on_end: Callable[[Execution], None], state_log: StateLog
    ) -> None:
        self._clients = clients
        self._notify = on_end
        self._closed = False
        self._lock = threading.Lock()
        self._interpreter: InterpreterClients | None = None
        self._running: dict[str, str] = {}  # regions of running executions, by ARN
        self._ended: dict[str, datetime] = {}  # end times of executions, by ARN
        self._reasons: dict[str, StopReason] = {}
        self._past_executions = PastExecutions(clients, state_log)

    def handlers(self) -> Mapping[str, Handler]:
        """All operations: this component's and moto's; the others are rejected."""
        done: dict[str, Handler] = {
            "CreateStateMachine": self._create,
            "UpdateStateMachine": self._update,
            "ValidateStateMachineDefinition": self._validate,
            "StartExecution": self._start,
            "StopExecution": self._stop,
            "DescribeExecution": self._describe,
            "ListExecutions": self._list,
            "GetExecutionHistory": self._history,
            **dict.fromkeys(_MOTOS, Call.forward),
        }
        operations = (
            botocore.session.get_session().get_service_model("stepfunctions").operation_names
        )
        refused: dict[str, Handler] = dict.fromkeys(set(operations) - done.keys(), reject)
        return {
            f"{_TARGET}.{name}": self._prepared(handler)
            for name, handler in {**refused, **done}.items()
        }

    def close(self) -> None:
        """Stops every running execution, without calling ``on_end``."""
        self._closed = True
        for arn, region in list(self._running.items()):
            try:
                self._clients.client("stepfunctions", region).stop_execution(
                    executionArn=arn, cause="local_aws ends"
                )
            except ClientError as error:  # it may have ended, or its state machine may be deleted
                log.warning("%s: %s", arn, error)
        self._past_executions.close()

    def _prepared(self, handler: Handler) -> Handler:
        def prepared(call: Call) -> dict[str, Any]:
            self._prepare()
            return handler(call)

        return prepared

    def _prepare(self) -> None:
        """Configures moto's interpreter for this server, if it is configured for another one."""
        from local_aws.step_functions import moto_patches, tasks

        with self._lock:
            if self._interpreter is None or tasks.installed() is not self._interpreter:
                self._interpreter = moto_patches.install(self._clients, self._on_end, self._reasons)
                tasks.install(self._interpreter)

    # state machines

    def _create(self, call: Call) -> dict[str, Any]:
        if call.body.get("type", "STANDARD") != "STANDARD":
            raise not_supported(f"{call.body['type']} state machines")
        arn = f"arn:aws:states:{call.region}:{ACCOUNT_ID}:stateMachine:{call.body['name']}"
        existing = _existing(call, arn)
        if existing is not None:
            return _same_machine(call.body, existing)
        self._check(call)
        return call.forward()

    def _update(self, call: Call) -> dict[str, Any]:
        self._check(call)
        return call.forward()

    def _check(self, call: Call) -> None:
        if "definition" in call.body:
            _check_definition(call.body["definition"])
        if "roleArn" in call.body:
            check_role(self._clients.client("iam"), call.body["roleArn"])
        check_logging(
            self._clients.client("logs", call.region), call.body.get("loggingConfiguration") or {}
        )

    def _validate(self, call: Call) -> dict[str, Any]:
        from local_aws.step_functions.definition import definition_problems

        found = [problem.diagnostic() for problem in definition_problems(call.body["definition"])]
        most = call.body.get("maxResults") or _MOST_DIAGNOSTICS
        return {
            "result": "FAIL" if found else "OK",
            "diagnostics": found[:most],
            "truncated": len(found) > most,
        }

    # executions

    def _start(self, call: Call) -> dict[str, Any]:
        named = {"name": str(uuid.uuid4()), **call.body}
        answer = call.forward(named)
        with self._lock:
            if answer["executionArn"] not in self._ended:
                self._running[answer["executionArn"]] = call.region
        self._past_executions.log_start(
            call.forward({"executionArn": answer["executionArn"]}, "DescribeExecution")
        )
        return answer

    def _on_end(self, execution: Execution) -> None:
        with self._lock:
            self._running.pop(execution.exec_arn, None)
            self._ended[execution.exec_arn] = execution.stop_date or datetime.now(UTC)
        self._past_executions.ended(execution.exec_arn, execution.region_name)
        if not self._closed:
            self._notify(execution)

    def _stop(self, call: Call) -> dict[str, Any]:
        """Stops the execution and waits until its running state has noticed the stop."""
        from local_aws.step_functions.moto_patches import StopReason

        arn = call.body["executionArn"]
        self._reasons[arn] = StopReason(call.body.get("error"), call.body.get("cause"))
        call.forward({"executionArn": arn})
        deadline = time.monotonic() + _STOP_SECONDS
        while arn not in self._ended and time.monotonic() < deadline:
            time.sleep(0.01)
        return {"stopDate": self._ended.get(arn) or time.time()}

    def _describe(self, call: Call) -> dict[str, Any]:
        return self._past_executions.description(call.body["executionArn"]) or self._with_stop_date(
            call.forward()
        )

    def _list(self, call: Call) -> dict[str, Any]:
        answer = call.forward()
        executions = [self._with_stop_date(execution) for execution in answer["executions"]]
        past = (
            []
            if call.body.get("nextToken") or "nextToken" in answer
            else self._past_executions.list_executions(call.body)
        )
        return answer | {"executions": executions + past}

    def _with_stop_date(self, execution: dict[str, Any]) -> dict[str, Any]:
        """Adds the stop date of executions that timed out, which moto omits."""
        ended = self._ended.get(execution["executionArn"])
        return {**execution, "stopDate": ended} if ended else execution

    def _history(self, call: Call) -> dict[str, Any]:
        """Adds pages and reverse order: moto always returns all events, oldest first."""
        body = call.body
        events = self._past_executions.events(body["executionArn"])
        if events is None:
            # raises the error for an execution that does not exist
            call.forward({"executionArn": body["executionArn"]}, "DescribeExecution")
            events = _events_in_moto(body["executionArn"], call.region)
        if body.get("reverseOrder"):
            events.reverse()
        size = min(body.get("maxResults") or _PAGE, _MOST)
        token = ("nextToken", body.get("nextToken"))
        return page(
            "events", events, size, token, AwsError("InvalidToken", f"Invalid Token: '{token[1]}'")
        )


def _events_in_moto(arn: str, region: str) -> list[dict[str, Any]]:
    """The execution's events, oldest first, without moto's serializer (0.3 ms an event)."""
    from moto.stepfunctions.parser.models import stepfunctions_parser_backends

    execution = stepfunctions_parser_backends[ACCOUNT_ID][region].describe_execution(arn)
    events = execution.to_history_output()["events"]  # type: ignore[attr-defined]
    return [{**event, "timestamp": datetime.fromisoformat(event["timestamp"])} for event in events]


def _check_definition(text: str) -> None:
    from local_aws.step_functions.definition import definition_problems

    found = definition_problems(text)
    wrong = [str(problem) for problem in found if problem.code != UNSUPPORTED]
    if wrong:
        raise AwsError(
            "InvalidDefinition", f"Invalid State Machine Definition: '{', '.join(wrong)}'"
        )
    if found:
        raise not_supported(
            "; ".join(f"{problem.message} at {problem.location}" for problem in found)
        )


def _existing(call: Call, arn: str) -> dict[str, Any] | None:
    try:
        return call.forward({"stateMachineArn": arn}, "DescribeStateMachine")
    except AwsError as error:
        if error.code != "StateMachineDoesNotExist":
            raise
        return None


def _same_machine(body: Mapping[str, Any], existing: dict[str, Any]) -> dict[str, Any]:
    """The response for an existing, identical state machine; role and tags may differ.

    https://docs.aws.amazon.com/step-functions/latest/apireference/API_CreateStateMachine.html
    """
    if any((body.get(field) or default) != existing[field] for field, default in _IDENTITY.items()):
        raise AwsError(
            "StateMachineAlreadyExists",
            f"State Machine Already Exists: '{existing['stateMachineArn']}'",
        )
    return {
        "stateMachineArn": existing["stateMachineArn"],
        "creationDate": existing["creationDate"],
    }
