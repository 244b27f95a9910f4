"""Limits SQL that does not mention ``run_id`` to the newest run."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from car_rental.athena.client import ADDED
from car_rental.aws import Aws
from car_rental.data_contract import contract
from car_rental.glue.published import registered_runs
from car_rental.glue.rejected_table import OF_FAILED_RUNS
from car_rental.glue.rejected_table import TABLE as REJECTED_RENTALS

_SELECTS = re.compile(
    r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?\*/)*(?P<word>SELECT|WITH)\b", re.IGNORECASE | re.DOTALL
)
_RECURSIVE = re.compile(r"\s+RECURSIVE\b", re.IGNORECASE)


@dataclass(frozen=True)
class LimitedQuery:
    """A query as it is sent, and the run that it reads; no run if the query was not changed."""

    sql: str
    run_id: str = ""


def limited_to_newest_run(aws: Aws, sql: str) -> LimitedQuery:
    """Limits each published table in ``sql`` to the table's newest run.

    Each table becomes a named subquery (``WITH location_metrics AS ...``) on a line before the
    query, so that the typed lines and columns keep their positions. A query that mentions
    ``run_id``, or that is not a ``SELECT``, is sent unchanged.
    """
    begin = _SELECTS.match(sql)
    if not begin or _names(sql, ["run_id"]):
        return LimitedQuery(sql)
    named = _names(sql, (*contract.KPI_TABLES, REJECTED_RENTALS, OF_FAILED_RUNS))
    newest = {table: runs[-1] for table in named if (runs := registered_runs(aws, table))}
    if not newest:
        return LimitedQuery(sql)
    database = aws.settings.glue_database_name
    subqueries = ", ".join(
        f"{table} AS (SELECT * FROM {database}.{table} WHERE run_id = '{run}')"
        for table, run in newest.items()
    )
    return LimitedQuery(_with(subqueries, sql, begin), max(newest.values()))


def _with(subqueries: str, sql: str, begin: re.Match[str]) -> str:
    if begin["word"].upper() == "SELECT":
        return f"WITH {subqueries} {ADDED}\n{sql}"
    start, end = begin.span("word")
    recursive = _RECURSIVE.match(sql, end)
    if recursive:
        end = recursive.end()
    # keeps the columns of the typed lines in their positions
    blank = re.sub(r"[^\n]", " ", sql[start:end])
    return (
        f"WITH {'RECURSIVE ' if recursive else ''}{subqueries},"
        f" {ADDED}\n{sql[:start]}{blank}{sql[end:]}"
    )


def _names(sql: str, words: Iterable[str]) -> list[str]:
    return [word for word in words if re.search(rf"\b{word}\b", sql, re.IGNORECASE)]
