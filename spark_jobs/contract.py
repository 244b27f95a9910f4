"""The data contract as code: raw columns, KPI tables, names of zones and files, and which files are
raw data.

Jobs, scripts, notebooks and the sample generator all take it from here. It ships with the jobs, so
it needs nothing but the standard library of Python 3.7.
"""

import csv
import io
import re
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple

# --- zones of the lake, each a folder of the bucket, and what runs write into them
RAW, CLEAN, REJECTED, STAGING, PROCESSED = "raw", "clean", "rejected", "staging", "processed"
RUN_FOLDER = "run_id="
CLEAN_RENTALS = "rentals"  # in the clean zone, beside a folder for each master table
CLEAN_WORK = "_work"  # in the clean zone while clean_rentals runs
CLEAN_SUMMARY = "_summary.json"  # beside the clean rentals: their validation is complete
RUN_SUMMARY = "_run_summary.json"  # beside the rejected rentals: the counts of the run
INTENT = "_publishing.json"  # in the staging zone while a run is being published
OUTCOME = "_outcome.json"  # beside it: whether the run was published or rolled back, decided once


def job_summary(job: str) -> str:
    """The file in the staging zone that says that a KPI job has written all of its tables."""
    return "_" + job + ".json"


# --- raw tables: columns in the order of the sample data; files may have them in any order
RENTALS = "rental_transactions"
RAW_COLUMNS = {
    "locations": (
        "location_id",
        "location_name",
        "address",
        "city",
        "state",
        "zip_code",
        "latitude",
        "longitude",
    ),
    "users": (
        "user_id",
        "first_name",
        "last_name",
        "email",
        "phone_number",
        "driver_license_number",
        "driver_license_expiry",
        "creation_date",
        "is_active",
    ),
    "vehicles": (
        "active",
        "vehicle_license_number",
        "registration_name",
        "license_type",
        "expiration_date",
        "permit_license_number",
        "certification_date",
        "vehicle_year",
        "base_telephone_number",
        "base_address",
        "vehicle_id",
        "last_update_timestamp",
        "brand",
        "vehicle_type",
    ),
    RENTALS: (
        "rental_id",
        "user_id",
        "vehicle_id",
        "rental_start_time",
        "rental_end_time",
        "pickup_location",
        "dropoff_location",
        "total_amount",
    ),
}  # type: Dict[str, Tuple[str, ...]]
ID_COLUMNS = {"locations": "location_id", "users": "user_id", "vehicles": "vehicle_id"}
MASTERS = tuple(ID_COLUMNS)

# --- KPI tables: job -> table -> its columns that add up to all kept rentals and to all their
# revenue
KPI_JOBS = {
    "vehicle_location_metrics": {
        "location_metrics": ("total_transactions", "total_revenue"),
        "vehicle_type_metrics": ("total_rentals", "total_revenue"),
        "brand_metrics": ("total_rentals", "total_revenue"),
    },
    "user_transaction_metrics": {
        "daily_metrics": ("total_transactions", "total_revenue"),
        "user_metrics": ("total_rentals", "total_spent"),
        "hourly_metrics": ("total_transactions", "total_revenue"),
        "day_of_week_metrics": ("total_transactions", "total_revenue"),
    },
}  # type: Dict[str, Dict[str, Tuple[str, str]]]
CONSERVED = {table: columns for tables in KPI_JOBS.values() for table, columns in tables.items()}
KPI_TABLES = tuple(CONSERVED)

# --- text: white space around a field or a header name does not count
WHITE_SPACE = " \t\n\x0b\x0c\r\u00a0\u200b\ufeff"
NOT_UTF8 = "\ufffd"  # what decoders write in place of bytes that are no UTF-8
MAX_TEXT_BYTES = 10000  # a longer id, name or address makes its row malformed

# --- raw files
SAMPLE_MANIFEST = "sample_data.json"  # lies beside the generated sample and is no raw data
CSV_SUFFIX = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)
HEADER_BYTES = 1 << 16  # a header ends within so many bytes
MAX_COLUMNS = 1000
OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}


class RawFiles(NamedTuple):
    """What becomes of the files of a raw zone: paths relative to it, with `/` between folders."""

    read: Dict[str, List[str]]  # table -> its files
    not_read: Dict[str, str]  # file -> reason; a run goes on without it
    refused: Dict[str, str]  # file -> reason; no run starts while it is there


class Header(NamedTuple):
    """The first record of a file that is not blank."""

    text: str  # as it stands there, line breaks as LF, without white space around it
    names: Tuple[str, ...]


