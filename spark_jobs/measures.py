"""The measures of the KPI tables: exact, because they use whole cents and seconds, not floats."""

from decimal import Decimal
from typing import List

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

CENTS = "DECIMAL(14,0)"  # one amount; for a sum, Spark adds ten digits
MONEY_SUM = "DECIMAL(38,2)"
MONEY = "DECIMAL(12,2)"
HOURS = "DECIMAL(20,2)"


def in_cents(rentals: DataFrame, *columns: str) -> DataFrame:
    """Selects the columns; adds `cents` and `seconds` from the amount and the two times."""
    cents = (F.col("total_amount") * 100).cast(CENTS).alias("cents")
    seconds = F.col("end_time").cast("BIGINT") - F.col("start_time").cast("BIGINT")
    return rentals.select(*columns, cents, seconds.alias("seconds"))


def totals() -> List[Column]:
    """Aggregates over rentals: rentals, cents."""
    return [F.count(F.lit(1)).alias("rentals"), F.sum("cents").alias("cents")]


def extremes() -> List[Column]:
    return [F.max("cents").alias("most_cents"), F.min("cents").alias("least_cents")]


def of_sums() -> List[Column]:
    """The same as `totals` and `extremes`, over rows that have these columns already."""
    return [
        F.sum("rentals").alias("rentals"),
        F.sum("cents").alias("cents"),
        F.max("most_cents").alias("most_cents"),
        F.min("least_cents").alias("least_cents"),
    ]


def times() -> List[Column]:
    return [
        F.sum("seconds").alias("seconds"),
        F.max("seconds").alias("most_seconds"),
        F.min("seconds").alias("least_seconds"),
    ]


def money(cents: str, name: str) -> Column:
    return _hundredths(cents, MONEY).alias(name)


def total_money(cents: str, name: str) -> Column:
    return _hundredths(cents, MONEY_SUM).alias(name)


def average_money(name: str) -> Column:
    return _hundredths(half_up("cents", "rentals"), MONEY).alias(name)


def hours(seconds: str, name: str) -> Column:
    return _hundredths(half_up(seconds, "36"), HOURS).alias(name)


def average_hours(name: str) -> Column:
    return _hundredths(half_up("seconds", "rentals * 36"), HOURS).alias(name)


def half_up(dividend: str, divisor: str) -> str:
    """SQL: the quotient of two non-negative whole numbers, rounded half up.

    It is rounded only once.
    """
    return (
        f"(({dividend}) DIV ({divisor}) + IF(({dividend}) % ({divisor}) * 2 >= ({divisor}), 1, 0))"
    )


def _hundredths(number: str, kind: str) -> Column:
    return (F.expr(number).cast("DECIMAL(34,0)") * F.lit(Decimal("0.01"))).cast(kind)
