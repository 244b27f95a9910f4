"""The raw data on this machine: which CSV files in DATA_DIR belong to which table."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

from data_contract import contract
from errors import DataLakeError

RAW_COLUMNS = contract.RAW_COLUMNS
RAW_TABLES = tuple(RAW_COLUMNS)
_CSV = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)


def is_empty(folder: Path) -> bool:
    """Whether ``folder`` is missing or holds nothing but hidden files."""
    return not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir())


def find_raw_files(folder: Path) -> dict[str, list[Path]]:
    """Table -> its files: ``<table>.csv``, ``<table>_2.csv.gz``, or any CSV in a folder ``<table>/``.

    Raises ``DataLakeError`` when a table has none.
    """
    found = {table: _files_of(folder, table) for table in RAW_TABLES}
    missing = [table for table, files in found.items() if not files]
    if missing:
        there = ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))) or "nothing"
        raise DataLakeError(
            f"raw data in {folder}",
            f"no CSV file for {', '.join(missing)}; there is {there}.",
            "Put <table>.csv or <table>/*.csv there (.csv.gz too), or empty the folder: then a sample is generated.",
        )
    return found


def _files_of(folder: Path, table: str) -> list[Path]:
    beside = re.compile(rf"{table}([._-].*|\d+)?\.csv(\.gz)?$", re.IGNORECASE)
    files = [path for path in folder.iterdir() if path.is_file() and beside.match(path.name)]
    inside = folder / table
    if inside.is_dir():
        files += [path for path in inside.iterdir() if path.is_file() and _CSV.search(path.name) and path.name[0] not in "._"]
    return sorted(files)


def missing_columns(table: str, path: Path) -> list[str]:
    """The columns of ``table`` that the header of this file lacks; raises ``DataLakeError`` when it cannot be read."""
    open_text = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with open_text(path, "rt", encoding="utf-8-sig") as stream:
            first = next((line for line in stream if line.strip()), "")  # as the jobs read it: blank lines come before no header
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataLakeError(f"raw data {path}", f"its header cannot be read: {error}", "Is it a CSV file in UTF-8?") from error
    header = [name.strip() for name in next(csv.reader([first]), [])]
    return [column for column in RAW_COLUMNS[table] if column not in header]
