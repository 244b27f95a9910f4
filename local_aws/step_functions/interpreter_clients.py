"""The boto3 clients of state machines: they reach this server only, and return times as text."""

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
    """Replaces ``boto3`` in moto's interpreter.

    moto's own clients read the user's AWS configuration, connect to ``localhost`` (which may be
    another address than the server's), and put ``datetime`` objects into state data, so that every
    later response about the execution fails.
    """

    def __init__(self, clients: Clients) -> None:
        self._endpoint_url, self._keys = clients.endpoint_url, clients.keys
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        core.get_component("response_parser_factory").set_parser_defaults(
            timestamp_parser=lambda value: iso_text(parse_timestamp(value))
        )
        self._session: Any = boto3.session.Session(botocore_session=core)
        self._lock = threading.Lock()  # creating clients of one session is not thread-safe
        self._clients: dict[tuple[str, str, str], Any] = {}

    def client(self, service_name: str, region_name: str, access_key_id: str = "", **_: Any) -> Any:
        """A client without retries: the state machine defines what is retried."""
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
    """A timestamp in Step Functions' format: ``2026-11-23T03:20:06.123Z``."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
