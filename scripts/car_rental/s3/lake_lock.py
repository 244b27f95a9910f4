"""The lock on the lake, which allows one writer at a time.

A writer is a script, `main.py` or an execution of the state machine. The lock is an object in the
bucket that names its owner. Conditional writes (If-None-Match, If-Match) fail if somebody else has
written it since it was read. A new writer that finds a lock asks AWS whether its owner is alive, as
the state machine does:

- a running execution, or any owner whose cluster has unfinished steps, is alive
- a process (``token``) is alive while it rewrites the lock every few seconds; it is dead after
  ``lock_patience_seconds`` of silence
- every other owner is dead, and its lock is taken over

An owner whose lock was taken over notices at its next write, and stops. `publish_run` checks the
lock too.
"""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Aws, error_code, if_exists
from car_rental.data_contract import contract
from car_rental.display.console import Console
from car_rental.errors import DataLakeError

LOCK_KEY = "locks/data_pipeline"
# the folders of the published runs of one table
NEWEST_PREFIX = f"{contract.PROCESSED}/{contract.KPI_TABLES[0]}/{contract.RUN_FOLDER}"
_UNFINISHED: Any = ["PENDING", "CANCEL_PENDING", "RUNNING"]
_LOST = ("PreconditionFailed", "ConditionalRequestConflict", "412", "409")
_HEARTBEATS = 6  # heartbeats in ``lock_patience_seconds``
_WAIT_FIX = "Wait for it with --wait, or run it again when that one has ended."


@dataclass(frozen=True)
class _Found:
    """The lock as it was read."""

    owner: Mapping[str, str]
    etag: str

    @property
    def name(self) -> str:
        """The owner as text for a message."""
        return self.owner.get("owner") or self.owner.get("execution", "nobody")


class LakeLock:
    """The lock that this process holds. A thread rewrites it regularly, as a heartbeat."""

    def __init__(self, aws: Aws, where: str, etag: str, token: str) -> None:
        self._aws = aws
        self._where = where
        self._etag = etag
        self._writes = 0
        self._cluster_id = ""
        self._mutex = threading.Lock()
        self._ended = threading.Event()
        self.token = token
        self._thread = threading.Thread(target=self._beat, name="lake-lock", daemon=True)

    def works_on(self, cluster_id: str) -> None:
        """Records the cluster: while it has unfinished steps, this owner counts as alive.

        Raises if the lock is lost.
        """
        self._cluster_id = cluster_id
        self.check()

    def check(self) -> None:
        """Raises ``DataLakeError`` if another run has taken over the lock."""
        with self._mutex:
            self._write({"token": self.token})

    def start(self) -> None:
        """Starts the heartbeat."""
        self._thread.start()

    def release(self) -> None:
        """Releases the lock. The next owner still waits for unfinished steps of the cluster."""
        self._ended.set()
        self._thread.join()
        with self._mutex:
            self._write({})

    def _beat(self) -> None:
        while not self._ended.wait(self._aws.settings.timing.lock_patience_seconds / _HEARTBEATS):
            try:
                self.check()
            except (ClientError, BotoCoreError):
                continue  # the next heartbeat may succeed
            except DataLakeError:
                return  # the next check reports it

    def _write(self, more: Mapping[str, str]) -> None:
        self._writes += 1
        owner = owner_of(self._where) | ({"cluster": self._cluster_id} if self._cluster_id else {})
        body = f"{self.token} {self._writes}"
        written = _put(self._aws, {**owner, **more}, body, {"IfMatch": self._etag})
        if written is None:
            now = _read(self._aws)
            if now is None or now.owner.get("token") != self.token:
                raise DataLakeError(
                    self._where,
                    f"this run was silent for too long: {now.name if now else 'somebody'} has taken"
                    " over the lake's lock.",
                    "Nothing more of this run is published. Run it again when that one has ended.",
                )
            # this process wrote it: a response was lost, and boto3 sent the request again
            written = now.etag
        self._etag = written


def owner_of(where: str) -> dict[str, str]:
    """This process as an owner, for people: program, machine and time."""
    host = socket.gethostname().encode("ascii", "replace").decode()
    return {"owner": f"{where} on {host} (last seen {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC)"}


@contextmanager
def lake_lock(
    aws: Aws, console: Console, where: str, *, wait: bool = False, held: LakeLock | None = None
) -> Iterator[LakeLock]:
    """Holds the lock inside the block. ``held`` is the lock of a caller that has it already.

    Raises a ``DataLakeError`` that names the owner if the owner is alive. With ``wait``, waits for
    its end.
    """
    if held:
        yield held
        return
    lock = _take(aws, console, where, wait)
    lock.start()
    try:
        yield lock
    except BaseException:
        _release_after_failure(lock, console)
        raise
    lock.release()


