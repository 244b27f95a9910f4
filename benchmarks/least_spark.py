"""The least work that Spark can have with the seven tables: how much of our jobs' time is Spark's
own, whoever writes them.

Three jobs, as ours are: `least_spark.py clean|vehicle|user RAW OUT`. The first parses the CSV files
as text, casts, and writes the columns that matter as Parquet, ids as the integers that a hash
gives; the others read those. No row is validated, compared with a master table or searched for a
second one; nothing is joined or checked; of the tables only what needs a shuffle is made.
"""

import sys

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

TYPES = {
    "rental_id": "STRING",
    "rental_start_time": "TIMESTAMP",
    "rental_end_time": "TIMESTAMP",
    "pickup_location": "INT",
    "dropoff_location": "INT",
    "total_amount": "DECIMAL(12,2)",
}
MASTERS = {
    "users": ["user_id", "first_name", "last_name", "is_active"],
    "vehicles": ["vehicle_id", "brand", "vehicle_type"],
}


def main() -> None:
    job, raw, out = sys.argv[1:]
    builder = SparkSession.builder.appName(f"least_{job}").config(
        "spark.sql.session.timeZone", "UTC"
    )
    spark = builder.config(
        "spark.sql.shuffle.partitions", 20
    ).getOrCreate()  # what our jobs choose for 10 million rentals
    for name, table in {"clean": clean, "vehicle": vehicle, "user": user}[job](
        spark, raw, out
    ).items():
        table.write.mode("overwrite").parquet(f"{out}/{name}")
    spark.stop()


def clean(spark: SparkSession, raw: str, out: str) -> "dict[str, DataFrame]":
    keys = [F.xxhash64(f"{kind}_id").alias(f"{kind}_key") for kind in ("user", "vehicle")]
    columns = [F.col(name).cast(kind).alias(name) for name, kind in TYPES.items()]
    masters = {name: read(spark, raw, name).select(*columns) for name, columns in MASTERS.items()}
    return {"rentals": read(spark, raw, "rental_transactions").select(*columns, *keys), **masters}


def read(spark: SparkSession, raw: str, table: str) -> DataFrame:
    return spark.read.csv(f"{raw}/{table}", header=True)


def vehicle(spark: SparkSession, raw: str, out: str) -> "dict[str, DataFrame]":
    rentals = rentals_of(spark, out)
    ends = rentals.select(
        F.explode(F.array("pickup_location", "dropoff_location")).alias("location_id"),
        "vehicle_key",
    )
    return {
        "location_metrics": distinct(ends, "location_id", "vehicle_key"),
        "vehicle_type_metrics": (
            rentals.groupBy("vehicle_key").agg(F.count("*"), F.sum("cents"), F.sum("seconds"))
        ),
    }


def user(spark: SparkSession, raw: str, out: str) -> "dict[str, DataFrame]":
    rentals = rentals_of(spark, out)
    of_vehicle = (
        rentals.repartition("user_key")
        .groupBy("user_key", "vehicle_key")
        .agg(
            F.count("*").alias("rentals"),
            F.sum("cents").alias("cents"),
            F.sum("seconds").alias("seconds"),
        )
    )
    return {
        "user_metrics": (
            of_vehicle.groupBy("user_key").agg(
                F.sum("rentals"), F.sum("cents"), F.sum("seconds"), F.count("*")
            )
        ),
        "daily_users": distinct(rentals, "rental_date", "user_key"),
        "daily_vehicles": distinct(rentals, "rental_date", "vehicle_key"),
    }


def rentals_of(spark: SparkSession, out: str) -> DataFrame:
    seconds = F.col("rental_end_time").cast("BIGINT") - F.col("rental_start_time").cast("BIGINT")
    cents = (F.col("total_amount") * 100).cast("BIGINT")
    return spark.read.parquet(f"{out}/rentals").select(
        "user_key",
        "vehicle_key",
        "pickup_location",
        "dropoff_location",
        F.to_date("rental_start_time").alias("rental_date"),
        seconds.alias("seconds"),
        cents.alias("cents"),
    )


def distinct(rows: DataFrame, group: str, counted: str) -> DataFrame:
    return (
        rows.select(group, counted)
        .repartition(group, counted)
        .distinct()
        .groupBy(group)
        .agg(F.count("*").alias("distinct"))
    )


if __name__ == "__main__":
    main()
