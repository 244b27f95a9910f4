"""Runs queries on the stand-in: typed rows, bytes read, costs, and errors with their SQL line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from botocore.exceptions import ClientError
from car_rental.athena.client import Athena, Column, QueryResult, failure
from car_rental.errors import DataLakeError, Interrupted
from car_rental.s3.lake_bucket import ensure_bucket
from conftest import Project
from setup_glue_crawlers import ensure_database, ensure_workgroup

ALL_TYPES = """
SELECT
    CAST('12345678901234567890.10' AS DECIMAL(38, 2)) AS amount,
    CAST(9007199254740993 AS BIGINT) AS many,
    CAST(1.5 AS DOUBLE) AS ratio,
    true AS yes,
    DATE '2024-02-29' AS day,
    TIMESTAMP '2024-02-29 23:59:59.123' AS moment,
    'O''Brien, "Zoë"' AS name,
    '' AS empty,
    CAST(NULL AS DECIMAL(12, 2)) AS nothing
"""


@pytest.fixture
def athena(new_project: Callable[..., Project]) -> Athena:
    return Athena(with_workgroup(new_project()).aws)


def with_workgroup(project: Project) -> Project:
    ensure_bucket(project.aws)
    ensure_database(project.aws)
    ensure_workgroup(project.aws)
    return project


def test_every_type_of_value_is_returned_as_its_python_type(athena: Athena) -> None:
    (row,) = athena.run(ALL_TYPES).rows
    assert row == (
        Decimal("12345678901234567890.10"), 9007199254740993, 1.5, True, date(2024, 2, 29),
        datetime(2024, 2, 29, 23, 59, 59, 123000), 'O\'Brien, "Zoë"', "", None,
    )  # fmt: skip


def test_a_timestamp_with_a_zone_is_returned_with_its_zone(athena: Athena) -> None:
    (row,) = athena.run("SELECT TIMESTAMP '2024-02-29 23:59:59.123 UTC' AS moment").rows
    assert row == (datetime(2024, 2, 29, 23, 59, 59, 123000, tzinfo=UTC),)


def test_a_data_frame_keeps_types_and_exact_amounts(athena: Athena) -> None:
    frame = athena.run(ALL_TYPES).frame()
    assert frame.amount[0] == Decimal("12345678901234567890.10")
    assert str(frame.many.dtype) == "Int64"
    assert str(frame.moment.dtype) == "datetime64[us]"
    assert frame.day[0] == date(2024, 2, 29)
    assert frame.nothing[0] is None


def test_a_data_frame_without_rows_keeps_its_columns_and_types(athena: Athena) -> None:
    frame = athena.run(f"SELECT * FROM ({ALL_TYPES}) WHERE many < 0").frame()
    assert list(frame.columns) == [
        "amount",
        "many",
        "ratio",
        "yes",
        "day",
        "moment",
        "name",
        "empty",
        "nothing",
    ]
    assert [str(kind) for kind in frame.dtypes[:6]] == [
        "object",
        "Int64",
        "float64",
        "boolean",
        "object",
        "datetime64[us]",
    ]
    assert frame.empty


def test_a_result_of_several_pages_is_complete_and_in_order(athena: Athena) -> None:
    rows = athena.run(
        "SELECT number FROM UNNEST(sequence(1, 2500)) AS t (number) ORDER BY number"
    ).rows
    assert [number for (number,) in rows] == list(range(1, 2501))


def test_a_row_that_equals_the_header_is_not_dropped(athena: Athena) -> None:
    assert athena.run("SELECT 'name' AS name").rows == (("name",),)


def test_several_queries_can_run_at_once(athena: Athena) -> None:
    ids = [athena.start(f"SELECT {number} AS number") for number in range(5)]
    assert [athena.finish(query_id).rows[0][0] for query_id in reversed(ids)] == [4, 3, 2, 1, 0]


def test_a_failed_query_shows_its_reason_category_and_sql_line(athena: Athena) -> None:
    with pytest.raises(DataLakeError) as caught:
        athena.run("SELECT\n    nonsense\nFROM (SELECT 1 AS number)", "my_question")
    assert caught.value.where == "Athena query my_question"
    assert "COLUMN_NOT_FOUND" in caught.value.what
    assert "an error in the query or its tables" in caught.value.what
    assert caught.value.details == ("line 2:     nonsense", "            ^")


def test_a_missing_table_names_the_command_that_creates_it(athena: Athena) -> None:
    with pytest.raises(DataLakeError) as caught:
        athena.run("SELECT * FROM daily_metrics")
    assert "main.py --process" in caught.value.fix


def test_a_missing_workgroup_names_the_step_that_creates_it(
    new_project: Callable[..., Project],
) -> None:
    with pytest.raises(DataLakeError) as caught:
        Athena(new_project().aws).run("SELECT 1")
    assert "setup_glue_crawlers.py" in caught.value.fix


def test_a_workgroup_without_a_results_location_names_the_step_that_sets_it(
    new_project: Callable[..., Project],
) -> None:
    project = new_project()
    project.aws.client("athena").create_work_group(
        Name=project.settings.athena_workgroup, Configuration={}
    )
    with pytest.raises(DataLakeError) as caught:
        Athena(project.aws).run("SELECT 1")
    assert "setup_glue_crawlers.py" in caught.value.fix


def test_any_other_error_of_athena_is_raised_unchanged(athena: Athena) -> None:
    with pytest.raises(ClientError, match="InvalidRequestException"):
        athena.finish("no-such-query")


def test_ctrl_c_stops_the_running_query(new_project: Callable[..., Project]) -> None:
    project = with_workgroup(new_project())
    stopped = []
    athena = Athena(project.aws, progress=raise_ctrl_c)
    client = project.aws.client("athena")
    client.meta.events.register(
        "before-call.athena.StopQueryExecution", lambda params, **_: stopped.append(params["body"])
    )
    with pytest.raises(Interrupted, match="has been stopped"):
        athena.run("SELECT count(*) AS number FROM UNNEST(sequence(1, 10000)) AS t (a)")
    assert len(stopped) == 1


def raise_ctrl_c(what: str, state: str, elapsed: float) -> None:
    raise KeyboardInterrupt


def failed_execution(**status: Any) -> dict[str, Any]:
    return {
        "QueryExecutionId": "id-1",
        "Query": "SELECT 1",
        "Status": {"State": "FAILED", **status},
    }


def test_a_query_over_the_byte_limit_is_advised_to_read_one_run() -> None:
    error = failure(
        failed_execution(StateChangeReason="Query cancelled! : Bytes scanned limit was exceeded"),
        "q",
    )
    assert "only one run" in error.fix


def test_an_internal_error_of_athena_advises_to_try_again() -> None:
    error = failure(
        failed_execution(
            StateChangeReason="INTERNAL", AthenaError={"ErrorCategory": 1, "Retryable": True}
        ),
        "q",
    )
    assert "an error of Athena itself" in error.what
    assert "again" in error.fix


def test_an_error_position_outside_the_query_shows_no_sql_line() -> None:
    assert failure(failed_execution(StateChangeReason="line 7:1: what?"), "q").details == ()


def result(scanned_bytes: int) -> QueryResult:
    return QueryResult("id-1", (Column("a", "integer"),), (), scanned_bytes, "engine", 0.1)


@pytest.mark.parametrize(
    ("scanned", "dollars"),
    [(0, "0.00005"), (10_000_000, "0.00005"), (10**12, "5"), (2_500_000_000, "0.0125")],
)
def test_a_query_costs_five_dollars_per_terabyte_with_a_minimum_of_ten_megabytes(
    scanned: int, dollars: str
) -> None:
    assert result(scanned).dollars == Decimal(dollars)
