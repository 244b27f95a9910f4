"""Runs one step: copies buckets in, runs the driver, copies buckets out, writes logs."""

from __future__ import annotations

import itertools
import shutil
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from local_aws.clients import Clients
from local_aws.emr.launch import Command, Launcher
from local_aws.emr.spark import steps_at_once, warehouse
from local_aws.emr.step_logs import (
    NO_CONTEXT_EXIT_CODE,
    DriverOutput,
    LogFolder,
    controller_log,
    yarn_client_log,
)
from local_aws.emr.submission import Submission
from local_aws.errors import is_disk_full
from local_aws.keys import access_key_of
from local_aws.memory import in_words, memory_bytes
from local_aws.mirror import Mirror
from local_aws.process import SupervisedProcess

_CANCELLED, _KILLED = 128 + 15, 128 + 9


@dataclass(frozen=True)
class StepJob:
    """A step's submission, its cluster, and the role of the cluster's nodes."""

    cluster_id: str
    step_id: str
    command: tuple[str, ...]
    submission: Submission
    log_uri: str | None
    role: str


@dataclass(frozen=True)
class Failure:
    """Why a step failed, as in EMR's ``FailureDetails``."""

    reason: str
    message: str
    log_file: str | None


class StepExecutor:
    """Creates runs and knows those in progress; they share the mirror and the launcher."""

    def __init__(self, clients: Clients, mirror: Mirror, launcher: Launcher, scratch: Path) -> None:
        self.clients = clients
        self.mirror = mirror
        self.launcher = launcher
        self.scratch = scratch
        # YARN's application ids: start time of the resource manager, and a number
        self._started = int(time.time() * 1000)
        self._numbers = itertools.count(1)
        self.running: set[StepExecution] = set()
        self.slots = threading.Semaphore(steps_at_once(memory_bytes()))

    def files_being_written(self) -> set[Path]:
        """The files that running steps still write."""
        return {path for run in list(self.running) for path in run.files_being_written()}

    def new(self, job: StepJob) -> StepExecution:
        """A run that has not started."""
        return StepExecution(self, job, f"application_{self._started}_{next(self._numbers):04d}")


class StepExecution:
    """``execute`` once; ``cancel`` at any time, from any thread."""

    def __init__(self, runs: StepExecutor, job: StepJob, application: str) -> None:
        self._runs = runs
        self._job = job
        self._application = application
        self._clients = runs.clients.signing_as(access_key_of(job.role))
        self._scratch = runs.scratch / job.step_id
        self._lock = threading.Lock()
        self._process: SupervisedProcess | None = None
        self._cancelled = False

    def cancel(self) -> None:
        """Ends the driver and its child processes."""
        with self._lock:
            self._cancelled = True
            if self._process:
                self._process.end()

    def execute(self) -> Failure | None:
        """Runs the step to its end and writes its logs; returns why it failed, or ``None``."""
        try:
            return self._execute()
        except OSError as error:
            if not is_disk_full(error):
                raise
            return Failure(
                "Unknown Error.", f"no space left on the disk of {self._runs.scratch.parent}", None
            )

    def _execute(self) -> Failure | None:
        began = time.monotonic()
        (self._scratch / "tmp").mkdir(parents=True)
        notes = self._runs.mirror.enter()
        self._runs.running.add(self)
        try:
            command = self._command()
            with self._runs.slots:
                exit_code = self._run_driver(command)
        finally:
            problem = self._copy_to_s3()
        failure = self._finish(command.arguments, notes, exit_code, time.monotonic() - began)
        problem = problem or self._hive_tables_problem()
        shutil.rmtree(self._scratch, ignore_errors=True)
        return failure or (Failure("Unknown Error.", problem, None) if problem else None)

    def files_being_written(self) -> set[Path]:
        """The files that the driver is writing now."""
        return self._process.files_being_written() if self._process else set()

    def _command(self) -> Command:
        runs, submission = self._runs, self._job.submission
        endpoint_url = runs.clients.endpoint_url
        command = runs.launcher.command(submission, runs.mirror, self._scratch, endpoint_url)
        # replace an instance profile's credentials; valid for this stand-in only
        return replace(command, environment={**command.environment, **self._clients.environment})

    def _run_driver(self, command: Command) -> int:
        with self._lock:
            if self._cancelled:
                return _CANCELLED
            self._process = SupervisedProcess(
                command.arguments,
                env=command.environment,
                cwd=self._scratch,
                stdout=self._scratch / "stdout",
                stderr=self._scratch / "stderr",
            )
        return self._process.wait()

    def _copy_to_s3(self) -> str:
        """Copies the job's files to S3, even if it failed; returns S3's error, or ""."""
        runs = self._runs
        runs.running.discard(self)
        try:
            runs.mirror.leave(runs.files_being_written, self._clients)
        except (ClientError, BotoCoreError) as error:
            return str(error)
        return ""

    def _finish(
        self, command: Sequence[str], notes: Sequence[str], exit_code: int, seconds: float
    ) -> Failure | None:
        job = self._job
        output = DriverOutput(
            _read(self._scratch / "stdout"), _read(self._scratch / "stderr")
        ).with_aws_errors()
        if exit_code == 0 and job.submission.cluster_mode and not output.made_context:
            output, exit_code = output.without_context(), NO_CONTEXT_EXIT_CODE
        message, log_name = output.cause()
        if exit_code == _KILLED:  # its last output is not the cause
            message = ""
        where = self._write_logs(
            output, controller_log(job.command, command, notes, exit_code, seconds), exit_code
        )
        if exit_code == 0:
            return None
        return Failure(
            "Unknown Error.",
            message or _exit_reason(exit_code),
            f"{where}{log_name}.gz" if where else None,
        )

    def _write_logs(self, output: DriverOutput, controller: str, exit_code: int) -> str | None:
        """Writes the logs; returns the folder of the driver's logs."""
        job = self._job
        if not job.log_uri:
            return None
        folder = LogFolder(self._clients.client("s3"), job.log_uri, job.cluster_id)
        driver = {"stdout": output.stdout, "stderr": output.stderr}
        if not job.submission.cluster_mode:
            folder.write(folder.step(job.step_id), {"controller": controller, **driver})
            return folder.step(job.step_id)
        own = {
            "controller": controller,
            "stdout": "",
            "stderr": yarn_client_log(self._application, exit_code),
        }
        folder.write(folder.step(job.step_id), own)
        folder.write(folder.container(self._application), driver)
        return folder.container(self._application)

    def _hive_tables_problem(self) -> str:
        """Fails a step that used ``saveAsTable``: this stand-in does not keep such tables."""
        tables = warehouse(self._scratch)
        if not tables.is_dir() or not any(tables.iterdir()):
            return ""
        names = ", ".join(sorted(path.name for path in tables.iterdir()))
        return (
            f"local_aws has no Hive metastore: the tables {names} of saveAsTable are lost; write to"
            " s3:// paths instead"
        )


def _exit_reason(exit_code: int) -> str:
    """Describes an exit code. SIGKILL mostly means that memory ran out."""
    if exit_code <= 128:
        return f"exit code {exit_code}"
    try:
        name = signal.Signals(exit_code - 128).name
    except ValueError:
        return f"exit code {exit_code}"
    memory = (
        f"; this machine, or its container, has {in_words(memory_bytes())} of memory"
        if name == "SIGKILL"
        else ""
    )
    return f"killed by {name} (exit code {exit_code}){memory}"


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
