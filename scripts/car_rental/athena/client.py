"""SQL on Athena: starts queries, waits for them, and returns typed rows with their cost.

Ctrl-C stops the running query. PyAthena and awswrangler are not used: each has its own session,
cursor and retries. This client uses the project's session, which knows the local endpoint, and its
errors show the line of SQL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from car_rental.aws import Answer, Aws, error_code
from car_rental.data_contract import contract
from car_rental.errors import DataLakeError, Interrupted
from car_rental.signals import ctrl_c_deferred
from car_rental.waiting import Pace, Progress, States, Wait, wait_until

if TYPE_CHECKING:
    import pandas as pd

DEADLINE_SECONDS = (
    30 * 60.0
    # Athena's own limit for a query: https://docs.aws.amazon.com/athena/latest/ug/service-limits.html
)
_STATES = States(
    going=frozenset({"QUEUED", "RUNNING"}),
    good=frozenset({"SUCCEEDED"}),
    bad=frozenset({"FAILED", "CANCELLED"}),
)
# $5 per TB, at least 10 MB per query (us-east-1 and most regions):
# https://aws.amazon.com/athena/pricing/
_DOLLARS_PER_BYTE = Decimal(5) / 1000**4
_LEAST_BYTES = 10 * 1000**2
_CATEGORIES = {
    1: "an error of Athena itself",
    2: "an error in the query or its tables",
    3: "another error",
}
_POSITION = re.compile(r"line (\d+):(\d+)")
# marks a line that was added before the typed SQL; line numbers in errors leave it out
ADDED = "-- added"
_LIST_TABLES = 'List the tables: python scripts/query_lake.py "SHOW TABLES"'
_PROCESS_FIRST = "Process the data first (python main.py --process), then run this again."


def _instant(text: str) -> datetime:
    """Parses ``2024-05-31 23:00:00.000 UTC``; in this project the zone is always UTC."""
    moment, zone = text.rsplit(" ", 1)
    if zone not in ("UTC", "Z", "+00:00"):
        raise ValueError(f"{text}: only UTC is expected here")
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


# Athena's type -> parser; values of other types (varchar, array, ...) stay text
_PARSERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint"), int),
    **dict.fromkeys(("real", "float", "double"), float),
    "decimal": Decimal,
    "boolean": lambda text: text == "true",
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamp with time zone": _instant,
}
# Athena's type -> column type of a data frame; other types keep Python values (Decimal, date, text)
_FRAME_TYPES = {
    **dict.fromkeys(("tinyint", "smallint", "integer", "bigint"), "Int64"),
    **dict.fromkeys(("real", "float", "double"), "float64"),
    "boolean": "boolean",
    "timestamp": "datetime64[us]",
    "timestamp with time zone": "datetime64[us, UTC]",
}


@dataclass(frozen=True)
class Column:
    """A result column.

    Its type is Athena's, without precision: ``decimal``, ``bigint``, ``varchar``.
    """

    name: str
    type: str


@dataclass(frozen=True)
class QueryResult:
    """The typed rows of a query and its statistics.

    Types are ``Decimal``, ``date``, ``datetime``, ``int``, ``float`` and ``str``; NULL is None.
    """

    query_id: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    scanned_bytes: int
    engine: str
    seconds: float
    is_free: bool = False  # DDL, SHOW and DESCRIBE

    @property
    def dollars(self) -> Decimal:
        """The query's price on AWS."""
        if self.is_free:
            return Decimal(0)
        return max(self.scanned_bytes, _LEAST_BYTES) * _DOLLARS_PER_BYTE

    @property
    def names(self) -> tuple[str, ...]:
        """The column names."""
        return tuple(column.name for column in self.columns)

    def frame(self) -> pd.DataFrame:
        """The rows as a data frame.

        Without rows it still has typed columns. Decimals and dates stay exact.
        """
        import pandas as pd  # takes half a second, so it is imported only when needed

        values = list(zip(*self.rows, strict=True)) or [()] * len(self.columns)
        return pd.DataFrame(
            {
                column.name: pd.Series(cells, dtype=_FRAME_TYPES.get(column.type, "object"))
                for column, cells in zip(self.columns, values, strict=True)
            }
        )


