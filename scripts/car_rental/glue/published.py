"""The published runs in the catalog; errors name the missing part and the step that creates it."""

from __future__ import annotations

from car_rental.aws import Aws, if_exists
from car_rental.data_contract import contract
from car_rental.errors import DataLakeError

_WHERE = "analyze"
_PROCESS = "Process the data first: python main.py --process (steps 5 to 8)"
_CRAWL = "Run step 7 again: python scripts/run_glue_crawlers.py"
_SETUP = "Run step 3 first: python scripts/setup_glue_crawlers.py"


def published_runs(aws: Aws) -> list[str]:
    """The runs that all published tables contain, the newest last.

    Raises ``DataLakeError`` that names the step to run.
    """
    runs = {table: registered_runs(aws, table) or [] for table in _published_tables(aws)}
    empty = sorted(table for table, found in runs.items() if not found)
    if empty:
        raise DataLakeError(
            _WHERE, f"{_names(aws, empty)} holds no run: the table is there, but empty.", _PROCESS
        )
    newest = max(max(found) for found in runs.values())
    behind = sorted(table for table, found in runs.items() if newest not in found)
    if behind:
        raise DataLakeError(
            _WHERE, f"{_names(aws, behind)} does not show the newest run, {newest}.", _CRAWL
        )
    return sorted(set.intersection(*(set(found) for found in runs.values())))


def _names(aws: Aws, tables: list[str]) -> str:
    return ", ".join(f"{aws.settings.glue_database_name}.{table}" for table in tables)


def _published_tables(aws: Aws) -> tuple[str, ...]:
    database = aws.settings.glue_database_name
    listing = aws.client("glue").get_paginator("get_tables").paginate(DatabaseName=database)
    pages = if_exists(lambda: list(listing), "EntityNotFoundException")
    if pages is None:
        raise DataLakeError(_WHERE, f"the Glue database {database} does not exist.", _SETUP)
    existing = {table["Name"] for page in pages for table in page["TableList"]}
    missing = [table for table in contract.KPI_TABLES if table not in existing]
    if len(missing) == len(contract.KPI_TABLES):
        raise DataLakeError(
            _WHERE,
            f"nothing has been published yet: the database {database} holds no table.",
            _PROCESS,
        )
    if missing:
        raise DataLakeError(_WHERE, f"{_names(aws, missing)} is missing.", _CRAWL)
    return contract.KPI_TABLES


def registered_runs(aws: Aws, table: str) -> list[str] | None:
    """The runs registered for ``table``, the newest last; None if there is no table."""
    pages = (
        aws.client("glue")
        .get_paginator("get_partitions")
        .paginate(
            DatabaseName=aws.settings.glue_database_name, TableName=table, ExcludeColumnSchema=True
        )
    )
    values = (partition["Values"][0] for page in pages for partition in page["Partitions"])
    return if_exists(lambda: sorted(values), "EntityNotFoundException")


def require_workgroup(aws: Aws) -> None:
    """Raises ``DataLakeError`` unless the Athena workgroup exists and has a results location."""
    name = aws.settings.athena_workgroup
    answer = if_exists(
        lambda: aws.client("athena").get_work_group(WorkGroup=name), "InvalidRequestException"
    )
    if answer is None:
        raise DataLakeError(f"Athena workgroup {name}", "does not exist.", _SETUP)
    configuration = answer["WorkGroup"].get("Configuration", {})
    managed = configuration.get("ManagedQueryResultsConfiguration", {}).get("Enabled")
    if not managed and not configuration.get("ResultConfiguration", {}).get("OutputLocation"):
        raise DataLakeError(f"Athena workgroup {name}", "has no results location.", _SETUP)
