"""boto3 clients for the stand-in's own calls: they reach this server and nothing else."""

from __future__ import annotations

import threading
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from local_aws.keys import Keys, keys_at

ACCOUNT_ID = "123456789012"  # moto's default account, which AWS uses in its examples
REGION = "us-east-1"

# Values for botocore's session variables that make it ignore the user's configuration:
# (name in the file, environment variable, default, conversion)
NO_USER_CONFIGURATION = {
    "profile": (None, None, None, None),
    "config_file": (None, None, "", None),
    "credentials_file": (None, None, "", None),
}
_CONFIG = Config(
    s3={"addressing_style": "path"},
    retries={"mode": "standard", "total_max_attempts": 2},
    max_pool_connections=32,
    # Ignore the environment's proxies; skip checksums, which are useless on one machine.
    proxies={},
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
)


class Clients:
    """Creates clients for ``endpoint_url``; reads no AWS configuration of the user.

    They sign with ``access_key_id``: the lake's own key for the stand-in's own calls, or the key of
    a role or caller for calls that AWS would make on their behalf. ``keys`` default to those of the
    server at ``endpoint_url``.
    """

    def __init__(
        self, endpoint_url: str, keys: Keys | None = None, access_key_id: str = ""
    ) -> None:
        self.endpoint_url = endpoint_url
        self.keys = keys or keys_at(endpoint_url)
        self._access_key_id = access_key_id or self.keys.access_key_id
        self._lock = threading.Lock()
        self._clients: dict[tuple[str, str], Any] = {}
        self._by_key: dict[str, Clients] = {}

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables with which other programs sign like these clients."""
        secret = self.keys.secret_of(self._access_key_id) or ""
        return {"AWS_ACCESS_KEY_ID": self._access_key_id, "AWS_SECRET_ACCESS_KEY": secret}

    def signing_as(self, access_key_id: str) -> Clients:
        with self._lock:
            if access_key_id not in self._by_key:
                self._by_key[access_key_id] = Clients(self.endpoint_url, self.keys, access_key_id)
            return self._by_key[access_key_id]

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """The boto3 client of ``service``, shared by all threads (it is slow to create)."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._create(service, region)
            return self._clients[service, region]

    def _create(self, service: str, region: str) -> Any:
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        session: Any = boto3.session.Session(botocore_session=core)
        client = session.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self._access_key_id,
            aws_secret_access_key=self.keys.secret_of(self._access_key_id),
            config=_CONFIG,
        )
        # botocore creates these classes at first use; two threads would get different ones,
        # and an `except` would not catch the other thread's errors
        _ = client.exceptions
        return client
