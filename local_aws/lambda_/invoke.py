"""Lambda's Invoke, whose path names the function: a WSGI layer in front of moto."""

from __future__ import annotations

import base64
import json
import logging
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from local_aws.lambda_.run import Functions, Outcome
from local_aws.overlay import AwsError
from local_aws.wsgi import WsgiApp, read_body, send, signed_region, signed_service

log = logging.getLogger(__name__)

_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
_Answer = tuple[int, dict[str, str], bytes]


class Invocations:
    """Answers Invoke and passes every other request on to ``app``."""

    def __init__(self, app: WsgiApp, functions: Functions) -> None:
        self._app = app
        self._functions = functions

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        match = (
            _PATH.fullmatch(environ["PATH_INFO"]) if environ["REQUEST_METHOD"] == "POST" else None
        )
        if match is None or signed_service(environ) != "lambda":
            return self._app(environ, start_response)
        status, headers, payload = self._answer(unquote(match.group(1)), environ)
        return send(environ, start_response, status, payload, headers)

    def _answer(self, function: str, environ: dict[str, Any]) -> _Answer:
        try:
            return self._invoke(_name(function), environ)
        except AwsError as error:
            return _error(error.status, error.code, error.message)
        except ClientError as error:  # moto has no such function
            said = error.response["Error"]
            return _error(
                error.response["ResponseMetadata"]["HTTPStatusCode"], said["Code"], said["Message"]
            )

    def _invoke(self, name: str, environ: dict[str, Any]) -> _Answer:
        region, event = signed_region(environ), _event(environ)
        kind = environ.get("HTTP_X_AMZ_INVOCATION_TYPE", "RequestResponse")
        if kind == "RequestResponse":
            return _answered(
                self._functions.invoke(name, region, event), environ.get("HTTP_X_AMZ_LOG_TYPE")
            )
        self._functions.check(name, region)
        if kind == "Event":
            threading.Thread(
                target=self._functions.invoke, args=(name, region, event), daemon=True
            ).start()
        return (202 if kind == "Event" else 204), {}, b""


def _name(function: str) -> str:
    """The function's name, from its name, its partial ARN or its ARN."""
    return function.partition(":function:")[2].partition(":")[0] or function.rpartition(":")[2]


def _event(environ: dict[str, Any]) -> Any:
    try:
        return json.loads(read_body(environ) or b"{}")
    except ValueError as error:
        raise AwsError(
            "InvalidRequestContentException", f"Could not parse request body into json: {error}"
        ) from error


def _answered(outcome: Outcome, log_type: str | None) -> _Answer:
    headers = {"X-Amz-Executed-Version": "$LATEST"}
    if outcome.failed:
        headers["X-Amz-Function-Error"] = "Unhandled"
    if log_type == "Tail":
        headers["X-Amz-Log-Result"] = base64.b64encode(outcome.output.encode()[-4096:]).decode()
    return 200, headers, outcome.payload.encode()


def _error(status: int, code: str, message: str) -> _Answer:
    return (
        status,
        {"x-amzn-ErrorType": code},
        json.dumps({"Type": "User", "Message": message, "message": message}).encode(),
    )
