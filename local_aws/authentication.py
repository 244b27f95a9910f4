"""Access control: admits only programs on this machine that have the lake's key.

The server executes what it receives, so it must not trust every local request. A web page could
send requests directly (the browser then adds ``Origin`` or ``Sec-Fetch-Site``) or through a DNS
name that resolves to 127.0.0.1 (``Host`` is then that name), and so could another user of the
machine. Requests without a valid signature get the errors that AWS would send.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

from local_aws.errors import is_disk_full
from local_aws.keys import Keys
from local_aws.signature import Claim, claim_of
from local_aws.wsgi import WsgiApp, protocol_of, send, send_error

_THIS_MACHINE = re.compile(
    r"(127\.0\.0\.1|localhost|[a-z0-9.-]+\.localhost|\[::1\])(:\d+)?", re.IGNORECASE
)
_SAME_SITE = ("", "same-origin", "none")
# unread bytes of the request must not be parsed as the next request
_CLOSE = {"Connection": "close"}

# problem -> (code in S3, code in JSON services, code in XML services, message)
_ERRORS = {
    "unsigned": (
        "AccessDenied",
        "MissingAuthenticationTokenException",
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
    ),
    "unknown": (
        "InvalidAccessKeyId",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        (
            "The security token included in the request is invalid. This local AWS knows the key"
            " that it printed when it started, which lies in the file credentials of its folder."
        ),
    ),
    "wrong": (
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        (
            "The request signature we calculated does not match the signature you provided. Check"
            " your AWS Secret Access Key."
        ),
    ),
    "full": (
        *["LocalAwsDiskFull"] * 3,
        "no space left on the disk of the local AWS (LOCAL_AWS_DIR)",
    ),
    "expired": ("AccessDenied", "ExpiredTokenException", "RequestExpired", "Request has expired"),
}


class Authentication:
    """The outermost WSGI layer."""

    def __init__(self, app: WsgiApp, keys: Keys) -> None:
        self._app = app
        self._keys = keys

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        origin_problem = _foreign_origin(environ)
        if origin_problem:
            text = f"local_aws: {origin_problem}\n"
            return send(environ, start_response, 403, text, _CLOSE, "text/plain")
        claim = claim_of(environ)
        problem = claim.problem(environ, self._keys) if claim else "unsigned"
        if problem:
            return _reject(environ, start_response, claim, problem)
        try:
            return self._app(environ, _without_cors(start_response))
        except OSError as error:
            if not is_disk_full(error):
                raise
            info = sys.exc_info()
            return _reject(environ, _answered_again(start_response, info), claim, "full")


def _answered_again(start_response: Any, info: Any) -> Any:
    """A ``start_response`` that replaces the headers that the request has sent already."""

    def again(_status: str, headers: list[tuple[str, str]]) -> Any:
        return start_response("507 Insufficient Storage", headers, info)

    return again


def _foreign_origin(environ: dict[str, Any]) -> str:
    """Why a request cannot come from a program on this machine; empty if it can."""
    host = environ.get("HTTP_HOST", "")
    if not _THIS_MACHINE.fullmatch(host):
        return f"the host {host!r} is not this machine; use 127.0.0.1 or localhost"
    origin = environ.get("HTTP_ORIGIN", "")
    if (origin and origin != f"http://{host}") or environ.get(
        "HTTP_SEC_FETCH_SITE", ""
    ) not in _SAME_SITE:
        return "web pages may not send requests here"
    return ""


def _without_cors(start_response: Callable[..., Any]) -> Callable[..., Any]:
    """Drops moto's CORS headers, which would let every web page read the responses."""

    def start(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start_response(
            status,
            [item for item in headers if not item[0].lower().startswith("access-control-")],
            *more,
        )

    return start


def _reject(
    environ: dict[str, Any], start_response: Callable[..., Any], claim: Claim | None, problem: str
) -> Iterable[bytes]:
    """Sends the error with the code that the service's protocol has for it."""
    s3, in_json, in_xml, message = _ERRORS[problem]
    protocol = protocol_of(environ, claim.service if claim else "")
    code = {"s3": s3, "query": in_xml, "ec2": in_xml}.get(protocol, in_json)
    status = 400 if protocol == "json" else 403
    return send_error(environ, start_response, protocol, status, code, message, _CLOSE)
