"""Waiting: poll until a known final state or the deadline, and report progress."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import (
    ClientError,
    ConnectionError,
    EndpointConnectionError,
    HTTPClientError,
)
from car_rental.config import LOOPBACK
from car_rental.errors import DataLakeError, StillRunning

T = TypeVar("T")

# error codes of a throttled poll, which says nothing about the thing itself; botocore has already
# retried
THROTTLED = frozenset(
    "Throttling ThrottlingException Throttled ThrottledException RequestLimitExceeded"
    " TooManyRequestsException SlowDown".split()
)


@dataclass(frozen=True)
class States:
    """The states of a thing: in progress, ended well, ended badly. Any other state is an error."""

    going: frozenset[str]
    good: frozenset[str]
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wait(Generic[T]):
    """The thing to wait for.

    ``describe`` fetches it and ``state`` reads its state. ``explain`` creates the error for a bad
    end. ``resume`` says how to pick the wait up again after a timeout.
    """

    what: str
    describe: Callable[[], T]
    state: Callable[[T], str]
    states: States
    explain: Callable[[T], DataLakeError]
    resume: str
    show: Callable[[T], str] | None = None  # the text for people, if it is more than the state


@dataclass(frozen=True)
class Pace:
    """Seconds between polls and until the deadline. Tests inject clock and sleep."""

    poll_seconds: float
    deadline_seconds: float
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


Progress = Callable[[str, str, float], None]  # thing, state, seconds since the wait began


def wait_until(wait: Wait[T], pace: Pace, progress: Progress) -> T:
    """Polls until a good state, and returns the last result of ``describe``.

    Raises ``wait.explain(...)`` on a bad state, ``StillRunning`` after the deadline, and
    ``DataLakeError`` on an unknown state. ``KeyboardInterrupt`` passes through: the caller decides
    what Ctrl-C means.
    """
    began = pace.clock()
    while True:
        look = _look(wait)
        elapsed = pace.clock() - began
        if look is not None:
            seen, text = look
            state = wait.state(seen)
            progress(wait.what, text, elapsed)
            if state in wait.states.good:
                return seen
            if state in wait.states.bad:
                raise wait.explain(seen)
            if state not in wait.states.going:
                raise DataLakeError(
                    wait.what,
                    f"is in the state {state}, which this program does not know.",
                    wait.resume,
                )
        if elapsed >= pace.deadline_seconds:
            minutes = f"{elapsed / 60:.0f} minutes"
            raise StillRunning(
                wait.what, f"is still running after {minutes}; it goes on by itself.", wait.resume
            )
        pace.sleep(min(pace.poll_seconds, max(0.0, pace.deadline_seconds - elapsed)))


def _look(wait: Wait[T]) -> tuple[T, str] | None:
    """Polls once.

    Returns the result and its state as text. Returns None if the poll was throttled or the
    connection dropped.
    """
    try:
        seen = wait.describe()
        return seen, wait.show(seen) if wait.show else wait.state(seen)
    except EndpointConnectionError as error:
        if urlsplit(str(error.kwargs["endpoint_url"])).hostname in LOOPBACK:
            raise  # the local AWS has ended and does not come back
        return None
    except (ConnectionError, HTTPClientError):
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] in THROTTLED:
            return None
        raise
