"""Whether the seven tables that our jobs have published are the ones that DuckDB computed of the same files, row by row."""

from __future__ import annotations

from pathlib import Path

import duckdb

TABLES = ("location_metrics", "vehicle_type_metrics", "brand_metrics", "daily_metrics", "user_metrics", "hourly_metrics",
          "day_of_week_metrics")


class TablesDiffer(Exception):
    pass


def check_equal(processed: Path, duckdb_out: Path) -> None:
    """Raises TablesDiffer with the first rows that only one side has. Numbers are equal when their values are."""
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            ours = connection.read_parquet(f"{processed}/{table}/run_id=*/*.parquet", hive_partitioning=False)
            theirs = connection.read_parquet(f"{duckdb_out}/{table}.parquet")
            if ours.columns != theirs.columns:
                raise TablesDiffer(f"{table} has the columns {ours.columns}, DuckDB's has {theirs.columns}")
            columns = ", ".join(_exact(name, kind) for name, kind in zip(ours.columns, ours.types, strict=True))
            ours, theirs = ours.project(columns), theirs.project(columns)
            for first, second, whose in ((ours, theirs, "ours"), (theirs, ours, "DuckDB's")):
                alone = first.except_(second).limit(3).fetchall()
                if alone or first.shape != second.shape:
                    raise TablesDiffer(f"{table}: only {whose} has {alone}")


def _exact(name: str, kind: object) -> str:
    """The column as a type that both sides can have: a percentile is a double in ours."""
    numeric = str(kind).startswith(("DECIMAL", "DOUBLE", "BIGINT", "INTEGER", "HUGEINT"))
    return f"CAST({name} AS DECIMAL(38, 2)) AS {name}" if numeric else name
