"""The data contract as code: raw columns, KPI tables, names of zones and files, the raw files.

Jobs, scripts, notebooks and the sample generator all take it from here. It ships with the jobs, so
it needs nothing but the standard library of Python 3.7.
"""

import codecs
import csv
import io
import os
import re
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

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
MAX_RECORD_LINES = 10000  # a quote that is not closed within so many lines counts as never closed

# --- raw files
SAMPLE_MANIFEST = "sample_data.json"  # lies beside the generated sample and is no raw data
CSV_SUFFIX = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)
# tables, packed or not, also copies and half of a download: x.csv~, x.csv (1), x.csv.part
DATA_SUFFIX = re.compile(
    r"\.(csv|tsv|tab|txt|xls[xmb]?|ods|json|jsonl|parquet|orc|avro|zip|gz|bz2|7z)(?![a-z0-9])",
    re.IGNORECASE,
)
NO_DATA = re.compile(r"^\._|^\.~lock\.|\.crc$")  # left behind by macOS, LibreOffice, Hadoop
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SURROGATES = re.compile("[\ud800-\udfff]")  # in place of bytes of a name that are no UTF-8
MAX_PATH_BYTES = 1024 - len("raw/")  # of a key in S3
HEADER_BYTES = 1 << 16  # a header ends within so many bytes
BLANK_BYTES = 1 << 24  # a header begins within so many bytes
MAX_COLUMNS = 1000
LINES_ABOVE_HEADER = 50  # so many lines are searched for a header below a title
NO_UTF8_HEADER = "has a header that is not UTF-8: save the file as UTF-8"
OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
# how files begin that are no text: the name says .csv, the content is something else
FORMATS = {
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"PAR1\x15": "Parquet",
    b"Obj\x01": "Avro",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF document",
    b"BZh91AY&SY": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"7z\xbc\xaf": "a 7z archive",
    b"\x04\x22\x4d\x18": "compressed with lz4",
    b"\xff\x06\x00\x00sNaPpY": "compressed with snappy",
    b"\x1f\x9d": "compressed with compress (.Z)",
}


class RawFiles(NamedTuple):
    """The files of a raw zone, sorted: paths relative to it, with `/` between folders."""

    read: Dict[str, List[str]]  # table -> its files
    not_read: Dict[str, str]  # file -> reason; a run goes on without it
    refused: Dict[str, str]  # file -> reason; no run starts while it is there


class Header(NamedTuple):
    """The first record of a file that is not blank."""

    text: str  # as it stands there, line breaks as LF, without white space around it
    names: Tuple[str, ...]


class ContractError(ValueError):
    """A file cannot be read.

    The message begins with a verb: the caller puts the file's name before it.
    """


def raw_files(paths: Iterable[str], folder: str = "") -> RawFiles:
    """Sort the files of a raw zone into those that are read and those that are not.

    Read are `<table>/**/*.csv[.gz]` and `<table>.csv[.gz]`; hidden files are ignored. `folder`:
    where they lie, if that is on this machine; what is no file there is refused.
    """
    files = RawFiles({table: [] for table in RAW_COLUMNS}, {}, {})
    for path in sorted(paths):
        table, reason = table_of(path), _why_not_read(path)
        if _is_hidden(path):
            continue
        refused = _why_refused(path) or (_why_no_file(os.path.join(folder, path)) if folder else "")
        if reason:
            files.not_read[printable(path)] = reason
        elif refused:
            files.refused[printable(path)] = refused
        else:
            files.read[table].append(path)
    return files


def files_below(folder: str) -> List[str]:
    """The paths, relative to a folder of this machine, of all files below it; [] without a folder.

    Links to folders are followed. A folder that is reached a second time counts as a file.
    """
    if not os.path.isdir(folder):
        return []
    return [os.path.relpath(path, folder) for path in _files_below(folder, set())]


def _files_below(folder: str, visited: Set[str]) -> Iterator[str]:
    visited.add(os.path.realpath(folder))
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        if os.path.isdir(path) and os.path.realpath(path) not in visited:
            yield from _files_below(path, visited)
        else:
            yield path


def _why_refused(path: str) -> str:
    if SURROGATES.search(path):
        return "has a name that is not UTF-8: rename it"
    if CONTROL_CHARACTERS.search(path):
        return "has a control character in its name: rename it"
    if len(path.encode("utf-8")) > MAX_PATH_BYTES:
        return f"has a path of more than {MAX_PATH_BYTES} bytes, too long for S3: shorten it"
    return "has a ':' in its name, which Hadoop cannot read: rename it" if ":" in path else ""


def _why_no_file(path: str) -> str:
    if not os.path.exists(path):
        return "is a link to a file that does not exist: repair or remove it"
    return "" if os.path.isfile(path) else "is no regular file: remove it"


def table_of(path: str) -> str:
    """The table that a file belongs to by its place, '' for none."""
    first, slash, _ = path.partition("/")
    if not slash:
        first = CSV_SUFFIX.sub("", first)
    return first if first in RAW_COLUMNS else ""


