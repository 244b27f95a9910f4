"""The master tables: one row an id, with the integer key that the rentals carry in its place."""

from typing import Any, Dict, Tuple

from pyspark.sql import Column, DataFrame, Observation
from pyspark.sql import functions as F
from raw_tables import COLUMNS, ID_COLUMN
from text_fields import integer, text_or_null, trimmed

UNKNOWN = "unknown"


def with_id(raw: DataFrame, table: str) -> DataFrame:
    """The raw rows with all fields trimmed, and `id`: NULL where a row cannot be used."""
    texts = [trimmed(column).alias(column) for column in COLUMNS[table]]
    usable = F.when(F.col("malformed_row").isNull(), _id(table))
    return raw.select(*texts, "malformed_row").withColumn("id", usable)


def unique_rows(rows: DataFrame, table: str) -> DataFrame:
    """One row for each id: of several the smallest by all columns in header order.

    Hardly an id is repeated: looking for repetitions before the shuffle as well would only sort everything twice.
    """
    smallest = F.min(F.struct(*COLUMNS[table])).alias("smallest")
    return rows.where("id IS NOT NULL").repartition("id").groupBy("id").agg(smallest).select("id", "smallest.*")


def with_keys(rows: DataFrame, table: str) -> DataFrame:
    """The columns that later jobs need. A key is only unique: written once, read by everyone, never computed again.

    Vehicles of a kind get keys next to each other: `vehicle_location_metrics` has a row for 64 of them.
    """
    key = F.monotonically_increasing_id()
    if table == "users":
        return rows.select(key.alias("user_key"), F.col("id").alias("user_id"), text_or_null("first_name").alias("first_name"),
                           text_or_null("last_name").alias("last_name"), integer("is_active").alias("is_active"))
    if table == "vehicles":
        fleet = rows.select(F.col("id").alias("vehicle_id"), _or_unknown("vehicle_type"), _or_unknown("brand"))
        return fleet.sortWithinPartitions("vehicle_type", "brand").select(key.alias("vehicle_key"), "*")
    return rows.select(F.col("id").alias("location_id"), text_or_null("location_name").alias("location_name"),
                       text_or_null("city").alias("city"), text_or_null("state").alias("state"))


def counted(rows: DataFrame, table: str) -> Tuple[DataFrame, Observation]:
    """The rows, and an observation of how many there are and how many cannot be used."""
    counts = Observation("raw " + table)
    malformed = F.col("malformed_row").isNotNull()
    without_id = ~malformed & F.col("id").isNull()
    return rows.observe(counts, F.count(F.lit(1)).alias("rows"), F.count(F.when(malformed, 1)).alias("malformed"),
                        F.count(F.when(without_id, 1)).alias("without_id")), counts


def oddities(counts: Dict[str, Any], written: int) -> Dict[str, int]:
    """What the run summary says of a master table."""
    ignored = counts["malformed"] + counts["without_id"]
    return {"rows": counts["rows"], "kept": written, "malformed": counts["malformed"], "without_id": counts["without_id"],
            "duplicates": counts["rows"] - ignored - written}


def _id(table: str) -> Column:
    name = ID_COLUMN[table]
    return integer(name) if table == "locations" else text_or_null(name)


def _or_unknown(name: str) -> Column:
    return F.coalesce(text_or_null(name), F.lit(UNKNOWN)).alias(name)
