"""Files on this machine: written whole or not at all, and their paths as people see them."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from car_rental.config import ROOT

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def write_whole(path: Path, text: str) -> None:
    """Puts ``text`` at ``path`` at once: whoever opens it sees all of it, or what was there before. Makes the folder."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        making.write_text(text, encoding="utf-8")
        os.replace(making, path)
    except OSError as error:
        making.unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from error  # a failed write names no file
    except BaseException:
        making.unlink(missing_ok=True)
        raise


def shown(path: Path) -> str:
    """A path as people see it: from the project's root where it lies below."""
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
