"""The folder that a server keeps its files in: one server at a time, and nobody else's files are touched."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from local_aws.errors import StartError

OBJECTS, STEPS, CLASSES = "s3", "steps", "classes"
# what a server empties when it starts; the class archive stays, it fits every run
_EMPTIED = (OBJECTS, STEPS)
_MARK = ".local_aws"
_MARK_TEXT = "pid {pid}\npython -m local_aws made this folder. The next server that starts here empties s3/ and steps/.\n"


class DataDirError(StartError):
    """The folder cannot be used; the message says why and what to do."""


@contextlib.contextmanager
def temporary() -> Iterator[Path]:
    """A folder that goes with the server."""
    with tempfile.TemporaryDirectory(prefix="local_aws-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@contextlib.contextmanager
def claimed(folder: Path, patience_seconds: float = 0.0) -> Iterator[Path]:
    """``folder``, made when it is missing, emptied of an earlier server's files, and kept for this process alone.

    Waits up to ``patience_seconds`` for another server that may be about to end. Raises ``DataDirError`` when another server
    has it, when it cannot be written, or when it holds an ``s3`` or ``steps`` that no server has made.
    """
    folder = folder.absolute()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        foreign = [name for name in _EMPTIED if (folder / name).exists()] if not (folder / _MARK).exists() else []
        if foreign:
            raise DataDirError(f"{folder / foreign[0]} was not made by a local AWS; give it another folder with --data-dir")
        with (folder / _MARK).open("a+") as mark:
            _lock(mark.fileno(), folder, time.monotonic() + patience_seconds)
            for name in _EMPTIED:
                shutil.rmtree(folder / name, ignore_errors=True)
            mark.truncate(0)
            mark.write(_MARK_TEXT.format(pid=os.getpid()))
            mark.flush()
            yield folder
    except OSError as error:
        raise DataDirError(
            f"cannot use the data folder {folder}: {error.strerror or error}; choose one with --data-dir"
        ) from error


def _lock(descriptor: int, folder: Path, deadline: float) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                pid = (folder / _MARK).read_text().partition("\n")[0]
                raise DataDirError(
                    f"another local AWS ({pid}) uses {folder}; end it, or choose another folder with --data-dir"
                ) from error
            time.sleep(0.1)
        else:
            return
