"""The tests' second opinion: the data contract's tables from a raw folder by DuckDB, sharing no code with the Spark jobs.

    expected = contract_tables(raw)                 # {"location_metrics": Table, ..., "kept_rentals", "rejected_rentals"}
    published = published_table(processed, "location_metrics", run_id)
    assert published == expected["location_metrics"]
"""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

KPI_TABLES = ("location_metrics", "vehicle_type_metrics", "brand_metrics", "daily_metrics", "user_metrics", "hourly_metrics",
              "day_of_week_metrics")
COLUMNS = {
    "locations": "location_id location_name address city state zip_code latitude longitude".split(),
    "users": "user_id first_name last_name email phone_number driver_license_number driver_license_expiry creation_date "
             "is_active".split(),
    "vehicles": "active vehicle_license_number registration_name license_type expiration_date permit_license_number "
                "certification_date vehicle_year base_telephone_number base_address vehicle_id last_update_timestamp brand "
                "vehicle_type".split(),
    "rental_transactions": "rental_id user_id vehicle_id rental_start_time rental_end_time pickup_location dropoff_location "
                           "total_amount".split(),
}


@dataclass(frozen=True)
class Table:
    """Columns and rows; the rows sorted, so that equal tables are equal."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, query: duckdb.DuckDBPyRelation) -> Table:
        rows = [tuple(tuple(cell) if isinstance(cell, list) else cell for cell in row) for row in query.fetchall()]
        return cls(tuple(query.columns), tuple(sorted(rows, key=repr)))


def contract_tables(raw: Path) -> dict[str, Table]:
    """The seven KPI tables, `kept_rentals` and `rejected_rentals`, for `raw/<table>/*.csv[.gz]` or `raw/<table>.csv[.gz]`."""
    with duckdb.connect() as connection:
        for table in COLUMNS:
            connection.register("loaded", raw_text(raw, table))
            connection.execute(f"CREATE TABLE raw_{table} AS SELECT * FROM loaded")
        connection.execute((Path(__file__).parent / "contract.sql").read_text(encoding="utf-8"))
        names = (*KPI_TABLES, "kept_rentals", "rejected_rentals")
        return {name: Table.of(connection.sql(f"SELECT * FROM {name}")) for name in names}


def published_table(processed: Path, table: str, run_id: str) -> Table:
    """A published table as any reader of Parquet sees it, for comparison with `contract_tables`."""
    return parquet_table(processed / table / f"run_id={run_id}")


def parquet_table(folder: Path, query: str = "SELECT * FROM files") -> Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE VIEW files AS FROM read_parquet('{folder}/*.parquet', hive_partitioning = false)")
        return Table.of(connection.sql(query))


def raw_text(raw: Path, table: str) -> pa.Table:
    """Every row of a raw table as text, columns matched by name; a row that does not fit its header is in `malformed_row`."""
    columns = COLUMNS[table]
    rows = [row for file in raw_files(raw, table) for row in _rows(file, table)]
    names = [*columns, "malformed_row", "source_file"]
    loaded = {name: pa.array([row[name] for row in rows], pa.string()) for name in names}
    if table != "rental_transactions":
        return pa.table({name: loaded[name] for name in [*columns, "malformed_row"]})
    return pa.table({"row": pa.array(range(len(rows)), pa.int64()), **loaded})


def raw_files(raw: Path, table: str) -> list[Path]:
    folder = raw / table
    return sorted(folder.glob("*.csv*")) if folder.is_dir() else list(raw.glob(f"{table}.csv*"))


def _rows(file: Path, table: str) -> list[dict[str, str | None]]:
    lines = _records(file, one_a_line=table == "rental_transactions")
    header = [name.strip() for name in lines[0][1]]
    return [_row(header, fields, text, file.name, COLUMNS[table]) for text, fields in lines[1:]]


def _row(header: list[str], fields: list[str], text: str, file: str, columns: list[str]) -> dict[str, str | None]:
    if len(fields) != len(header):
        return {**dict.fromkeys(columns), "malformed_row": text, "source_file": file}
    return {**{name: fields[header.index(name)] for name in columns}, "malformed_row": None, "source_file": file}


def _records(file: Path, one_a_line: bool) -> list[tuple[str, list[str]]]:
    """The records of a CSV file, text and fields; blank lines are none."""
    packed = file.read_bytes()
    text = (gzip.decompress(packed) if file.suffix == ".gz" else packed).decode("utf-8-sig")
    if one_a_line:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return [(line, next(csv.reader([line]))) for line in lines if line.strip()]
    return [(",".join(fields), fields) for fields in csv.reader(io.StringIO(text, newline="")) if fields]
