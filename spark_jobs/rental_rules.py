"""The validation of rentals: each rule of the data contract is a condition, and all of them are
checked in one pass."""

from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, Callable, Dict, List, Sequence

from contract import RAW_COLUMNS, RENTALS
from csv_text import PLAIN_LINE, PLAIN_TEXT
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from rejected_rows import CAME
from text_fields import (
    BELOW_ZERO,
    INTEGER,
    MONEY,
    TIME,
    has_form,
    to_integer,
    to_money,
    to_timestamp,
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
# of several valid rows with one id the smallest by these is kept; the text as it came tells apart
# what is equal even then
DUPLICATE_ORDER = [
    "start_time",
    "end_time",
    "user_id",
    "vehicle_id",
    "pickup_location",
    "dropoff_location",
    "total_amount",
]
KEPT, REJECTED, CONTESTED, HEADER = "kept", "rejected", "contested", "header"
RENTAL_COLUMNS = [
    "rental_id",
    "user_key",
    "vehicle_key",
    "start_time",
    "end_time",
    "pickup_location",
    "dropoff_location",
    "total_amount",
    "vehicle_type",
    "brand",
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
    """For each column the pattern that its text has in a plain row; columns that nobody asks for
    may have any."""
    texts = dict.fromkeys(FIELDS, PLAIN_TEXT)
    return [FORMS.get(name, texts.get(name, PLAIN_LINE)) for name in names]


def parsed(rows: DataFrame, names: Sequence[str]) -> DataFrame:
    """`csv_text.split_records` -> its columns but `fields`, with the values of a rental; what does
    not parse is NULL.

    rental_id, user_id, vehicle_id, start_time, end_time, pickup_location, dropoff_location,
    total_amount, amount_text.
    """
    texts = rows.select(
        "*", *[F.col("fields")[names.index(name)].alias(name) for name in FIELDS]
    ).drop("fields")
    return texts.select(
        *[name for name in rows.columns if name != "fields"],
        "rental_id",
        "user_id",
        "vehicle_id",
        _where_in_form("rental_start_time", to_timestamp).alias("start_time"),
        _where_in_form("rental_end_time", to_timestamp).alias("end_time"),
        _where_in_form("pickup_location", to_integer).alias("pickup_location"),
        _where_in_form("dropoff_location", to_integer).alias("dropoff_location"),
        _where_in_form("total_amount", to_money).alias("total_amount"),
        F.col("total_amount").alias("amount_text"),
    )


def _where_in_form(name: str, value: Callable[[str], Column]) -> Column:
    """All fields of a plain row are in form; of the others each is checked by itself."""
    return F.when(F.col("plain") | has_form(FORMS[name], name), value(name))


def with_masters(
    rentals: DataFrame, users: DataFrame, vehicles: DataFrame, locations: DataFrame
) -> DataFrame:
    """Left-joins the master tables: adds user_key, vehicle_key, vehicle_type, brand, known_pickup
    and known_dropoff.

    A NULL means that the id is unknown. `users`: user_id, user_key; `vehicles`: vehicle_id,
    vehicle_key, vehicle_type, brand; `locations`: location_id.
    """
    pickups = locations.select(
        F.col("location_id").alias("pickup_location"), F.lit(True).alias("known_pickup")
    )
    dropoffs = locations.select(
        F.col("location_id").alias("dropoff_location"), F.lit(True).alias("known_dropoff")
    )
    return (
        rentals.join(users, on="user_id", how="left")
        .join(vehicles, on="vehicle_id", how="left")
        .join(F.broadcast(pickups), on="pickup_location", how="left")
        .join(F.broadcast(dropoffs), on="dropoff_location", how="left")
    )


def broken_rules() -> Dict[str, Column]:
    """Reason -> condition, over the columns of `parsed` and `with_masters`; true or false for a row
    that could be split."""
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


def judged(rentals: DataFrame, header_number: int) -> DataFrame:
    """`parsed`, `with_masters` and `has_twin` -> RENTAL_COLUMNS, `verdict`, and `refused`, NULL in
    a row that is kept.

    `has_twin`: another row may have this rental's id. Such a row is contested until it is
    `settled`. `refused` is a struct of reasons, user_id, vehicle_id, line, header_number and
    source_file.
    """
    broken = broken_rules()
    unreadable = F.col("malformed") | F.col("not_utf8")
    any_broken = unreadable | reduce(or_, broken.values())
    contested = F.col("has_twin") & ~unreadable & (F.col("rental_id") != "")
    verdict = (
        F.when(F.col("is_header"), HEADER)
        .when(contested, CONTESTED)
        .when(any_broken, REJECTED)
        .otherwise(KEPT)
    )
    reasons = (
        F.when(F.col("not_utf8"), F.lit("not_utf8"))
        .when(F.col("malformed"), F.lit("malformed_row"))
        .otherwise(
            F.concat_ws(
                ",", *[F.when(condition, F.lit(reason)) for reason, condition in broken.items()]
            )
        )
    )
    refused = F.when(
        F.col("verdict") != KEPT,
        F.struct(
            reasons.alias("reasons"),
            "user_id",
            "vehicle_id",
            "line",
            F.lit(header_number).alias("header_number"),
            "source_file",
        ),
    )
    return rentals.withColumn("verdict", verdict).select(
        *RENTAL_COLUMNS, refused.alias("refused"), "verdict"
    )


def settled(contested: DataFrame) -> DataFrame:
    """RENTAL_COLUMNS, the columns of `refused` and CAME -> the same with `verdict` and new
    `reasons`.

    Of the rows with one id the first that breaks no rule is kept, and then all others are its
    duplicates.
    """
    same_id = Window.partitionBy("rental_id")
    valid = F.col("reasons") == ""
    order = [
        valid.desc(),
        *map(F.col, DUPLICATE_ORDER),
        *[F.col(CAME)[name] for name in FIELDS],
        F.col("source_file"),
    ]
    kept = valid & (F.row_number().over(same_id.orderBy(*order)) == 1)
    duplicate = F.when(F.max(valid).over(same_id), F.lit(DUPLICATE))
    reasons = F.concat_ws(",", F.when(~valid, F.col("reasons")), duplicate)
    return contested.select(
        *[name for name in contested.columns if name not in ("verdict", "reasons")],
        F.when(kept, KEPT).otherwise(REJECTED).alias("verdict"),
        reasons.alias("reasons"),
    )


def verdict_counts() -> List[Column]:
    """Aggregates over `judged`: lines, kept, headers, contested, revenue, first_start,
    last_start."""
    kept = F.col("verdict") == KEPT
    return [
        F.count(F.lit(1)).alias("lines"),
        F.count(F.when(kept, 1)).alias("kept"),
        F.count(F.when(F.col("verdict") == HEADER, 1)).alias("headers"),
        F.count(F.when(F.col("verdict") == CONTESTED, 1)).alias("contested"),
        F.sum(F.when(kept, F.col("total_amount"))).alias("revenue"),
        F.min(F.when(kept, F.col("start_time"))).cast("string").alias("first_start"),
        F.max(F.when(kept, F.col("start_time"))).cast("string").alias("last_start"),
    ]


def summed_up(
    read: int, passes: Sequence[Dict[str, Any]], rejected: int, by_reason: Dict[str, int]
) -> Dict[str, Any]:
    """The counts of the run summary; `passes` holds the `verdict_counts` of each pass that kept
    some."""
    kept = [part for part in passes if part.get("kept")]
    return {
        "read": read,
        "kept": sum(part["kept"] for part in kept),
        "rejected": rejected,
        "rejected_by_reason": by_reason,
        "revenue": str(sum((part["revenue"] for part in kept), Decimal("0.00"))),
        "first_start": min((part["first_start"] for part in kept), default=None),
        "last_start": max((part["last_start"] for part in kept), default=None),
    }
