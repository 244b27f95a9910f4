"""IAM is eventually consistent: retries calls that fail only because a role is new."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from botocore.exceptions import ClientError
from car_rental.display.console import Console

T = TypeVar("T")


def retry_while_iam_spreads(
    call: Callable[[], T],
    messages: Sequence[str],
    console: Console,
    patience_seconds: float,
    *,
    waiting_for: tuple[str, str] = ("new IAM role", "not known everywhere yet, trying again"),
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Repeats ``call()`` while AWS refuses it because a new role is not known everywhere yet.

    It is called every 5 s for up to ``patience_seconds`` while the error contains one of
    ``messages``. A role that is really wrong causes the same message: after that time the refusal
    is raised. ``waiting_for`` is the progress message: a thing and its state.
    https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
    """
    began = clock()
    while True:
        try:
            return call()
        except ClientError as error:
            text = error.response["Error"].get("Message", "")
            elapsed = clock() - began
            if elapsed >= patience_seconds or not any(message in text for message in messages):
                raise
            console.progress(*waiting_for, elapsed)
        sleep(5)
