"""Records the AWS calls of a run against the local AWS, and plays them back.

The playback can answer one of the calls with an error.
"""

from __future__ import annotations

import copy
import io
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from botocore.awsrequest import AWSResponse
from botocore.response import StreamingBody
from car_rental.aws import Aws


@dataclass
class Call:
    """One call: operation, parameters and response."""

    service: str
    operation: str
    parameters: dict[str, Any]
    shape: Any  # shape of the parameters in botocore's model
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"


class Recording(list[Call]):
    """The calls of a session in their order, from ``listen_to`` on."""

    def listen_to(self, aws: Aws) -> None:
        events, pending, lock = aws.session.events, threading.local(), threading.Lock()

        def on_call(params: dict[str, Any], model: Any, **_: Any) -> None:
            copyable = {name: value for name, value in params.items() if not hasattr(value, "read")}
            pending.call = Call(
                model.service_model.service_name,
                model.name,
                copy.deepcopy(copyable),
                model.input_shape,
            )

        def on_response(
            response_dict: dict[str, Any], parsed_response: dict[str, Any], **_: Any
        ) -> None:
            call, parsed = pending.call, parsed_response
            call.status = response_dict["status_code"]
            if isinstance(parsed.get("Body"), StreamingBody):
                content = parsed["Body"].read()
                parsed["Body"] = _body(content)
                call.answer = {
                    **copy.deepcopy({key: value for key, value in parsed.items() if key != "Body"}),
                    "Body": content,
                }
            else:
                call.answer = copy.deepcopy(parsed)
            with lock:
                self.append(call)

        events.register("before-parameter-build", on_call)
        # before botocore parses JSON strings in the response
        events.register("response-received", on_response)


def _body(content: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content))


class Playback:
    """Answers a session's calls as recorded; the first call of ``refused`` fails with ``code``.

    When an operation is called more often than it was recorded, its last response is repeated. An
    operation that was never recorded succeeds; only the cleanup after the refusal calls one.
    ``done`` lists the calls.
    """

    def __init__(
        self, recording: Recording, refused: str = "", code: str = "", status: int = 400
    ) -> None:
        self._answers: defaultdict[str, list[Call]] = defaultdict(list)
        for call in recording:
            self._answers[call.name].append(call)
        self._refused, self._error = refused, (code, status)
        self._lock = threading.Lock()
        self.done: list[str] = []

    @contextmanager
    def answering(self, aws: Aws) -> Iterator[None]:
        """Inside the block no call of ``aws`` leaves the process.

        Clients can be reused afterwards, because creating one is slow.
        """
        emitters = [aws.session.events, *(client.meta.events for client in aws.clients.values())]
        for emitter in emitters:
            emitter.register("before-call", self._answer)
        try:
            yield
        finally:
            emitters += [client.meta.events for client in aws.clients.values()]
            for emitter in emitters:
                emitter.unregister("before-call", self._answer)

    def _answer(self, model: Any, **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        name = f"{model.service_model.service_name}:{model.name}"
        with self._lock:
            self.done.append(name)
            if name == self._refused:
                self._refused = ""
                code, status = self._error
                return _http(status), _refusal(code, status, model.name)
            answers = self._answers[name] or [Call(*name.split(":"), {}, None, 200)]
            call = answers.pop(0) if len(answers) > 1 else answers[0]
        answer = copy.deepcopy(call.answer)
        if isinstance(answer.get("Body"), bytes):
            answer["Body"] = _body(answer["Body"])
        return _http(call.status), answer


def _http(status: int) -> AWSResponse:
    return AWSResponse("http://127.0.0.1", status, {}, None)


def _refusal(code: str, status: int, operation: str) -> dict[str, Any]:
    error = {"Code": code, "Message": f"You may not call {operation} now."}
    return {
        "Error": error,
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {}, "RetryAttempts": 7},
    }
