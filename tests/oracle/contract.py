"""The oracle: the contract's tables of a raw folder, computed in DuckDB.

It shares no code with the Spark jobs. ``contract_tables(raw)["location_metrics"]`` equals
``published_table(processed, "location_metrics", run_id)`` if the jobs are correct.
"""

from __future__ import annotations

import glob
import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa

SQL = (Path(__file__).parent / "contract.sql").read_text(encoding="utf-8")
KPI_TABLES = tuple(re.findall(r"^CREATE VIEW (\w+_metrics) AS", SQL, re.MULTILINE))
COLUMNS = {
    "locations": "location_id location_name address city state zip_code latitude longitude".split(),
    "users": (
        "user_id first_name last_name email phone_number driver_license_number"
        " driver_license_expiry creation_date is_active".split()
    ),
    "vehicles": (
        "active vehicle_license_number registration_name license_type expiration_date"
        " permit_license_number certification_date vehicle_year base_telephone_number base_address"
        " vehicle_id last_update_timestamp brand vehicle_type".split()
    ),
    "rental_transactions": (
        "rental_id user_id vehicle_id rental_start_time rental_end_time pickup_location"
        " dropoff_location total_amount".split()
    ),
}
MASTERS = ("locations", "users", "vehicles")
WHITE_SPACE = " \t\n\v\f\r\u00a0\u200b\ufeff"
MAX_TEXT_BYTES = 10_000
MAX_RECORD_LINES = 10_000


@dataclass(frozen=True)
class Table:
    """Columns and sorted rows, so that equal tables compare equal."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @classmethod
    def of(cls, query: duckdb.DuckDBPyRelation) -> Table:
        rows = [
            tuple(tuple(cell) if isinstance(cell, list) else cell for cell in row)
            for row in query.fetchall()
        ]
        return cls(tuple(query.columns), tuple(sorted(rows, key=repr)))


def contract_tables(raw: Path) -> dict[str, Table]:
    """The KPI tables, `kept_rentals`, and `rejected_<table>` for each raw table."""
    with duckdb.connect() as connection:
        for table in COLUMNS:
            connection.register("loaded", raw_text(raw, table))
            connection.execute(f"CREATE TABLE raw_{table} AS SELECT * FROM loaded")
        connection.execute(SQL)
        names = (
            *KPI_TABLES,
            "kept_rentals",
            "rejected_rentals",
            *(f"rejected_{table}" for table in MASTERS),
        )
        return {name: Table.of(connection.sql(f"SELECT * FROM {name}")) for name in names}


def published_table(processed: Path, table: str, run_id: str) -> Table:
    """A published table as any Parquet reader sees it, comparable with `contract_tables`."""
    return parquet_table(processed / table / f"run_id={run_id}")


def parquet_table(folder: Path, query: str = "SELECT * FROM files") -> Table:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            f"CREATE VIEW files AS FROM read_parquet('{glob.escape(str(folder))}/*.parquet',"
            " hive_partitioning = false)"
        )
        return Table.of(connection.sql(query))


def raw_text(raw: Path, table: str) -> pa.Table:
    """Every row of a raw table as text, with columns matched by name.

    `problem` is the reason why a row cannot be split; `malformed_row` is then its text.
    """
    rows = [
        row
        for file in raw_files(raw, table)
        for row in _rows(file, str(file.relative_to(raw)), COLUMNS[table])
    ]
    names = [*COLUMNS[table], "malformed_row", "problem", "source_file"]
    loaded = {name: pa.array([row[name] for row in rows], pa.string()) for name in names}
    return pa.table({"row": pa.array(range(len(rows)), pa.int64()), **loaded})


def raw_files(raw: Path, table: str) -> list[Path]:
    below = (
        [path for path in (raw / table).rglob("*") if path.is_file()]
        if (raw / table).is_dir()
        else []
    )
    beside = [
        path
        for path in raw.iterdir()
        if path.name.lower() in (f"{table}.csv", f"{table}.csv.gz") and path.is_file()
    ]
    csv_files = [
        path for path in [*below, *beside] if path.name.lower().endswith((".csv", ".csv.gz"))
    ]
    return sorted(
        path
        for path in csv_files
        if not any(part[0] in "._" for part in path.relative_to(raw).parts)
    )


def _rows(file: Path, name: str, columns: list[str]) -> list[dict[str, str | None]]:
    packed = file.read_bytes()
    text = (gzip.decompress(packed) if file.suffix.lower() == ".gz" else packed).decode(
        "utf-8", errors="replace"
    )
    text = re.sub("\ufffd+", "\ufffd", text.replace("\r\n", "\n").replace("\r", "\n")).lstrip(
        "\ufeff"
    )
    non_blank = [record for record in records(text) if record.text.strip(WHITE_SPACE)]
    header = [field.strip(WHITE_SPACE) for field in non_blank[0].fields or []]
    return [{**_row(header, record, columns), "source_file": name} for record in non_blank[1:]]


def _row(header: list[str], record: Record, columns: list[str]) -> dict[str, str | None]:
    readable = record.fields is not None and len(record.fields) == len(header)
    if readable and record.fields is not None:  # a text may exceed the limit
        texts = columns[:3] if columns[0] == "rental_id" else columns
        lengths = [
            len(record.fields[header.index(name)].strip(WHITE_SPACE).encode()) for name in texts
        ]
        readable = max(lengths) <= MAX_TEXT_BYTES
    problem = "not_utf8" if "\ufffd" in record.text else None if readable else "malformed_row"
    if problem or record.fields is None:
        return {**dict.fromkeys(columns), "malformed_row": record.text, "problem": problem}
    return {
        **{name: record.fields[header.index(name)] for name in columns},
        "malformed_row": None,
        "problem": None,
    }


class Record(NamedTuple):
    """A record and its fields, which are None if a quote is not closed correctly."""

    text: str
    fields: list[str] | None


def records(text: str) -> Iterator[Record]:
    """The records of a CSV text, read character by character."""
    at = 0
    while at < len(text):
        fields, end = _fields(text, at)
        if end is None:  # a quote is never closed: each line of the rest is a record
            yield from (Record(line, None) for line in text[at:].split("\n"))
            return
        if text.count("\n", at, end) < MAX_RECORD_LINES:
            yield Record(text[at:end], fields)
        else:  # a quote that is not closed within so many lines counts as never closed
            yield from (Record(line, None) for line in text[at:end].split("\n"))
        at = end + 1


def _fields(text: str, at: int) -> tuple[list[str] | None, int | None]:
    """The fields and the end of the record that begins at ``at``, or None if a quote stays open."""
    fields: list[str] = []
    fits = True
    while True:
        inside, tail = None, at
        if text[at : at + 1] == '"':
            closing = _closing_quote(text, at)
            if closing is None:
                return None, None
            inside, tail = text[at + 1 : closing], closing + 1
        end = min(
            (place for mark in ",\n" if (place := text.find(mark, tail)) >= 0), default=len(text)
        )
        is_quoted = inside is not None and not text[tail:end].strip(WHITE_SPACE)
        fits = fits and (is_quoted or inside is None or "\n" not in inside)
        fields.append(
            inside.replace('""', '"') if is_quoted and inside is not None else text[at:end]
        )
        if text[end : end + 1] != ",":
            return (fields if fits else None), end
        at = end + 1


def _closing_quote(text: str, opening: int) -> int | None:
    at = opening + 1
    while (at := text.find('"', at)) >= 0:
        if text[at + 1 : at + 2] != '"':
            return at
        at += 2
    return None
