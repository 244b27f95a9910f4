"""The raw zone: which columns its tables have, where their files are, and how they become DataFrames, matched by header name."""

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, List, Tuple

from lake_files import Lake, join
from lake_job import JobError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

COLUMNS = {
    "locations": ["location_id", "location_name", "address", "city", "state", "zip_code", "latitude", "longitude"],
    "users": ["user_id", "first_name", "last_name", "email", "phone_number", "driver_license_number", "driver_license_expiry",
              "creation_date", "is_active"],
    "vehicles": ["active", "vehicle_license_number", "registration_name", "license_type", "expiration_date",
                 "permit_license_number", "certification_date", "vehicle_year", "base_telephone_number", "base_address",
                 "vehicle_id", "last_update_timestamp", "brand", "vehicle_type"],
    "rental_transactions": ["rental_id", "user_id", "vehicle_id", "rental_start_time", "rental_end_time", "pickup_location",
                            "dropoff_location", "total_amount"],
}
ID_COLUMN = {"locations": "location_id", "users": "user_id", "vehicles": "vehicle_id"}
CSV_SUFFIXES = (".csv", ".csv.gz")
HEADER_READERS = 8  # threads; a header is one small request to S3 a file

Header = Tuple[str, ...]
Groups = Dict[Header, List[str]]  # the files of a table by their header
READ_OPTIONS = {"quote": '"', "escape": '"', "mode": "PERMISSIVE"}  # RFC 4180: a quote within quotes is doubled


def read(spark: SparkSession, table: str, groups: Groups) -> DataFrame:
    """All rows of a raw table: its columns as text, `malformed_row` (the line, if it does not fit the header), `source_file`.

    A rental is one line: then a large file is read by many tasks, and a stray quote spoils one row only. The master
    tables hold names and addresses, where RFC 4180 allows a line break within quotes.
    """
    return _union([_read_group(spark, table, header, files) for header, files in groups.items()])


def read_field(spark: SparkSession, name: str, groups: Groups) -> DataFrame:
    """One field of every line, the header among them, cut out of the text: a quarter of the time of parsing all."""
    return _union([_read_field(spark, name, header, files) for header, files in groups.items()])


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
        headers = list(readers.map(lambda file: _header(lake, file), files))
    groups = {}  # type: Groups
    for file, header in zip(files, headers):
        _check_header(table, file, header)
        groups.setdefault(header, []).append(file)
    return groups


def _header(lake: Lake, file: str) -> Header:
    line = lake.first_line(file)
    if line is None:
        raise JobError(f"{file} is empty, it has not even a header: upload it again, or delete it")
    return tuple(name.strip() for name in next(csv.reader([line])))


def _check_header(table: str, file: str, header: Header) -> None:
    missing = [column for column in COLUMNS[table] if column not in header]
    if missing:
        raise JobError("{} lacks the column{} {}; its header has {}".format(
            file, "s" if len(missing) > 1 else "", ", ".join(missing), ", ".join(header)))
    twice = [column for column in COLUMNS[table] if header.count(column) > 1]
    if twice:
        raise JobError("{} has the column {} twice".format(file, ", ".join(twice)))


def _read_group(spark: SparkSession, table: str, header: Header, files: List[str]) -> DataFrame:
    """Files of one header. The unknown columns get names of our own: two of theirs could be alike."""
    fields = [name if name in COLUMNS[table] else f"unknown_{position}" for position, name in enumerate(header)]
    rows = spark.read.csv(
        [_glob_escaped(file) for file in files], header=True, encoding="UTF-8", multiLine=table in ID_COLUMN,
        schema=_all_text([*fields, "malformed_row"]), columnNameOfCorruptRecord="malformed_row", **READ_OPTIONS)
    return rows.select(*COLUMNS[table], "malformed_row", F.col("_metadata.file_path").alias("source_file"))


def _read_field(spark: SparkSession, name: str, header: Header, files: List[str]) -> DataFrame:
    lines = spark.read.text([_glob_escaped(file) for file in files])
    position = header.index(name)
    plain = F.substring_index(F.substring_index("value", ",", position + 1), ",", -1)
    fields = _all_text([f"field_{number}" for number in range(len(header))])
    parsed = F.from_csv("value", fields, READ_OPTIONS)[f"field_{position}"]
    return lines.select(F.when(F.col("value").contains('"'), parsed).otherwise(plain).alias(name))


def _all_text(names: List[str]) -> str:
    return ", ".join(name + " STRING" for name in names)


def _union(parts: List[DataFrame]) -> DataFrame:
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.union(part)
    return rows


def _glob_escaped(path: str) -> str:
    """Spark takes a path for a pattern; a file's name may hold [ or *."""
    return re.sub(r"([\[\]{}*?\\])", r"\\\1", path)
