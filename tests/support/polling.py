"""Waits for something that happens soon."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def until(read: Callable[[], Any], accept: Callable[[Any], bool], seconds: float) -> Any:
    """Polls ``read`` until ``accept`` holds for its value or time is up; returns the last value."""
    deadline = time.monotonic() + seconds
    while not accept(value := read()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return value


def holds_within(seconds: float, condition: Callable[[], object]) -> bool:
    """Tells whether ``condition`` becomes true within ``seconds``."""
    return bool(until(condition, bool, seconds))


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Fails the test unless ``condition`` becomes true within ``seconds``."""
    assert holds_within(seconds, condition), f"the condition did not hold within {seconds} s"
