"""Setup saves each question once in the workgroup and leaves queries of other users alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from car_rental.athena import named_queries
from car_rental.athena.named_queries import NamedQuery, ensure_named_queries
from conftest import Project
from setup_glue_crawlers import ensure_workgroup


@pytest.fixture
def lake(new_project: Callable[..., Project]) -> Project:
    project = new_project()
    ensure_workgroup(project.aws)
    return project


def saved_queries(project: Project) -> list[dict[str, Any]]:
    athena = project.aws.client("athena")
    ids = athena.list_named_queries(WorkGroup=project.settings.athena_workgroup)["NamedQueryIds"]
    return [athena.get_named_query(NamedQueryId=query_id)["NamedQuery"] for query_id in ids]


def test_every_question_is_saved_once_although_setup_runs_twice(lake: Project) -> None:
    assert ensure_named_queries(lake.aws).verb == "created"
    assert ensure_named_queries(lake.aws).verb == "unchanged"
    assert sorted(query["Name"] for query in saved_queries(lake)) == sorted(
        named_queries.named_queries()
    )


def test_a_saved_query_has_its_question_as_description_and_the_project_s_database(
    lake: Project,
) -> None:
    ensure_named_queries(lake.aws)
    query = next(query for query in saved_queries(lake) if query["Name"] == "top_locations")
    assert query["Description"].startswith("Which locations earn the most?")
    assert query["Database"] == lake.settings.glue_database_name
    assert query["QueryString"].startswith("-- Which locations earn the most?")


def test_a_changed_file_updates_the_saved_query(
    lake: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_queries, "QUERIES", tmp_path)
    file = tmp_path / "mine.sql"
    file.write_text("-- Why?\n-- Because.\nSELECT 1\n")
    ensure_named_queries(lake.aws)
    file.write_text("-- Why?\n-- Because.\nSELECT 2\n")
    assert ensure_named_queries(lake.aws).verb == "updated"
    assert [query["QueryString"][-9:] for query in saved_queries(lake)] == ["SELECT 2\n"]


def test_queries_that_other_users_saved_are_left_alone(lake: Project) -> None:
    foreign_query = {
        "Name": "top_locations",
        "Database": "my_db",
        "QueryString": "SELECT 1",
        "WorkGroup": lake.settings.athena_workgroup,
    }
    lake.aws.client("athena").create_named_query(**foreign_query)
    ensure_named_queries(lake.aws)
    assert [
        query["QueryString"] for query in saved_queries(lake) if query["Database"] == "my_db"
    ] == ["SELECT 1"]


def test_a_query_file_is_parsed_into_question_comment_and_sql(tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text("-- Why?\n-- Because\n-- of this.\nSELECT 1 -- one\n")
    assert NamedQuery.of_file(file) == NamedQuery(
        "mine", "Why?", "Because of this.", file.read_text()
    )
