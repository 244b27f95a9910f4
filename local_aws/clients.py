"""How the stand-in's own parts talk to it: boto3 clients that can reach nothing but this server."""

from __future__ import annotations

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


class Clients:
    """Makes clients for ``endpoint_url``; reads neither the environment's credentials nor ``~/.aws``."""

    def __init__(self, endpoint_url: str) -> None:
        self.endpoint_url = endpoint_url

    def client(self, service: str, region: str = "us-east-1") -> Any:
        """A boto3 client of ``service``; make one a thread, sessions are not thread-safe."""
        core = botocore.session.Session(session_vars=NO_USER_CONFIGURATION)
        session = boto3.session.Session(botocore_session=core)
        return session.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCESS_KEY_ID,
            aws_secret_access_key=SECRET_ACCESS_KEY,
            config=Config(
                s3={"addressing_style": "path"}, retries={"mode": "standard", "total_max_attempts": 2}, max_pool_connections=32
            ),
        )
