"""Spark job 2: what each location, vehicle type and brand earns, from the clean rentals.

spark-submit --py-files ... spark_jobs/vehicle_location_metrics.py --clean out/clean \\
    --staging out/staging --run-id try-1
"""

import argparse
import sys
from typing import Dict, List, Optional

import kpi_job
import lake_job
import measures
from kpi_job import CleanRun
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

JOB = "vehicle_location_metrics"
DESCRIPTION = (
    "Compute location_metrics, vehicle_type_metrics and brand_metrics of a run from its clean"
    " rentals, check that they add up to all rentals, and leave them in the staging zone."
)


def main(argv: Optional[List[str]] = None) -> None:
    kpi_job.main(JOB, tables, parse(argv))


def parse(argv: Optional[List[str]]) -> argparse.Namespace:
    return kpi_job.parse(JOB, DESCRIPTION, argv)


def tables(run: CleanRun) -> Dict[str, DataFrame]:
    rentals = run.rentals("vehicle_key", "pickup_location", "dropoff_location")
    vehicles = rented_vehicles(rentals, run.table("vehicles")).cache()
    return {
        "vehicle_type_metrics": vehicle_type_metrics(vehicles),
        "brand_metrics": brand_metrics(vehicles),
        "location_metrics": location_metrics(rentals, run.table("locations")),
    }


def rented_vehicles(rentals: DataFrame, vehicles: DataFrame) -> DataFrame:
    """Rentals and the clean vehicles -> one row per rented vehicle.

    The columns are vehicle_type, brand, and the measures of the vehicle's rentals.
    """
    measured = rentals.groupBy("vehicle_key").agg(
        *measures.totals(), *measures.extremes(), *measures.times()
    )
    return measured.join(vehicles, on="vehicle_key", how="inner").drop("vehicle_key", "vehicle_id")


def of_vehicles(vehicles: DataFrame, column: str) -> DataFrame:
    """`rented_vehicles` -> measures and `unique_vehicles`, grouped by the column."""
    return vehicles.groupBy(column).agg(
        *measures.of_sums(),
        F.sum("seconds").alias("seconds"),
        F.max("most_seconds").alias("most_seconds"),
        F.min("least_seconds").alias("least_seconds"),
        F.count(F.lit(1)).alias("unique_vehicles"),
    )


def vehicle_type_metrics(vehicles: DataFrame) -> DataFrame:
    """`rented_vehicles` -> the table of the data contract."""
    return of_vehicles(vehicles, "vehicle_type").select(
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


def brand_metrics(vehicles: DataFrame) -> DataFrame:
    """`rented_vehicles` -> the table of the data contract."""
    return of_vehicles(vehicles, "brand").select(
        "brand",
        F.col("rentals").alias("total_rentals"),
        measures.total_money("cents", "total_revenue"),
        measures.average_money("avg_rental_amount"),
        "unique_vehicles",
    )


def location_metrics(rentals: DataFrame, locations: DataFrame) -> DataFrame:
    """Rentals and the clean locations -> the table of the data contract.

    A location without rentals has a row too.
    """
    pickups = rentals.groupBy(F.col("pickup_location").alias("location_id")).agg(
        *measures.totals(), *measures.extremes()
    )
    dropoffs = rentals.groupBy(F.col("dropoff_location").alias("location_id")).agg(
        F.count(F.lit(1)).alias("dropoffs")
    )
    sums = (
        locations.join(pickups, on="location_id", how="left")
        .join(dropoffs, on="location_id", how="left")
        .join(vehicles_seen(rentals), on="location_id", how="left")
    )
    return sums.select(
        "location_id",
        "location_name",
        "city",
        "state",
        F.coalesce("rentals", F.lit(0)).alias("total_transactions"),
        F.coalesce(
            measures.total_money("cents", "total_revenue"), F.lit(0).cast(measures.MONEY_SUM)
        ).alias("total_revenue"),
        measures.average_money("avg_transaction_amount"),
        measures.money("most_cents", "max_transaction_amount"),
        measures.money("least_cents", "min_transaction_amount"),
        F.coalesce("dropoffs", F.lit(0)).alias("total_dropoffs"),
        F.coalesce("unique_vehicles", F.lit(0)).alias("unique_vehicles"),
    )


def vehicles_seen(rentals: DataFrame) -> DataFrame:
    """Rentals -> location_id, unique_vehicles: vehicles picked up or returned at the location.

    A vehicle that did both counts once. Almost all pairs of location and vehicle are distinct, so
    partial aggregation hardly reduces them. The shuffle by vehicle comes first, so that the pairs
    of each task fit into its memory.
    """
    visits = rentals.repartition("vehicle_key").select(
        F.explode(F.array("pickup_location", "dropoff_location")).alias("location_id"),
        "vehicle_key",
    )
    return visits.distinct().groupBy("location_id").agg(F.count(F.lit(1)).alias("unique_vehicles"))


if __name__ == "__main__":
    sys.exit(lake_job.run(JOB, main))
