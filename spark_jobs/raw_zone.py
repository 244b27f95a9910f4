"""The raw zone: finds its files, checks their headers, and reads their records.

Every problem of a file is raised as a JobError with the file's name, before anything is written.
"""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import add, or_
from typing import Dict, Iterable, List, NamedTuple, Sequence, Tuple
from urllib.parse import quote, unquote

import contract
import csv_text
from contract import MAX_RECORD_LINES, RAW_COLUMNS, ContractError, Header
from lake_files import Lake, join
from lake_job import JobError
from pyspark.sql import Column, DataFrame, Row, SparkSession
from pyspark.sql import functions as F

HEADER_READERS = 8  # threads; each file needs one small request to S3


class RawFile(NamedTuple):
    """A file of a raw table."""

    path: str  # where Spark reads it
    original: str  # its location in the raw zone, as a URL
    name: str  # its path in the raw zone
    header: Header
    whole: bool = False  # has line breaks within quotes, so its lines are read in order

    @property
    def uploaded(self) -> str:
        """The path that the user uploaded, for messages; Spark may read a copy instead."""
        return unquote(self.original)

    @property
    def read_name(self) -> str:
        return read_name(self.name)


class RawTable(NamedTuple):
    """The files of one raw table."""

    name: str
    files: List[RawFile]

    def by_names(self) -> Dict[Tuple[str, ...], List[RawFile]]:
        """The files grouped by the names in their headers, in a fixed order."""
        groups = {}  # type: Dict[Tuple[str, ...], List[RawFile]]
        for file in self.files:
            groups.setdefault(file.header.names, []).append(file)
        return groups


class RawZone(NamedTuple):
    tables: Dict[str, RawTable]
    not_read: Dict[str, str]  # file -> reason
    size: int  # bytes of the rentals' files


def open_zone(spark: SparkSession, lake: Lake, raw: str, copies: str) -> RawZone:
    """Find the raw files, check their headers and read each file once to its end.

    `copies` is a folder for copies of files that Spark cannot open.
    """
    try:
        sizes = lake.tree(raw)
    except OSError as error:
        raise JobError(f"{raw} cannot be listed: {error}") from error
    lake.ignore_checksums(raw)
    found = contract.raw_files(sizes, lake.local_path(raw))
    for name, reason in found.refused.items():
        raise JobError(f"{join(raw, name)} {reason}")
    for table, names in found.read.items():
        if not names:
            raise JobError(
                f"{join(raw, table)}/ holds no .csv or .csv.gz file{_hint(found.not_read)}: upload"
                " the raw data first"
            )
    tables = {table: _table(lake, raw, table, names, copies) for table, names in found.read.items()}
    size = sum(sizes[name] for name in found.read[contract.RENTALS])
    return RawZone(inspected(spark, tables), found.not_read, size)


def _hint(not_read: Dict[str, str]) -> str:
    return " (not read: {})".format(", ".join(sorted(not_read)[:5])) if not_read else ""


def _table(lake: Lake, raw: str, table: str, names: Sequence[str], copies: str) -> RawTable:
    with ThreadPoolExecutor(HEADER_READERS) as readers:
        return RawTable(
            table, list(readers.map(lambda name: _file(lake, raw, table, name, copies), names))
        )


def _file(lake: Lake, raw: str, table: str, name: str, copies: str) -> RawFile:
    path = join(raw, name)
    try:
        if read_name(name) != name:
            path = join(copies, read_name(name))
            lake.copy(join(raw, name), path)
        header = contract.file_header(table, lambda count: lake.start(path, count))
    except (ContractError, OSError) as error:
        raise JobError(f"{join(raw, name)} {error}") from error
    return RawFile(path, quote(join(raw, name), safe="/:"), name, header)


def read_name(name: str) -> str:
    """The name by which Spark reads a raw file.

    Hadoop recognises gzip only by a suffix in lower case.
    """
    if name.lower().endswith(".gz") and not name.endswith(".gz"):
        return (
            hashlib.sha256(name.encode("utf-8")).hexdigest()[:16] + ".csv.gz"
        )  # needs no escapes in a URL
    return name


def inspected(spark: SparkSession, tables: Dict[str, RawTable]) -> Dict[str, RawTable]:
    """Returns the tables with `whole` set for files that have line breaks within quotes.

    Reads every line of every file, to find open quotes and further headers. Raises JobError for a
    file that cannot be read or whose further header differs.
    """
    files = {file.read_name: file for table in tables.values() for file in table.files}
    lines = csv_text.read_lines(spark, [file.path for file in files.values()])
    is_header = looks_like_header()
    found = (
        csv_text.with_source(lines.where(F.col("line").contains('"') | is_header))
        .groupBy("source_file")
        .agg(
            F.max(csv_text.opens_quote()).alias("whole"),
            F.collect_set(F.when(is_header, F.col("line"))).alias("headers"),
        )
    )
    try:
        rows = {file_name(row["source_file"], files): row for row in found.collect()}
    except Exception:  # the error for a damaged file differs between Spark releases
        name_damaged(spark, files.values())
        raise
    return {name: _with_findings(table, rows) for name, table in tables.items()}


