"""The raw zone: which columns its tables have, where their files are, and how they become DataFrames, matched by header name."""

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Tuple

from contract import ID_COLUMNS, RAW_COLUMNS
from lake_files import Lake, join
from lake_job import JobError
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

COLUMNS = RAW_COLUMNS
ID_COLUMN = ID_COLUMNS
CSV_SUFFIXES = (".csv", ".csv.gz")
HEADER_READERS = 8  # threads; a header is one small request to S3 a file

Header = Tuple[str, ...]
Files = Dict[str, str]  # each file, and its first line as it stands there
Groups = Dict[Header, Files]  # the files of a table by their header
MALFORMED = "malformed_row"
# RFC 4180: a quote within quotes is doubled
MARK_MALFORMED = {"quote": '"', "escape": '"', "mode": "PERMISSIVE", "columnNameOfCorruptRecord": MALFORMED}


def read(spark: SparkSession, table: str, groups: Groups) -> DataFrame:
    """All rows of a master table: its columns as text, and `malformed_row`, the line, if it does not fit the header.

    They hold names and addresses, where RFC 4180 allows a line break within quotes; a rental is one line, see rental_lines.
    """
    return union([_read_group(spark, table, header, files) for header, files in groups.items()])


def read_field(spark: SparkSession, name: str, groups: Groups) -> DataFrame:
    """One field of every line, the header among them, cut out of the text: a quarter of the time of parsing all."""
    return union([_read_field(spark, name, header, files) for header, files in groups.items()])


def find(lake: Lake, raw: str, table: str) -> Groups:
    """The files of a table, each checked to have every column."""
    return by_header(lake, table, find_files(lake, raw, table))


def size(lake: Lake, groups: Groups) -> int:
    """The bytes of these files, as they lie there."""
    return sum(lake.size(file) for files in groups.values() for file in files)


def find_files(lake: Lake, raw: str, table: str) -> List[str]:
    """`<raw>/<table>/*.csv[.gz]`, or, where that folder does not exist, `<raw>/<table>.csv[.gz]`."""
    folder = join(raw, table)
    if lake.exists(folder):
        files = [join(folder, name) for name in lake.files(folder) if name.endswith(CSV_SUFFIXES)]
    else:
        files = [folder + suffix for suffix in CSV_SUFFIXES if lake.exists(folder + suffix)]
    if not files:
        raise JobError(f"{folder}/ holds no .csv or .csv.gz file: upload the raw data first")
    return files


def by_header(lake: Lake, table: str, files: List[str]) -> Groups:
    """The files of a table grouped by their header, each checked to have every column once."""
    with ThreadPoolExecutor(HEADER_READERS) as readers:
        first_lines = list(readers.map(lambda file: _first_line(lake, file), files))
    groups = {}  # type: Groups
    for file, line in zip(files, first_lines):
        header = tuple(name.strip() for name in next(csv.reader([line])))
        _check_header(table, file, header)
        groups.setdefault(header, {})[file] = line
    return groups


def _first_line(lake: Lake, file: str) -> str:
    line = lake.first_line(file)
    if line is None:
        raise JobError(f"{file} is empty, it has not even a header: upload it again, or delete it")
    return line


def _check_header(table: str, file: str, header: Header) -> None:
    missing = [column for column in COLUMNS[table] if column not in header]
    if missing:
        raise JobError("{} lacks the column{} {}; its header has {}".format(
            file, "s" if len(missing) > 1 else "", ", ".join(missing), ", ".join(header)))
    twice = [column for column in COLUMNS[table] if header.count(column) > 1]
    if twice:
        raise JobError("{} has the column {} twice".format(file, ", ".join(twice)))


def read_lines(spark: SparkSession, files: Files) -> DataFrame:
    """The lines of the files, header and blank ones among them: `value`."""
    return spark.read.text([_glob_escaped(file) for file in files])


def _read_group(spark: SparkSession, table: str, header: Header, files: Files) -> DataFrame:
    """Files of one header. The unknown columns get names of our own: two of theirs could be alike."""
    fields = [name if name in COLUMNS[table] else f"unknown_{position}" for position, name in enumerate(header)]
    rows = spark.read.csv(
        [_glob_escaped(file) for file in files], header=True, encoding="UTF-8", multiLine=True,
        schema=_all_text([*fields, MALFORMED]), **MARK_MALFORMED)
    return rows.select(*COLUMNS[table], MALFORMED)


def _read_field(spark: SparkSession, name: str, header: Header, files: Files) -> DataFrame:
    position = header.index(name)
    plain = F.substring_index(F.substring_index("value", ",", position + 1), ",", -1)
    parsed = csv_fields("value", header)[field_name(position)]
    return read_lines(spark, files).select(F.when(F.col("value").contains('"'), parsed).otherwise(plain).alias(name))


def csv_fields(line: str, header: Header) -> Column:
    """What CSV makes of the line: a struct of `field_0` ... as text, and `malformed_row`."""
    names = [field_name(position) for position in range(len(header))]
    return F.from_csv(line, _all_text([*names, MALFORMED]), MARK_MALFORMED)


def field_name(position: int) -> str:
    return f"field_{position}"


def _all_text(names: List[str]) -> str:
    return ", ".join(name + " STRING" for name in names)


def union(parts: List[DataFrame]) -> DataFrame:
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.union(part)
    return rows


def _glob_escaped(path: str) -> str:
    """Spark takes a path for a pattern; a file's name may hold [ or *."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