def printable(text: str) -> str:
    """The text with an escape in place of each character that a terminal does not show as one."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _is_hidden(path: str) -> bool:
    """Returns whether a file is the sample's manifest or left behind by a program.

    Examples: `_SUCCESS`, `.DS_Store`, `._part.csv`. A table below a hidden folder is not hidden.
    """
    name = path.rpartition("/")[2]
    no_data = NO_DATA.search(name) or not DATA_SUFFIX.search(name)
    return path == SAMPLE_MANIFEST or bool(_is_private(path) and no_data)


def _is_private(path: str) -> bool:
    """Returns whether Spark ignores the path: a folder or the file begins with a dot or `_`."""
    return any(part[:1] in ("_", ".") for part in path.split("/"))


def _why_not_read(path: str) -> str:
    if not table_of(path):
        return "belongs to no table: put it into the folder of its table ({})".format(
            ", ".join(RAW_COLUMNS)
        )
    if _is_private(path):
        return "has a name or a folder that begins with '_' or '.', which Spark ignores: rename it"
    if not CSV_SUFFIX.search(path):
        return "is no .csv or .csv.gz file"
    return ""


def file_header(table: str, read: Callable[[int], bytes]) -> Header:
    """The header of a table's file; `read(count)` returns its first bytes, unzipped.

    Reads on while it finds nothing but blank lines. Raises ContractError when there is no header
    with all columns of the table.
    """
    count = 2 * HEADER_BYTES
    start = read(count)
    while len(start) == count < BLANK_BYTES and len(_text(start).encode("utf-8")) < HEADER_BYTES:
        count *= 4
        start = read(count)
    header = read_header(start)
    check_header(table, header, _text(start))
    return header


def _text(start: bytes) -> str:
    """The text from the first character that is not white space.

    A character that is cut off at the end is left out.
    """
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(start)
    return text.lstrip(WHITE_SPACE)


def read_header(start: bytes) -> Header:
    """The header out of the start of a file, unzipped; raises ContractError when there is none."""
    if start.startswith(b"\x1f\x8b"):
        raise ContractError("is gzipped once more than its name says: unpack it once")
    for magic, content in FORMATS.items():
        if start.startswith(magic):
            raise ContractError(f"is no CSV file but {content}: save it as .csv or .csv.gz")
    text = _text(start)
    if not text:
        raise ContractError("is empty, it has not even a header: upload it again, or delete it")
    lines = list(io.StringIO(text, newline=None))  # LF, CRLF and CR all end a line
    if "\0" in lines[0]:
        raise ContractError(NO_UTF8_HEADER)
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
    if reader.line_num == len(lines) and len(text.encode("utf-8")) >= HEADER_BYTES:
        raise ContractError(f"has a header of more than {HEADER_BYTES} bytes: is it a CSV file?")
    header = "".join(lines[: reader.line_num]).strip(WHITE_SPACE)
    return Header(
        re.sub(NOT_UTF8 + "+", NOT_UTF8, header), tuple(name.strip(WHITE_SPACE) for name in names)
    )


def other_header(table: str, header: Header, line: str) -> bool:
    """Returns whether a line is a header of the table that differs from its file's header.

    Such a line shows that files with other columns, or another order, were concatenated. At least
    half of a header's fields are names of columns, in any case. It may follow the last row of the
    previous file on the same line, if that file had no line break at its end.
    """
    try:
        names = [name.lower() for name in read_header(line.encode("utf-8")).names]
    except ContractError:
        return False
    columns, wanted = RAW_COLUMNS[table], [name.lower() for name in header.names]
    if 2 * len(set(columns) & set(names)) < len(columns):
        return False
    at_start, at_end = names[: len(wanted)], names[-len(wanted) :]
    if at_end[0].endswith(wanted[0]):
        at_end[0] = wanted[0]
    places = [header.names.index(column) for column in columns]
    return not any(
        len(part) == len(wanted) and all(part[place] == wanted[place] for place in places)
        for part in (at_start, at_end)
    )


def check_header(table: str, header: Header, text: str = "") -> None:
    """Raise ContractError unless the header has every column of the table exactly once.

    `text`: the start of the file, in which the header may stand further down.
    """
    columns, names = RAW_COLUMNS[table], header.names
    missing = [column for column in columns if column not in names]
    if missing:
        raise ContractError(_why_missing(columns, missing, header, text))
    twice = [column for column in columns if names.count(column) > 1]
    if twice:
        raise ContractError("has the column {} twice: remove one".format(", ".join(twice)))
    if len(names) > MAX_COLUMNS:
        raise ContractError(
            f"has {len(names)} columns, at most {MAX_COLUMNS} are read: is it the right file?"
        )


def _why_missing(columns: Sequence[str], missing: Sequence[str], header: Header, text: str) -> str:
    """The most likely reason for the columns that are missing, and the remedy."""
    if NOT_UTF8 in header.text:
        return NO_UTF8_HEADER
    if len(header.names) == 1 and _has_all(columns, header.text, ","):
        return "has each line in quotes as a whole: remove these quotes"
    for separator, word in OTHER_SEPARATORS.items():
        if _has_all(columns, header.text, separator):
            return f"has columns separated by {word}, not by ',': save it with commas"
    below = text.splitlines()[1:LINES_ABOVE_HEADER]
    if any(_has_all(columns, line, mark) for line in below for mark in (",", *OTHER_SEPARATORS)):
        return "has other lines above its header: delete them"
    spelled = {_letters(name): name for name in header.names}
    if all(_letters(column) in spelled for column in missing):
        pairs = [f"{spelled[_letters(column)]} for {column}" for column in missing]
        return f"spells {_shortened(pairs)}: correct its header"
    if len(missing) == len(columns):
        return f"has no header: its first line names none of the columns {', '.join(columns)}"
    return "lacks the column{} {}; its header has {}".format(
        "s" if len(missing) > 1 else "", ", ".join(missing), _shortened(header.names)
    )


def _has_all(columns: Sequence[str], line: str, separator: str) -> bool:
    return set(columns) <= {name.strip(WHITE_SPACE + '"') for name in line.split(separator)}


def _letters(name: str) -> str:
    """The letters of a column's name: spelling differs by case, blanks and invisible characters."""
    return re.sub("[^a-z]", "", name.lower())


def _shortened(names: Sequence[str]) -> str:
    text = printable(", ".join(names))
    return text if len(text) <= 300 else text[:300] + " ..."
