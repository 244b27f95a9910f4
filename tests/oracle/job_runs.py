"""Runs the four Spark jobs in this process, and reads their zones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import clean_rentals
import kpi_job
import user_transaction_metrics
import vehicle_location_metrics
from lake_files import Lake
from oracle.contract import Table, parquet_table, published_table
from publish_run import Lock, Publication, Zones
from pyspark.sql import SparkSession

KEPT_RENTALS = """
    SELECT rental_id, user_id, vehicle_id, start_time::TIMESTAMP AS start_time,
    end_time::TIMESTAMP AS end_time, pickup_location,
        dropoff_location, total_amount
    FROM files JOIN read_parquet('{users}/*.parquet') USING (user_key)
        JOIN read_parquet('{vehicles}/*.parquet') USING (vehicle_key)
"""
REJECTED_ROWS = """
    SELECT list_sort(reasons) AS reasons,
        * EXCLUDE (reasons)
        REPLACE (regexp_replace(url_decode(source_file), '^.*/raw/', '') AS source_file)
    FROM files
"""


class Run:
    """The zones of one run under a folder."""

    def __init__(self, spark: SparkSession, lake: Path, run_id: str) -> None:
        self.spark = spark
        self.run_id = run_id
        self.clean, self.rejected = lake / "clean", lake / "rejected"
        self.staging, self.processed = lake / "staging", lake / "processed"

    def all(self, raw: Path, max_reject_rate: float = 1.0) -> Run:
        self.validate(raw, max_reject_rate)
        self.compute()
        self.publish()
        return self

    def validate(self, raw: Path, max_reject_rate: float = 1.0) -> dict[str, Any]:
        zones = clean_rentals.Zones(str(self.clean), str(self.rejected), self.run_id)
        return clean_rentals.clean(self.spark, str(raw), zones, max_reject_rate)

    def compute(self) -> None:
        for job in (vehicle_location_metrics, user_transaction_metrics):
            kpi_job.compute(
                self.spark, job.JOB, job.tables, str(self.clean), str(self.staging), self.run_id
            )

    def publish(self, keep_runs: int = 30) -> dict[str, Any]:
        """Publishes as the next owner of the lake's lock."""
        zones = Zones(*map(str, [self.clean, self.rejected, self.staging, self.processed]))
        lake, lock = Lake.of_session(self.spark), self.processed.parent / "lock"
        lock.write_text(self.run_id)
        return Publication(lake, zones, Lock(lake, str(lock), self.run_id)).publish(
            self.run_id, keep_runs
        )

    def table(self, name: str) -> Table:
        return published_table(self.processed, name, self.run_id)

    def kept_rentals(self) -> Table:
        users, vehicles = self._clean("users"), self._clean("vehicles")
        return parquet_table(
            self._clean("rentals"), KEPT_RENTALS.format(users=users, vehicles=vehicles)
        )

    def rejected_rentals(self) -> Table:
        return self.rejected_rows("rental_transactions")

    def rejected_rows(self, table: str) -> Table:
        """The rejected rows of a raw table; an empty table if there is none."""
        folder = self.rejected / table / f"run_id={self.run_id}"
        return (
            parquet_table(folder, REJECTED_ROWS)
            if list(folder.glob("*.parquet"))
            else Table((), ())
        )

    def _clean(self, name: str) -> Path:
        return self.clean / name / f"run_id={self.run_id}"
