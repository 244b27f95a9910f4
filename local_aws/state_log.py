"""The log of a lake's state: a server appends to it, and the next server reads it.

One JSON object per line, in chronological order:

- ``{"request": {...}}``: a request that changed moto's state; the next server repeats it
- ``{"object": "<bucket>/<key>", ...}``: an object with a file in ``s3/``
- ``{"gone": "<bucket>/<key>"}``: a deleted object
- ``{"cluster": {...}}``, ``{"execution": {...}}``: descriptions; the last line of each counts

A killed server leaves at most half a line at the end, which is dropped. Each start rewrites the log
without superseded lines.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_aws.errors import StartError

VERSION = 1  # version of the format; others are rejected
FILE = "state.jsonl"
_FINISHED_KEPT = 100  # of clusters, and of executions


class UnknownState(StartError):
    """This version cannot read the folder's lake; the message says what to do."""


@dataclass
class State:
    requests: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, dict[str, Any]] = field(default_factory=dict)
    clusters: dict[str, dict[str, Any]] = field(default_factory=dict)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)

    def add(self, entry: dict[str, Any]) -> None:
        if "request" in entry:
            self.requests.append(entry["request"])
        elif "object" in entry:
            self.objects[entry["object"]] = entry
        elif "gone" in entry:
            self.objects.pop(entry["gone"], None)
        elif "cluster" in entry:
            self.clusters[entry["cluster"]["id"]] = entry["cluster"]
        elif "execution" in entry:
            self.executions[entry["execution"]["arn"]] = entry["execution"]

    def entries(self) -> list[dict[str, Any]]:
        """The shortest log with the same content."""
        return [
            *({"request": request} for request in self.requests),
            *self.objects.values(),
            *({"cluster": cluster} for cluster in list(self.clusters.values())[-_FINISHED_KEPT:]),
            *(
                {"execution": execution}
                for execution in list(self.executions.values())[-_FINISHED_KEPT:]
            ),
        ]


class StateLog:
    """The log in ``folder``; ``state`` is its content at the start. Raises ``UnknownState``."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._lock = threading.Lock()
        self.state = _read(self._path)
        self._rewrite()
        self._file = self._path.open("ab", buffering=0)

    def append(
        self,
        *,
        request: Mapping[str, Any] | None = None,
        object: str = "",
        headers: Mapping[str, str] | None = None,
        gone: str = "",
        cluster: Mapping[str, Any] | None = None,
        execution: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds a line; it survives a kill once this returns."""
        fields = {
            "request": request,
            "object": object,
            "headers": headers,
            "gone": gone,
            "cluster": cluster,
            "execution": execution,
        }
        line = _line({name: value for name, value in fields.items() if value})
        with self._lock:
            if not self._file.closed:
                self._file.write(line)

    def close(self) -> None:
        """Closes the log; later lines are ignored."""
        with self._lock:
            self._file.close()

    def _rewrite(self) -> None:
        part = self._path.with_suffix(".part")
        with part.open("wb") as file:
            file.writelines(
                _line(entry) for entry in [{"local_aws": VERSION}, *self.state.entries()]
            )
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, ensure_ascii=False, default=_seconds).encode() + b"\n"


def _seconds(value: Any) -> float:
    """Datetimes as in AWS's JSON protocol."""
    seconds: float = value.timestamp()
    return seconds


def _read(path: Path) -> State:
    state = State()
    lines: list[bytes] = []
    with contextlib.suppress(FileNotFoundError):
        # after the last line end: nothing, or half a line
        lines = path.read_bytes().split(b"\n")[:-1]
    if not lines:
        return state
    version = _version(lines[0])
    if version != VERSION:
        raise UnknownState(
            f"{path} was written by another version of the local AWS (format {version}; this one"
            f" reads {VERSION}); use the lake with that version, or start with an empty lake",
            "--fresh",
        )
    for number, line in enumerate(lines[1:], 2):
        try:
            state.add(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            raise UnknownState(
                f"{path} is damaged in line {number}; repair that line, or start with an empty"
                " lake",
                "--fresh",
            ) from error
    return state


def _version(line: bytes) -> Any:
    try:
        return json.loads(line)["local_aws"]
    except (ValueError, KeyError, TypeError):
        return "unknown"
