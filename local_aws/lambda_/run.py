"""Runs Lambda functions: each in a process of its own, with output in CloudWatch Logs."""

from __future__ import annotations

import io
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from local_aws.clients import ACCOUNT_ID, Clients
from local_aws.keys import access_key_of
from local_aws.lambda_ import bootstrap
from local_aws.log_groups import write_events
from local_aws.overlay import not_supported
from local_aws.process import SupervisedProcess

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """The end of an invocation: ``payload`` is the result or the error, as JSON."""

    payload: str
    failed: bool
    output: str


class Functions:
    """The functions of one server. ``scratch`` holds a folder for each running invocation."""

    def __init__(self, clients: Clients, scratch: Path) -> None:
        self._clients = clients
        self._scratch = scratch
        self._lock = threading.Lock()
        self._processes: set[SupervisedProcess] = set()
        self._closed = False

    def close(self) -> None:
        """Ends every running invocation, waits for the processes, rejects new invocations."""
        with self._lock:
            self._closed = True
            processes = list(self._processes)
        for process in processes:
            process.end()
        for process in processes:
            process.wait()

    def check(self, name: str, region: str) -> dict[str, Any]:
        """The function's configuration; rejects functions that cannot run here."""
        configuration: dict[str, Any] = self._clients.client(
            "lambda", region
        ).get_function_configuration(FunctionName=name)
        runtime = configuration.get("Runtime", configuration["PackageType"])
        if not runtime.startswith("python"):
            raise not_supported(
                f"the Lambda function {name} of runtime {runtime}; only Python functions run here"
            )
        if configuration.get("Layers"):
            raise not_supported(f"the Lambda function {name}: layers")
        return configuration

    def invoke(self, name: str, region: str, event: Any) -> Outcome:
        """Runs the function on ``event`` to its end; raises the same errors as ``check``."""
        configuration = self.check(name, region)
        self._scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="lambda-", dir=self._scratch))
        try:
            return self._run(configuration, region, event, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run(self, configuration: dict[str, Any], region: str, event: Any, folder: Path) -> Outcome:
        request_id, began = str(uuid.uuid4()), time.monotonic()
        _unpack(_code(configuration["FunctionName"], region), folder / "code")
        stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        context = _context(configuration, request_id, stream)
        invocation = {"handler": configuration["Handler"], "event": event, "context": context}
        (folder / "invocation.json").write_text(json.dumps(invocation))
        finished = self._execute(configuration, region, folder)
        output = (folder / "output").read_text(errors="replace")
        outcome = _outcome(folder, configuration["Timeout"], request_id, output, finished)
        duration = f"Duration: {(time.monotonic() - began) * 1000:.2f} ms"
        lines = [f"START RequestId: {request_id} Version: $LATEST", *outcome.output.splitlines()]
        lines += [f"END RequestId: {request_id}", f"REPORT RequestId: {request_id}\t{duration}"]
        self._write_log(configuration, region, stream, lines)
        return outcome

    def _execute(self, configuration: dict[str, Any], region: str, folder: Path) -> bool:
        """Runs the process; returns whether it ended before the timeout."""
        # -I: without this server's folder, the user's site-packages, and PYTHON* variables
        command = [sys.executable, "-I", "-u", bootstrap.__file__, str(folder)]
        with self._lock:
            if self._closed:
                raise not_supported("invocations while the server ends")
            process = SupervisedProcess(
                command,
                env=_environment(
                    configuration,
                    region,
                    folder,
                    self._clients.signing_as(access_key_of(configuration["Role"])),
                ),
                cwd=folder,
                stdout=folder / "output",
                # only the supervisor's errors; the function's errors are in its output
                stderr=folder / "errors",
            )
            self._processes.add(process)
        timer = _Timeout(configuration["Timeout"], process)
        timer.start()
        process.wait()
        timer.cancel()
        with self._lock:
            self._processes.discard(process)
        return not timer.over

    def _write_log(
        self, configuration: dict[str, Any], region: str, stream: str, lines: list[str]
    ) -> None:
        """Writes the log as the function's role."""
        logs = self._clients.signing_as(access_key_of(configuration["Role"])).client("logs", region)
        group = f"/aws/lambda/{configuration['FunctionName']}"
        now = int(time.time() * 1000)
        events = [{"timestamp": now, "message": line or " "} for line in lines]
        write_events(logs, group, stream, events)


class _Timeout(threading.Timer):
    """Ends ``process`` after ``seconds``; ``over`` is then true."""

    def __init__(self, seconds: float, process: SupervisedProcess) -> None:
        super().__init__(seconds, self._end)
        self._process = process
        self.over = False

    def _end(self) -> None:
        self.over = True
        self._process.end()


def _code(name: str, region: str) -> bytes:
    """The uploaded package: moto stores it, but its API does not return it."""
    from moto.awslambda.utils import get_backend

    return bytes(get_backend(ACCOUNT_ID, region).get_function(name).code_bytes)


def _unpack(package: bytes, folder: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(package)) as archive:
        archive.extractall(folder)


def _context(configuration: dict[str, Any], request_id: str, stream: str) -> dict[str, Any]:
    return {
        "aws_request_id": request_id,
        "function_name": configuration["FunctionName"],
        "function_version": "$LATEST",
        "invoked_function_arn": configuration["FunctionArn"],
        "memory_limit_in_mb": str(configuration["MemorySize"]),
        "log_group_name": f"/aws/lambda/{configuration['FunctionName']}",
        "log_stream_name": stream,
        "timeout": configuration["Timeout"],
    }


def _environment(
    configuration: dict[str, Any], region: str, folder: Path, clients: Clients
) -> dict[str, str]:
    """The function's variables, and credentials that are valid for this stand-in only."""
    own: dict[str, str] = configuration.get("Environment", {}).get("Variables", {})
    return own | {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "TZ": "UTC",
        "LC_ALL": "C.UTF-8",
        "AWS_ENDPOINT_URL": clients.endpoint_url,
        **clients.environment,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_LAMBDA_FUNCTION_NAME": configuration["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(configuration["MemorySize"]),
        "_HANDLER": configuration["Handler"],
        "NO_PROXY": "*",
    }


def _outcome(folder: Path, timeout: int, request_id: str, output: str, finished: bool) -> Outcome:
    written = folder / "outcome.json"
    if written.exists():
        outcome = json.loads(written.read_text())
        failed = "error" in outcome
        return Outcome(
            json.dumps(outcome["error"]) if failed else outcome["result"], failed, output
        )
    message = (
        f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.000Z} {request_id} Task timed out after"
        f" {timeout:.2f} seconds"
    )
    if finished:
        message = f"RequestId: {request_id} Error: Runtime exited without providing a reason"
    return Outcome(json.dumps({"errorMessage": message}), True, f"{output}{message}\n")
