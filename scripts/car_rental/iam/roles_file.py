"""iam_roles.json: the ARNs of the roles from step 1, with their account, region and environment."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from car_rental.config import ROOT
from car_rental.files import write_whole

ROLES_FILE = ROOT / "iam_roles.json"


@dataclass(frozen=True)
class RolesFile:
    """The content of the file.

    ``roles`` maps settings to ARNs; ``endpoint_url`` is None on AWS itself.
    """

    account_id: str
    region: str
    environment: str
    endpoint_url: str | None
    roles: dict[str, str]


def save(path: Path, content: RolesFile) -> list[str]:
    """Writes the file atomically, unless it has the same content. Returns notes for people.

    A file of another account or environment is renamed, not overwritten: on AWS it is still valid.
    """
    old = _read(path)
    new = asdict(content)
    if {name: old.get(name) for name in new} == new:
        return []
    notes = []
    if path.exists() and _is_worth_keeping(old, content):
        backup = path.with_name(
            f"{path.stem}.{old.get('account_id')}.{old.get('environment')}{path.suffix}"
        )
        os.replace(path, backup)
        notes.append(f"{path.name} was for another account or environment: kept as {backup.name}")
    stamped = {**new, "written_at": datetime.now(UTC).isoformat(timespec="seconds")}
    write_whole(path, json.dumps(stamped, indent=2) + "\n")
    return notes


def _read(path: Path) -> dict[str, Any]:
    """The content of the file; empty if there is none or it cannot be parsed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_worth_keeping(old: dict[str, Any], content: RolesFile) -> bool:
    """Returns whether the old file is still valid. The roles of a stand-in end with its server."""
    on_aws = bool(old) and not old.get("endpoint_url")
    return on_aws and (old.get("account_id"), old.get("environment")) != (
        content.account_id,
        content.environment,
    )
