"""Helpers for the WSGI layers: read a request's body and signature, send a response."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

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


def _json_default(value: Any) -> Any:
    """The AWS JSON protocol has datetimes as epoch seconds."""
    if hasattr(value, "timestamp"):
        return value.timestamp()
    raise TypeError(f"{type(value).__name__} has no form in JSON: {value!r}")
