"""Access keys of the stand-in: random, created with the lake, readable only by the lake's owner.

They are in the file ``credentials`` of the lake's folder, in the format of AWS's shared credentials
file. While a server runs, a copy in the user's cache folder, named after the port, lets the
project's scripts find the key of an endpoint. Calls on behalf of a role are signed with an access
key id per role; its secret is derived from the lake's.
"""

from __future__ import annotations

import configparser
import contextlib
import hashlib
import hmac
import os
import secrets
import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

FILE = "credentials"
PREFIX = "LOCAL"  # AWS's keys begin with A, so the two cannot be confused
_ROLE = "ROLE."
_LETTERS = string.ascii_uppercase + string.digits


@dataclass(frozen=True)
class Keys:
    """The access key of a lake, and the keys of the roles in it."""

    access_key_id: str
    secret_access_key: str = field(repr=False)

    def secret_of(self, access_key_id: str) -> str | None:
        """The secret of an access key id; None if the id is not one of this lake."""
        if access_key_id == self.access_key_id:
            return self.secret_access_key
        if access_key_id.startswith(_ROLE):
            return hmac.new(
                self.secret_access_key.encode(), access_key_id.encode(), hashlib.sha256
            ).hexdigest()
        return None


def access_key_of(role: str) -> str:
    """Access key id that marks requests made on behalf of ``role`` (a name or an ARN)."""
    return f"{_ROLE}{quote(role.rpartition('/')[2], safe='')}"


def new_keys() -> Keys:
    return Keys(
        PREFIX + "".join(secrets.choice(_LETTERS) for _ in range(15)), secrets.token_urlsafe(30)
    )


def keys_of(folder: Path) -> Keys:
    """The keys of the lake in ``folder``; creates them and their file if there are none."""
    path = folder / FILE
    if not path.exists():
        _write(path, new_keys())
    return _read(path)


def keys_at(endpoint_url: str, environ: Mapping[str, str] = os.environ) -> Keys:
    """The keys of the server at ``endpoint_url`` that was started with ``environ``.

    Raises ``FileNotFoundError``.
    """
    return _read(_announced(urlsplit(endpoint_url).port or 80, environ))


def announce(port: int, keys: Keys) -> None:
    """Writes the keys where this user's programs find them by port, if that is possible."""
    path = _announced(port)
    with contextlib.suppress(OSError):
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(path, keys)


def forget(port: int) -> None:
    """Removes the file that ``announce`` has written."""
    with contextlib.suppress(OSError):
        _announced(port).unlink()


def _announced(port: int, environ: Mapping[str, str] = os.environ) -> Path:
    home = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or "/nonexistent") / ".cache"
    return Path(home) / "car-rental-data-lake" / "local_aws" / str(port)


def _read(path: Path) -> Keys:
    parser = configparser.ConfigParser(interpolation=None)
    with path.open(encoding="utf-8") as file:
        parser.read_file(file)
    section = parser["default"]
    return Keys(section["aws_access_key_id"], section["aws_secret_access_key"])


def _write(path: Path, keys: Keys) -> None:
    text = (
        f"[default]\naws_access_key_id = {keys.access_key_id}\naws_secret_access_key ="
        f" {keys.secret_access_key}\n"
    )
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with open(
        os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        file.write(text)
    part.replace(path)
