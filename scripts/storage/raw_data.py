"""The raw data on this machine: which CSV files in DATA_DIR belong to which table."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from data_contract import contract
from errors import DataLakeError

RAW_COLUMNS = contract.RAW_COLUMNS
RAW_TABLES = tuple(RAW_COLUMNS)
_OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
_CSV = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)


def is_empty(folder: Path) -> bool:
    """Whether ``folder`` is missing or holds nothing but hidden files."""
    return not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir())


def find_raw_files(folder: Path) -> dict[str, list[Path]]:
    """Table -> its files: ``<table>.csv``, ``<table>_2.csv.gz``, or any CSV in a folder ``<table>/``.

    Raises ``DataLakeError`` when a table has none.
    """
    found = raw_files_there(folder)
    missing = [table for table, files in found.items() if not files]
    if missing:
        there = ", ".join(sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))) or "nothing"
        raise DataLakeError(
            f"raw data in {folder}",
            f"no CSV file for {', '.join(missing)}; there is {there}.",
            "Put <table>.csv or <table>/*.csv there (.csv.gz too), or empty the folder: then a sample is generated.",
        )
    return found


def raw_files_there(folder: Path) -> dict[str, list[Path]]:
    """Table -> its files, none where there is none."""
    return {table: _files_of(folder, table) if folder.is_dir() else [] for table in RAW_TABLES}


def _files_of(folder: Path, table: str) -> list[Path]:
    beside = re.compile(rf"{table}([._-].*|\d+)?\.csv(\.gz)?$", re.IGNORECASE)
    files = [path for path in folder.iterdir() if path.is_file() and beside.match(path.name)]
    inside = folder / table
    if inside.is_dir():
        files += [path for path in inside.iterdir() if path.is_file() and _CSV.search(path.name) and path.name[0] not in "._"]
    return sorted(files)


def header_problem(table: str, path: Path) -> str:
    """What is wrong with the header of this file of ``table``; nothing when all columns are there.

    Raises ``DataLakeError`` when it cannot be read.
    """
    first = _first_line(path)
    missing = [column for column in RAW_COLUMNS[table] if column not in _columns(first, ",")]
    if not missing:
        return ""
    for separator, name in _OTHER_SEPARATORS.items():
        if set(RAW_COLUMNS[table]) <= set(_columns(first, separator)):
            return f"its columns are separated by {name}, not by ','"
    return f"lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"


def require_headers(files: Mapping[str, Sequence[Path]]) -> None:
    """Raises ``DataLakeError`` with every file whose header does not have its table's columns."""
    found = [(path, header_problem(table, path)) for table, paths in files.items() for path in paths]
    broken = tuple(f"{path} {problem}" for path, problem in found if problem)
    if broken:
        raise DataLakeError(
            "raw data",
            f"{len(broken)} file{'s' if len(broken) > 1 else ''} cannot be read as the data contract has it:",
            "Columns are matched by the names in the first line, and separated by commas: correct that.",
            details=broken,
        )


def _columns(line: str, separator: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]


def _first_line(path: Path) -> str:
    """The first line that is not blank, as the jobs read it."""
    open_text = gzip.open if path.suffix.lower() == ".gz" else open
    try:
        with open_text(path, "rt", encoding="utf-8-sig") as stream:
            return next((line for line in stream if line.strip()), "")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise DataLakeError(f"raw data {path}", f"its header cannot be read: {error}", "Is it a CSV file in UTF-8?") from error
