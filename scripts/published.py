"""What the catalog shows of the published tables: the run that readers see, or what is missing and which step brings it."""

from __future__ import annotations

from typing import Any

from aws import Aws, error_code
from botocore.exceptions import ClientError
from errors import DataLakeError
from spark_steps import TABLES

_WHERE = "analyze"
_PROCESS = "Process the data first: python main.py --process (steps 5 to 8)"
_CRAWL = "Run step 7 again: python scripts/run_glue_crawlers.py"
_SETUP = "Run step 3 first: python scripts/setup_glue_crawlers.py"


def newest_run(aws: Aws) -> str:
    """The newest run, the same in all published tables; raises ``DataLakeError`` that names the step to run otherwise."""
    runs = {table: _runs(aws, table) for table in _published_tables(aws)}
    empty = sorted(table for table, found in runs.items() if not found)
    if empty:
        raise DataLakeError(_WHERE, f"{_names(aws, empty)} holds no run: the table is there, but empty.", _PROCESS)
    newest = {table: max(found) for table, found in runs.items()}
    behind = sorted(table for table, run in newest.items() if run != max(newest.values()))
    if behind:
        raise DataLakeError(_WHERE, f"{_names(aws, behind)} does not show the newest run, {max(newest.values())}.", _CRAWL)
    return max(newest.values())


def _names(aws: Aws, tables: list[str]) -> str:
    return ", ".join(f"{aws.settings.glue_database_name}.{table}" for table in tables)


def _published_tables(aws: Aws) -> tuple[str, ...]:
    database = aws.settings.glue_database_name
    try:
        pages = list(aws.client("glue").get_paginator("get_tables").paginate(DatabaseName=database))
    except ClientError as error:
        if error_code(error) != "EntityNotFoundException":
            raise
        raise DataLakeError(_WHERE, f"the Glue database {database} does not exist.", _SETUP) from error
    there = {table["Name"] for page in pages for table in page["TableList"]}
    missing = [table for table in TABLES if table not in there]
    if len(missing) == len(TABLES):
        raise DataLakeError(_WHERE, f"nothing has been published yet: the database {database} holds no table.", _PROCESS)
    if missing:
        raise DataLakeError(_WHERE, f"{_names(aws, missing)} is missing.", _CRAWL)
    return TABLES


def _runs(aws: Aws, table: str) -> list[str]:
    pages = (
        aws.client("glue")
        .get_paginator("get_partitions")
        .paginate(DatabaseName=aws.settings.glue_database_name, TableName=table, ExcludeColumnSchema=True)
    )
    return [partition["Values"][0] for page in pages for partition in page["Partitions"]]


def require_workgroup(aws: Aws) -> None:
    """The Athena workgroup is there and knows where results go."""
    name = aws.settings.athena_workgroup
    try:
        group: dict[str, Any] = aws.client("athena").get_work_group(WorkGroup=name)["WorkGroup"]
    except ClientError as error:
        if error_code(error) != "InvalidRequestException":
            raise
        raise DataLakeError(_WHERE, f"the Athena workgroup {name} does not exist.", _SETUP) from error
    configuration = group.get("Configuration", {})
    managed = configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    if not managed and not configuration.get("ResultConfiguration", {}).get("OutputLocation"):
        raise DataLakeError(_WHERE, f"the Athena workgroup {name} has no results location.", _SETUP)
