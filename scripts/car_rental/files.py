"""Files on this machine: atomic writes, and paths for people."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from car_rental.config import ROOT

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, text: str) -> None:
    """Writes ``text`` to ``path`` atomically: readers see all of it or the old content.

    Creates the folder.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        making.write_text(text, encoding="utf-8")
        os.replace(making, path)
    except OSError as error:
        making.unlink(missing_ok=True)
        # the error of a failed write names no file
        raise OSError(error.errno, error.strerror, str(path)) from error
    except BaseException:
        making.unlink(missing_ok=True)
        raise


def short_path(path: Path) -> str:
    """A path for people: relative to the project's root if it is below it."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
