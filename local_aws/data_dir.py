"""The folder of a server's files: locked, so that only one server at a time uses it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from local_aws import state_log
from local_aws.errors import StartError

OBJECTS, STEPS, CLASSES = "s3", "steps", "classes"
_LOCK_FILE = ".local_aws"
_LOCK_TEXT = (
    "pid {pid}\n{url}\npython -m local_aws created this folder, which holds a lake. Only --fresh"
    " deletes it.\n"
)


class DataDirError(StartError):
    """The folder cannot be used; the message says why and what to do."""


class InUse(DataDirError):
    """Another server uses the folder. ``url``: its endpoint, if other programs may use it."""

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message, "--data-dir")
        self.url = url


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """A folder that is deleted with the server."""
    with tempfile.TemporaryDirectory(prefix="local_aws-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def locked(folder: Path, *, wait_seconds: float = 0.0, fresh: bool = False) -> Iterator[Path]:
    """Creates ``folder`` if it is missing, and locks it; ``fresh`` deletes the lake in it.

    Waits up to ``wait_seconds`` for another server that may be about to end. Raises
    ``DataDirError`` if another server has the folder, if it is not writable, or if it holds an
    ``s3`` or ``steps`` that no server has created.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        foreign = (
            [name for name in (OBJECTS, STEPS) if (folder / name).exists()]
            if not (folder / _LOCK_FILE).exists()
            else []
        )
        if foreign:
            raise DataDirError(
                f"{folder / foreign[0]} was not created by a local AWS; choose another folder",
                "--data-dir",
            )
        with (folder / _LOCK_FILE).open("a+") as mark:
            _lock(mark.fileno(), folder, time.monotonic() + wait_seconds)
            shutil.rmtree(folder / STEPS, ignore_errors=True)
            if fresh:
                _empty(folder)
            _refuse_objects_without_state(folder)
            announce(folder, "")
            yield folder
    except OSError as error:
        raise DataDirError(
            f"cannot use the data folder {folder}: {error.strerror or error}; choose another"
            " folder",
            "--data-dir",
        ) from error


def announce(folder: Path, url: str) -> None:
    """Publishes this server's endpoint in the lock file; empty: for its parent only."""
    (folder / _LOCK_FILE).write_text(_LOCK_TEXT.format(pid=os.getpid(), url=url), encoding="utf-8")


def _empty(folder: Path) -> None:
    # Delete the log first: the next start rejects objects without a log, but would accept a log
    # without its objects.
    (folder / state_log.FILE).unlink(missing_ok=True)
    shutil.rmtree(folder / OBJECTS, ignore_errors=True)


def _refuse_objects_without_state(folder: Path) -> None:
    objects = folder / OBJECTS
    if objects.is_dir() and any(objects.iterdir()) and not (folder / state_log.FILE).exists():
        raise DataDirError(
            f"{objects} holds the files of a lake without its state, written by a version that did"
            " not persist lakes; move the files that you need, and start with an empty lake",
            "--fresh",
        )


def _in_use(folder: Path, pid: str, *, shared: bool) -> str:
    if shared:
        return f"another local AWS ({pid}) uses {folder}; end it, or choose another folder"
    return (
        f"a running command (local AWS, {pid}) uses {folder}; run it again when that one has"
        " ended, or choose another folder"
    )


def _lock(descriptor: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid, url = [*(folder / _LOCK_FILE).read_text(encoding="utf-8").splitlines(), "", ""][:2]
            if url or time.monotonic() >= deadline:
                raise InUse(_in_use(folder, pid, shared=bool(url)), url) from error
            time.sleep(0.1)
        else:
            return
