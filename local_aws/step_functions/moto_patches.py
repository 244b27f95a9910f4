"""Patches of moto's interpreter; ``make test-moto`` tells which ones can go."""

from __future__ import annotations

import base64
import functools
import json
import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from moto.core.config import default_user_config
from moto.stepfunctions.parser.api import ExecutionFailedEventDetails, HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name import custom_error_name
from moto.stepfunctions.parser.asl.component.common.error_name.error_equals_decl import (
    ErrorEqualsDecl,
)
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import (
    FailureEvent,
    FailureEventException,
)
from moto.stepfunctions.parser.asl.component.common.retry.jitter_strategy_decl import (
    JitterStrategyDecl,
)
from moto.stepfunctions.parser.asl.component.intrinsic.function.statesfunction.encoding_decoding import (  # noqa: E501
    base_64_decode,
    base_64_encode,
)
from moto.stepfunctions.parser.asl.component.intrinsic.function.statesfunction.generic import (
    string_format,
)
from moto.stepfunctions.parser.asl.component.intrinsic.function.statesfunction.json_manipulation import (  # noqa: E501
    json_to_string,
)
from moto.stepfunctions.parser.asl.component.intrinsic.function.statesfunction.states_function import (  # noqa: E501
    StatesFunction,
)
from moto.stepfunctions.parser.asl.component.state.choice.state_choice import StateChoice
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service_aws_sdk,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment
from moto.stepfunctions.parser.asl.eval.evaluation_details import ExecutionDetails
from moto.stepfunctions.parser.asl.eval.event.event_detail import EventDetails
from moto.stepfunctions.parser.asl.eval.event.event_manager import EventManager
from moto.stepfunctions.parser.asl.eval.program_state import ProgramStopped, ProgramTimedOut
from moto.stepfunctions.parser.asl.parse import preprocessor as definitions
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.parse.intrinsic import preprocessor as intrinsics
from moto.stepfunctions.parser.asl.parse.intrinsic.intrinsic_parser import IntrinsicParser
from moto.stepfunctions.parser.asl.utils import boto_client, json_path
from moto.stepfunctions.parser.backend.execution import BaseExecutionWorkerCommunication, Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.parser.models import StepFunctionsParserBackend

from local_aws.clients import Clients
from local_aws.step_functions.interpreter_clients import InterpreterClients, iso_text
from local_aws.step_functions.json_paths import Path
from local_aws.step_functions.services import error_prefix
from local_aws.step_functions.syntax import parse

_START_SECONDS = 5.0  # from StartExecution until the interpreter runs, at most
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_ENDINGS = (HistoryEventType.ExecutionAborted, HistoryEventType.ExecutionTimedOut)

OnEnd = Callable[[Execution], None]


@dataclass(frozen=True)
class StopReason:
    """The arguments of StopExecution."""

    error: str | None
    cause: str | None


def install(
    clients: Clients, on_end: OnEnd, reasons: Mapping[str, StopReason]
) -> InterpreterClients:
    """Enables and patches the interpreter; called for each server.

    ``on_end`` is called for every execution that ends; ``reasons`` has the StopReason by ARN.
    """
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    # moto logs failures inside executions as its own errors; the executions' histories contain
    # them.
    logging.getLogger("moto.stepfunctions").setLevel(logging.CRITICAL)
    ours = InterpreterClients(clients)
    for owner, name, patch in (
        *_PATCHES,
        (boto_client, "boto3", ours),
        *_patches_of_server(on_end, reasons),
    ):
        assert hasattr(owner, name), f"moto has changed: {owner} has no {name}"
        setattr(owner, name, patch)
    return ours


def _patches_of_server(
    on_end: OnEnd, reasons: Mapping[str, StopReason]
) -> list[tuple[Any, str, Any]]:
    return [
        (ExecutionWorker, "stop", _stop_worker(reasons)),
        (BaseExecutionWorkerCommunication, "terminated", _terminated(on_end)),
    ]


# moto's own functions, called by the patches
_stock_choose = StateChoice._eval_state
_stock_set_error = Environment.set_error
_stock_add_event = EventManager.add_event
_stock_set_stop = Environment.set_stop
_stock_set_timed_out = Environment.set_timed_out
_stock_jitter = JitterStrategyDecl._eval_body
_stock_stop_worker = ExecutionWorker.stop
_stock_execution_details = Execution.get_start_execution_details
_stock_terminated = BaseExecutionWorkerCommunication.terminated
_stock_inner_string = definitions.Preprocessor._inner_string_of
_stock_parse_intrinsic = IntrinsicParser.parse


