"""Uploads that skip unchanged files.

One listing provides sizes and ETags. If an ETag is not the MD5 of the content (multipart uploads,
KMS), the SHA-256 in the object's metadata decides.
"""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from boto3.s3.transfer import TransferConfig
from car_rental.aws import Aws, if_exists
from car_rental.display.console import Console
from car_rental.errors import DataLakeError

_MIB = 1024 * 1024
# files up to 64 MiB, most raw files, are sent in one request, which succeeds or fails as a whole
TRANSFER = TransferConfig(
    multipart_threshold=64 * _MIB, multipart_chunksize=64 * _MIB, max_concurrency=4
)


@dataclass(frozen=True)
class Upload:
    """One file and its key."""

    path: Path
    key: str


@dataclass(frozen=True)
class UploadResult:
    """Number of files uploaded and skipped, and the bytes uploaded."""

    sent: int
    skipped: int
    sent_bytes: int

    def summary(self) -> str:
        """One line for the summary."""
        skipped = f", {self.skipped} unchanged" if self.skipped else ""
        return (
            f"{size(self.sent_bytes)} in {self.sent} file{'' if self.sent == 1 else 's'}{skipped}"
        )


def changed(aws: Aws, uploads: Sequence[Upload]) -> list[Upload]:
    """The files that have no object, or one with other content."""
    listed = _listed(aws, {upload.key.rpartition("/")[0] + "/" for upload in uploads})
    return [upload for upload in uploads if not _is_there(aws, upload, listed)]


def upload_all(aws: Aws, uploads: Sequence[Upload], console: Console) -> UploadResult:
    """Uploads every file that differs from its object.

    An interrupted upload leaves the old object in place.
    """
    began = time.monotonic()
    with console.waiting("comparing files with those in the lake"):
        sent = changed(aws, uploads)
    with console.waiting("uploading"):
        for upload in sent:
            _upload(aws, upload, _Meter(console, upload, began))
    return UploadResult(
        len(sent), len(uploads) - len(sent), sum(upload.path.stat().st_size for upload in sent)
    )


class _Meter:
    """Reports one upload: its size at the start, and every ten percent if it is sent in parts."""

    def __init__(self, console: Console, upload: Upload, began: float) -> None:
        self._console = console
        self._what = f"uploading {upload.key}"
        self._total = upload.path.stat().st_size
        self._began = began
        self._sent = 0
        self._lock = threading.Lock()  # parts are uploaded concurrently

    def begin(self) -> None:
        """Reports the start of the upload."""
        self._show(size(self._total))

    def add(self, count: int) -> None:
        """Counts bytes that were uploaded."""
        with self._lock:
            self._sent += count
            tens = min(10, self._sent * 10 // max(self._total, 1))
            if self._total >= TRANSFER.multipart_threshold and tens:
                self._show(f"{tens}0 % of {size(self._total)}")

    def _show(self, state: str) -> None:
        self._console.progress(self._what, state, time.monotonic() - self._began)


def _listed(aws: Aws, folders: set[str]) -> dict[str, tuple[int, str]]:
    """Key -> size and ETag of the objects in ``folders``; empty if there is no bucket yet."""
    paginator = aws.client("s3").get_paginator("list_objects_v2")
    found: dict[str, tuple[int, str]] = {}
    for folder in sorted(folders):
        listing = paginator.paginate(Bucket=aws.settings.s3_bucket_name, Prefix=folder)
        for page in if_exists(lambda pages=listing: list(pages), "NoSuchBucket") or []:  # type: ignore[misc]
            found |= {
                item["Key"]: (item["Size"], item["ETag"].strip('"'))
                for item in page.get("Contents", [])
            }
    return found


def _is_there(aws: Aws, upload: Upload, listed: dict[str, tuple[int, str]]) -> bool:
    stored = listed.get(upload.key)
    if stored is None or stored[0] != upload.path.stat().st_size:
        return False
    return stored[1] == _digest(upload.path, "md5") or _stored_digest(aws, upload.key) == _digest(
        upload.path, "sha256"
    )


def _upload(aws: Aws, upload: Upload, meter: _Meter) -> None:
    s3, bucket = aws.client("s3"), aws.settings.s3_bucket_name
    extra = {"Metadata": {"sha256": _digest(upload.path, "sha256")}}
    aws.change(meter.begin)
    send = partial(s3.upload_file, str(upload.path), bucket, upload.key)
    aws.change(lambda: send(ExtraArgs=extra, Callback=meter.add, Config=TRANSFER))


def _stored_digest(aws: Aws, key: str) -> str | None:
    head = if_exists(
        lambda: aws.client("s3").head_object(Bucket=aws.settings.s3_bucket_name, Key=key),
        "404",
        "NoSuchKey",
    )
    return head["Metadata"].get("sha256") if head else None


def _digest(path: Path, algorithm: str) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(
                stream, partial(hashlib.new, algorithm, usedforsecurity=False)
            ).hexdigest()
    except OSError as error:
        raise DataLakeError(
            "upload",
            f"{path} cannot be read: {error.strerror}.",
            "Check the file and its permissions.",
        ) from error


def size(count: int) -> str:
    """Bytes for people: ``1.5 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
