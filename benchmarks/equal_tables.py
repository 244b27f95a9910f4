"""Compares our output with DuckDB's for the same files, row by row.

It compares the seven published tables and the rejected rentals.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

TABLES = (
    "location_metrics",
    "vehicle_type_metrics",
    "brand_metrics",
    "daily_metrics",
    "user_metrics",
    "hourly_metrics",
    "day_of_week_metrics",
)
REJECTED = "rejected"
# Spark names a file by its URI, DuckDB by its path
REJECTED_ROW = """
    rental_id, user_id, vehicle_id, rental_start_time, rental_end_time,
    pickup_location, dropoff_location, total_amount,
    malformed_row, list_sort(reasons) AS reasons,
    parse_filename(url_decode(source_file)) AS source_file
"""


class TablesDiffer(Exception):
    pass


def check_equal(ours: Path, duckdb_out: Path) -> None:
    """Raises TablesDiffer with the first rows that only one side has.

    Numbers are compared by value, not by type.
    """
    files = {table: f"{ours}/processed/{table}/run_id=*/*.parquet" for table in TABLES}
    files[REJECTED] = f"{ours}/rejected/rental_transactions/run_id=*/*.parquet"
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table, written in files.items():
            ours_theirs = [
                connection.read_parquet(file, hive_partitioning=False)
                for file in (written, f"{duckdb_out}/{table}.parquet")
            ]
            _check(
                table,
                *[
                    rows.project(REJECTED_ROW) if table == REJECTED else rows
                    for rows in ours_theirs
                ],
            )


def _check(table: str, ours: duckdb.DuckDBPyRelation, theirs: duckdb.DuckDBPyRelation) -> None:
    if ours.columns != theirs.columns:
        raise TablesDiffer(f"{table} has the columns {ours.columns}, DuckDB's has {theirs.columns}")
    columns = ", ".join(
        _exact(name, kind) for name, kind in zip(ours.columns, ours.types, strict=True)
    )
    ours, theirs = ours.project(columns), theirs.project(columns)
    for first, second, whose in ((ours, theirs, "ours"), (theirs, ours, "DuckDB's")):
        alone = first.except_(second).limit(3).fetchall()
        if alone or first.shape != second.shape:
            raise TablesDiffer(f"{table}: only {whose} has {alone}")


def _exact(name: str, kind: object) -> str:
    """SQL: the column with a type for both sides, e.g. our percentiles are doubles."""
    numeric = str(kind).startswith(("DECIMAL", "DOUBLE", "BIGINT", "INTEGER", "HUGEINT"))
    return f"CAST({name} AS DECIMAL(38, 2)) AS {name}" if numeric else name
