"""The baseline of the benchmark: plain Spark computes the seven tables, without any validation.

Two jobs share this file, one spark-submit each: `plain_spark.py vehicle|user RAW OUT`. A job infers
the schema of its CSV files, aggregates with one groupBy and countDistinct per table, and ranks
users by a window over all users.
"""

import sys

from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F

LENIENT = (
    "spark.sql.legacy.timeParserPolicy",
    "CORRECTED",
)  # otherwise the first invalid time fails the job


def main() -> None:
    job, raw, out = sys.argv[1:]
    spark = SparkSession.builder.appName(f"plain_{job}").config(*LENIENT).getOrCreate()
    tables = {"vehicle": vehicle_location, "user": user_transaction}[job](spark, raw)
    for name, table in tables.items():
        table.write.mode("overwrite").parquet(f"{out}/{name}")
    spark.stop()


def read(spark: SparkSession, raw: str, table: str) -> DataFrame:
    return spark.read.csv(f"{raw}/{table}", header=True, inferSchema=True)


def rentals_of(spark: SparkSession, raw: str) -> DataFrame:
    hours = (F.unix_timestamp("rental_end_time") - F.unix_timestamp("rental_start_time")) / 3600
    return read(spark, raw, "rental_transactions").withColumn("hours", hours)


def vehicle_location(spark: SparkSession, raw: str) -> "dict[str, DataFrame]":
    rentals, locations = rentals_of(spark, raw), read(spark, raw, "locations")
    vehicles = read(spark, raw, "vehicles").select("vehicle_id", "brand", "vehicle_type")
    pickups = rentals.groupBy(F.col("pickup_location").alias("location_id")).agg(
        *money("transaction")
    )
    dropoffs = rentals.groupBy(F.col("dropoff_location").alias("location_id")).agg(
        F.count("*").alias("total_dropoffs")
    )
    seen = (
        rentals.select(F.col("pickup_location").alias("location_id"), "vehicle_id")
        .union(rentals.select("dropoff_location", "vehicle_id"))
        .groupBy("location_id")
        .agg(F.countDistinct("vehicle_id").alias("unique_vehicles"))
    )
    of_vehicles = rentals.join(vehicles, "vehicle_id")
    return {
        "location_metrics": (
            locations.select("location_id", "location_name", "city", "state")
            .join(pickups, "location_id", "left")
            .join(dropoffs, "location_id", "left")
            .join(seen, "location_id", "left")
        ),
        "vehicle_type_metrics": (
            of_vehicles.groupBy("vehicle_type").agg(
                *money("rental"),
                *durations(),
                F.countDistinct("vehicle_id").alias("unique_vehicles"),
            )
        ),
        "brand_metrics": (
            of_vehicles.groupBy("brand").agg(
                *money("rental"), F.countDistinct("vehicle_id").alias("unique_vehicles")
            )
        ),
    }


def user_transaction(spark: SparkSession, raw: str) -> "dict[str, DataFrame]":
    rentals, users = rentals_of(spark, raw), read(spark, raw, "users")
    dated = rentals.withColumn("rental_date", F.to_date("rental_start_time"))
    spenders = (
        rentals.join(users, "user_id")
        .groupBy("user_id", "first_name", "last_name", "is_active")
        .agg(
            *money("rental"),
            *durations(),
            F.countDistinct("vehicle_id").alias("unique_vehicles_rented"),
        )
    )
    percentile = F.round(F.percent_rank().over(Window.orderBy("total_revenue")) * 100, 2)
    return {
        "daily_metrics": (
            dated.groupBy("rental_date").agg(
                *money("transaction"),
                F.countDistinct("user_id").alias("unique_users"),
                F.countDistinct("vehicle_id").alias("unique_vehicles"),
            )
        ),
        "user_metrics": spenders.withColumn("spending_percentile", percentile),
        "hourly_metrics": (
            dated.groupBy(F.hour("rental_start_time").alias("hour_of_day")).agg(
                *money("transaction")
            )
        ),
        "day_of_week_metrics": (
            dated.groupBy(F.date_format("rental_start_time", "EEEE").alias("day_of_week")).agg(
                *money("transaction")
            )
        ),
    }


def money(kind: str) -> "list[Column]":
    return [
        F.count("*").alias(f"total_{kind}s"),
        F.sum("total_amount").alias("total_revenue"),
        F.avg("total_amount").alias(f"avg_{kind}_amount"),
        F.max("total_amount").alias(f"max_{kind}_amount"),
        F.min("total_amount").alias(f"min_{kind}_amount"),
    ]


def durations() -> "list[Column]":
    return [
        F.sum("hours").alias("total_rental_hours"),
        F.avg("hours").alias("avg_rental_duration_hours"),
        F.max("hours").alias("max_rental_duration_hours"),
        F.min("hours").alias("min_rental_duration_hours"),
    ]


if __name__ == "__main__":
    main()
