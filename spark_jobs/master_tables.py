"""The master tables: validated and written to the clean zone, one row for each id.

Bad rows go to the rejected zone.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Sequence

import raw_zone
import rejected_rows
from contract import ID_COLUMNS, RAW_COLUMNS
from csv_text import PLAIN_LINE, PLAIN_WORDS
from lake_job import observed
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from raw_zone import RawTable
from text_fields import flag, integer, text_or_null

REASONS = ["malformed_row", "not_utf8", "missing_id", "bad_id"]
UNKNOWN = "unknown"
Counts = Dict[str, Any]


def write_masters(
    spark: SparkSession,
    tables: Dict[str, RawTable],
    clean: Dict[str, str],
    rejected: Dict[str, str],
) -> Dict[str, Counts]:
    """Write each table to its folders `clean` and `rejected`; return its counts.

    All are written at once: each is a small Spark job of its own.
    """
    with ThreadPoolExecutor(len(clean)) as writers:
        counts = writers.map(
            lambda name: write_master(spark, tables[name], clean[name], rejected[name]), clean
        )
        return dict(zip(clean, counts))


def write_master(
    spark: SparkSession, table: RawTable, clean_folder: str, rejected_folder: str
) -> Counts:
    """Write the good rows, one an id, and the bad ones; return how many there are of each."""
    rows = judged_rows(spark, table)
    seen, kept = Observation(), Observation()
    unique = unique_rows(rows.observe(seen, *row_counts()), table.name)
    good = clean_columns(unique, table.name).observe(kept, F.count(F.lit(1)).alias("rows"))
    good.write.parquet(clean_folder)
    # without one good row Spark drops the plan below the shuffle, and its counts with it
    counts = observed(seen) or rows.agg(*row_counts()).collect()[0].asDict()
    read, left = counts["lines"] - len(table.files), observed(kept).get("rows", 0)
    rejected, by_reason = 0, {}  # type: int, Dict[str, int]
    has_headers = counts["headers"] > len(table.files)
    if counts["rejected"] or has_headers:
        rejected, by_reason = rejected_rows.write_rejected(
            rejected_of(rows, has_headers), RAW_COLUMNS[table.name], REASONS, rejected_folder
        )
    return {
        "rows": read,
        "kept": left,
        "rejected": rejected,
        "rejected_by_reason": by_reason,
        "duplicates": read - rejected - left,
    }


def judged_rows(spark: SparkSession, table: RawTable) -> DataFrame:
    """All rows of a table: its columns, `id`, `is_header`, and `refused`, NULL in a good row."""
    parts = []
    for names, files in table.by_names().items():
        columns = RAW_COLUMNS[table.name]
        rows = raw_zone.rows(spark, files, columns, patterns(table.name, names))
        parts.append(judged(rows, table.name, names))
    return raw_zone.union(parts)


def patterns(table: str, names: Sequence[str]) -> List[str]:
    """The pattern that each column's text has in a plain row.

    Columns that no job reads may have any text.
    """
    return [PLAIN_WORDS if name in RAW_COLUMNS[table] else PLAIN_LINE for name in names]


def judged(rows: DataFrame, table: str, names: Sequence[str]) -> DataFrame:
    """`raw_zone.rows` -> the table's columns, `id`, `is_header`, and `refused`.

    `refused` has the fields of `rejected_rows.refused`, and is NULL in a good row. A header that is
    repeated has the name of a column for its id.
    """
    columns, id_column = RAW_COLUMNS[table], ID_COLUMNS[table]
    id_of_row = integer(id_column) if table == "locations" else text_or_null(id_column)
    reason = F.when(F.col(id_column) == "", "missing_id").otherwise("bad_id")
    is_good = ~F.col("malformed") & ~F.col("not_utf8") & F.col("id").isNotNull()
    is_good = is_good & (F.lower(id_column) != id_column)
    return rows.withColumn("id", id_of_row).select(
        *columns,
        "id",
        "is_header",
        F.when(~is_good, rejected_rows.refused(reason, names, columns)).alias("refused"),
    )


def row_counts() -> List[Column]:
    """Aggregates over `judged`: lines, headers, rejected."""
    rejected = F.col("refused").isNotNull() & ~F.col("is_header")
    return [
        F.count(F.lit(1)).alias("lines"),
        F.count(F.when(F.col("is_header"), 1)).alias("headers"),
        F.count(F.when(rejected, 1)).alias("rejected"),
    ]


def unique_rows(rows: DataFrame, table: str) -> DataFrame:
    """`judged` -> `id` and the table's columns, one row for each id.

    Of several good rows with one id it takes the smallest by all columns.
    """
    good = rows.where(F.col("refused").isNull() & ~F.col("is_header"))
    smallest = F.min(F.struct(*RAW_COLUMNS[table])).alias("smallest")
    return good.groupBy("id").agg(smallest).select("id", "smallest.*")


def rejected_of(rows: DataFrame, has_headers: bool) -> DataFrame:
    """`judged` -> the fields of `refused`: rows that break a rule, and headers further down.

    `has_headers`: a file has more than one header. Looking for them reads the table once more.
    """
    refused = F.col("refused").isNotNull()
    bad = rows.where(refused & ~F.col("is_header")).select("refused.*")
    if not has_headers:
        return bad
    headers = rows.where(refused & F.col("is_header")).select("refused.*")
    return bad.unionByName(rejected_rows.repeated_headers(headers))


def clean_columns(rows: DataFrame, table: str) -> DataFrame:
    """`unique_rows` -> the columns that later jobs need.

    users: user_key, user_id, first_name, last_name, is_active; vehicles: vehicle_key, vehicle_id,
    vehicle_type, brand; locations: location_id, location_name, city, state. A key is unique within
    the run. Rentals carry it in place of the id: shuffled ids took a tenth of all CPU at 10 M.
    """
    key = F.monotonically_increasing_id()
    if table == "users":
        return rows.select(
            key.alias("user_key"),
            F.col("id").alias("user_id"),
            text_or_null("first_name").alias("first_name"),
            text_or_null("last_name").alias("last_name"),
            flag("is_active").alias("is_active"),
        )
    if table == "vehicles":
        return rows.select(
            key.alias("vehicle_key"),
            F.col("id").alias("vehicle_id"),
            _or_unknown("vehicle_type"),
            _or_unknown("brand"),
        )
    return rows.select(
        F.col("id").alias("location_id"),
        text_or_null("location_name").alias("location_name"),
        text_or_null("city").alias("city"),
        text_or_null("state").alias("state"),
    )


def _or_unknown(name: str) -> Column:
    return F.coalesce(text_or_null(name), F.lit(UNKNOWN)).alias(name)