class Athena:
    """Queries in the project's workgroup and database."""

    def __init__(self, aws: Aws, progress: Progress = lambda what, state, elapsed: None) -> None:
        self._client = aws.client("athena")
        self._workgroup = aws.settings.athena_workgroup
        self._database = aws.settings.glue_database_name
        self._pace = Pace(aws.settings.timing.query_poll_seconds, DEADLINE_SECONDS)
        self._progress = progress

    def run(self, sql: str, name: str = "query") -> QueryResult:
        """Runs ``sql`` and returns its rows. ``name`` names the query in errors."""
        with ctrl_c_deferred():  # a query without a known id could not be stopped
            query_id = self.start(sql, name)
        return self.finish(query_id, name)

    def start(self, sql: str, name: str = "query") -> str:
        """Starts a query and returns its id; many can run at once."""
        try:
            answer = self._client.start_query_execution(
                QueryString=sql,
                WorkGroup=self._workgroup,
                QueryExecutionContext={"Database": self._database},
            )
        except ClientError as error:
            raise self._refusal(error, sql, name) from error
        return str(answer["QueryExecutionId"])

    def finish(self, query_id: str, name: str = "query") -> QueryResult:
        """Waits for a query and returns its rows.

        Ctrl-C stops the query, because it costs money.
        """
        wait = Wait(
            what=f"Athena query {name}".rstrip(),
            describe=lambda: self._client.get_query_execution(QueryExecutionId=query_id)[
                "QueryExecution"
            ],
            state=lambda execution: str(execution["Status"]["State"]),
            states=_STATES,
            explain=lambda execution: failure(execution, name),
            resume=f"Its result: aws athena get-query-results --query-execution-id {query_id}",
        )
        try:
            execution = wait_until(wait, self._pace, self._progress)
        except KeyboardInterrupt:
            self.stop(query_id)
            raise Interrupted(
                f"Athena query {name}".rstrip(),
                f"interrupted; the query {query_id} has been stopped.",
            ) from None
        return self._result(query_id, execution)

    def stop(self, query_id: str) -> None:
        """Cancels a query. Does nothing to one that has ended."""
        self._client.stop_query_execution(QueryExecutionId=query_id)

    def _result(self, query_id: str, execution: Answer) -> QueryResult:
        # read from the API and not from the CSV in S3: only the API returns types and distinguishes
        # NULL from an empty text
        pages = list(
            self._client.get_paginator("get_query_results").paginate(QueryExecutionId=query_id)
        )
        infos = pages[0]["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        columns = tuple(Column(info["Name"], info["Type"]) for info in infos)
        cells = [row["Data"] for page in pages for row in page["ResultSet"]["Rows"]]
        is_free = execution.get("StatementType") != "DML"
        if not is_free:
            cells = cells[1:]  # the first row of a SELECT repeats the column names
        statistics = execution.get("Statistics", {})
        return QueryResult(
            query_id=query_id,
            columns=columns,
            rows=tuple(_typed(row, columns) for row in cells),
            scanned_bytes=int(statistics.get("DataScannedInBytes", 0)),
            engine=str(execution.get("EngineVersion", {}).get("EffectiveEngineVersion", "Athena")),
            seconds=statistics.get("TotalExecutionTimeInMillis", 0) / 1000,
            is_free=is_free,
        )

    def _refusal(self, error: ClientError, sql: str, name: str) -> ClientError | DataLakeError:
        """The reason why Athena did not accept the query."""
        message = error.response["Error"].get("Message", "")
        if error_code(error) != "InvalidRequestException":
            return error
        if _POSITION.search(message):
            return DataLakeError(
                f"Athena query {name}".rstrip(),
                _as_typed(sql, message),
                details=_sql_line(sql, message),
            )
        if not re.search(r"work ?group|output ?location", message, re.I):
            return error
        return DataLakeError(
            f"Athena workgroup {self._workgroup}",
            f"does not take queries: {message}",
            "Run step 3, which creates the workgroup and its results location: python"
            " scripts/setup_glue_crawlers.py",
        )


def failure(execution: Answer, name: str) -> DataLakeError:
    """The error of a failed or cancelled query.

    It has Athena's reason and category, and the line of SQL.
    """
    status, sql = execution["Status"], execution.get("Query", "")
    where, query_id = f"Athena query {name}".rstrip(), execution["QueryExecutionId"]
    if status["State"] == "CANCELLED":
        return DataLakeError(
            where, f"was cancelled: {status.get('StateChangeReason', 'no reason given')}"
        )
    error = status.get("AthenaError", {})
    reason = status.get("StateChangeReason") or error.get("ErrorMessage") or "no reason given"
    category = _CATEGORIES.get(error.get("ErrorCategory", 3), _CATEGORIES[3])
    return DataLakeError(
        where,
        f"{_as_typed(sql, reason)} ({category}; query id {query_id})",
        _remedy(reason, error),
        details=_sql_line(sql, reason),
    )


def _remedy(reason: str, error: dict[str, Any]) -> str:
    if "TABLE_NOT_FOUND" in reason or "SCHEMA_NOT_FOUND" in reason:
        published = any(f".{table}'" in reason for table in contract.KPI_TABLES)
        return _PROCESS_FIRST if published else _LIST_TABLES
    if "Bytes scanned limit" in reason:
        return (
            "Read only one run (WHERE run_id = ...), or raise the workgroup's limit of bytes"
            " scanned."
        )
    return "Athena says that it may work when it is run again." if error.get("Retryable") else ""


def _sql_line(sql: str, reason: str) -> tuple[str, ...]:
    """The line of ``sql`` that ``reason`` refers to, with a mark under the position.

    Empty if it refers to none.
    """
    found = _POSITION.search(reason)
    lines = sql.splitlines()
    if not found or not _added_lines(sql) < int(found[1]) <= len(lines):
        return ()
    number, column = int(found[1]), int(found[2])
    label = f"line {number - _added_lines(sql)}: "
    return (f"{label}{lines[number - 1]}", " " * (len(label) + column - 1) + "^")


def _as_typed(sql: str, reason: str) -> str:
    """Replaces the line number in ``reason`` with the line number in the SQL as typed."""
    return _POSITION.sub(
        lambda found: f"line {int(found[1]) - _added_lines(sql)}:{found[2]}", reason
    )


def _added_lines(sql: str) -> int:
    return int(sql.partition("\n")[0].endswith(ADDED))


def _typed(row: Sequence[Answer], columns: tuple[Column, ...]) -> tuple[Any, ...]:
    texts = [cell.get("VarCharValue") for cell in row]
    if len(texts) != len(columns):  # DESCRIBE returns each row as one text with tabs
        fields = [field.strip() for text in texts for field in (text or "").split("\t")]
        texts = [*fields, *[""] * len(columns)][: len(columns)]
    return tuple(
        None if text is None else _PARSERS.get(column.type, str)(text)
        for text, column in zip(texts, columns, strict=True)
    )
