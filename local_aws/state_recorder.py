"""WSGI layer that logs requests which change state, and repeats them at the next start.

Requests that only read, or that start work (StartCrawler, RunJobFlow, Publish), pass through. All
others are logged when they have succeeded, with the seed of moto's random numbers, so that
repeating them yields the same ids. Objects are not in the log: the mirror keeps them as files, and
is notified of each change.
"""

from __future__ import annotations

import base64
import io
import logging
import re
import secrets
import threading
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs, quote
from xml.etree import ElementTree

from werkzeug.datastructures import Headers
from werkzeug.test import EnvironBuilder, run_wsgi_app

from local_aws.clients import REGION
from local_aws.state_log import StateLog
from local_aws.wsgi import WsgiApp, read_body, signed_by, signed_region, signed_service

log = logging.getLogger(__name__)

_READ_OPERATIONS = re.compile(
    r"Get|List|Describe|BatchGet|Search|Query|Scan|Validate|Test|Lookup|Filter|Simulate|Check|Select|Decode"
)
_WORK_OPERATIONS = re.compile(
    r"Start|Stop|Send|Receive|Invoke|Publish|Run|Execute|Cancel|Assume|PutEvents|Poll|Resume|Retry"
)
_WORK_PATHS = re.compile(r"/moto-api/|.*/(invocations|invoke-async)/?$")
# emr/ persists clusters itself
_EMR_STATE = re.compile(r"\w+(SecurityConfiguration|BlockPublicAccessConfiguration)$")
_CHANGES = frozenset({"PUT", "POST", "PATCH", "DELETE"})
_HEADERS = ("HTTP_X_AMZ_TARGET", "CONTENT_TYPE", "HTTP_X_AMZ_BUCKET_OBJECT_LOCK_ENABLED")
_AUTHORIZATION = (
    "AWS4-HMAC-SHA256 Credential={key}/20240101/{region}/{service}/aws4_request,"
    " SignedHeaders=host, Signature=0"
)

ObjectsChanged = Callable[[str, list[str]], None]  # bucket, keys


