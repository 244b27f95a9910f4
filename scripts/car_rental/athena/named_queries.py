"""The analysis queries: the files in notebooks/queries and their copies in the Athena workgroup."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from car_rental.aws import Aws
from car_rental.changes import Change
from car_rental.config import ROOT

QUERIES = ROOT / "notebooks" / "queries"
_SHARED = ("Name", "Description", "QueryString")  # the properties that are compared and updated


@dataclass(frozen=True)
class NamedQuery:
    """One query.

    ``name`` is the file's name, ``question`` its first line, ``comment`` the explanation.
    """

    name: str
    question: str
    comment: str
    sql: str

    @classmethod
    def of_file(cls, path: Path) -> NamedQuery:
        """Parses a file of SQL.

        The first comment line is the question; the next ones explain the answer.
        """
        text = path.read_text(encoding="utf-8")
        lines = [line.removeprefix("--").strip() for line in _leading_comment(text)]
        return cls(path.stem, lines[0], " ".join(lines[1:]), text)


def _leading_comment(text: str) -> list[str]:
    lines = text.splitlines()
    end = next((index for index, line in enumerate(lines) if not line.startswith("--")), len(lines))
    return lines[:end]


def named_queries() -> dict[str, NamedQuery]:
    """All queries, by name."""
    return {path.stem: NamedQuery.of_file(path) for path in sorted(QUERIES.glob("*.sql"))}


def ensure_named_queries(aws: Aws) -> Change:
    """Ensures that the workgroup has every query as in its file.

    Queries that others saved there stay.

    Reads the saved queries first: Athena allows duplicate names, so creating a query without
    looking would add a copy each time.
    """
    athena, group = aws.client("athena"), aws.settings.athena_workgroup
    saved = {query["Name"]: query for query in saved_queries(aws)}
    changed = []
    for query in named_queries().values():
        wanted = {
            "Name": query.name,
            "Description": f"{query.question} {query.comment}"[:1024],
            "QueryString": query.sql,
        }
        current = saved.get(query.name)
        if current is None:
            place = {"Database": aws.settings.glue_database_name, "WorkGroup": group}
            aws.change(partial(athena.create_named_query, **wanted, **place))
            changed.append(query.name)
        elif any(current.get(key) != wanted[key] for key in _SHARED):
            aws.change(
                partial(athena.update_named_query, **wanted, NamedQueryId=current["NamedQueryId"])
            )
            changed.append(query.name)
    return Change.of("named queries", group, existed=bool(saved), changed=changed)


def saved_queries(aws: Aws) -> list[dict[str, Any]]:
    """The queries over the lake's database that are saved in the workgroup."""
    athena = aws.client("athena")
    pages = athena.get_paginator("list_named_queries").paginate(
        WorkGroup=aws.settings.athena_workgroup
    )
    ids = [query_id for page in pages for query_id in page["NamedQueryIds"]]
    queries: list[dict[str, Any]] = [
        dict(athena.get_named_query(NamedQueryId=query_id)["NamedQuery"]) for query_id in ids
    ]
    return [query for query in queries if query["Database"] == aws.settings.glue_database_name]
