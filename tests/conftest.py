"""Shared fixtures: one running local AWS, clients for it, and a project of its own for a test."""

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

# begun first, so that no worker idles at the end: what takes longest
LONGEST = (
    "tests/spark_jobs/",
    "tests/test_pipeline.py",
    "tests/step_functions/test_faults.py",
    "tests/scripts/test_execute_step_functions.py",
)
# files that one worker takes together: they share a Spark session
TOGETHER = {
    "tests/spark_jobs/test_jobs_against_oracle.py": "jobs",
    "tests/spark_jobs/test_odd_uploads.py": "jobs",
    "tests/spark_jobs/test_bad_input.py": "jobs",
    "tests/spark_jobs/test_publish_run.py": "publications",
    "tests/spark_jobs/test_publications_that_meet.py": "publications",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that use a Spark session, and puts the files that take longest first."""
    for item in items:
        if "spark" in getattr(item, "fixturenames", ()):
            item.add_marker("jvm")

    def place(item: pytest.Item) -> tuple[int, bool]:
        long = [number for number, start in enumerate(LONGEST) if item.nodeid.startswith(start)]
        return min(long, default=len(LONGEST)), item.get_closest_marker("jvm") is None

    items.sort(key=place)


class ByFile(LoadFileScheduling):
    """A worker takes whole files, and those that share a Spark session one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return TOGETHER.get(file, file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByFile:
    return ByFile(config, log)


def pytest_collection_finish() -> None:
    """Python's garbage collector no longer looks at what the imports have made, and looks at the
    rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


@pytest.fixture(scope="session", autouse=True)
def models_read_once() -> Iterator[None]:
    """Every session of boto3 reads the services' models anew; in tests, which make hundreds, they
    share one reader."""
    patch = pytest.MonkeyPatch()
    patch.setattr(
        botocore.session, "create_loader", functools.cache(botocore.session.create_loader)
    )
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def begun_as_in_a_terminal() -> None:
    """A shell's background jobs and pytest-xdist's workers begin with signals ignored and a width
    for tables: not for tests."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.environ.pop("COLUMNS", None)
    os.environ.pop("LINES", None)


@pytest.fixture(scope="session")
def trail() -> CallTrail:
    """Records the calls that the stand-in's roles make."""
    return CallTrail()


@pytest.fixture
def no_if_match(trail: CallTrail, monkeypatch: pytest.MonkeyPatch) -> None:
    """Step Functions does not know If-Match of s3:putObject, which S3 has had since November
    2024."""
    handlers = trail.app.handlers
    message = 'The field "IfMatch" is not supported by Step Functions'
    location = "/States/TakeOverLock/Parameters/IfMatch.$"
    problem = {"severity": "ERROR", "code": "SCHEMA_VALIDATION_FAILED", "message": message}
    validated = handlers["AWSStepFunctions.ValidateStateMachineDefinition"]

    def validate(call: Call) -> dict[str, Any]:
        if "IfMatch" not in call.body["definition"]:
            return validated(call)
        return {"result": "FAIL", "diagnostics": [{**problem, "location": location}]}

    def refusing(handler: Handler) -> Handler:
        def handle(call: Call) -> dict[str, Any]:
            if "IfMatch" in call.body["definition"]:
                raise AwsError("InvalidDefinition", f"SCHEMA_VALIDATION_FAILED: {message}")
            return handler(call)

        return handle

    monkeypatch.setitem(handlers, "AWSStepFunctions.ValidateStateMachineDefinition", validate)
    for name in ("AWSStepFunctions.CreateStateMachine", "AWSStepFunctions.UpdateStateMachine"):
        monkeypatch.setitem(handlers, name, refusing(handlers[name]))


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory: pytest.TempPathFactory, trail: CallTrail) -> Iterator[LocalAws]:
    """One server for all tests of a worker; each test uses names of its own in it."""
    folder = tmp_path_factory.mktemp("local_aws")
    server = LocalAws(folder, launcher=SparkIfImported(folder / CLASSES))
    server.start(trail.around)
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


_numbers = itertools.count(1)


@dataclass
class Project:
    """A project of its own on the shared stand-in: an environment that no other test uses."""

    settings: Settings
    aws: Aws
    console: Console
    out: io.StringIO
    err: io.StringIO


@pytest.fixture
def new_project(stand_in: LocalAws, tmp_path: Path) -> Callable[..., Project]:
    """``project(MAX_REJECT_RATE="0.2")``: settings, session and console of a fresh environment."""

    def make(**overrides: str) -> Project:
        empty = tmp_path / "empty.env"
        empty.touch()
        names = {"AWS_ENDPOINT_URL": stand_in.url, "ENVIRONMENT": f"t{next(_numbers)}"}
        names |= {
            f"{kind.upper()}_DIR": str(tmp_path / kind) for kind in ("data", "reports", "runs")
        }
        settings = load_settings({}, empty, {**names, **overrides})
        out, err = io.StringIO(), io.StringIO()
        return Project(settings, Aws(settings), Console(out, err), out, err)

    return make