def looks_like_header() -> Column:
    """Returns whether `line` may be a header: `contract.other_header` checks it exactly."""
    line = F.col("line")
    tables = [
        reduce(add, [F.lower(line).contains(name).cast("INT") for name in names]) * 2 >= len(names)
        for names in RAW_COLUMNS.values()
    ]
    # few lines contain "_id", as every header does; only those are searched for all columns
    return line.contains("_") & F.lower(line).contains("_id") & reduce(or_, tables)


def _with_findings(table: RawTable, rows: Dict[str, Row]) -> RawTable:
    files = []
    for file in table.files:
        row = rows.get(file.read_name)
        if row:
            check_other_headers(table.name, file, row["headers"])
        files.append(file._replace(whole=bool(row and row["whole"])))
    return table._replace(files=files)


def notes(spark: SparkSession, zone: RawZone) -> List[str]:
    """One sentence for each file that is not read or has line breaks within quotes."""
    words = [f"{name} is not read: it {reason}" for name, reason in zone.not_read.items()]
    for table in zone.tables.values():
        whole = {file.read_name: file for file in table.files if file.whole}
        unclosed = unclosed_lines(spark, whole) if whole else {}
        for name, file in whole.items():
            if name in unclosed:
                words.append(
                    f"{file.uploaded}: a quote is never closed, or not within {MAX_RECORD_LINES}"
                    f" lines, so {unclosed[name]} of its lines are malformed"
                )
            else:
                words.append(
                    f"{file.uploaded} has line breaks within quotes and is read as a whole"
                )
    return words


def unclosed_lines(spark: SparkSession, files: Dict[str, RawFile]) -> Dict[str, int]:
    """Name of a file -> the number of its lines that an unclosed quote makes malformed."""
    lines = csv_text.joined_records(spark, [file.path for file in files.values()])
    spoilt = lines.where("unclosed").groupBy("source_file").agg(F.count("line").alias("lines"))
    return {file_name(row["source_file"], files): row["lines"] for row in spoilt.collect()}


def name_damaged(spark: SparkSession, files: Iterable[RawFile]) -> None:
    for file in files:
        try:
            csv_text.read_lines(spark, [file.path]).agg(F.count("line")).collect()
        except Exception as error:  # as above
            raise JobError(
                f"{file.uploaded} cannot be read to its end: it is damaged or cut off; upload it"
                " again"
            ) from error


def file_name(source_file: str, names: Iterable[str]) -> str:
    """The name in `names` that belongs to `source_file`, a URL of Spark's `input_file_name`."""
    parts, known = unquote(source_file).split("/"), set(names)
    for start in range(len(parts)):
        if "/".join(parts[start:]) in known:
            return "/".join(parts[start:])
    raise ValueError(f"{source_file} is not one of the raw files")


def check_other_headers(table: str, file: RawFile, lines: Sequence[str]) -> None:
    """Raise JobError if a further header in a file differs from the first one.

    A further header means that files were concatenated.
    """
    if any(contract.other_header(table, file.header, line) for line in lines):
        raise JobError(
            f"{file.uploaded} has a second header whose columns come in another order: make it"
            " two files"
        )


def rows(
    spark: SparkSession, files: Sequence[RawFile], columns: Sequence[str], patterns: Sequence[str]
) -> DataFrame:
    """The rows of files with the same header names, as `csv_text.split_records` returns them.

    `columns` replace `fields`, each with its text.
    """
    names = files[0].header.names
    headers = [file.header.text for file in files]
    split = csv_text.split_records(records(spark, files), patterns, headers)
    texts = [F.col("fields")[names.index(column)].alias(column) for column in columns]
    return split.select(*[name for name in split.columns if name != "fields"], *texts)


def records(spark: SparkSession, files: Sequence[RawFile]) -> DataFrame:
    """The records of files with the same header names: `line`, `source_file`, `unclosed`."""
    split, whole = (
        [file.path for file in files if not file.whole],
        [file.path for file in files if file.whole],
    )
    parts = [csv_text.plain_records(csv_text.read_lines(spark, split))] if split else []
    parts += [csv_text.joined_records(spark, whole)] if whole else []
    copied = [file for file in files if file.read_name != file.name]
    return union(parts).withColumn("source_file", _original(copied)) if copied else union(parts)


def _original(copied: Sequence[RawFile]) -> Column:
    """`source_file`, with the location of the raw file where Spark has read a copy."""
    source = F.col("source_file")
    for file in copied:
        source = F.when(
            F.col("source_file").endswith("/" + file.read_name), F.lit(file.original)
        ).otherwise(source)
    return source


def union(parts: Sequence[DataFrame]) -> DataFrame:
    rows = parts[0]
    for part in parts[1:]:
        rows = rows.unionByName(part)
    return rows
