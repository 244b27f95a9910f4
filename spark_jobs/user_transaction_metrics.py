"""Spark job 3: what users spend and when rentals start, from the clean rentals.

spark-submit --py-files ... spark_jobs/user_transaction_metrics.py --clean out/clean \\
    --staging out/staging --run-id try-1
"""

import argparse
import sys
from typing import Dict, List, Optional

import kpi_job
import lake_job
import measures
from kpi_job import CleanRun
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

JOB = "user_transaction_metrics"
DESCRIPTION = (
    "Compute daily_metrics, user_metrics, hourly_metrics and day_of_week_metrics of a run from its"
    " clean rentals, check that they add up to all rentals, and leave them in the staging zone."
)
# (smallest spending_percentile of the category, name), highest first
CATEGORIES = [
    (90, "Top Spender"),
    (75, "High Spender"),
    (50, "Medium Spender"),
    (25, "Low Spender"),
]
LOWEST_CATEGORY = "Occasional Spender"


def main(argv: Optional[List[str]] = None) -> None:
    kpi_job.main(JOB, tables, parse(argv))


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    return kpi_job.parse(JOB, DESCRIPTION, argv)


def tables(run: CleanRun) -> Dict[str, DataFrame]:
    rentals = run.rentals("user_key", "vehicle_key", "start_time").withColumn(
        "rental_date", F.to_date("start_time")
    )
    hours = rented_hours(rentals).cache()
    return {
        "hourly_metrics": hourly_metrics(hours),
        "day_of_week_metrics": day_of_week_metrics(hours),
        "daily_metrics": daily_metrics(rentals, hours),
        "user_metrics": user_metrics(rentals, run.table("users")),
    }


def rented_hours(rentals: DataFrame) -> DataFrame:
    """Rentals -> rental_date, hour_of_day, and the sums of each hour of each date.

    The tables of days, hours and weekdays take their amounts from these few rows.
    """
    return rentals.groupBy("rental_date", F.hour("start_time").alias("hour_of_day")).agg(
        *measures.totals(), *measures.extremes()
    )


def of_hours(hours: DataFrame, *columns: Column) -> DataFrame:
    """`rented_hours` -> the sums, grouped by the columns."""
    return hours.groupBy(*columns).agg(*measures.of_sums())


def hourly_metrics(hours: DataFrame) -> DataFrame:
    """`rented_hours` -> the table of the data contract."""
    return of_hours(hours, F.col("hour_of_day")).select(
        "hour_of_day",
        F.col("rentals").alias("total_transactions"),
        measures.total_money("cents", "total_revenue"),
        measures.average_money("avg_transaction_amount"),
    )


def day_of_week_metrics(hours: DataFrame) -> DataFrame:
    """`rented_hours` -> the table of the data contract."""
    day_number = F.expr("weekday(rental_date) + 1").alias("day_number")
    return of_hours(
        hours, F.date_format("rental_date", "EEEE").alias("day_of_week"), day_number
    ).select(
        "day_of_week",
        "day_number",
        F.col("rentals").alias("total_transactions"),
        measures.total_money("cents", "total_revenue"),
        measures.average_money("avg_transaction_amount"),
    )


def daily_metrics(rentals: DataFrame, hours: DataFrame) -> DataFrame:
    """Rentals and `rented_hours` -> the table of the data contract."""
    days = (
        of_hours(hours, F.col("rental_date"))
        .join(distinct_of_days(rentals, "user_key", "unique_users"), on="rental_date", how="inner")
        .join(
            distinct_of_days(rentals, "vehicle_key", "unique_vehicles"),
            on="rental_date",
            how="inner",
        )
    )
    return days.select(
        "rental_date",
        F.col("rentals").alias("total_transactions"),
        measures.total_money("cents", "total_revenue"),
        measures.average_money("avg_transaction_amount"),
        measures.money("most_cents", "max_transaction_amount"),
        measures.money("least_cents", "min_transaction_amount"),
        "unique_users",
        "unique_vehicles",
    )


def distinct_of_days(rentals: DataFrame, key: str, name: str) -> DataFrame:
    """Rentals -> rental_date and `name`: the number of distinct keys on that date."""
    return (
        rentals.select("rental_date", key)
        .distinct()
        .groupBy("rental_date")
        .agg(F.count(F.lit(1)).alias(name))
    )


def user_metrics(rentals: DataFrame, users: DataFrame) -> DataFrame:
    """Rentals and the clean users -> the table of the data contract."""
    spenders = renting_users(rentals).join(users, on="user_key", how="inner").cache()
    return with_percentile(spenders).select(
        "user_id",
        "first_name",
        "last_name",
        "is_active",
        F.col("rentals").alias("total_rentals"),
        measures.total_money("cents", "total_spent"),
        measures.average_money("avg_rental_amount"),
        measures.money("most_cents", "max_rental_amount"),
        measures.money("least_cents", "min_rental_amount"),
        measures.hours("seconds", "total_rental_hours"),
        measures.average_hours("avg_rental_duration_hours"),
        "unique_vehicles_rented",
        "spending_percentile",
        spending_category(F.col("spending_percentile")).alias("spending_category"),
    )


def renting_users(rentals: DataFrame) -> DataFrame:
    """Rentals -> one row per user: user_key, measures, unique_vehicles_rented."""
    of_vehicle = (
        rentals.repartition("user_key")
        .groupBy("user_key", "vehicle_key")
        .agg(*measures.totals(), *measures.extremes(), F.sum("seconds").alias("seconds"))
    )
    return of_vehicle.groupBy("user_key").agg(
        *measures.of_sums(),
        F.sum("seconds").alias("seconds"),
        F.count(F.lit(1)).alias("unique_vehicles_rented"),
    )


def with_percentile(spenders: DataFrame) -> DataFrame:
    """Adds `spending_percentile`: the percentage of the other users who spent less.

    The window has no partitions, so one task ranks all rows. It ranks distinct totals (`cents`),
    not users, because many users share a total.
    """
    in_order = Window.orderBy("cents")
    totals = spenders.groupBy("cents").agg(F.count(F.lit(1)).alias("users"))
    ranks = totals.select(
        "cents",
        (F.sum("users").over(in_order) - F.col("users")).alias("below"),
        (F.sum("users").over(Window.partitionBy()) - 1).alias("others"),
    )
    percentile = F.when(
        F.col("others") > 0,
        F.expr(measures.half_up("below * 10000", "nullif(others, 0)")) / F.lit(100.0),
    )
    share = F.coalesce(percentile, F.lit(0.0)).alias("spending_percentile")
    return spenders.join(ranks.select("cents", share), on="cents", how="inner")


def spending_category(percentile: Column) -> Column:
    category = F.lit(LOWEST_CATEGORY)
    for start, name in reversed(CATEGORIES):
        category = F.when(percentile >= start, name).otherwise(category)
    return category


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
