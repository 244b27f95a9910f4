"""The catalog tables of rejected rentals: one for published runs, one for failed runs.

This module registers them instead of a crawler, because the rejected zone mixes both kinds of runs.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from car_rental.aws import Aws
from car_rental.data_contract import contract
from car_rental.glue.published import registered_runs
from car_rental.s3.lake_bucket import run_folders

TABLE = "rejected_rentals"
OF_FAILED_RUNS = "rejected_rentals_of_failed_runs"
_ABOUT = {
    TABLE: "Rentals that broke a rule of the data contract, with their raw values and all reasons",
    OF_FAILED_RUNS: "Rejected rentals of failed runs, which published nothing",
}
_ZONE = (contract.REJECTED, contract.RENTALS)
_TEXTS = (*contract.RAW_COLUMNS[contract.RENTALS], "malformed_row", "source_file")
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
    },
}


def register_rejected_rentals(aws: Aws, published: Sequence[str]) -> None:
    """Registers the rejected rentals of the ``published`` runs and of earlier failed runs."""
    written = run_folders(aws, "/".join((*_ZONE, "")))
    # a run after the newest published one may still be running
    failed = [run for run in written if run not in published and published and run < max(published)]
    registered = [
        run
        for run in registered_runs(aws, OF_FAILED_RUNS) or []
        if run in written and run not in published
    ]
    _show(aws, TABLE, [run for run in published if run in written])
    _show(aws, OF_FAILED_RUNS, {*failed, *registered})


def register_failed_run(aws: Aws, run_id: str) -> bool:
    """Registers the rejected rentals of a failed run. Returns whether it has any."""
    if run_id not in run_folders(aws, "/".join((*_ZONE, ""))):
        return False
    _show(aws, OF_FAILED_RUNS, {*(registered_runs(aws, OF_FAILED_RUNS) or []), run_id})
    return True


def _show(aws: Aws, table: str, runs: Collection[str]) -> None:
    """Creates ``table`` if needed, and registers exactly ``runs``."""
    glue, place = (
        aws.client("glue"),
        {"DatabaseName": aws.settings.glue_database_name, "TableName": table},
    )
    registered = registered_runs(aws, table)
    if registered is None:
        _create(aws, table)
    for run in sorted(set(runs).difference(registered or [])):
        glue.create_partition(
            **place, PartitionInput={"Values": [run], "StorageDescriptor": _storage(aws, run)}
        )
    # the run's folders were deleted, or it was published later
    for run in set(registered or []).difference(runs):
        glue.delete_partition(**place, PartitionValues=[run])


def _create(aws: Aws, table: str) -> None:
    aws.client("glue").create_table(
        DatabaseName=aws.settings.glue_database_name,
        TableInput={
            "Name": table,
            "Description": _ABOUT[table],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "PartitionKeys": [{"Name": "run_id", "Type": "string"}],
            "StorageDescriptor": _storage(aws),
        },
    )


def _storage(aws: Aws, run: str = "") -> Any:
    columns = [
        {"Name": "reasons", "Type": "array<string>"},
        *({"Name": name, "Type": "string"} for name in _TEXTS),
    ]
    folder = (f"run_id={run}", "") if run else ("",)
    return {"Columns": columns, "Location": aws.settings.s3(*_ZONE, *folder), **_PARQUET}
