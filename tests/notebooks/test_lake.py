"""The notebook's queries run concurrently; a failure stops the others."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from car_rental.athena.named_queries import named_queries
from car_rental.errors import DataLakeError
from car_rental.s3.lake_bucket import ensure_bucket
from conftest import Project
from lake import Lake
from setup_glue_crawlers import ensure_database, ensure_workgroup
from support.published_lake import PublishedLake


def test_every_query_is_sent_once(known_lake: PublishedLake) -> None:
    lake, sent = Lake(known_lake.settings), []
    events = lake.aws.client("athena").meta.events
    events.register("before-call.athena.StartQueryExecution", lambda **_: sent.append(1))
    lake.ask_all()
    lake.bill()
    assert lake.rejected_rentals("r2") == 2
    assert lake.answer("brands").first.brand == "Ferrari"
    assert len(sent) == len(named_queries())


def test_the_rejected_rentals_of_an_unregistered_run_are_unknown(known_lake: PublishedLake) -> None:
    assert Lake(known_lake.settings).rejected_rentals("no-such-run") is None


def test_a_failed_query_stops_the_others(new_project: Callable[..., Project]) -> None:
    project = new_project()
    ensure_bucket(project.aws)
    ensure_database(project.aws)
    ensure_workgroup(project.aws)
    lake, stopped = Lake(project.settings), []
    events = lake.aws.client("athena").meta.events
    events.register("before-call.athena.StopQueryExecution", lambda **_: stopped.append(1))
    lake.ask_all()
    with pytest.raises(DataLakeError, match="TABLE_NOT_FOUND"):
        lake.answer("brands")
    # the failed query has ended, and the rejected_rentals query has not been sent
    assert len(stopped) == len(named_queries()) - 2
