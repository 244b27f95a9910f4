"""Validates the master tables and writes them to the clean zone, one row per id.

Invalid rows go to the rejected zone.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Dict, List, Sequence

import raw_zone
import rejected_rows
from contract import ID_COLUMNS, RAW_COLUMNS
from csv_text import PLAIN_LINE, PLAIN_WORDS
from lake_files import literal
from lake_job import observed
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F
from raw_zone import RawTable
from rejected_rows import HEADER, KEPT, REJECTED
from text_fields import flag, integer, text_or_null

REASONS = ["malformed_row", "not_utf8", "missing_id", "bad_id"]
UNKNOWN = "unknown"
Counts = Dict[str, Any]


def write_masters(
    spark: SparkSession,
    tables: Dict[str, RawTable],
    judged: Dict[str, str],
    clean: Dict[str, str],
    rejected: Dict[str, str],
) -> Dict[str, Counts]:
    """Write each table to its folders `clean` and `rejected`; return the counts by table.

    The tables are written concurrently, each by a small Spark job.
    """
    with ThreadPoolExecutor(len(clean)) as writers:
        counts = writers.map(
            lambda name: write_master(
                spark, tables[name], judged[name], clean[name], rejected[name]
            ),
            clean,
        )
        return dict(zip(clean, counts))


def write_master(
    spark: SparkSession, table: RawTable, judged: str, clean: str, rejected: str
) -> Counts:
    """Write the valid rows, one per id, and the rejected rows; return the counts.

    All rows are first written to the folder `judged`, partitioned by verdict, so that the raw files
    are parsed only once.
    """
    seen, kept = Observation(), Observation()
    rows = judged_rows(spark, table)
    rows.observe(seen, *verdict_counts()).write.partitionBy("verdict").parquet(judged)
    bad, by_reason = 0, {}  # type: int, Dict[str, int]
    counts, written = observed(seen), spark.read.parquet(literal(judged))
    if counts["not_kept"] > len(table.files):
        bad, by_reason = rejected_rows.write_rejected(
            rejected_rows.of_judged(written), RAW_COLUMNS[table.name], REASONS, rejected
        )
    unique = unique_rows(written.where(F.col("verdict") == KEPT), table.name)
    good = clean_columns(unique, table.name).observe(kept, F.count(F.lit(1)).alias("rows"))
    good.write.parquet(clean)
    read, left = counts["lines"] - len(table.files), observed(kept).get("rows", 0)
    return {
        "rows": read,
        "kept": left,
        "rejected": bad,
        "rejected_by_reason": by_reason,
        "duplicates": read - bad - left,
    }


def judged_rows(spark: SparkSession, table: RawTable) -> DataFrame:
    """All rows of a table's files, with the columns of `judged`."""
    parts = []
    for names, files in table.by_names().items():
        columns = RAW_COLUMNS[table.name]
        rows = raw_zone.rows(spark, files, columns, patterns(table.name, names))
        parts.append(judged(rows, table.name, names))
    return raw_zone.union(parts)


def patterns(table: str, names: Sequence[str]) -> List[str]:
    """The pattern of each column in a plain row (see `csv_text.split_records`).

    A column that no job reads may contain any plain text.
    """
    return [PLAIN_WORDS if name in RAW_COLUMNS[table] else PLAIN_LINE for name in names]


def judged(rows: DataFrame, table: str, names: Sequence[str]) -> DataFrame:
    """`raw_zone.rows` -> the table's columns, `verdict` and `rejection`.

    `rejection` is the struct of `rejected_rows.rejection`; NULL in a kept row. `is_header`
    misses a header in different capitals. Its id is then the column's name, so it is rejected.
    """
    columns, id_column = RAW_COLUMNS[table], ID_COLUMNS[table]
    reason = F.when(F.col(id_column) == "", "missing_id").otherwise("bad_id")
    is_good = ~F.col("malformed") & ~F.col("not_utf8") & id_of(table).isNotNull()
    is_good = is_good & (F.lower(id_column) != id_column)
    verdict = F.when(F.col("is_header"), HEADER).when(is_good, KEPT).otherwise(REJECTED)
    rejection = F.when(F.col("verdict") != KEPT, rejected_rows.rejection(reason, names, columns))
    return rows.withColumn("verdict", verdict).select(
        *columns, rejection.alias("rejection"), "verdict"
    )


def id_of(table: str) -> Column:
    """The id of a row: INT for locations, text for other tables; NULL if it is invalid."""
    id_column = ID_COLUMNS[table]
    return integer(id_column) if table == "locations" else text_or_null(id_column)


def verdict_counts() -> List[Column]:
    """Aggregates over `judged`: lines, not_kept."""
    not_kept = F.when(F.col("verdict") != KEPT, 1)
    return [F.count(F.lit(1)).alias("lines"), F.count(not_kept).alias("not_kept")]


def unique_rows(rows: DataFrame, table: str) -> DataFrame:
    """Kept rows -> `id` and the table's columns, one row per id.

    Of duplicates, the smallest row in the order of its columns is kept.
    """
    smallest = F.min(F.struct(*RAW_COLUMNS[table])).alias("smallest")
    return rows.groupBy(id_of(table).alias("id")).agg(smallest).select("id", "smallest.*")


def clean_columns(rows: DataFrame, table: str) -> DataFrame:
    """`unique_rows` -> the columns that later jobs need.

    users: user_key, user_id, first_name, last_name, is_active; vehicles: vehicle_key, vehicle_id,
    vehicle_type, brand; locations: location_id, location_name, city, state. A key is unique within
    the run. Rentals carry the key, because shuffling the longer ids took a tenth of all CPU time at
    10 million rentals.
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