class StateRecorder:
    """``objects_changed`` is called with the keys that a request wrote or deleted."""

    def __init__(self, app: WsgiApp, state_log: StateLog, objects_changed: ObjectsChanged) -> None:
        self._app = app
        self._log = state_log
        self._objects_changed = objects_changed
        self._lock = threading.Lock()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in _CHANGES:
            return self._app(environ, start_response)
        if _is_s3(environ):
            bucket, _, key = _path(environ).lstrip("/").partition("/")
            parameters = parse_qs(environ.get("QUERY_STRING", ""), keep_blank_values=True)
            # a part of an upload; CompleteMultipartUpload counts
            if key and parameters.keys() & {"partNumber", "uploads"}:
                return self._app(environ, start_response)
            if key or "delete" in parameters:
                return self._change_objects(environ, start_response, bucket, key)
        return self._change(environ, start_response)

    def _change_objects(
        self, environ: dict[str, Any], start_response: Callable[..., Any], bucket: str, key: str
    ) -> Iterable[bytes]:
        keys = [key] if key else _keys_to_delete(read_body(environ))
        answer = list(self._app(environ, start_response))
        # even if the request failed, because the mirror compares with S3
        self._objects_changed(bucket, keys)
        return answer

    def _change(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        body = read_body(environ)
        if not _changes_state(environ, body):
            return self._app(environ, start_response)
        with self._lock:  # no other request may consume the same random numbers
            seed = secrets.randbits(63)
            answer, status, headers = _send(self._app, environ, seed)
            if status < "4":
                self._log.append(request=_as_entry(environ, body, seed))
        start_response(status, list(headers))
        return answer

    def restore(self) -> None:
        """Repeats the requests of the log; logs a warning for each one that fails now."""
        for entry in self._log.state.requests:
            answer, status, _ = _send(self._app, _environ(entry), entry["seed"])
            if status >= "4":
                what = (
                    entry["headers"].get("HTTP_X_AMZ_TARGET") or f"{entry['method']} {entry['uri']}"
                )
                log.warning(
                    "not restored: %s: %s", what, b"".join(answer)[:300].decode(errors="replace")
                )
        _seed(None)

    def put_object(self, name: str, body: bytes, stored: dict[str, str]) -> str:
        """Uploads an object that the log lists, without logging it again; returns its ETag."""
        uri = quote(f"/{name}", safe="/~")
        signed = {"service": "s3", "region": REGION, "key": "local"}
        entry = {"method": "PUT", "uri": uri, "headers": stored, **signed}
        _, status, headers = run_wsgi_app(self._app, _environ(entry, body), buffered=True)
        if not status.startswith("2"):
            log.warning("not restored: s3://%s: %s", name, status)
        return headers.get("ETag", "")


def _send(app: WsgiApp, environ: dict[str, Any], seed: int) -> tuple[Iterable[bytes], str, Headers]:
    _seed(seed)
    return run_wsgi_app(app, environ, buffered=True)


def _seed(seed: int | None) -> None:
    from moto.moto_api._internal import mock_random

    mock_random.seed(seed)


def _is_s3(environ: dict[str, Any]) -> bool:
    return not environ.get("HTTP_X_AMZ_TARGET") and signed_service(environ) == "s3"


def _changes_state(environ: dict[str, Any], body: bytes) -> bool:
    service, _, operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")
    if service == "ElasticMapReduce":
        return bool(_EMR_STATE.match(operation)) and not _READ_OPERATIONS.match(operation)
    if not operation and "x-www-form-urlencoded" in environ.get("CONTENT_TYPE", ""):
        operation = parse_qs(body.decode(errors="replace")).get("Action", [""])[0]
    if not operation:
        operation = (
            _path(environ).rpartition("/operation/")[2] if "/operation/" in _path(environ) else ""
        )
    if operation:
        return not (_READ_OPERATIONS.match(operation) or _WORK_OPERATIONS.match(operation))
    return not _WORK_PATHS.match(_path(environ))


def _path(environ: dict[str, Any]) -> str:
    path: str = environ.get("PATH_INFO", "")
    return path.encode("latin-1").decode(errors="replace")


def _keys_to_delete(body: bytes) -> list[str]:
    try:
        tree = ElementTree.fromstring(body)
    except ElementTree.ParseError:
        return []
    return [
        element.text or "" for element in tree.iter() if element.tag.rpartition("}")[2] == "Key"
    ]


def _as_entry(environ: dict[str, Any], body: bytes, seed: int) -> dict[str, Any]:
    query = environ.get("QUERY_STRING", "")
    try:
        content = {"body": body.decode()}
    except UnicodeDecodeError:
        content = {"base64": base64.b64encode(body).decode()}
    return {
        "seed": seed,
        "method": environ["REQUEST_METHOD"],
        "uri": quote(_path(environ), safe="/~:@") + (f"?{query}" if query else ""),
        "headers": {name: environ[name] for name in _HEADERS if environ.get(name)},
        "service": signed_service(environ),
        "region": signed_region(environ),
        "key": signed_by(environ),
        **content,
    }


def _environ(entry: dict[str, Any], body: bytes | None = None) -> dict[str, Any]:
    if body is None:
        body = base64.b64decode(entry["base64"]) if "base64" in entry else entry["body"].encode()
    path, _, query = entry["uri"].partition("?")
    builder = EnvironBuilder(
        path=path, query_string=query, base_url="http://127.0.0.1/", method=entry["method"]
    )
    environ = dict(builder.get_environ())
    builder.close()
    signed = {name: entry[name] for name in ("key", "region", "service")}
    environ |= {"HTTP_AUTHORIZATION": _AUTHORIZATION.format(**signed)} if entry["service"] else {}
    environ |= {
        **entry["headers"],
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
    }
    return environ | {"wsgi.input_terminated": True}
