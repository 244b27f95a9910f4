"""Files on this machine that somebody may open at any moment: written whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Puts ``text`` at ``path`` at once: whoever opens it sees all of it, or what was there before. Makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    making = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        making.write_text(text, encoding="utf-8")
        os.replace(making, path)
    except BaseException:
        making.unlink(missing_ok=True)
        raise
