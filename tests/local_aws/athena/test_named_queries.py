"""Named queries and workgroup updates of the local Athena."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

_names = itertools.count(1)


@pytest.fixture
def workgroup(client: Callable[[str], Any]) -> str:
    name = f"saved-{next(_names)}"
    configuration = {
        "ResultConfiguration": {"OutputLocation": "s3://results/a/"},
        "BytesScannedCutoffPerQuery": 10_000_000,
    }
    client("athena").create_work_group(Name=name, Configuration=configuration, Description="mine")
    return name


def save(athena: Any, workgroup: str, name: str, sql: str = "SELECT 1") -> str:
    return str(
        athena.create_named_query(Name=name, Database="db", QueryString=sql, WorkGroup=workgroup)[
            "NamedQueryId"
        ]
    )


def test_two_named_queries_may_have_the_same_name(
    client: Callable[[str], Any], workgroup: str
) -> None:
    athena = client("athena")
    ids = {save(athena, workgroup, "same"), save(athena, workgroup, "same")}
    assert set(athena.list_named_queries(WorkGroup=workgroup)["NamedQueryIds"]) == ids


def test_named_queries_are_listed_in_pages(client: Callable[[str], Any], workgroup: str) -> None:
    athena = client("athena")
    ids = [save(athena, workgroup, f"q{number}") for number in range(5)]
    pages = athena.get_paginator("list_named_queries").paginate(
        WorkGroup=workgroup, PaginationConfig={"PageSize": 2}
    )
    assert [page["NamedQueryIds"] for page in pages] == [ids[:2], ids[2:4], ids[4:]]


def test_a_named_query_can_be_updated_and_deleted(
    client: Callable[[str], Any], workgroup: str
) -> None:
    athena = client("athena")
    query_id = save(athena, workgroup, "mine")
    athena.update_named_query(NamedQueryId=query_id, Name="mine", QueryString="SELECT 2")
    assert athena.get_named_query(NamedQueryId=query_id)["NamedQuery"]["QueryString"] == "SELECT 2"
    athena.delete_named_query(NamedQueryId=query_id)
    with pytest.raises(ClientError, match="InvalidRequestException"):
        athena.get_named_query(NamedQueryId=query_id)


def test_named_queries_are_read_in_batches(client: Callable[[str], Any], workgroup: str) -> None:
    athena = client("athena")
    query_id = save(athena, workgroup, "mine")
    batch = athena.batch_get_named_query(NamedQueryIds=[query_id, "no-such-id-here"])
    assert [query["Name"] for query in batch["NamedQueries"]] == ["mine"]
    assert [unprocessed["NamedQueryId"] for unprocessed in batch["UnprocessedNamedQueryIds"]] == [
        "no-such-id-here"
    ]


def test_a_named_query_requires_an_existing_workgroup(client: Callable[[str], Any]) -> None:
    with pytest.raises(ClientError, match="InvalidRequestException"):
        save(client("athena"), "no-such-group", "mine")


def test_a_workgroup_update_leaves_other_settings_unchanged(
    client: Callable[[str], Any], workgroup: str
) -> None:
    athena = client("athena")
    updates = {
        "ResultConfigurationUpdates": {"OutputLocation": "s3://results/b/"},
        "RemoveBytesScannedCutoffPerQuery": True,
    }
    athena.update_work_group(
        WorkGroup=workgroup, ConfigurationUpdates={**updates, "EnforceWorkGroupConfiguration": True}
    )
    changed = athena.get_work_group(WorkGroup=workgroup)["WorkGroup"]
    assert changed["Description"] == "mine"
    assert changed["Configuration"]["ResultConfiguration"]["OutputLocation"] == "s3://results/b/"
    assert changed["Configuration"]["EnforceWorkGroupConfiguration"] is True
    assert "BytesScannedCutoffPerQuery" not in changed["Configuration"]
