"""WSGI layer in front of moto that answers single AWS operations or corrects moto's response.

AWS's JSON services name the operation in the header ``X-Amz-Target``
(``ElasticMapReduce.AddJobFlowSteps``). A component registers a handler for each operation it owns.
A handler gets the decoded request as a ``Call``; it returns the decoded response, calls moto
through ``call.forward()``, or raises ``AwsError``. All other requests go to moto unchanged. The
layer depends on the wire protocol only, not on moto's internals.
"""

from __future__ import annotations

import io
import json
import logging
import traceback
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from werkzeug.test import run_wsgi_app

from local_aws.errors import is_disk_full
from local_aws.wsgi import (
    WsgiApp,
    protocol_of,
    read_body,
    send,
    send_error,
    signed_by,
    signed_region,
    signed_service,
)

log = logging.getLogger(__name__)

Handler = Callable[["Call"], dict[str, Any]]


class AwsError(Exception):
    """An error response of AWS: the name in the service model, and the HTTP status."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status

    def body_of_error(self) -> dict[str, Any]:
        """The body of the response, with both spellings of the message's field."""
        return {"__type": self.code, "message": self.message, "Message": self.message}


def not_supported(what: str) -> AwsError:
    """The error for a feature of AWS that this stand-in lacks; clients do not retry it."""
    return AwsError("LocalAwsNotSupported", f"local_aws does not support this: {what}", 501)


@dataclass(frozen=True)
class Call:
    """One decoded request to a JSON service.

    ``service`` and ``operation`` are the two parts of ``X-Amz-Target``; ``principal`` is the access
    key id that signed the request.
    """

    service: str
    operation: str
    body: dict[str, Any]
    region: str
    principal: str
    _call_moto: Callable[[str, dict[str, Any]], dict[str, Any]] = field(repr=False)

    def forward(
        self, body: Mapping[str, Any] | None = None, operation: str | None = None
    ) -> dict[str, Any]:
        """moto's response to this request, or to another one; raises moto's ``AwsError``."""
        return self._call_moto(
            operation or self.operation, dict(self.body if body is None else body)
        )


class Overlay:
    """WSGI application: ``handlers`` by ``"Service.Operation"`` in front of ``moto``."""

    def __init__(self, moto: WsgiApp) -> None:
        self._moto = moto
        self.handlers: dict[str, Handler] = {}

    def register(self, handlers: Mapping[str, Handler]) -> None:
        """Adds handlers by ``"Service.Operation"``; two for one operation are a defect."""
        twice = sorted(self.handlers.keys() & handlers.keys())
        if twice:
            raise ValueError(f"two handlers for {', '.join(twice)}")
        self.handlers.update(handlers)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        handler = self.handlers.get(target)
        # moto's Step Functions interpreter requires this header in every response
        headers = {"x-amzn-RequestId": str(uuid.uuid4())}
        if handler is None:
            try:
                return self._moto(environ, start_response)
            except NotImplementedError as error:  # an operation that moto lacks
                service = signed_service(environ)
                rejection = not_supported(f"{target or service}: {error}")
                protocol = protocol_of(environ, service)
                said = (rejection.status, rejection.code, rejection.message)
                return send_error(environ, start_response, protocol, *said, headers)
        status, answer = self._answer(handler, environ, target)
        return send(environ, start_response, status, answer, headers, "application/x-amz-json-1.1")

    def _answer(
        self, handler: Handler, environ: dict[str, Any], target: str
    ) -> tuple[int, dict[str, Any]]:
        try:
            return 200, handler(self._decode(environ, target))
        except AwsError as error:
            return error.status, error.body_of_error()
        # a defect of the stand-in must not look like an error of AWS
        except Exception as error:
            if is_disk_full(error):
                raise  # not a defect: authentication.py reports it, for every service
            log.exception("local_aws failed in %s", target)
            message = f"local_aws has a bug in {target}: {traceback.format_exc(limit=-3)}"
            return 500, {"__type": "LocalAwsBug", "message": message, "Message": message}

    def _decode(self, environ: dict[str, Any], target: str) -> Call:
        try:
            body = json.loads(read_body(environ) or b"{}")
        except ValueError as error:
            raise AwsError(
                "SerializationException", f"the request body is not JSON: {error}"
            ) from error
        if not isinstance(body, dict):
            raise AwsError("SerializationException", "the request body is not a JSON object")
        service, operation = target.split(".", 1)

        def call_moto(other_operation: str, other_body: dict[str, Any]) -> dict[str, Any]:
            return self._call_moto(environ, f"{service}.{other_operation}", other_body)

        return Call(
            service=service,
            operation=operation,
            body=body,
            region=signed_region(environ),
            principal=signed_by(environ),
            _call_moto=call_moto,
        )

    def _call_moto(
        self, environ: Mapping[str, Any], target: str, body: dict[str, Any]
    ) -> dict[str, Any]:
        payload = json.dumps(body).encode()
        # Keys with a dot (werkzeug.request, ...) cache the original request and would hide the new
        # body.
        fresh = {
            key: value
            for key, value in environ.items()
            if "." not in key or key.startswith("wsgi.")
        }
        fresh.update(
            {
                "HTTP_X_AMZ_TARGET": target,
                "CONTENT_LENGTH": str(len(payload)),
                "wsgi.input": io.BytesIO(payload),
                "wsgi.input_terminated": True,
            }
        )
        try:
            chunks, status_line, _ = run_wsgi_app(self._moto, fresh, buffered=True)
        except NotImplementedError as error:
            raise not_supported(f"{target}: {error}") from error
        raw, status = b"".join(chunks), int(status_line.split()[0])
        try:
            answer: dict[str, Any] = json.loads(raw) if raw.strip() else {}
        except ValueError:
            answer = {
                "__type": "InternalFailure",
                "message": f"moto answered {target} with {raw[:300]!r}",
            }
            status = max(status, 500)
        if status >= 400:
            code = str(answer.get("__type", "InternalFailure")).split("#")[-1]
            raise AwsError(code, str(answer.get("message") or answer.get("Message") or ""), status)
        return answer
