"""Validates rentals: each rule of the data contract is a condition, and one pass checks all."""

from functools import reduce
from operator import or_
from typing import Callable, Dict, List, Sequence

import rejected_rows
from contract import RAW_COLUMNS, RENTALS
from csv_text import PLAIN_LINE, PLAIN_TEXT
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from rejected_rows import HEADER, KEPT, ORIGINAL, REJECTED
from text_fields import (
    BELOW_ZERO,
    INTEGER,
    MONEY,
    TIME,
    has_form,
    to_integer,
    to_money,
    to_timestamp,
    trim_sql,
)

FIELDS = RAW_COLUMNS[RENTALS]
FORMS = {
    "rental_start_time": TIME,
    "rental_end_time": TIME,
    "pickup_location": INTEGER,
    "dropoff_location": INTEGER,
    "total_amount": MONEY,
}
DUPLICATE = "duplicate_rental_id"
CONTESTED = "contested"  # a temporary verdict, until `settled` compares the rows with the same id
RENTAL_COLUMNS = [
    "rental_id",
    "user_key",
    "vehicle_key",
    "start_time",
    "end_time",
    "pickup_location",
    "dropoff_location",
    "total_amount",
]
REASONS = [
    "malformed_row",
    "not_utf8",
    "missing_rental_id",
    "missing_user_id",
    "missing_vehicle_id",
    "bad_start_time",
    "bad_end_time",
    "end_not_after_start",
    "bad_amount",
    "negative_amount",
    "unknown_user",
    "unknown_vehicle",
    "unknown_pickup_location",
    "unknown_dropoff_location",
    DUPLICATE,
]


def patterns(names: Sequence[str]) -> List[str]:
    """The pattern of each column in a plain row (see `csv_text.split_records`).

    A column that no job reads may contain any plain text.
    """
    texts = dict.fromkeys(FIELDS, PLAIN_TEXT)
    return [FORMS.get(name, texts.get(name, PLAIN_LINE)) for name in names]


def parsed(rows: DataFrame) -> DataFrame:
    """`raw_zone.rows` -> the same with typed values in place of the texts.

    The values are rental_id, user_id, vehicle_id, start_time, end_time, pickup_location,
    dropoff_location, total_amount and amount_text. A value that does not parse is NULL.
    """
    return rows.select(
        *("line", "source_file", "not_utf8", "malformed", "is_header"),
        *("rental_id", "user_id", "vehicle_id"),
        _where_in_form("rental_start_time", to_timestamp).alias("start_time"),
        _where_in_form("rental_end_time", to_timestamp).alias("end_time"),
        _where_in_form("pickup_location", to_integer).alias("pickup_location"),
        _where_in_form("dropoff_location", to_integer).alias("dropoff_location"),
        _where_in_form("total_amount", to_money).alias("total_amount"),
        F.col("total_amount").alias("amount_text"),
    )


def _where_in_form(name: str, value: Callable[[str], Column]) -> Column:
    """The value; NULL if the text is malformed, which it cannot be in a plain row."""
    return F.when(F.col("plain") | has_form(FORMS[name], name), value(name))


def with_masters(rentals: DataFrame, masters: Dict[str, DataFrame]) -> DataFrame:
    """Left-joins the clean master tables; a NULL key means that the id is unknown.

    Adds user_key, vehicle_key, known_pickup and known_dropoff.
    """
    users = masters["users"].select("user_id", "user_key")
    vehicles = masters["vehicles"].select("vehicle_id", "vehicle_key")
    location, known = F.col("location_id"), F.lit(True)
    pickups = masters["locations"].select(
        location.alias("pickup_location"), known.alias("known_pickup")
    )
    dropoffs = masters["locations"].select(
        location.alias("dropoff_location"), known.alias("known_dropoff")
    )
    return (
        rentals.join(users, on="user_id", how="left")
        .join(vehicles, on="vehicle_id", how="left")
        .join(pickups, on="pickup_location", how="left")
        .join(dropoffs, on="dropoff_location", how="left")
    )