class ContractError(ValueError):
    """A file cannot be read. The message begins with a verb: the caller puts the file's name before
    it."""


def raw_files(paths: Iterable[str]) -> RawFiles:
    """Sort the files of a raw zone: `<table>/**/*.csv[.gz]` and `<table>.csv[.gz]` are read, hidden
    ones are ignored."""
    files = RawFiles({table: [] for table in RAW_COLUMNS}, {}, {})
    for path in sorted(paths):
        table, reason = table_of(path), _why_not_read(path)
        if _is_hidden(path):
            continue
        if reason:
            files.not_read[path] = reason
        elif ":" in path:
            files.refused[path] = "has a ':' in its name, which Hadoop cannot read: rename it"
        else:
            files.read[table].append(path)
    return files


def table_of(path: str) -> str:
    """The table that a file belongs to by its place, '' for none."""
    first, slash, _ = path.partition("/")
    if not slash:
        first = CSV_SUFFIX.sub("", first)
    return first if first in RAW_COLUMNS else ""


def _is_hidden(path: str) -> bool:
    """Names that begin with a dot, those with an underscore that are no CSV files (`_SUCCESS`), the
    sample's manifest."""
    parts = path.split("/")
    no_data = _is_private(parts) and not CSV_SUFFIX.search(path)
    return any(part[:1] == "." for part in parts) or no_data or path == SAMPLE_MANIFEST


def _is_private(parts: Sequence[str]) -> bool:
    return any(part[:1] == "_" for part in parts)


def _why_not_read(path: str) -> str:
    if not table_of(path):
        return "belongs to no table: put it into the folder of its table ({})".format(
            ", ".join(RAW_COLUMNS)
        )
    if _is_private(path.split("/")):
        return "has a name that begins with '_', which Spark ignores: rename it"
    if not CSV_SUFFIX.search(path):
        return "is no .csv or .csv.gz file"
    return ""


def read_header(start: bytes) -> Header:
    """The header out of the first HEADER_BYTES of a file, unzipped; raises ContractError when they
    hold none."""
    text = start.decode("utf-8", errors="replace")
    lines = list(io.StringIO(text, newline=None))  # LF, CRLF and CR all end a line
    while lines and not lines[0].strip(WHITE_SPACE):
        del lines[0]
    if not lines:
        raise ContractError("is empty, it has not even a header: upload it again, or delete it")
    lines[0] = lines[0].lstrip(WHITE_SPACE)
    reader = csv.reader(lines)
    try:
        names = next(reader)
    except csv.Error as error:
        raise ContractError(
            f"has a header that is no CSV ({error}): correct its first line"
        ) from error
    if "\n" in names[-1] and reader.line_num == len(lines) and not lines[-1].rstrip().endswith('"'):
        raise ContractError(
            "has a header that is no CSV (a quote in it is never closed): correct its first line"
        )
    if reader.line_num == len(lines) and len(start) >= HEADER_BYTES:
        raise ContractError(f"has a header of more than {HEADER_BYTES} bytes: is it a CSV file?")
    header = "".join(lines[: reader.line_num]).strip(WHITE_SPACE)
    return Header(
        re.sub(NOT_UTF8 + "+", NOT_UTF8, header), tuple(name.strip(WHITE_SPACE) for name in names)
    )


def check_header(table: str, header: Header) -> None:
    """Raise ContractError unless the header has every column of the table exactly once."""
    columns, names = RAW_COLUMNS[table], header.names
    missing = [column for column in columns if column not in names]
    if missing and (NOT_UTF8 in header.text or "\0" in header.text):
        raise ContractError("has a header that is not UTF-8: save the file as UTF-8")
    for separator, word in OTHER_SEPARATORS.items():
        if missing and set(columns) <= {
            name.strip(WHITE_SPACE + '"') for name in header.text.split(separator)
        }:
            raise ContractError(f"has columns separated by {word}, not by ','")
    if missing:
        raise ContractError(
            "lacks the column{} {}; its header has {}".format(
                "s" if len(missing) > 1 else "", ", ".join(missing), _shortened(names)
            )
        )
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise ContractError("has the column {} twice".format(", ".join(twice)))
    if len(names) > MAX_COLUMNS:
        raise ContractError(
            f"has {len(names)} columns, at most {MAX_COLUMNS} are read: is it the right file?"
        )


def _shortened(names: Sequence[str]) -> str:
    text = ", ".join(names)
    return text if len(text) <= 300 else text[:300] + " ..."
