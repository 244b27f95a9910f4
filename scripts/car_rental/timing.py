"""Waiting times: the one place where AWS and the stand-in on this machine differ in time."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """Waiting times in seconds."""

    poll_seconds: float  # between polls of clusters, steps, crawlers and executions
    query_poll_seconds: float  # between polls of an Athena query
    iam_patience_seconds: float  # for how long a new role may be unknown to other services
    lock_patience_seconds: int  # a process that is silent for longer counts as dead
    log_wait_seconds: float  # for the log of a failed step
    # of the state machine: between polls, before a retry, and the longest pause after throttling
    state_poll_seconds: int
    state_retry_seconds: int
    state_pause_seconds: int


# AWS throttles EMR's describe calls; in the state machine each poll is a transition, which costs
# money. EMR uploads logs every 5 minutes:
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-plan-debugging.html
ON_AWS = Timing(
    poll_seconds=15.0,
    query_poll_seconds=0.5,
    iam_patience_seconds=120.0,
    lock_patience_seconds=90,
    log_wait_seconds=330.0,
    state_poll_seconds=30,
    state_retry_seconds=5,
    state_pause_seconds=60,
)
ON_THIS_MACHINE = Timing(
    poll_seconds=0.2,
    query_poll_seconds=0.05,
    iam_patience_seconds=0.0,
    lock_patience_seconds=10,
    log_wait_seconds=5.0,
    state_poll_seconds=1,
    state_retry_seconds=1,
    state_pause_seconds=2,
)
