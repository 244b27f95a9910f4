"""The records that runs of main.py write, as tests of whole runs read them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def newest_record(folder: Path) -> dict[str, Any]:
    """The newest record in the folder ``RUNS_DIR``; one without steps as long as there is none."""
    found = sorted(folder.glob("*.json"))
    return json.loads(found[-1].read_text()) if found else {"steps": []}


def is_running(record: dict[str, Any], *steps: str) -> bool:
    """Tells whether the run is in the middle of one of ``steps``."""
    return (
        bool(record["steps"])
        and record["steps"][-1]["outcome"] == "running"
        and record["steps"][-1]["name"] in steps
    )
