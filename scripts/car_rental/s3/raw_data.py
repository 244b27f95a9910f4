"""The raw data in DATA_DIR: files that the data contract accepts, and those that it does not."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

from car_rental.data_contract import contract
from car_rental.errors import DataLakeError

RAW_COLUMNS = contract.RAW_COLUMNS
RAW_TABLES = tuple(RAW_COLUMNS)


@dataclass(frozen=True)
class RawData:
    """The raw files of a folder by table, and the reason for each file that is not read.

    Paths are relative to the folder.
    """

    folder: Path
    files: dict[str, list[Path]]
    not_read: dict[str, str]

    def key(self, path: Path) -> str:
        """The key of a file: its relative path, so that no two files share a key."""
        return f"{contract.RAW}/{path.relative_to(self.folder).as_posix()}"


def is_empty(folder: Path) -> bool:
    """Returns whether ``folder`` is missing or holds only hidden files."""
    return not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir())


def find_raw_files(folder: Path) -> RawData:
    """The raw files of ``list_raw_files``. Raises ``DataLakeError`` if a table has none."""
    raw = list_raw_files(folder)
    missing = [table for table, files in raw.files.items() if not files]
    if missing:
        found_names = (
            ", ".join(
                sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
            )
            or "nothing"
        )
        raise DataLakeError(
            f"raw data in {folder}",
            f"no CSV file for {', '.join(missing)}; there is {found_names}.",
            "Put <table>.csv or <table>/*.csv there (.csv.gz too), or empty the folder: then a"
            " sample is generated.",
        )
    return raw


def list_raw_files(folder: Path) -> RawData:
    """The raw files: ``<table>.csv`` and CSV files anywhere below ``<table>/``, gzipped or not.

    Raises ``DataLakeError`` for a file that no job can read: a dangling link, or a name that Hadoop
    rejects.
    """
    found = contract.raw_files(contract.files_below(str(folder)), str(folder))
    if found.refused:
        problems = "; ".join(f"{name} {reason}" for name, reason in found.refused.items())
        raise DataLakeError(
            f"raw data in {folder}", f"{problems}.", "No run can begin while it is there."
        )
    return RawData(
        folder,
        {table: [folder / name for name in names] for table, names in found.read.items()},
        found.not_read,
    )


def header_problem(table: str, path: Path) -> str:
    """The problem with the header of a file; empty if there is none.

    The text continues a sentence that begins with the file's name.
    """
    try:
        contract.file_header(table, lambda count: _start(path, count))
    except contract.ContractError as error:
        return str(error)
    return ""


def require_headers(raw: RawData) -> None:
    """Raises ``DataLakeError`` with every file whose header lacks a column of its table."""
    found = [
        (path, header_problem(table, path)) for table, paths in raw.files.items() for path in paths
    ]
    broken = tuple(f"{path} {problem}" for path, problem in found if problem)
    if broken:
        raise DataLakeError(
            "raw data",
            f"{len(broken)} file{'s' if len(broken) > 1 else ''} cannot be read by the data"
            " contract:",
            "Correct it there: a raw file is CSV, with its columns' names in the first line,"
            " separated by commas.",
            details=broken,
        )


def _start(path: Path, count: int) -> bytes:
    """The first bytes of a file, gzipped or not."""
    try:
        with (gzip.open if path.suffix.lower() == ".gz" else open)(path, "rb") as stream:
            start: bytes = stream.read(count)
            return start
    except (OSError, EOFError, zlib.error) as error:
        raise contract.ContractError(f"cannot be read: {error}") from error
