"""The table of rejected rentals in the catalog: what every published run refused, with all its reasons, for SQL.

No crawler makes it: the rejected zone also holds what failed runs refused, and a crawler would show that too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws import Aws

from catalog.published import registered_runs

TABLE = "rejected_rentals"
_ZONE = ("rejected", "rental_transactions")
_TEXTS = (
    "rental_id user_id vehicle_id rental_start_time rental_end_time pickup_location dropoff_location total_amount "
    "malformed_row source_file"
).split()
_PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"},
}


def register_rejected_rentals(aws: Aws, published: Sequence[str]) -> None:
    """The table exists and shows the rejected rentals of the ``published`` runs, and of no other."""
    there = _registered(aws)
    if there is None:
        _create(aws)
        there = set()
    missing = [run for run in published if run not in there and _was_written(aws, run)]
    place = {"DatabaseName": aws.settings.glue_database_name, "TableName": TABLE}
    for run in missing:
        aws.client("glue").create_partition(**place, PartitionInput={"Values": [run], "StorageDescriptor": _storage(aws, run)})
    for run in there.difference(published):  # its folders have been pruned
        aws.client("glue").delete_partition(**place, PartitionValues=[run])


def _registered(aws: Aws) -> set[str] | None:
    """The runs that the table shows; None when there is no table."""
    runs = registered_runs(aws, TABLE)
    return None if runs is None else set(runs)


def _create(aws: Aws) -> None:
    aws.client("glue").create_table(
        DatabaseName=aws.settings.glue_database_name,
        TableInput={
            "Name": TABLE,
            "Description": "Rentals that broke a rule of the data contract, as they came, with all their reasons",
            "TableType": "EXTERNAL_TABLE",
            "Parameters": {"classification": "parquet", "EXTERNAL": "TRUE"},
            "PartitionKeys": [{"Name": "run_id", "Type": "string"}],
            "StorageDescriptor": _storage(aws),
        },
    )


def _storage(aws: Aws, run: str = "") -> Any:
    columns = [{"Name": "reasons", "Type": "array<string>"}, *({"Name": name, "Type": "string"} for name in _TEXTS)]
    folder = (f"run_id={run}", "") if run else ("",)
    return {"Columns": columns, "Location": aws.settings.s3(*_ZONE, *folder), **_PARQUET}


def _was_written(aws: Aws, run: str) -> bool:
    prefix = "/".join((*_ZONE, f"run_id={run}", ""))
    listing = aws.client("s3").list_objects_v2(Bucket=aws.settings.s3_bucket_name, Prefix=prefix, MaxKeys=1)
    return bool(listing["KeyCount"])
