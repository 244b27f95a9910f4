"""Buckets as directories, so that Spark reads and writes ``s3://`` while moto holds the objects.

A bucket is the folder ``<root>/<bucket>``; an object is the file ``<key>`` in it. Before a step,
changes in S3 are copied to the files; after it, changes of the files are copied to S3. The mirror
remembers the last common state of each object and its file, so that nothing is copied twice. Steps
may overlap: a file that differs from its remembered state belongs to a running step, and is copied
to S3 when that step ends.

The files also persist the objects: each changed object is written at once, and the state log lists
the files that are objects. The next server deletes all other files, which a killed step has left.

Not every key can be a file. ``enter`` returns notes on the objects that a job cannot see:

- ``a`` if ``a/b`` exists too: the folder wins
- keys with an empty, ``.`` or ``..`` part, or with a part of more than 255 bytes
- ``.x.crc``, the name under which Hadoop keeps the checksum of ``x`` on local disks

A key that ends with ``/`` is a folder; it is deleted when a job deletes the folder. Empty folders
that a job creates do not reach S3, nor do files in ``_temporary`` and ``.spark-staging-*``.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from botocore.exceptions import ClientError

from local_aws.clients import Clients
from local_aws.state_log import StateLog

log = logging.getLogger(__name__)

_CHECKSUM = re.compile(r"\..*\.crc")
_STAGING = re.compile(r"_temporary|\.spark-staging.*|\.hive-staging.*")
_NAME_BYTES = 255  # the limit of ext4, APFS and NTFS
_TRANSFERS = 4  # in parallel; more do not help, because the server is this same Python process
# per request: https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html
_DELETES = 1000

_State = tuple[int, int]  # size and mtime_ns of a file
PutObject = Callable[[str, bytes, dict[str, str]], str]  # name, content, headers as in WSGI -> ETag


@dataclass(frozen=True)
class _Synced:
    """The last state in which an object and its file were the same."""

    etag: str
    state: _State


class Mirror:
    """All buckets under ``root``; a name is ``<bucket>/<key>``; the log records objects."""

    def __init__(self, clients: Clients, root: Path, state_log: StateLog | None = None) -> None:
        self.root = root
        self._clients = clients
        self._state_log = state_log
        self._synced: dict[str, _Synced] = {}
        self._uploading: set[str] = set()
        self._users = 0
        self._lock = threading.Lock()
        root.mkdir(parents=True, exist_ok=True)

    def buckets(self) -> list[str]:
        return [bucket["Name"] for bucket in self._s3.list_buckets()["Buckets"]]

    def enter(self) -> list[str]:
        """Before a step: updates the files; returns notes on objects that it cannot see."""
        with self._lock:
            notes = self._copy_from_s3()
            self._users += 1
            return notes

    def leave(
        self, being_written: Callable[[], set[Path]] = set, clients: Clients | None = None
    ) -> None:
        """Copies changes of the files to S3, after a step, with the step's own ``clients``.

        Files in ``being_written`` belong to other steps and are left for later.
        """
        with self._lock:
            try:
                self._copy_to_s3(being_written(), (clients or self._clients).client("s3"))
            finally:
                self._users -= 1
                if not self._users:
                    self._clean_up()

    def update(self, bucket: str, keys: Iterable[str]) -> None:
        """Updates the files of ``keys`` from S3, except for this mirror's own uploads."""
        names = [name for key in keys if (name := f"{bucket}/{key}") not in self._uploading]
        if names:
            with self._lock:
                for name in names:
                    self._update(name)

    def restore(self, put: PutObject) -> list[str]:
        """Uploads the objects of the log; returns notes on missing and unknown files."""
        assert self._state_log
        objects = self._state_log.state.objects
        lost = [name for name in objects if self._state(name) is None]
        for name in lost:
            self._forget(name)
        for name, entry in objects.items():
            if name not in lost:
                body = b"" if name.endswith("/") else self._path(name).read_bytes()
                etag = put(name, body, entry.get("headers", {}))
                self._synced[name] = _Synced(etag, self._state(name) or (0, 0))
        left = [name for name in self._files() if name not in self._synced]
        self._clean_up()
        return _notes_of_restoring(lost, left)

    def refresh(self) -> None:
        """Updates all files from S3, unless a step is running."""
        with self._lock:
            if not self._users:
                self._copy_from_s3()
                self._clean_up()

    @property
    def _s3(self) -> Any:
        return self._clients.client("s3")

    # S3 to files

    def _update(self, name: str) -> None:
        bucket, _, key = name.partition("/")
        try:
            etag = self._s3.head_object(Bucket=bucket, Key=key)["ETag"]
        except ClientError:
            if name in self._synced:
                self._delete_file(name)
            return
        why = _reason_not_a_file(key)
        if why:
            log.warning("s3://%s is lost when this server ends: %s", name, why)
        elif self._is_newer(name, etag):
            try:
                self._fetch(name)
            except OSError:  # a file where a folder is needed, or the reverse
                self._copy_from_s3()

    def _copy_from_s3(self) -> list[str]:
        etags: dict[str, str] = {}
        notes: list[str] = []
        for bucket in self.buckets():
            (self.root / bucket).mkdir(exist_ok=True)
            keys = self._list(bucket)
            hidden = _hidden(keys)
            notes += [f"s3://{bucket}/{key}: {why}" for key, why in hidden.items()]
            etags.update(
                (f"{bucket}/{key}", etag) for key, etag in keys.items() if key not in hidden
            )
        for name in self._synced.keys() - etags.keys():
            self._delete_file(name)
        self._in_parallel(
            self._fetch, [name for name, etag in etags.items() if self._is_newer(name, etag)]
        )
        return notes

    def _list(self, bucket: str) -> dict[str, str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {item["Key"]: item["ETag"] for page in pages for item in page.get("Contents", [])}

    def _is_newer(self, name: str, etag: str) -> bool:
        """Returns whether S3 has a new version of a file that no running step has changed."""
        synced = self._synced.get(name)
        if synced is None:
            return self._state(name) is None
        return synced.etag != etag and self._state(name) in (synced.state, None)

    def _delete_file(self, name: str) -> None:
        """Deletes the file of a deleted object, unless a running step has written it again."""
        if self._state(name) == self._forget(name):
            path = self._path(name)
            if not name.endswith("/"):
                path.unlink()
                _delete_checksum(path)
                path = path.parent
            self._remove_empty(path)

    def _fetch(self, name: str) -> None:
        bucket, _, key = name.partition("/")
        path = self._path(name)
        if key.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
            self._remember(
                name, _Synced(self._s3.head_object(Bucket=bucket, Key=key)["ETag"], (0, 0))
            )
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        answer = self._s3.get_object(Bucket=bucket, Key=key)
        part = self.root / f".{uuid.uuid4()}.part"
        with part.open("wb") as file:
            shutil.copyfileobj(answer["Body"], file, 1 << 20)
        _delete_checksum(path)
        part.replace(path)
        self._remember(name, _Synced(answer["ETag"], _file_state(path.stat())), _headers(answer))

    # files to S3

    def _copy_to_s3(self, being_written: set[Path], s3: Any) -> None:
        deleted = [name for name in self._synced if self._state(name) is None]
        changed = [
            name
            for name, synced in self._synced.items()
            if self._state(name) not in (synced.state, None)
        ]
        new = [name for name in self._files() if name not in self._synced and not _is_private(name)]
        written = [name for name in (*changed, *new) if self._path(name) not in being_written]
        self._uploading = {*deleted, *written}
        try:
            self._delete(deleted, s3)
            self._in_parallel(partial(self._store, s3), written)
        finally:
            self._uploading = set()

    def _delete(self, names: list[str], s3: Any) -> None:
        for bucket in {name.partition("/")[0] for name in names}:
            keys = [
                {"Key": name.partition("/")[2]} for name in names if name.startswith(f"{bucket}/")
            ]
            for first in range(0, len(keys), _DELETES):
                s3.delete_objects(
                    Bucket=bucket, Delete={"Objects": keys[first : first + _DELETES], "Quiet": True}
                )
        for name in names:
            self._forget(name)

    def _store(self, s3: Any, name: str) -> None:
        bucket, _, key = name.partition("/")
        path = self._path(name)
        # Another step may change or delete the file now; it is copied again when that step ends.
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            state = _file_state(os.fstat(file.fileno()))
            self._remember(
                name, _Synced(s3.put_object(Bucket=bucket, Key=key, Body=file)["ETag"], state)
            )

    # the remembered states

    def _remember(self, name: str, synced: _Synced, headers: dict[str, str] | None = None) -> None:
        self._synced[name] = synced
        if self._state_log:
            self._state_log.append(object=name, headers=headers)

    def _forget(self, name: str) -> _State | None:
        """Forgets the object; returns the remembered state of its file."""
        synced = self._synced.pop(name, None)
        if self._state_log:
            self._state_log.append(gone=name)
        return synced.state if synced else None

    # files

    def _path(self, name: str) -> Path:
        return self.root / name

    def _state(self, name: str) -> _State | None:
        """The file's current state, None if there is none; constant for folder objects."""
        path = self._path(name)
        if name.endswith("/"):
            return (0, 0) if path.is_dir() else None
        return _file_state(path.stat()) if path.is_file() else None

    def _files(self) -> Iterator[str]:
        for folder, _, files in os.walk(self.root):
            for file in files:
                path = Path(folder) / file
                if path.parent != self.root:
                    yield path.relative_to(self.root).as_posix()

    def _clean_up(self) -> None:
        """Between steps: deletes staging of killed jobs, checksums, and empty folders."""
        for name in list(self._files()):
            if name not in self._synced:
                self._path(name).unlink()
        for folder, _, _ in os.walk(self.root, topdown=False):
            self._remove_empty(Path(folder))

    def _remove_empty(self, folder: Path) -> None:
        """Removes ``folder`` and its parents if empty; stops at buckets and folder objects."""
        while (
            len(folder.relative_to(self.root).parts) > 1
            and f"{folder.relative_to(self.root).as_posix()}/" not in self._synced
        ):
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def _in_parallel(self, act: Callable[[str], None], names: Iterable[str]) -> None:
        with ThreadPoolExecutor(_TRANSFERS) as pool:
            list(pool.map(act, names))


def _hidden(keys: Iterable[str]) -> dict[str, str]:
    """The ``keys`` that cannot be files here, with the reason."""
    impossible = {key: why for key in keys if (why := _reason_not_a_file(key))}
    folders = {
        str(folder)
        for key in keys
        if key not in impossible
        for folder in PurePosixPath(key).parents
    }
    under = {
        key: f"hidden by the objects under {key}/"
        for key in keys
        if key in folders or f"{key}/" in keys
    }
    return impossible | under


def _reason_not_a_file(key: str) -> str:
    parts = key.removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "a key with an empty, . or .. part cannot be a file"
    if any(len(part.encode()) > _NAME_BYTES for part in parts):
        return f"a part of its key is longer than {_NAME_BYTES} bytes"
    if _CHECKSUM.fullmatch(parts[-1]):
        return "the name of a Hadoop checksum file"
    return ""


def _is_private(name: str) -> bool:
    """Returns whether a new file is internal to Spark or Hadoop: a checksum or staging."""
    *folders, file = name.split("/")
    return bool(_CHECKSUM.fullmatch(file)) or any(_STAGING.fullmatch(folder) for folder in folders)


def _delete_checksum(path: Path) -> None:
    """Deletes the checksum of a file, if there is one."""
    with contextlib.suppress(OSError):
        path.with_name(f".{path.name}.crc").unlink()


def _headers(answer: dict[str, Any]) -> dict[str, str]:
    """The headers with which an object was stored, as WSGI names them, without S3's defaults."""
    headers = {
        "CONTENT_TYPE": answer.get("ContentType", "").replace("binary/octet-stream", ""),
        "HTTP_CONTENT_ENCODING": answer.get("ContentEncoding", ""),
        **{
            f"HTTP_X_AMZ_META_{key.upper().replace('-', '_')}": value
            for key, value in answer.get("Metadata", {}).items()
        },
    }
    return {name: value for name, value in headers.items() if value}


def _notes_of_restoring(lost: list[str], left: list[str]) -> list[str]:
    notes = []
    if lost:
        notes.append(
            f"{len(lost)} objects are lost because their files are missing, such as s3://{lost[0]}"
        )
    if left:
        notes.append(f"{len(left)} files of a killed step have been deleted, such as {left[0]}")
    return notes


def _file_state(stat: os.stat_result) -> _State:
    return stat.st_size, stat.st_mtime_ns
