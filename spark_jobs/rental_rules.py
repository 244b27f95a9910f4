"""The validation of rentals: every rule of the data contract as a condition, all of them looked at in one pass."""

from decimal import Decimal
from functools import reduce
from operator import or_
from typing import Any, Callable, Dict, List

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from raw_tables import MALFORMED
from rental_lines import CAME, FIELDS, FORMS
from text_fields import BELOW_ZERO, has_form, to_integer, to_money, to_timestamp

DUPLICATE = "duplicate_rental_id"
# of several valid rows with one id the smallest by these is kept; the text as it came tells apart what is equal even then
DUPLICATE_ORDER = ["start_time", "end_time", "user_id", "vehicle_id", "pickup_location", "dropoff_location", "total_amount"]

KEPT, REJECTED, CONTESTED, HEADER = "kept", "rejected", "contested", "header"
REFUSED = ["reasons", "user_id", "vehicle_id", "line", "header_number", "source_file"]
RENTAL_COLUMNS = ["rental_id", "user_key", "vehicle_key", "start_time", "end_time", "pickup_location", "dropoff_location",
                  "total_amount", "vehicle_type", "brand"]
REASONS = [
    "malformed_row", "missing_rental_id", "missing_user_id", "missing_vehicle_id", "bad_start_time", "bad_end_time",
    "end_not_after_start", "bad_amount", "negative_amount", "unknown_user", "unknown_vehicle", "unknown_pickup_location",
    "unknown_dropoff_location", DUPLICATE,
]


def parsed(lines: DataFrame) -> DataFrame:
    """The lines with the values of their fields; what does not parse is NULL."""
    return lines.select(
        "line", "source_file", "plain", "malformed", "is_header", "rental_id", "user_id", "vehicle_id",
        _where_in_form("rental_start_time", to_timestamp).alias("start_time"),
        _where_in_form("rental_end_time", to_timestamp).alias("end_time"),
        _where_in_form("pickup_location", to_integer).alias("pickup_location"),
        _where_in_form("dropoff_location", to_integer).alias("dropoff_location"),
        _where_in_form("total_amount", to_money).alias("total_amount"),
        F.col("total_amount").alias("amount_text"),
    )


def _where_in_form(name: str, value: Callable[[str], Column]) -> Column:
    """All fields of a plain line are in form; of the others each field is asked on its own."""
    return F.when(F.col("plain") | has_form(FORMS[name], name), value(name))


def with_masters(rentals: DataFrame, users: DataFrame, vehicles: DataFrame, locations: DataFrame) -> DataFrame:
    """Adds what tells whether the master tables hold a rental's ids: user_key, vehicle_key, known_pickup, known_dropoff."""
    pickups = locations.select(F.col("location_id").alias("pickup_location"), F.lit(True).alias("known_pickup"))
    dropoffs = locations.select(F.col("location_id").alias("dropoff_location"), F.lit(True).alias("known_dropoff"))
    return (rentals
            .join(users, on="user_id", how="left")
            .join(vehicles, on="vehicle_id", how="left")
            .join(F.broadcast(pickups), on="pickup_location", how="left")
            .join(F.broadcast(dropoffs), on="dropoff_location", how="left"))


def broken_rules() -> Dict[str, Column]:
    """Reason -> condition, over the columns of `parsed` and `with_masters`; each is true or false, never NULL."""
    return {
        "missing_rental_id": F.col("rental_id") == "",
        "missing_user_id": F.col("user_id") == "",
        "missing_vehicle_id": F.col("vehicle_id") == "",
        "bad_start_time": F.col("start_time").isNull(),
        "bad_end_time": F.col("end_time").isNull(),
        "end_not_after_start": F.coalesce(F.col("end_time") <= F.col("start_time"), F.lit(False)),
        "bad_amount": F.col("total_amount").isNull(),
        "negative_amount": F.col("amount_text").startswith("-") & has_form(BELOW_ZERO, "amount_text"),
        "unknown_user": (F.col("user_id") != "") & F.col("user_key").isNull(),
        "unknown_vehicle": (F.col("vehicle_id") != "") & F.col("vehicle_key").isNull(),
        "unknown_pickup_location": F.col("known_pickup").isNull(),
        "unknown_dropoff_location": F.col("known_dropoff").isNull(),
    }


