"""Records the requests that reach the stand-in, with the role that signed each one.

``CallTrail`` is a WSGI layer around the stand-in's server. The stand-in signs a request with a role
if AWS would make it as that role (``local_aws/keys.py::access_key_of``). The signature therefore
tells whose permissions the request needs on AWS.
"""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote

from local_aws.wsgi import WsgiApp, signed_by, signed_region, signed_service

_PREFIX = "ROLE."
_MAX_BODY_BYTES = 1 << 20  # the largest body that is recorded


@dataclass(frozen=True)
class Request:
    """One request to the stand-in.

    ``operation`` comes from ``X-Amz-Target``. It is empty for S3, where method, path and query tell
    the operation.
    """

    role: str
    service: str
    region: str
    operation: str
    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of an operation with a JSON body."""
        parameters: dict[str, Any] = json.loads(self.body or b"{}")
        return parameters


class CallTrail:
    """Collects the requests that roles sign inside `recording`."""

    def __init__(self) -> None:
        self.app: Any = None
        self._requests: list[Request] | None = None
        self._lock = threading.Lock()

    def around(self, app: WsgiApp) -> WsgiApp:
        """Wraps ``app`` in the recording layer."""
        self.app = app
        return self._answer

    @contextmanager
    def recording(self) -> Iterator[list[Request]]:
        """Yields a list that fills with the requests made inside the block."""
        self._requests = requests = []
        try:
            yield requests
        finally:
            self._requests = None

    def _answer(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        requests = self._requests
        if requests is not None:
            request = _request(environ)
            if request:
                with self._lock:
                    requests.append(request)
        return self.app(environ, start_response)  # type: ignore[no-any-return]


def _request(environ: dict[str, Any]) -> Request | None:
    signer = signed_by(environ)
    if not signer.startswith(_PREFIX):
        return None
    query = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    return Request(
        role=unquote(signer.removeprefix(_PREFIX)),
        service=signed_service(environ),
        region=signed_region(environ),
        operation=target.rpartition(".")[2],
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        query=query,
        headers={key: value for key, value in environ.items() if key.startswith("HTTP_X_AMZ_")},
        body=_body(environ) if target or "delete" in query else b"",
    )


def _body(environ: dict[str, Any]) -> bytes:
    """Reads the body and puts it back for the application behind this layer."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    assert length <= _MAX_BODY_BYTES, f"{environ['PATH_INFO']}: a body of {length} bytes"
    raw: bytes = environ["wsgi.input"].read(length)
    environ["wsgi.input"] = io.BytesIO(raw)
    return raw
