"""How the stand-in's own parts talk to it: boto3 clients that can reach nothing but this server."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

ACCOUNT_ID = "123456789012"  # moto's account, the one of AWS's own examples
ACCESS_KEY_ID = "local"
SECRET_ACCESS_KEY = "local"

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


class Clients:
    """Makes clients for ``endpoint_url``; reads neither the environment's credentials nor ``~/.aws``."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url
        self._lock = threading.Lock()
        self._made: dict[tuple[str, str], Any] = {}

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """The boto3 client of ``service``, one for all threads: clients are thread-safe, and slow to make."""
        with self._lock:
            if (service, region) not in self._made:
                self._made[service, region] = self._make(service, region)
            return self._made[service, region]

    def _make(self, service: str, region: str) -> Any:
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        return boto3.session.Session(botocore_session=core).client(
            service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            config=_CONFIG,
        )