def judged(rentals: DataFrame, header_number: int) -> DataFrame:
    """The rental's columns, its `verdict`, and `refused`: REFUSED, all that is needed of a rental that is not kept at once.

    `repeated` says that another row may have this rental's id: such rows are contested until they are `settled`. `refused` is an
    array because it is NULL in nearly every row: a struct is as many columns for Parquet to write NULL to.
    """
    broken = broken_rules()
    any_broken = F.col("malformed") | reduce(or_, broken.values())
    contested = F.col("repeated") & ~F.col("malformed") & (F.col("rental_id") != "")
    verdict = (F.when(F.col("is_header"), HEADER).when(contested, CONTESTED).when(any_broken, REJECTED).otherwise(KEPT))
    reasons = F.when(F.col("malformed"), F.lit("malformed_row")).otherwise(
        F.concat_ws(",", *[F.when(condition, F.lit(reason)) for reason, condition in broken.items()]))
    refused = F.when(F.col("verdict") != KEPT, F.array(
        reasons, "user_id", "vehicle_id", "line", F.lit(str(header_number)), "source_file"))
    return rentals.withColumn("verdict", verdict).select(*RENTAL_COLUMNS, refused.alias("refused"), "verdict")


def with_refused(judged: DataFrame) -> DataFrame:
    """Rentals that are not kept, with REFUSED as columns."""
    return judged.select("*", *[F.col("refused")[position].alias(name) for position, name in enumerate(REFUSED)]).drop("refused")


def repeated_headers(headers: DataFrame) -> DataFrame:
    """Of the lines that are their file's header all but one: of files put together by hand. As rentals they are refused."""
    same_file = Window.partitionBy("source_file").orderBy("verdict")
    return headers.withColumn("line_number", F.row_number().over(same_file)).where("line_number > 1").drop("line_number")


def settled(contested: DataFrame) -> DataFrame:
    """Of the rows with one id the first that breaks no rule is kept, and then all others are its duplicates."""
    same_id = Window.partitionBy("rental_id")
    valid = F.col("reasons") == ""
    order = [valid.desc()] + DUPLICATE_ORDER + CAME + ["source_file"]
    kept = valid & (F.row_number().over(same_id.orderBy(*order)) == 1)
    duplicate = F.when(F.max(valid).over(same_id), F.lit(DUPLICATE))
    reasons = F.concat_ws(",", F.when(~valid, F.col("reasons")), duplicate)
    return contested.select(
        *[name for name in contested.columns if name not in ("verdict", "reasons")],
        F.when(kept, KEPT).otherwise(REJECTED).alias("verdict"), reasons.alias("reasons"))


def rejected_rows(rows: DataFrame) -> DataFrame:
    """What the rejected zone holds: the reasons, and the row as it came (only `malformed_row` where it could not be split)."""
    return rows.select(F.split("reasons", ",").alias("reasons"), *[F.col(came).alias(name) for name, came in zip(FIELDS, CAME)],
                       MALFORMED, "source_file")


def verdict_counts() -> List[Column]:
    """Aggregates over `judged`."""
    kept = F.col("verdict") == KEPT
    return [
        F.count(F.lit(1)).alias("lines"), F.count(F.when(kept, 1)).alias("kept"),
        F.count(F.when(F.col("verdict") == HEADER, 1)).alias("headers"),
        F.count(F.when(F.col("verdict") == CONTESTED, 1)).alias("contested"),
        F.sum(F.when(kept, F.col("total_amount"))).alias("revenue"),
        F.min(F.when(kept, F.col("start_time"))).cast("string").alias("first_start"),
        F.max(F.when(kept, F.col("start_time"))).cast("string").alias("last_start"),
    ]


def reason_counts() -> List[Column]:
    """Aggregates over `rejected_rows`: its rows, and one count for each reason."""
    by_reason = [F.count(F.when(F.array_contains("reasons", reason), 1)).alias(reason) for reason in REASONS]
    return [F.count(F.lit(1)).alias("rows")] + by_reason


def summed_up(read: int, passes: List[Dict[str, Any]], rejected: Dict[str, int]) -> Dict[str, Any]:
    """What the run summary says of the rentals; `passes` holds the `verdict_counts` of each pass that kept some."""
    kept = [part for part in passes if part["kept"]]
    return {
        "read": read, "kept": sum(part["kept"] for part in kept), "rejected": rejected["rows"],
        "rejected_by_reason": {reason: rejected[reason] for reason in REASONS if rejected[reason]},
        "revenue": str(sum((part["revenue"] for part in kept), Decimal("0.00"))),
        "first_start": min((part["first_start"] for part in kept), default=None),
        "last_start": max((part["last_start"] for part in kept), default=None),
    }
