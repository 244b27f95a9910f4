"""The one way to wait for everything that takes time: look, judge by known states, show, pause, until the deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar
from urllib.parse import urlsplit

from botocore.exceptions import ClientError, ConnectionError, EndpointConnectionError, HTTPClientError
from car_rental.config import LOOPBACK
from car_rental.errors import DataLakeError, StillRunning

T = TypeVar("T")

# what a look may fail with while the thing itself is well; botocore has already tried several times by then
THROTTLED = frozenset(
    "Throttling ThrottlingException Throttled ThrottledException RequestLimitExceeded TooManyRequestsException SlowDown".split()
)


@dataclass(frozen=True)
class States:
    """The states a thing can be in: on its way, ended well, ended badly. Any other state is an error, never a wait."""

    going: frozenset[str]
    good: frozenset[str]
    bad: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Wait(Generic[T]):
    """What is waited for.

    ``describe`` looks at it, ``state`` reads the state, ``explain`` makes the error of a bad end, ``resume`` is the
    sentence that says how to pick it up again when the deadline passes first.
    """

    what: str
    describe: Callable[[], T]
    state: Callable[[T], str]
    states: States
    explain: Callable[[T], DataLakeError]
    resume: str
    show: Callable[[T], str] | None = None  # what a person sees of it, where that is more than the state


@dataclass(frozen=True)
class Pace:
    """How often to look and for how long, in seconds; clock and sleep are parameters so that tests need not wait."""

    poll_seconds: float
    deadline_seconds: float
    clock: Callable[[], float] = field(default=time.monotonic)
    sleep: Callable[[float], None] = field(default=time.sleep)


Progress = Callable[[str, str, float], None]  # what, state, seconds since the wait began


def wait_until(wait: Wait[T], pace: Pace, progress: Progress) -> T:
    """Returns what ``describe`` gave when the state was good.

    Raises ``wait.explain(...)`` on a bad state, ``StillRunning`` when the deadline passes, ``DataLakeError`` on a state
    that is not known. Ctrl-C passes through as ``KeyboardInterrupt``: who waits decides what it means.
    """
    began = pace.clock()
    while True:
        look = _look(wait)
        elapsed = pace.clock() - began
        if look is not None:
            seen, shown = look
            state = wait.state(seen)
            progress(wait.what, shown, elapsed)
            if state in wait.states.good:
                return seen
            if state in wait.states.bad:
                raise wait.explain(seen)
            if state not in wait.states.going:
                raise DataLakeError(wait.what, f"is in the state {state}, which this program does not know.", wait.resume)
        if elapsed >= pace.deadline_seconds:
            raise StillRunning(wait.what, f"still runs after {elapsed / 60:.0f} minutes; it goes on by itself.", wait.resume)
        pace.sleep(min(pace.poll_seconds, max(0.0, pace.deadline_seconds - elapsed)))


def _look(wait: Wait[T]) -> tuple[T, str] | None:
    """What is seen of it and shown; None when AWS throttled the look or the network dropped it, which says nothing about it."""
    try:
        seen = wait.describe()
        return seen, wait.show(seen) if wait.show else wait.state(seen)
    except EndpointConnectionError as error:
        if urlsplit(str(error.kwargs["endpoint_url"])).hostname in LOOPBACK:
            raise  # the local AWS has ended, and does not come back
        return None
    except (ConnectionError, HTTPClientError):
        return None
    except ClientError as error:
        if error.response["Error"]["Code"] in THROTTLED:
            return None
        raise
