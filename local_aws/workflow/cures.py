"""Flaws of moto's Step Functions interpreter, cured one by one; a test for each notices when moto needs the cure no more."""

from __future__ import annotations

import functools
import logging
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp
from jsonpath_ng.jsonpath import DatumInContext
from moto.core.config import default_user_config
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name import custom_error_name
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent, FailureEventException
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import JitterStrategyDecl
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import state_task_service_aws_sdk
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import ExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

from local_aws.clients import ACCESS_KEY_ID, NO_USER_CONFIGURATION, SECRET_ACCESS_KEY, Clients
from local_aws.workflow.services import error_prefix

_START_SECONDS = 5.0  # at most from StartExecution until the interpreter runs
_ENDINGS = (HistoryEventType.ExecutionAborted, HistoryEventType.ExecutionTimedOut)

OnEnd = Callable[[Execution], None]


@dataclass(frozen=True)
class StopReason:
    """What StopExecution was given."""

    error: str | None
    cause: str | None


class InterpreterClients:
    """What the interpreter's tasks call AWS with, in place of ``boto3``: this server only, times as ISO text.

    Stock moto reads the user's AWS configuration, calls ``localhost`` (which may be another address than the server's) and
    leaves ``datetime`` objects in state data, on which every later answer about the execution fails.
    """

    def __init__(self, clients: Clients) -> None:
        self._endpoint_url = clients.endpoint_url
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        core.get_component("response_parser_factory").set_parser_defaults(
            timestamp_parser=lambda value: _iso_text(parse_timestamp(value))
        )
        self._session = boto3.session.Session(botocore_session=core)
        self._lock = threading.Lock()  # making clients of one session is not thread-safe

    def client(self, service_name: str, region_name: str, validate: bool = False, **_: Any) -> Any:
        """A client without retries: what is repeated is for the state machine to say."""
        with self._lock:
            return self._session.client(
                service_name,
                region_name=region_name,
                endpoint_url=self._endpoint_url,
                aws_access_key_id=ACCESS_KEY_ID,
                aws_secret_access_key=SECRET_ACCESS_KEY,
                config=Config(parameter_validation=validate, retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
            )


def _iso_text(moment: datetime) -> str:
    """A timestamp as Step Functions shows it: ``2026-11-23T03:20:06.123Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def install(clients: Clients, on_end: OnEnd, reasons: Mapping[str, StopReason]) -> InterpreterClients:
    """Switches the interpreter on and cures it; again for each server.

    ``on_end`` hears of every execution that ended; ``reasons`` says why one was stopped, by its ARN.
    """
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    # it reports what happens inside executions as errors of its own; their history has that
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    ours = InterpreterClients(clients)
    boto_client.boto3 = ours  # type: ignore[attr-defined]
    custom_error_name.ILLEGAL_CUSTOM_ERROR_PREFIX = "\0"  # type: ignore[misc]
    state_task_service_aws_sdk._SERVICE_ERROR_NAMES = _ServiceErrorNames()  # type: ignore[misc,assignment]
    json_path.parse = functools.cache(Path)
    StateChoice._eval_state = _choose  # type: ignore[method-assign]
    Environment.set_error = _set_error  # type: ignore[method-assign]
    EventManager.add_event = _add_event  # type: ignore[method-assign]
    Environment.set_stop = _closing(_stock_set_stop)  # type: ignore[method-assign]
    Environment.set_timed_out = _closing(_stock_set_timed_out)  # type: ignore[method-assign]
    JitterStrategyDecl._eval_body = _wait_to_retry  # type: ignore[method-assign]
    ExecutionWorker.stop = _stop_worker(reasons)  # type: ignore[method-assign]
    Execution.get_start_execution_details = _execution_details  # type: ignore[method-assign]
    BaseExecutionWorkerCommunication.terminated = _terminated(on_end)  # type: ignore[method-assign]
    return ours


# what is replaced, for the tests that notice when moto has cured it
STOCK_BOTO3 = boto_client.boto3  # type: ignore[attr-defined]
STOCK_ILLEGAL_PREFIX = custom_error_name.ILLEGAL_CUSTOM_ERROR_PREFIX
STOCK_SERVICE_ERROR_NAMES = state_task_service_aws_sdk._SERVICE_ERROR_NAMES
_stock_parse = json_path.parse
_stock_choose = StateChoice._eval_state
_stock_set_error = Environment.set_error
_stock_add_event = EventManager.add_event
_stock_set_stop = Environment.set_stop
_stock_set_timed_out = Environment.set_timed_out
_stock_jitter = JitterStrategyDecl._eval_body
_stock_stop_worker = ExecutionWorker.stop
_stock_execution_details = Execution.get_start_execution_details
_stock_terminated = BaseExecutionWorkerCommunication.terminated


class _ServiceErrorNames(dict[str, str]):
    """How aws-sdk errors begin (``Glue.EntityNotFoundException``): moto knows two services and leaves the rest lower-case."""

    def __contains__(self, service: object) -> bool:
        return isinstance(service, str)

    def __getitem__(self, service: str) -> str:
        return error_prefix(service)


class Path:
    """A JSONPath as AWS answers it: a definite one has a value, one with a wildcard, slice or filter a list of values.

    moto makes a list of ``$.Rows[1].Data[0].VarCharValue``, a value of ``$.a[*].b.c`` that is found once, and an error of a
    filter that nothing passes.
    """

    def __init__(self, text: str) -> None:
        many = _INDEFINITE.search(text)
        self._expression = _stock_parse(text)
        self._holder = _stock_parse(text[: many.start()]) if many else None

    def find(self, data: Any) -> list[DatumInContext]:
        """At most one match, which is what moto takes for the value."""
        values = [match.value for match in self._expression.find(data)]
        if self._holder is None:
            return [DatumInContext.wrap(value) for value in values]
        return [DatumInContext.wrap(values)] if values or self._holder.find(data) else []


_INDEFINITE = re.compile(r"""\.\.|\.\*|\[[^]'"]*[?*:,]""")


def _choose(self: StateChoice, env: Environment) -> None:
    """A Choice without a match is ``States.NoChoiceMatched``; moto has ``States.Runtime`` with a Python error for a cause."""
    try:
        _stock_choose(self, env)
    except RuntimeError as error:
        if not str(error.args[0]).startswith("No branching option"):
            raise
        raise FailureEventException(_no_choice_matched(self, env)) from error


def _no_choice_matched(state: StateChoice, env: Environment) -> FailureEvent:
    cause = f"Failed to transition out of the state '{state.name}': no choice rule matched and there is no Default."
    return FailureEvent(
        env=env,
        error_name=ErrorName("States.NoChoiceMatched"),
        event_type=HistoryEventType.ExecutionFailed,
        event_details=EventDetails(
            executionFailedEventDetails=ExecutionFailedEventDetails(error="States.NoChoiceMatched", cause=cause)
        ),
    )


def _set_error(self: Environment, error: ExecutionFailedEventDetails) -> None:
    """An execution that was stopped or timed out stays so: in moto, what its states then trip over makes it FAILED."""
    if not isinstance(self.program_state(), (ProgramStopped, ProgramTimedOut)):
        _stock_set_error(self, error)


def _closing(stock: Callable[..., None]) -> Callable[..., None]:
    def end(self: Environment, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        if not self.is_frame():
            self.event_manager.closed = True  # type: ignore[attr-defined]

    return end


def _add_event(self: EventManager, context: Any, event_type: HistoryEventType, *args: Any, **kwargs: Any) -> int:
    """Nothing happens any more after the end: in moto the states of an aborted execution go on to "succeed" with null."""
    if getattr(self, "closed", False) and event_type not in _ENDINGS:
        return int(context.last_published_event_id)
    return _stock_add_event(self, context, event_type, *args, **kwargs)


def _wait_to_retry(self: JitterStrategyDecl, env: Environment) -> None:
    """The pause before a Retry ends with the execution: moto sleeps it out, and a stopped execution goes on RUNNING."""
    _stock_jitter(self, env)
    deadline = time.monotonic() + env.stack.pop()
    while env.is_running() and (rest := deadline - time.monotonic()) > 0:
        env.program_state_event.wait(rest)
    env.stack.append(0)


def _stop_worker(reasons: Mapping[str, StopReason]) -> Callable[..., None]:
    """Error and cause of StopExecution get through to the execution: moto drops them.

    It can come in the moment after the start too: moto's worker has no environment then and fails.
    """

    def stop(self: ExecutionWorker, stop_date: Any, **_: Any) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while (self.env is None or self.env.program_state() is None) and time.monotonic() < deadline:
            time.sleep(0.01)
        reason = reasons.get(self._evaluation_details.execution_details.arn, StopReason(None, None))
        _stock_stop_worker(self, stop_date=stop_date, error=reason.error, cause=reason.cause)

    return stop


def _execution_details(self: Execution) -> ExecutionDetails:
    """``$$.Execution.StartTime`` is text: moto puts a ``datetime`` there, which no intrinsic function takes."""
    details = _stock_execution_details(self)
    details.start_time = _iso_text(details.start_time)  # type: ignore[misc]
    return details


def _terminated(on_end: OnEnd) -> Callable[[BaseExecutionWorkerCommunication], None]:
    """EventBridge's "Execution Status Change" has to come from somewhere: moto tells nobody that an execution ended."""

    def terminated(self: BaseExecutionWorkerCommunication) -> None:
        _stock_terminated(self)
        state = self.execution.exec_worker.env.program_state()
        if isinstance(state, ProgramStopped):
            self.execution.error, self.execution.cause = state.error, state.cause
        on_end(self.execution)

    return terminated
