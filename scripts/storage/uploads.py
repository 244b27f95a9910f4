"""Uploads that skip what is already there: an object's SHA-256 travels in its metadata and is compared first."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aws import Aws
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from console import Console
from errors import DataLakeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MIB = 1024 * 1024
# one request up to 64 MiB: most raw files are smaller, and one request either lands whole or not at all
TRANSFER = TransferConfig(multipart_threshold=64 * _MIB, multipart_chunksize=64 * _MIB, max_concurrency=4)


@dataclass(frozen=True)
class Upload:
    """One file and the key that it goes to."""

    path: Path
    key: str


@dataclass(frozen=True)
class UploadResult:
    """How many files went up, how many were there already, and the bytes that went up."""

    sent: int
    skipped: int
    sent_bytes: int


def upload_all(aws: Aws, uploads: Sequence[Upload], console: Console) -> UploadResult:
    """Sends every file whose content differs from its object; an interrupted upload leaves the old object in place."""
    began = time.monotonic()
    with console.waiting("uploading"):
        sent = [upload for upload in uploads if _upload(aws, upload, _Meter(console, upload, began))]
    return UploadResult(len(sent), len(uploads) - len(sent), sum(upload.path.stat().st_size for upload in sent))


class _Meter:
    """Shows one upload: its size when it begins, and, when it goes up in parts, how much has by the ten percent."""

    def __init__(self, console: Console, upload: Upload, began: float) -> None:
        self._console = console
        self._what = f"uploading {upload.key}"
        self._total = upload.path.stat().st_size
        self._began = began
        self._sent = 0
        self._lock = threading.Lock()  # parts go up side by side

    def begin(self) -> None:
        """The upload begins."""
        self._show(size(self._total))

    def add(self, count: int) -> None:
        """So many bytes more have gone up."""
        with self._lock:
            self._sent += count
            tens = min(10, self._sent * 10 // max(self._total, 1))
            if self._total >= TRANSFER.multipart_threshold and tens:
                self._show(f"{tens}0 % of {size(self._total)}")

    def _show(self, state: str) -> None:
        self._console.progress(self._what, state, time.monotonic() - self._began)


def _upload(aws: Aws, upload: Upload, meter: _Meter) -> bool:
    s3, bucket = aws.client("s3"), aws.settings.s3_bucket_name
    digest = _sha256(upload.path)
    if _stored_digest(s3, bucket, upload.key) == digest:
        return False
    extra = {"Metadata": {"sha256": digest}}
    aws.change(meter.begin)
    send = partial(s3.upload_file, str(upload.path), bucket, upload.key)
    aws.change(lambda: send(ExtraArgs=extra, Callback=meter.add, Config=TRANSFER))
    return True


def _stored_digest(s3: S3Client, bucket: str, key: str) -> str | None:
    try:
        digest: str | None = s3.head_object(Bucket=bucket, Key=key)["Metadata"].get("sha256")
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
    return digest


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise DataLakeError(
            "upload", f"{path} cannot be read: {error.strerror}.", "Check the file and its permissions."
        ) from error


def size(count: int) -> str:
    """Bytes for people: ``1.5 MB``."""
    value = float(count)
    for unit in ("B", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
