"""The master tables: validated, one row an id, with the integer key that rentals carry in place of
the id."""

from typing import Dict, List, Sequence

from contract import ID_COLUMNS, RAW_COLUMNS
from csv_text import PLAIN_LINE, PLAIN_WORDS
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from text_fields import flag, integer, text_or_null

REASONS = ["malformed_row", "not_utf8", "missing_id", "bad_id"]
UNKNOWN = "unknown"


def patterns(table: str, names: Sequence[str]) -> List[str]:
    """For each column the pattern that its text has in a plain row; columns that nobody asks for
    may have any."""
    return [PLAIN_WORDS if name in RAW_COLUMNS[table] else PLAIN_LINE for name in names]


def judged(rows: DataFrame, table: str, names: Sequence[str], header_number: int) -> DataFrame:
    """`csv_text.split_records` -> the table's columns, `id`, `reasons`, `is_header`, `line`,
    `header_number`, `source_file`.

    `reasons` is one reason, or NULL in a good row. A header that is repeated has the name of a
    column for its id.
    """
    name = ID_COLUMNS[table]
    texts = rows.select(
        "*", *[F.col("fields")[names.index(column)].alias(column) for column in RAW_COLUMNS[table]]
    )
    id_of_row = integer(name) if table == "locations" else text_or_null(name)
    reasons = (
        F.when(F.col("not_utf8"), "not_utf8")
        .when(F.col("malformed"), "malformed_row")
        .when(F.col(name) == "", "missing_id")
        .when(F.col("id").isNull() | (F.col(name) == name), "bad_id")
    )
    return texts.withColumn("id", id_of_row).select(
        *RAW_COLUMNS[table],
        "id",
        reasons.alias("reasons"),
        "is_header",
        "line",
        F.lit(header_number).alias("header_number"),
        "source_file",
    )


def row_counts() -> List[Column]:
    """Aggregates over `judged`: lines, headers, rejected."""
    rejected = F.col("reasons").isNotNull() & ~F.col("is_header")
    return [
        F.count(F.lit(1)).alias("lines"),
        F.count(F.when(F.col("is_header"), 1)).alias("headers"),
        F.count(F.when(rejected, 1)).alias("rejected"),
    ]


def unique_rows(rows: DataFrame, table: str) -> DataFrame:
    """`judged` -> `id` and the table's columns: of several good rows with one id the smallest by
    all columns."""
    good = rows.where(F.col("reasons").isNull() & ~F.col("is_header"))
    smallest = F.min(F.struct(*RAW_COLUMNS[table])).alias("smallest")
    return good.groupBy("id").agg(smallest).select("id", "smallest.*")


def with_keys(rows: DataFrame, table: str) -> DataFrame:
    """`unique_rows` -> the columns that later jobs need. A key is only unique: it is written once
    and never made again.

    users: user_key, user_id, first_name, last_name, is_active; vehicles: vehicle_key, vehicle_id,
    vehicle_type, brand; locations: location_id, location_name, city, state.
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


def problem(table: str, counts: Dict[str, int], told: str, max_reject_rate: float) -> str:
    """Why a run may not go on with this table, '' where it may."""
    if not counts["rows"]:
        return f"the {table} files hold no row: nothing can be validated against them"
    if not counts["kept"]:
        return f"not one of {counts['rows']} rows of {table} is usable: {told}"
    if counts["rejected"] > max_reject_rate * counts["rows"]:
        return (
            f"{counts['rejected']} of {counts['rows']} rows of {table} are rejected, "
            f"more than the share of {max_reject_rate} that is allowed: {told}"
        )
    return ""


def _or_unknown(name: str) -> Column:
    return F.coalesce(text_or_null(name), F.lit(UNKNOWN)).alias(name)
