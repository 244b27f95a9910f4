"""The boto3 that state machines call AWS with: this server only, and every time as text."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.utils import parse_timestamp

from local_aws.clients import NO_USER_CONFIGURATION, Clients


class InterpreterClients:
    """What the interpreter's tasks call AWS with, in place of ``boto3``: this server only, times as ISO text.

    Stock moto reads the user's AWS configuration, calls ``localhost`` (which may be another address than the server's) and
    leaves ``datetime`` objects in state data, on which every later answer about the execution fails.
    """

    def __init__(self, clients: Clients) -> None:
        self._endpoint_url, self._keys = clients.endpoint_url, clients.keys
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        core.get_component("response_parser_factory").set_parser_defaults(
            timestamp_parser=lambda value: iso_text(parse_timestamp(value))
        )
        self._session: Any = boto3.session.Session(botocore_session=core)
        self._lock = threading.Lock()  # making clients of one session is not thread-safe
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service_name: str, region_name: str, access_key_id: str = "", **_: Any) -> Any:
        """A client without retries: the state machine says what is retried."""
        key = service_name, region_name, access_key_id or self._keys.access_key_id
        with self._lock:
            if key not in self._clients:
                self._clients[key] = self._create(*key)
            return self._clients[key]

    def _create(self, service_name: str, region_name: str, access_key_id: str) -> Any:
        return self._session.client(
            service_name,
            region_name=region_name,
            endpoint_url=self._endpoint_url,
            aws_access_key_id=access_key_id,
            aws_secret_access_key=self._keys.secret_of(access_key_id),
            config=Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}),
        )


def iso_text(moment: datetime) -> str:
    """A timestamp as Step Functions shows it: ``2026-11-23T03:20:06.123Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
