"""What the tests of the local AWS share: one running server, and clients for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from local_aws.clients import Clients
from local_aws.server import LocalAws


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAws]:
    """One server for all tests; each test uses names of its own in it."""
    server = LocalAws(tmp_path_factory.mktemp("local_aws"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def client(stand_in: LocalAws) -> Callable[[str], Any]:
    """``client("s3")``: a boto3 client of the stand-in."""
    made: dict[str, Any] = {}
    clients = Clients(stand_in.url)

    def of(service: str) -> Any:
        if service not in made:
            made[service] = clients.client(service)
        return made[service]

    return of
