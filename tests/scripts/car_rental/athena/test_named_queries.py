"""The questions in the workgroup: there once each, as their files say, beside what others saved."""

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
def group(new_project: Callable[..., Project]) -> Project:
    project = new_project()
    ensure_workgroup(project.aws)
    return project


def saved(project: Project) -> list[dict[str, Any]]:
    athena = project.aws.client("athena")
    ids = athena.list_named_queries(WorkGroup=project.settings.athena_workgroup)["NamedQueryIds"]
    return [athena.get_named_query(NamedQueryId=one)["NamedQuery"] for one in ids]


def test_every_question_is_there_once_however_often_setup_runs(group: Project) -> None:
    assert ensure_named_queries(group.aws).verb == "created"
    assert ensure_named_queries(group.aws).verb == "unchanged"
    assert sorted(query["Name"] for query in saved(group)) == sorted(named_queries.named_queries())


def test_people_find_it_with_its_question_in_the_project_s_database(group: Project) -> None:
    ensure_named_queries(group.aws)
    query = next(query for query in saved(group) if query["Name"] == "top_locations")
    assert query["Description"].startswith("Which locations earn the most?")
    assert query["Database"] == group.settings.glue_database_name
    assert query["QueryString"].startswith("-- Which locations earn the most?")


def test_a_changed_file_changes_the_saved_question(
    group: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(named_queries, "QUERIES", tmp_path)
    file = tmp_path / "mine.sql"
    file.write_text("-- Why?\n-- Because.\nSELECT 1\n")
    ensure_named_queries(group.aws)
    file.write_text("-- Why?\n-- Because.\nSELECT 2\n")
    assert ensure_named_queries(group.aws).verb == "updated"
    assert [query["QueryString"][-9:] for query in saved(group)] == ["SELECT 2\n"]


def test_queries_that_others_saved_are_left_alone(group: Project) -> None:
    mine = {
        "Name": "top_locations",
        "Database": "my_db",
        "QueryString": "SELECT 1",
        "WorkGroup": group.settings.athena_workgroup,
    }
    group.aws.client("athena").create_named_query(**mine)
    ensure_named_queries(group.aws)
    assert [query["QueryString"] for query in saved(group) if query["Database"] == "my_db"] == [
        "SELECT 1"
    ]


def test_a_file_is_read_as_question_comment_and_sql(tmp_path: Path) -> None:
    file = tmp_path / "mine.sql"
    file.write_text("-- Why?\n-- Because\n-- of this.\nSELECT 1 -- one\n")
    assert NamedQuery.of_file(file) == NamedQuery(
        "mine", "Why?", "Because of this.", file.read_text()
    )
