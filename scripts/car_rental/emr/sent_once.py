"""Requests that must not be repeated: RunJobFlow and AddJobFlowSteps have no client token.

Sent twice, they create two clusters, or run a step twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from botocore.exceptions import ClientError, HTTPClientError
from car_rental.aws import Aws, error_code
from car_rental.errors import DataLakeError
from car_rental.waiting import THROTTLED

T = TypeVar("T")

_PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # seconds between throttled attempts
_LOOKS = 3


def send_once(aws: Aws, where: str, send: Callable[[], T], find: Callable[[], T | None]) -> T:
    """Returns the response of ``send``, a request that must not be carried out twice.

    It is sent again only if AWS throttled it, because then nothing was done. If the response is
    lost (a timeout, a closed connection, a 5xx), ``find`` looks up the outcome. Raises
    ``DataLakeError`` if it finds none.
    """
    for pause in (*_PAUSES, 0.0):
        try:
            return send()
        except ClientError as error:
            if error_code(error) in THROTTLED and pause:
                time.sleep(pause)
                continue
            if (
                error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
                or error_code(error) in THROTTLED
            ):
                raise
            return _found(aws, where, find, error)
        except HTTPClientError as error:
            return _found(aws, where, find, error)
    raise AssertionError("the last attempt returns or raises")


def _found(aws: Aws, where: str, find: Callable[[], T | None], error: Exception) -> T:
    for _ in range(_LOOKS):
        time.sleep(min(5.0, aws.settings.timing.poll_seconds))
        found = find()
        if found is not None:
            return found
    raise DataLakeError(
        where,
        f"AWS's response was lost ({error}), and the request seems to have had no effect.",
        "Run it again.",
    ) from error