def _release_after_failure(lock: LakeLock, console: Console) -> None:
    """Releases the lock; reports problems as a note.

    The earlier failure is the one to report, and the lock expires by itself.
    """
    try:
        lock.release()
    except (DataLakeError, ClientError, BotoCoreError) as error:
        console.note(f"the lake's lock was not released: {error}")


def _take(aws: Aws, console: Console, where: str, wait: bool) -> LakeLock:
    token = f"{where}/{uuid.uuid4().hex[:12]}"
    began = time.monotonic()
    while True:
        found = _read(aws)
        living = _owner_if_alive(aws, console, found) if found else ""
        if not living:
            condition = {"IfMatch": found.etag} if found else {"IfNoneMatch": "*"}
            etag = _put(aws, {**owner_of(where), "token": token}, f"{token} 0", condition)
            if etag is not None:
                return LakeLock(aws, where, etag, token)
            continue  # another writer was faster: read it again
        if not wait:
            raise DataLakeError(where, f"another run writes the lake: {living}.", _WAIT_FIX)
        console.progress("the lake's lock", f"held by {living}", time.monotonic() - began)
        time.sleep(aws.settings.timing.poll_seconds)


def _owner_if_alive(aws: Aws, console: Console, found: _Found) -> str:
    """The owner as text for a message if it is alive; empty if it is dead."""
    execution, cluster_id = found.owner.get("execution", ""), found.owner.get("cluster", "")
    if execution and _execution_runs(aws, execution):
        return f"execution {execution} runs"
    if cluster_id and _has_unfinished_steps(aws, cluster_id):
        return f"{found.name}; cluster {cluster_id} has unfinished steps"
    if "token" in found.owner and _has_heartbeat(aws, console, found):
        return found.name
    return ""


def _execution_runs(aws: Aws, arn: str) -> bool:
    describe = aws.client("stepfunctions").describe_execution
    execution = if_exists(lambda: describe(executionArn=arn), "ExecutionDoesNotExist", "InvalidArn")
    return execution is not None and execution["status"] in ("RUNNING", "PENDING_REDRIVE")


def _has_unfinished_steps(aws: Aws, cluster_id: str) -> bool:
    """Returns whether the cluster has unfinished steps.

    A cluster that AWS does not know has none.
    """
    try:
        return bool(
            aws.client("emr").list_steps(ClusterId=cluster_id, StepStates=_UNFINISHED)["Steps"]
        )
    except ClientError as error:
        if "is not valid" not in error.response["Error"].get("Message", ""):
            raise
        return False


def _has_heartbeat(aws: Aws, console: Console, found: _Found) -> bool:
    """Returns whether the owner rewrites the lock within ``lock_patience_seconds``."""
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < aws.settings.timing.lock_patience_seconds:
        console.progress("the lake's lock", f"is its owner alive? {found.name}", elapsed)
        time.sleep(min(1.0, aws.settings.timing.poll_seconds))
        now = _read(aws)
        if now is None or now.etag != found.etag:
            return now is not None and now.owner.get("token") == found.owner["token"]
    return False


def _read(aws: Aws) -> _Found | None:
    bucket, s3 = aws.settings.s3_bucket_name, aws.client("s3")
    answer = if_exists(lambda: s3.head_object(Bucket=bucket, Key=LOCK_KEY), "404", "NoSuchKey")
    return None if answer is None else _Found(answer["Metadata"], answer["ETag"])


def _put(aws: Aws, owner: Mapping[str, str], body: str, condition: Mapping[str, str]) -> str | None:
    """Writes the lock. Returns its new ETag, or None if somebody else has written it since."""
    request: dict[str, Any] = {"Metadata": dict(owner), "Body": body.encode(), **condition}
    try:
        answer = aws.client("s3").put_object(
            Bucket=aws.settings.s3_bucket_name, Key=LOCK_KEY, **request
        )
    except ClientError as error:
        if error_code(error) not in _LOST:
            raise
        return None
    return str(answer["ETag"])


def require_newest(aws: Aws, where: str, run_id: str) -> None:
    """Raises ``DataLakeError`` if a published run sorts after ``run_id``.

    Readers would never see such a run.
    """
    bucket, prefix = aws.settings.s3_bucket_name, NEWEST_PREFIX
    # all keys of this run's own folder sort before `run_id=<id>0`, because `/` sorts before `0`
    answer = aws.client("s3").list_objects_v2(
        Bucket=bucket, Prefix=prefix, StartAfter=f"{prefix}{run_id}0", MaxKeys=1
    )
    for item in answer.get("Contents", []):
        newer = item["Key"].removeprefix(prefix).partition("/")[0]
        raise DataLakeError(
            where,
            f"run {run_id} sorts before run {newer}, which is published: readers take the last one"
            " for the newest.",
            "Choose a later --run-id, or leave it out; if this machine's clock is wrong, set it.",
        )
