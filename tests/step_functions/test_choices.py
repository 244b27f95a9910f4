"""Each Choice state of the state machine, run alone, selects the expected next state."""

from __future__ import annotations

import copy
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from car_rental.config import Settings
from car_rental.state_machine.definition import definition
from support.asl_checks import Definition, all_states, next_states

Decide = Callable[[str, dict[str, Any]], str]
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "states.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
OLD, NEW = "2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z"


@pytest.fixture(scope="module")
def machine() -> Definition:
    return definition(Settings(), [], "aws")


@pytest.fixture(scope="module")
def decide(client: Callable[[str], Any], machine: Definition) -> Decide:
    """`decide("CrawlHasEnded", input)` returns the name of the next state."""
    sfn = client("stepfunctions")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [TRUST]})
    role = client("iam").create_role(RoleName="Choices", AssumeRolePolicyDocument=trust)["Role"][
        "Arn"
    ]

    def choose(name: str, data: dict[str, Any]) -> str:
        choice = copy.deepcopy(all_states(machine)[name])
        ends = {
            target: {"Type": "Pass", "Result": {"next": target}, "End": True}
            for target in next_states(choice)
        }
        choice_alone = json.dumps({"StartAt": name, "States": {name: choice, **ends}})
        created = sfn.create_state_machine(
            name=f"choice-{uuid.uuid4().hex[:8]}", definition=choice_alone, roleArn=role
        )
        started = sfn.start_execution(
            stateMachineArn=created["stateMachineArn"], input=json.dumps(data)
        )
        while (described := sfn.describe_execution(executionArn=started["executionArn"]))[
            "status"
        ] == "RUNNING":
            time.sleep(0.02)
        return str(json.loads(described["output"])["next"])

    return choose


def crawl(state: str, *, before: str = "", after: str = "", polls: int = 1) -> dict[str, Any]:
    """The input after a poll of the crawler, with the start times of the last two crawls."""

    def crawler(start: str) -> dict[str, Any]:
        return {
            "Crawler": {"State": state, **({"LastCrawl": {"StartTime": start}} if start else {})}
        }

    return {"Before": crawler(before), "After": crawler(after), "Crawl": {"looks": polls}}


@pytest.mark.parametrize(
    ("data", "following"),
    [
        (crawl("READY", before=OLD, after=NEW), "CrawlWentWell"),
        (crawl("READY", after=NEW), "CrawlWentWell"),
        # READY, but with the previous crawl
        (crawl("READY", before=OLD, after=OLD), "WaitForCrawl"),
        (crawl("READY"), "WaitForCrawl"),
        (crawl("RUNNING", before=OLD, after=OLD), "WaitForCrawl"),
        (crawl("STOPPING", before=OLD, after=NEW), "WaitForCrawl"),
        (crawl("RUNNING", before=OLD, after=OLD, polls=121), "CrawlTookTooLong"),
    ],
)
def test_a_crawl_has_ended_if_the_crawler_is_ready_with_a_newer_crawl(
    decide: Decide, data: dict[str, Any], following: str
) -> None:
    assert decide("CrawlHasEnded", data) == following


@pytest.mark.parametrize(
    ("status", "succeeded"), [("SUCCEEDED", True), ("FAILED", False), ("CANCELLED", False)]
)
def test_tables_are_checked_only_after_a_successful_crawl(
    decide: Decide, status: str, succeeded: bool
) -> None:
    data = {"After": {"Crawler": {"State": "READY", "LastCrawl": {"Status": status}}}}
    assert (decide("CrawlWentWell", data) == "CheckTables") is succeeded


@pytest.mark.parametrize(
    ("state", "polls", "following"),
    [
        ("WAITING", 1, "CleanRentals"),
        ("RUNNING", 1, "CleanRentals"),
        ("STARTING", 1, "WaitForCluster"),
        ("BOOTSTRAPPING", 1, "WaitForCluster"),
        ("TERMINATING", 1, "ClusterDidNotStart"),
        ("TERMINATED_WITH_ERRORS", 1, "ClusterDidNotStart"),
        ("STARTING", 121, "ClusterTookTooLong"),
    ],
)
def test_spark_steps_are_submitted_when_the_cluster_is_ready(
    decide: Decide, state: str, polls: int, following: str
) -> None:
    data = {"Seen": {"Status": {"State": state}}, "Start": {"looks": polls}}
    assert decide("ClusterIsReady", data) == following
