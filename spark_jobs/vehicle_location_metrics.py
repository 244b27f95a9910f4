"""Spark job 2: what each location, vehicle type and brand earns, from the clean rentals.

    spark-submit --py-files ... spark_jobs/vehicle_location_metrics.py --clean out/clean --staging out/staging --run-id try-1
"""

import sys
from typing import Dict, List, Optional

import bitmaps
import kpi_job
import lake_job
import measures
from kpi_job import CleanRun
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

JOB = "vehicle_location_metrics"
DESCRIPTION = ("Compute location_metrics, vehicle_type_metrics and brand_metrics of a run from its clean rentals, "
               "check that they add up to all rentals, and leave them in the staging zone.")


def main(argv: Optional[List[str]] = None) -> None:
    kpi_job.main(JOB, DESCRIPTION, tables, argv)


def tables(run: CleanRun) -> Dict[str, DataFrame]:
    rentals = run.rentals("vehicle_key", "vehicle_type", "brand", "pickup_location", "dropoff_location")
    fleet = run.cached(rented_fleet(rentals))
    return {
        "vehicle_type_metrics": vehicle_type_metrics(fleet),
        "brand_metrics": brand_metrics(fleet),
        "location_metrics": location_metrics(rentals, run.table("locations")),
    }


def rented_fleet(rentals: DataFrame) -> DataFrame:
    """The sums of each vehicle type and brand, a row for 64 vehicles at most, and in `rented` a bit for each that was rented.

    A vehicle has one type and one brand, and `master_tables` hands out its key next to others of its kind.
    """
    word, bit = F.shiftright("vehicle_key", bitmaps.WORD_BITS), bitmaps.bit_of("vehicle_key")
    placed = rentals.select("*", word.alias("word"), bit.alias("bit"))
    return placed.groupBy("vehicle_type", "brand", "word").agg(
        *measures.totals(), *measures.extremes(), *measures.times(), F.expr("bit_or(bit)").alias("rented"))


def of_fleet(fleet: DataFrame, column: str) -> DataFrame:
    return fleet.groupBy(column).agg(
        *measures.of_sums(), F.sum("seconds").alias("seconds"), F.max("most_seconds").alias("most_seconds"),
        F.min("least_seconds").alias("least_seconds"), bitmaps.count_of("rented").alias("unique_vehicles"),
    )


def vehicle_type_metrics(fleet: DataFrame) -> DataFrame:
    return of_fleet(fleet, "vehicle_type").select(
        "vehicle_type",
        F.col("rentals").alias("total_rentals"),
        measures.total_money("cents", "total_revenue"),
        measures.average_money("avg_rental_amount"),
        measures.money("most_cents", "max_rental_amount"),
        measures.money("least_cents", "min_rental_amount"),
        measures.hours("seconds", "total_rental_hours"),
        measures.average_hours("avg_rental_duration_hours"),
        measures.hours("most_seconds", "max_rental_duration_hours"),
        measures.hours("least_seconds", "min_rental_duration_hours"),
        "unique_vehicles",
    )


def brand_metrics(fleet: DataFrame) -> DataFrame:
    return of_fleet(fleet, "brand").select(
        "brand",
        F.col("rentals").alias("total_rentals"),
        measures.total_money("cents", "total_revenue"),
        measures.average_money("avg_rental_amount"),
        "unique_vehicles",
    )


def location_metrics(rentals: DataFrame, locations: DataFrame) -> DataFrame:
    """One row a location of the master table, also one where nothing was ever rented."""
    pickups = rentals.groupBy(F.col("pickup_location").alias("location_id")).agg(*measures.totals(), *measures.extremes())
    dropoffs = rentals.groupBy(F.col("dropoff_location").alias("location_id")).agg(F.count(F.lit(1)).alias("dropoffs"))
    sums = (locations.join(pickups, on="location_id", how="left")
            .join(dropoffs, on="location_id", how="left")
            .join(vehicles_seen(rentals), on="location_id", how="left"))
    return sums.select(
        "location_id", "location_name", "city", "state",
        F.coalesce("rentals", F.lit(0)).alias("total_transactions"),
        F.coalesce(measures.total_money("cents", "total_revenue"), F.lit(0).cast(measures.MONEY_SUM)).alias("total_revenue"),
        measures.average_money("avg_transaction_amount"),
        measures.money("most_cents", "max_transaction_amount"),
        measures.money("least_cents", "min_transaction_amount"),
        F.coalesce("dropoffs", F.lit(0)).alias("total_dropoffs"),
        F.coalesce("unique_vehicles", F.lit(0)).alias("unique_vehicles"),
    )


def vehicles_seen(rentals: DataFrame) -> DataFrame:
    """How many vehicles were picked up or returned at each location; one that did both counts once."""
    ends = F.when(F.col("pickup_location") == F.col("dropoff_location"), F.array("pickup_location")).otherwise(
        F.array("pickup_location", "dropoff_location"))
    visits = rentals.select(F.explode(ends).alias("location_id"), "vehicle_key")
    return bitmaps.count_distinct(visits, "location_id", "vehicle_key", "unique_vehicles")


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
