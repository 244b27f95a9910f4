"""Named queries and changed workgroups of the local Athena behave as AWS's."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

_names = itertools.count(1)


@pytest.fixture
def group(client: Callable[[str], Any]) -> str:
    name = f"saved-{next(_names)}"
    configuration = {
        "ResultConfiguration": {"OutputLocation": "s3://results/a/"},
        "BytesScannedCutoffPerQuery": 10_000_000,
    }
    client("athena").create_work_group(Name=name, Configuration=configuration, Description="mine")
    return name


def save(athena: Any, group: str, name: str, sql: str = "SELECT 1") -> str:
    return str(
        athena.create_named_query(Name=name, Database="db", QueryString=sql, WorkGroup=group)[
            "NamedQueryId"
        ]
    )


def test_two_named_queries_may_have_one_name(client: Callable[[str], Any], group: str) -> None:
    athena = client("athena")
    ids = {save(athena, group, "same"), save(athena, group, "same")}
    assert set(athena.list_named_queries(WorkGroup=group)["NamedQueryIds"]) == ids


def test_named_queries_are_listed_page_by_page(client: Callable[[str], Any], group: str) -> None:
    athena = client("athena")
    ids = [save(athena, group, f"q{number}") for number in range(5)]
    pages = athena.get_paginator("list_named_queries").paginate(
        WorkGroup=group, PaginationConfig={"PageSize": 2}
    )
    assert [page["NamedQueryIds"] for page in pages] == [ids[:2], ids[2:4], ids[4:]]


def test_a_named_query_can_be_changed_and_deleted(client: Callable[[str], Any], group: str) -> None:
    athena = client("athena")
    query_id = save(athena, group, "mine")
    athena.update_named_query(NamedQueryId=query_id, Name="mine", QueryString="SELECT 2")
    assert athena.get_named_query(NamedQueryId=query_id)["NamedQuery"]["QueryString"] == "SELECT 2"
    athena.delete_named_query(NamedQueryId=query_id)
    with pytest.raises(ClientError, match="InvalidRequestException"):
        athena.get_named_query(NamedQueryId=query_id)


def test_many_named_queries_come_at_once(client: Callable[[str], Any], group: str) -> None:
    athena = client("athena")
    query_id = save(athena, group, "mine")
    answer = athena.batch_get_named_query(NamedQueryIds=[query_id, "no-such-id-here"])
    assert [query["Name"] for query in answer["NamedQueries"]] == ["mine"]
    assert [one["NamedQueryId"] for one in answer["UnprocessedNamedQueryIds"]] == [
        "no-such-id-here"
    ]


def test_a_named_query_needs_its_workgroup(client: Callable[[str], Any]) -> None:
    with pytest.raises(ClientError, match="InvalidRequestException"):
        save(client("athena"), "no-such-group", "mine")


def test_a_change_of_a_workgroup_leaves_the_rest_as_it_was(
    client: Callable[[str], Any], group: str
) -> None:
    athena = client("athena")
    updates = {
        "ResultConfigurationUpdates": {"OutputLocation": "s3://results/b/"},
        "RemoveBytesScannedCutoffPerQuery": True,
    }
    athena.update_work_group(
        WorkGroup=group, ConfigurationUpdates={**updates, "EnforceWorkGroupConfiguration": True}
    )
    changed = athena.get_work_group(WorkGroup=group)["WorkGroup"]
    assert changed["Description"] == "mine"
    assert changed["Configuration"]["ResultConfiguration"]["OutputLocation"] == "s3://results/b/"
    assert changed["Configuration"]["EnforceWorkGroupConfiguration"] is True
    assert "BytesScannedCutoffPerQuery" not in changed["Configuration"]
