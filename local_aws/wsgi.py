"""Helpers for the WSGI layers: read a request's body and signature, send a response."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/\d+/([^/]+)/([^/]+)/aws4_request")


def signed_by(environ: Mapping[str, Any]) -> str:
    """The access key id that signed a request; empty if it is not signed."""
    return _credential(environ, 1)


def signed_region(environ: Mapping[str, Any]) -> str:
    """The region that a request is signed for; us-east-1 if it is not signed."""
    return _credential(environ, 2) or "us-east-1"


def signed_service(environ: Mapping[str, Any]) -> str:
    """The service that a request is signed for; empty if it is not signed."""
    return _credential(environ, 3)


def _credential(environ: Mapping[str, Any], part: int) -> str:
    match = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    return match[part] if match else ""


def read_body(environ: dict[str, Any]) -> bytes:
    """The request's body, also a chunked one; later layers can read it again."""
    body: bytes = Request(environ, populate_request=False).get_data(cache=False)
    environ |= {
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input_terminated": True,
    }
    environ.pop("HTTP_TRANSFER_ENCODING", None)
    return body


def send(
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    status: int,
    body: Mapping[str, Any] | bytes | str,
    headers: Mapping[str, str] | None = None,
    content_type: str = "application/json",
) -> Iterable[bytes]:
    """Sends a response; a mapping is sent as JSON."""
    payload = json.dumps(body, default=_json_default) if isinstance(body, Mapping) else body
    return Response(payload, status, headers, content_type=content_type)(environ, start_response)


def protocol_of(environ: Mapping[str, Any], service: str) -> str:
    """The wire protocol of a request to ``service``.

    One of ``json`` (with a target), ``s3``, ``query``, ``ec2`` and ``rest`` (JSON).
    """
    kind = environ.get("CONTENT_TYPE", "")
    if environ.get("HTTP_X_AMZ_TARGET"):
        return "json"
    if service == "s3" or not (service or kind):
        return "s3"
    if kind.startswith("application/x-www-form-urlencoded"):
        return "ec2" if service == "ec2" else "query"
    return "rest"


def send_error(
    environ: dict[str, Any],
    start_response: Callable[..., Any],
    protocol: str,
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str],
) -> Iterable[bytes]:
    """Sends an error of AWS in the form that ``protocol`` has for it."""
    if protocol == "json":
        body = {"__type": code, "message": message, "Message": message}
        return send(environ, start_response, status, body, headers, "application/x-amz-json-1.1")
    if protocol == "rest":
        headers = {**headers, "x-amzn-ErrorType": code}
        return send(environ, start_response, status, {"message": message}, headers)
    error = f"<Code>{code}</Code><Message>{escape(message)}</Message>"
    texts = {
        "s3": f"<Error>{error}</Error>",
        "query": f"<ErrorResponse><Error><Type>Sender</Type>{error}</Error></ErrorResponse>",
        "ec2": f"<Response><Errors><Error>{error}</Error></Errors></Response>",
    }
    return send(environ, start_response, status, texts[protocol], headers, "application/xml")


def _json_default(value: Any) -> Any:
    """Converts datetimes to epoch seconds, as in the AWS JSON protocol."""
    if hasattr(value, "timestamp"):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} cannot be encoded as JSON: {value!r}")