def broken_rules() -> Dict[str, Column]:
    """Reason -> condition, over the columns of `parsed` and `with_masters`.

    For a row that can be split, no condition is NULL.
    """
    return {
        "missing_rental_id": F.col("rental_id") == "",
        "missing_user_id": F.col("user_id") == "",
        "missing_vehicle_id": F.col("vehicle_id") == "",
        "bad_start_time": F.col("start_time").isNull(),
        "bad_end_time": F.col("end_time").isNull(),
        "end_not_after_start": F.coalesce(F.col("end_time") <= F.col("start_time"), F.lit(False)),
        "bad_amount": F.col("total_amount").isNull(),
        "negative_amount": (
            F.col("amount_text").startswith("-") & has_form(BELOW_ZERO, "amount_text")
        ),
        "unknown_user": (F.col("user_id") != "") & F.col("user_key").isNull(),
        "unknown_vehicle": (F.col("vehicle_id") != "") & F.col("vehicle_key").isNull(),
        "unknown_pickup_location": F.col("known_pickup").isNull(),
        "unknown_dropoff_location": F.col("known_dropoff").isNull(),
    }


def judged(rentals: DataFrame, names: Sequence[str]) -> DataFrame:
    """`parsed`, `with_masters` and `is_suspect` -> RENTAL_COLUMNS, `verdict` and `rejection`.

    `is_suspect`: another row may have this rental's id. Such a row is contested until it is
    `settled`. `rejection` is the struct of `rejected_rows.rejection`; NULL in a kept row.
    """
    broken = broken_rules()
    unreadable = F.col("malformed") | F.col("not_utf8")
    contested = F.col("is_suspect") & ~unreadable & (F.col("rental_id") != "")
    verdict = (
        F.when(F.col("is_header"), HEADER)
        .when(contested, CONTESTED)
        .when(unreadable | reduce(or_, broken.values()), REJECTED)
        .otherwise(KEPT)
    )
    reasons = F.concat_ws(",", *[F.when(broken[reason], F.lit(reason)) for reason in broken])
    rejection = F.when(F.col("verdict") != KEPT, rejected_rows.rejection(reasons, names, FIELDS))
    return rentals.withColumn("verdict", verdict).select(
        *RENTAL_COLUMNS, rejection.alias("rejection"), "verdict"
    )


def settled(contested: DataFrame) -> DataFrame:
    """Decides contested rows: adds `verdict` and updates `reasons`.

    The input has RENTAL_COLUMNS and the fields of `rejection`. Of the valid rows with the same id,
    the smallest is kept; all other rows with this id are its duplicates. Without a valid row, no
    row is kept and none is a duplicate.
    """
    same_id = Window.partitionBy("rental_id")
    valid = F.col("reasons") == ""
    order = [
        valid.desc(),
        *map(F.col, ("start_time", "end_time")),
        *[F.expr(trim_sql(f"{ORIGINAL}.{name}")) for name in ("user_id", "vehicle_id")],
        *map(F.col, ("pickup_location", "dropoff_location", "total_amount")),
        # rows with equal values are ordered by their original text
        *[F.col(ORIGINAL)[name] for name in FIELDS],
        F.col("source_file"),
    ]
    kept = valid & (F.row_number().over(same_id.orderBy(*order)) == 1)
    duplicate = F.when(F.max(valid).over(same_id), F.lit(DUPLICATE))
    reasons = F.concat_ws(",", F.when(~valid, F.col("reasons")), duplicate)
    return contested.select(
        *[name for name in contested.columns if name != "reasons"],
        F.when(kept, KEPT).otherwise(REJECTED).alias("verdict"),
        reasons.alias("reasons"),
    )


def verdict_counts() -> List[Column]:
    """Aggregates over `judged`: lines, contested."""
    contested = F.when(F.col("verdict") == CONTESTED, 1)
    return [F.count(F.lit(1)).alias("lines"), F.count(contested).alias("contested")]
