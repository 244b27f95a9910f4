"""The probable cause of a failed Spark step, read from its logs in S3."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError
from car_rental.aws import Aws
from car_rental.display.console import Console
from car_rental.s3.lake_bucket import object_keys

_OUR_ERROR = re.compile(r"^ERROR \w+: .+", re.MULTILINE)
_TRACEBACK = "Traceback (most recent call last):"
_EXCEPTION = re.compile(
    r"^(?:Exception in thread .*|Caused by: .*|[\w.$]+(?:Exception|Error)\b: .+)$", re.MULTILINE
)
_APPLICATION = re.compile(r"application_\d+_\d+")
_FRAMES = 12
_DISK_FULL = "No space left on device"


@dataclass(frozen=True)
class Cause:
    """The probable cause of a failure: one line, the lines around it, and the URI of the log."""

    headline: str
    lines: tuple[str, ...]
    log: str
    found: bool = True


def probable_cause(
    aws: Aws, console: Console, log_uri: str, cluster_id: str, step_id: str, *, wait: bool = True
) -> Cause:
    """Finds the cause in the step's logs; if they do not arrive in time, says where they will be.

    In client mode the driver writes to the step's own log; in cluster mode to the first container
    of the YARN application that the step's log names. Ctrl-C ends only the wait for the logs.
    """
    folder = f"{log_uri.rstrip('/')}/{cluster_id}/steps/{step_id}/"
    names = ("stdout", "stderr")
    patience = aws.settings.timing.log_wait_seconds if wait else 5.0
    texts = _wait_for(lambda: _read(aws, folder, names), console, patience)
    application = _APPLICATION.search("".join(texts.values()))
    found = _first_cause(texts, folder)
    if found is None and application:
        container = f"{log_uri.rstrip('/')}/{cluster_id}/containers/{application.group()}/"
        found = _first_cause(_read_container(aws, container), container)
    return found or Cause(
        "its log does not say why (yet)", tuple(_tail(texts)), folder, found=False
    )


def _first_cause(texts: dict[str, str], folder: str) -> Cause | None:
    for name, text in texts.items():
        found = find_cause(text)
        if found:
            return Cause(found[0], found[1], f"{folder}{name}.gz")
    return None


def find_cause(text: str) -> tuple[str, tuple[str, ...]] | None:
    """The line of ``text`` that names the cause, with its context.

    In this order: an error message of our jobs, the last Python traceback, the last Java exception.
    """
    if _DISK_FULL in text:
        return "no space left on the disk that it writes to (No space left on device)", ()
    ours = _OUR_ERROR.findall(text)
    if ours:
        return ours[-1], ()
    if _TRACEBACK in text:
        lines = text.rsplit(_TRACEBACK, 1)[1].strip("\n").splitlines()
        end = next(
            (index for index, line in enumerate(lines) if line and not line[0].isspace()),
            len(lines) - 1,
        )
        return lines[end].strip(), tuple(lines[max(0, end - _FRAMES) : end])
    exceptions = _EXCEPTION.findall(text)
    return (exceptions[-1].strip(), ()) if exceptions else None


def _wait_for(
    read: Callable[[], dict[str, str]], console: Console, seconds: float
) -> dict[str, str]:
    began = time.monotonic()
    try:
        while not (texts := read()) and time.monotonic() - began < seconds:
            console.progress(
                "the step's log", "not in S3 yet; Ctrl-C goes on without", time.monotonic() - began
            )
            time.sleep(min(10.0, seconds / 10))
    except KeyboardInterrupt:
        return {}
    return texts


def _read(aws: Aws, folder: str, names: tuple[str, ...]) -> dict[str, str]:
    texts = {name: _text(aws, f"{folder}{name}.gz") for name in names}
    return {name: text for name, text in texts.items() if text}


def _read_container(aws: Aws, folder: str) -> dict[str, str]:
    bucket, prefix = _split(folder)
    driver = [
        key for key in object_keys(aws, bucket, prefix) if "_000001/" in key and key.endswith(".gz")
    ]
    return {
        key[len(prefix) :].removesuffix(".gz"): _text(aws, f"s3://{bucket}/{key}") for key in driver
    }


def _text(aws: Aws, uri: str) -> str:
    bucket, key = _split(uri)
    try:
        body: Any = aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"]
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return ""
        raise
    return gzip.decompress(body.read()).decode("utf-8", "replace")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, key = uri.split("://", 1)[1].partition("/")
    return bucket, key


def _tail(texts: dict[str, str]) -> list[str]:
    return [line for text in texts.values() for line in text.splitlines()[-5:]]
