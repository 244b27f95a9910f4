"""Reads the records that main.py writes, for tests of whole runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def newest_record(folder: Path) -> dict[str, Any]:
    """The newest record in the folder ``RUNS_DIR``, or one without steps if there is none."""
    found = sorted(folder.glob("*.json"))
    return json.loads(found[-1].read_text()) if found else {"steps": []}


def is_running(record: dict[str, Any], *steps: str) -> bool:
    """Tells whether the run is in one of ``steps`` now."""
    return (
        bool(record["steps"])
        and record["steps"][-1]["outcome"] == "running"
        and record["steps"][-1]["name"] in steps
    )
