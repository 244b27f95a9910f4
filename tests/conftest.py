"""Shared fixtures: one running local AWS, boto3 clients for it, and a new project per test."""

from __future__ import annotations

import functools
import gc
import io
import itertools
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from car_rental.aws import Aws
from car_rental.config import Settings, load_settings
from car_rental.display.console import Console
from support.call_trail import CallTrail
from support.launchers import SparkIfImported
from xdist.scheduler import LoadFileScheduling

from local_aws.clients import Clients
from local_aws.data_dir import CLASSES
from local_aws.overlay import AwsError, Call, Handler
from local_aws.server import LocalAws

# the slowest files start first, so that no worker idles at the end
SLOWEST = (
    "tests/spark_jobs/",
    "tests/test_pipeline.py",
    "tests/step_functions/test_faults.py",
    "tests/scripts/test_execute_step_functions.py",
)
# files that share a Spark session run in one worker
TOGETHER = {
    "tests/spark_jobs/test_jobs_against_oracle.py": "jobs",
    "tests/spark_jobs/test_odd_uploads.py": "jobs",
    "tests/spark_jobs/test_bad_input.py": "jobs",
    "tests/spark_jobs/test_publish_run.py": "publications",
    "tests/spark_jobs/test_concurrent_publications.py": "publications",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use a Spark session as `jvm`, and puts the slowest files first."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("jvm")

    # a file stays together: its fixtures are made once
    slow_files = {item.path for item in items if item.get_closest_marker("jvm")}

    def position(item: pytest.Item) -> tuple[int, bool]:
        rank = [number for number, start in enumerate(SLOWEST) if item.nodeid.startswith(start)]
        return min(rank, default=len(SLOWEST)), item.path not in slow_files

    items.sort(key=position)


class ByFile(LoadFileScheduling):
    """Gives whole files to a worker; files that share a Spark session go to the same worker."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Excludes the imported modules from garbage collection, and collects the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session", autouse=True)
def shared_model_loader() -> Iterator[None]:
    """Shares one loader of service models between all boto3 sessions.

    Each of the hundreds of sessions in a test run would otherwise read the models again.
    """
    patch = pytest.MonkeyPatch()
    patch.setattr(
        botocore.session, "create_loader", functools.cache(botocore.session.create_loader)
    )
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def signals_as_in_a_terminal() -> None:
    """Restores the signal handlers and the terminal width that an interactive shell has.

    Background jobs and pytest-xdist's workers start with signals ignored and with a fixed width.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.pop("COLUMNS", None)
    os.environ.pop("LINES", None)


@pytest.fixture(scope="session")
def trail() -> CallTrail:
    """Records the calls that the stand-in makes on behalf of a role."""
    return CallTrail()


@pytest.fixture
def step_functions_without_if_match(trail: CallTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rejects definitions with `IfMatch`, like a Step Functions that does not know the field.

    S3 has had If-Match for PutObject since November 2024.
    """
    handlers = trail.app.handlers
    message = 'The field "IfMatch" is not supported by Step Functions'
    location = "/States/TakeOverLock/Parameters/IfMatch.$"
    problem = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": message}
    validate_unchanged = handlers["AWSStepFunctions.ValidateStateMachineDefinition"]

    def validate(call: Call) -> dict[str, Any]:
        if "IfMatch" not in call.body["definition"]:
            return validate_unchanged(call)
        return {"result": "FAIL", "diagnostics": [{**problem, "location": location}]}

    def rejecting_if_match(handler: Handler) -> Handler:
        def handle(call: Call) -> dict[str, Any]:
            if "IfMatch" in call.body["definition"]:
                raise AwsError("InvalidDefinition", f"SCHEMA_VALIDATION_FAILED: {message}")
            return handler(call)

        return handle

    monkeypatch.setitem(handlers, "AWSStepFunctions.ValidateStateMachineDefinition", validate)
    for name in ("AWSStepFunctions.CreateStateMachine", "AWSStepFunctions.UpdateStateMachine"):
        monkeypatch.setitem(handlers, name, rejecting_if_match(handlers[name]))


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory, trail: CallTrail) -> Iterator[LocalAws]:
    """One server per worker; each test uses names of its own in it."""
    folder = tmp_path_factory.mktemp("local_aws")
    server = LocalAws(folder, launcher=SparkIfImported(folder / CLASSES))
    server.start(trail.around)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def client(stand_in: LocalAws) -> Callable[[str], Any]:
    """`client("s3")` returns a boto3 client of the stand-in."""
    by_service: dict[str, Any] = {}
    clients = Clients(stand_in.url)

    def for_service(service: str) -> Any:
        if service not in by_service:
            by_service[service] = clients.client(service)
        return by_service[service]

    return for_service


_project_numbers = itertools.count(1)


@dataclass
class Project:
    """Settings, session and console of an environment that no other test uses."""

    settings: Settings
    aws: Aws
    console: Console
    out: io.StringIO
    err: io.StringIO


@pytest.fixture
def new_project(stand_in: LocalAws, tmp_path: Path) -> Callable[..., Project]:
    """`new_project(MAX_REJECT_RATE="0.2")` returns a project in a new environment."""

    def make(**overrides: str) -> Project:
        empty = tmp_path / "empty.env"
        empty.touch()
        names = {"AWS_ENDPOINT_URL": stand_in.url, "ENVIRONMENT": f"t{next(_project_numbers)}"}
        names |= {
            f"{kind.upper()}_DIR": str(tmp_path / kind) for kind in ("data", "reports", "runs")
        }
        settings = load_settings({}, empty, {**names, **overrides})
        out, err = io.StringIO(), io.StringIO()
        return Project(settings, Aws(settings), Console(out, err), out, err)

    return make
