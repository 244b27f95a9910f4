"""How the stand-in's own parts talk to it: boto3 clients that can reach nothing but this server."""

from __future__ import annotations

import threading
from typing import Any
from urllib.parse import quote

import boto3
import botocore.session
from botocore.config import Config

ACCOUNT_ID = "123456789012"  # moto's account, the one of AWS's own examples
ACCESS_KEY_ID = "local"
SECRET_ACCESS_KEY = "local"
REGION = "us-east-1"

# botocore's session variables as (name in the file, environment variable, default, conversion): none of the user's are read
NO_USER_CONFIGURATION = {
    "profile": (None, None, None, None),
    "config_file": (None, None, "", None),
    "credentials_file": (None, None, "", None),
}
_CONFIG = Config(
    s3={"addressing_style": "path"},
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=32,
    # not through a proxy that the environment names, and no second hash of every upload on one machine
    proxies={},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


def access_key_of(role: str) -> str:
    """What work signs with that AWS does as ``role`` (a name or an ARN), so that who looks at requests sees whose they are."""
    return f"ROLE.{quote(role.rpartition('/')[2], safe='')}"


class Clients:
    """Makes clients for ``endpoint_url``; reads neither the environment's credentials nor ``~/.aws``.

    They sign with ``access_key_id``: its own for what the stand-in needs to know, a role's or a caller's for what AWS would
    do in their name.
    """

    def __init__(self, endpoint_url: str, access_key_id: str = ACCESS_KEY_ID) -> None:
        self.endpoint_url = endpoint_url
        self._access_key_id = access_key_id
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Any] = {}
        self._others: dict[str, Clients] = {}

    def signing_as(self, access_key_id: str) -> Clients:
        """The clients that sign with ``access_key_id``."""
        with self._lock:
            if access_key_id not in self._others:
                self._others[access_key_id] = Clients(self.endpoint_url, access_key_id)
            return self._others[access_key_id]

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """The boto3 client of ``service``, one for all threads: clients are thread-safe, and slow to make."""
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = self._make(service, region)
            return self._made[service, region]

    def _make(self, service: str, region: str) -> Any:
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        session: Any = boto3.session.Session(botocore_session=core)
        return session.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self._access_key_id,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            config=_CONFIG,
        )