class _ServiceErrorNames(dict[str, str]):
    """Names of services in errors (``Glue.EntityNotFoundException``); moto has only two."""

    def __contains__(self, service: object) -> bool:
        return isinstance(service, str)

    def __getitem__(self, service: str) -> str:
        return error_prefix(service)


def _match(self: ErrorEqualsDecl, env: Environment) -> None:
    """Returns whether a Catch or Retry handles an error; moto's wildcards match too much."""
    error: str = env.stack.pop().error_name
    env.stack.append(is_handled(error, [str(name.error_name) for name in self.error_names]))


def is_handled(error: str, handled: Sequence[str]) -> bool:
    """Returns whether ``handled`` contains ``error``, by name or wildcard.

    https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
    """
    if error == "States.Runtime":  # "will always cause the execution to fail"
        return False
    if error in handled:
        return True
    if error == "States.DataLimitExceeded":
        return False
    return "States.ALL" in handled or ("States.TaskFailed" in handled and error != "States.Timeout")


def _choose(self: StateChoice, env: Environment) -> None:
    """Raises ``States.NoChoiceMatched`` if no choice matches; moto: ``States.Runtime``."""
    try:
        _stock_choose(self, env)
    except RuntimeError as error:
        if not str(error.args[0]).startswith("No branching option"):
            raise
        raise FailureEventException(_no_choice_matched(self, env)) from error


def _no_choice_matched(state: StateChoice, env: Environment) -> FailureEvent:
    cause = (
        f"Failed to transition out of the state '{state.name}': no choice rule matched and there is"
        " no Default."
    )
    return FailureEvent(
        env=env,
        error_name=ErrorName("States.NoChoiceMatched"),
        event_type=HistoryEventType.ExecutionFailed,
        event_details=event_details("executionFailed", error="States.NoChoiceMatched", cause=cause),
    )


def event_details(event: str, **details: str) -> EventDetails:
    """The details of one event; moto's type also requires the fields of other events."""
    return cast(EventDetails, {f"{event}EventDetails": details})


def _set_error(self: Environment, error: ExecutionFailedEventDetails) -> None:
    """Keeps the status of a stopped execution; in moto, a later error sets FAILED."""
    if not isinstance(self.program_state(), (ProgramStopped, ProgramTimedOut)):
        _stock_set_error(self, error)


