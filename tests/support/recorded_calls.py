"""AWS calls written down from a real run against the local AWS, and played back: with one of them
refused, if asked for."""

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
    """One call: what was asked with which parameters, and what came back."""

    service: str
    operation: str
    parameters: dict[str, Any]
    shape: Any  # of the parameters, in botocore's model
    status: int = 0
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.service}:{self.operation}"


class Recording(list[Call]):
    """The calls of a session, in their order, from ``listen_to`` on."""

    def listen_to(self, aws: Aws) -> None:
        events, pending, lock = aws.session.events, threading.local(), threading.Lock()

        def asked(params: dict[str, Any], model: Any, **_: Any) -> None:
            shown = {name: value for name, value in params.items() if not hasattr(value, "read")}
            pending.call = Call(
                model.service_model.service_name,
                model.name,
                copy.deepcopy(shown),
                model.input_shape,
            )

        def answered(
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

        events.register("before-parameter-build", asked)
        events.register(
            "response-received", answered
        )  # before botocore makes objects of the JSON texts in it


def _body(content: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content))


class Playback:
    """Answers a session's calls as they were answered before; the first call named ``refused`` gets
    ``code`` instead.

    When an operation is called more often than it was, its last answer comes again; one that was
    not called at all, which only cleaning up after the refusal does, succeeds. ``done`` lists what
    was called.
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
        """While inside, no call of ``aws`` leaves the process. (Its clients can be used again: to
        make one takes long.)"""
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
