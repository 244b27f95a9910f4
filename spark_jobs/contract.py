"""The data contract as code: raw columns, KPI tables, names of zones and files, the raw files.

Jobs, scripts, notebooks and the sample generator import it. It ships with the jobs, so it needs
only Python 3.7 and its standard library.
"""

import codecs
import csv
import io
import os
import re
from typing import Callable, Dict, Iterable, Iterator, List, NamedTuple, Sequence, Set, Tuple

# --- zones of the lake (each is a folder of the bucket), and the folders and files that runs write
RAW, CLEAN, REJECTED, STAGING, PROCESSED = "raw", "clean", "rejected", "staging", "processed"
RUN_FOLDER = "run_id="
CLEAN_RENTALS = "rentals"  # in the clean zone, beside a folder for each master table
CLEAN_WORK = "_work"  # in the clean zone while clean_rentals runs
CLEAN_SUMMARY = "_summary.json"  # beside the clean rentals: their validation is complete
RUN_SUMMARY = "_run_summary.json"  # beside the rejected rentals: the counts of the run
INTENT = "_publishing.json"  # in the staging zone while a run is being published
OUTCOME = "_outcome.json"  # beside it: "published" or "rolled back"; written once


def job_summary(job: str) -> str:
    """The name of the file in the staging zone that marks a KPI job's tables as complete."""
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

# --- KPI tables: job -> table -> two columns; their sums over the table are the number of all kept
# rentals and their revenue
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

# --- text: this white space is removed around a field or a header name
WHITE_SPACE = " \t\n\x0b\x0c\r\u00a0\u200b\ufeff"
NOT_UTF8 = "\ufffd"  # decoders replace bytes that are not UTF-8 with this character
MAX_TEXT_BYTES = 10000  # a longer id, name or address makes its row malformed
MAX_RECORD_LINES = 10000  # a quote that stays open for more lines counts as never closed

# --- raw files
SAMPLE_MANIFEST = "sample_data.json"  # the generator writes it beside the sample; not raw data
CSV_SUFFIX = re.compile(r"\.csv(\.gz)?$", re.IGNORECASE)
# data files, also compressed, copied or partly downloaded: x.csv~, x.csv (1), x.csv.part
DATA_SUFFIX = re.compile(
    r"\.(csv|tsv|tab|txt|xls[xmb]?|ods|json|jsonl|parquet|orc|avro|zip|gz|bz2|7z)(?![a-z0-9])",
    re.IGNORECASE,
)
NO_DATA = re.compile(r"^\._|^\.~lock\.|\.crc$")  # created by macOS, LibreOffice, Hadoop
CONTROL_CHARACTERS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
SURROGATES = re.compile("[\ud800-\udfff]")  # Python decodes bytes that are not UTF-8 to these
MAX_PATH_BYTES = 1024 - len("raw/")  # a key in S3 has at most 1024 bytes
HEADER_BYTES = 1 << 16  # longest header
BLANK_BYTES = 1 << 24  # most blank text in front of a header
MAX_COLUMNS = 1000
LINES_ABOVE_HEADER = 50  # lines that are searched for a misplaced header, for a better message
NO_UTF8_HEADER = "has a header that is not UTF-8: save the file as UTF-8"
OTHER_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
# first bytes of other formats, for files that are named .csv but have other content
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
    """The files of a raw zone in sorted order, as paths relative to it, with `/` as separator."""

    read: Dict[str, List[str]]  # table -> its files
    not_read: Dict[str, str]  # file -> reason; a run goes on without it
    refused: Dict[str, str]  # file -> reason; no run starts while it is there


class Header(NamedTuple):
    """The first record of a file that is not blank."""

    text: str  # as in the file, but with LF as line break and without white space around it
    names: Tuple[str, ...]


class ContractError(ValueError):
    """A file cannot be read.

    The message begins with a verb, because the caller puts the file's name in front of it.
    """


def raw_files(paths: Iterable[str], folder: str = "") -> RawFiles:
    """Divide the files of a raw zone into read, not read and refused files.

    Files named `<table>/**/*.csv[.gz]` or `<table>.csv[.gz]` are read; hidden files are ignored.
    `folder`: the raw zone's folder if it is on this machine; paths in it that are not regular files
    are refused.
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
    """All files below a local folder, as paths relative to it; [] if the folder does not exist.

    Links to folders are followed. A folder that is reached a second time is listed as a file.
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
    """The table that a path belongs to, '' for none."""
    first, slash, _ = path.partition("/")
    if not slash:
        first = CSV_SUFFIX.sub("", first)
    return first if first in RAW_COLUMNS else ""


def printable(text: str) -> str:
    """The text with its unprintable characters escaped."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _is_hidden(path: str) -> bool:
    """Returns whether a file is the sample's manifest or an auxiliary file of some program.

    Examples: `_SUCCESS`, `.DS_Store`, `._part.csv`. A data file in a hidden folder is not hidden:
    it is reported as not read.
    """
    name = path.rpartition("/")[2]
    no_data = NO_DATA.search(name) or not DATA_SUFFIX.search(name)
    return path == SAMPLE_MANIFEST or bool(_is_private(path) and no_data)


def _is_private(path: str) -> bool:
    """Returns whether Spark ignores the path: some part of it begins with a dot or `_`."""
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
    """The header of a table's file; `read(count)` returns the first `count` bytes, decompressed.

    Reads more while the text so far is blank. Raises ContractError unless there is a header with
    all columns of the table.
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
    """The decoded text without leading white space.

    An incomplete character at the end is dropped.
    """
    text = codecs.getincrementaldecoder("utf-8")("replace").decode(start)
    return text.lstrip(WHITE_SPACE)


def read_header(start: bytes) -> Header:
    """The header in the decompressed start of a file; raises ContractError if there is none."""
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

    Such a line shows that files with different columns, or another order, were concatenated. A line
    counts as a header if it contains at least half of the column names, in upper or lower case. The
    header may share its line with the previous file's last row, if that file did not end with a
    line break.
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

    `text`: the start of the file, to look for a header below other lines.
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
    """The most likely reason why the columns are missing, and the remedy."""
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
    """The lower-case letters of a column name, to compare names despite different spelling."""
    return re.sub("[^a-z]", "", name.lower())


def _shortened(names: Sequence[str]) -> str:
    text = printable(", ".join(names))
    return text if len(text) <= 300 else text[:300] + " ..."