def _closing(stock: Callable[..., None]) -> Callable[..., None]:
    def end(self: Environment, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        if not self.is_frame():
            self.event_manager.closed = True  # type: ignore[attr-defined]

    return end


def _add_event(
    self: EventManager, context: Any, event_type: HistoryEventType, *args: Any, **kwargs: Any
) -> int:
    """Drops events after the end; in moto an aborted execution's states "succeed"."""
    if getattr(self, "closed", False) and event_type not in _ENDINGS:
        return int(context.last_published_event_id)
    return _stock_add_event(self, context, event_type, *args, **kwargs)


def _wait_to_retry(self: JitterStrategyDecl, env: Environment) -> None:
    """Waits before a Retry, but not longer than the execution lasts; moto always waits."""
    _stock_jitter(self, env)
    deadline = time.monotonic() + env.stack.pop()
    while env.is_running() and (rest := deadline - time.monotonic()) > 0:
        env.program_state_event.wait(rest)
    env.stack.append(0)


def _stop_worker(reasons: Mapping[str, StopReason]) -> Callable[..., None]:
    """Forwards error and cause of StopExecution, which moto drops.

    Waits for the worker's environment, because moto fails if the execution has just been started.
    """

    def stop(self: ExecutionWorker, stop_date: Any, **_: Any) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while (
            self.env is None or self.env.program_state() is None
        ) and time.monotonic() < deadline:
            time.sleep(0.01)
        reason = reasons.get(self._evaluation_details.execution_details.arn, StopReason(None, None))
        _stock_stop_worker(self, stop_date=stop_date, error=reason.error, cause=reason.cause)

    return stop


def _execution_details(self: Execution) -> ExecutionDetails:
    """``$$.Execution.StartTime`` as text; intrinsic functions reject moto's ``datetime``."""
    details = _stock_execution_details(self)
    vars(details)["start_time"] = iso_text(self.start_date)
    return details


def _inner_string_of(parser_rule_context: Any) -> str | None:
    """The value of a JSON string; moto does not decode escapes such as ``\\u00fc``."""
    text = _stock_inner_string(parser_rule_context)
    return None if text is None or parser_rule_context.getText() == text else _decoded(text)


def _parse_intrinsic(src: str) -> Any:
    """Decodes the JSON string that holds an intrinsic function."""
    return _stock_parse_intrinsic(_decoded(src))


def _decoded(inside: str) -> str:
    return str(json.loads(f'"{inside}"'))


def _text_of_argument(parse_tree: Any) -> str:
    """Removes the backslash of an escaped character; moto keeps it before quotes and braces.

    https://docs.aws.amazon.com/step-functions/latest/dg/intrinsic-functions.html
    """
    return re.sub(
        r"\\(.)", lambda escaped: _ESCAPED.get(escaped[1], escaped[1]), parse_tree.getText()[1:-1]
    )


def _format(self: string_format.StringFormat, env: Environment) -> None:
    """``States.Format``; moto treats every brace as a placeholder."""
    self.argument_list.eval(env=env)
    template, *values = env.stack.pop()
    texts = template.split("{}")
    if len(values) != len(texts) - 1:
        raise ValueError(
            f"States.Format: {len(values)} values for the placeholders in '{template}'"
        )
    fillings = [self._to_str_repr(value) for value in values] + [""]
    env.stack.append("".join(text + value for text, value in zip(texts, fillings, strict=True)))


def _base64(convert: Callable[[str], str]) -> Callable[[StatesFunction, Environment], None]:
    """``States.Base64Encode`` and ``Base64Decode`` for any text; moto supports ASCII only."""

    def evaluate(self: StatesFunction, env: Environment) -> None:
        self.argument_list.eval(env=env)
        text: str = env.stack.pop().pop()
        most = base_64_encode.Base64Encode.MAX_INPUT_CHAR_LEN
        if len(text) > most:
            raise ValueError(f"Base64: more than {most} characters: {len(text)}")
        env.stack.append(convert(text))

    return evaluate


def _to_string(self: StatesFunction, env: Environment) -> None:
    """``States.JsonToString`` keeps non-ASCII characters; moto escapes them."""
    self.argument_list.eval(env=env)
    env.stack.append(json.dumps(env.stack.pop().pop(), ensure_ascii=False, separators=(",", ":")))


def _terminated(on_end: OnEnd) -> Callable[[BaseExecutionWorkerCommunication], None]:
    """Calls ``on_end``, for EventBridge's status change events, which moto does not send."""

    def terminated(self: BaseExecutionWorkerCommunication) -> None:
        _stock_terminated(self)
        worker = self.execution.exec_worker
        state = worker.env.program_state() if worker and worker.env else None
        if isinstance(state, ProgramStopped):
            self.execution.error, self.execution.cause = state.error, state.cause
        on_end(self.execution)

    return terminated


# owner, name and replacement
_PATCHES: list[tuple[Any, str, Any]] = [
    (AmazonStateLanguageParser, "parse", staticmethod(parse)),
    # The component has validated the definition already, with better messages.
    (StepFunctionsParserBackend, "_validate_definition", staticmethod(lambda definition: None)),
    # Otherwise an error States.* from a branch or a Fail state is a Python error, and no Catch
    # runs.
    (custom_error_name, "ILLEGAL_CUSTOM_ERROR_PREFIX", "\0"),
    (state_task_service_aws_sdk, "_SERVICE_ERROR_NAMES", _ServiceErrorNames()),
    (json_path, "parse", functools.cache(Path)),
    (ErrorEqualsDecl, "_eval_body", _match),
    (StateChoice, "_eval_state", _choose),
    (Environment, "set_error", _set_error),
    (Environment, "set_stop", _closing(_stock_set_stop)),
    (Environment, "set_timed_out", _closing(_stock_set_timed_out)),
    (EventManager, "add_event", _add_event),
    (JitterStrategyDecl, "_eval_body", _wait_to_retry),
    (Execution, "get_start_execution_details", _execution_details),
    (definitions.Preprocessor, "_inner_string_of", staticmethod(_inner_string_of)),
    (IntrinsicParser, "parse", staticmethod(_parse_intrinsic)),
    (intrinsics.Preprocessor, "_text_of_str", staticmethod(_text_of_argument)),
    (string_format.StringFormat, "_eval_body", _format),
    (
        base_64_encode.Base64Encode,
        "_eval_body",
        _base64(lambda text: base64.b64encode(text.encode()).decode()),
    ),
    (
        base_64_decode.Base64Decode,
        "_eval_body",
        _base64(lambda text: base64.b64decode(text).decode()),
    ),
    (json_to_string.JsonToString, "_eval_body", _to_string),
]
