"""Lakes for the tests of the analysis: published runs of known rows, written without Spark."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from car_rental.aws import Aws
from car_rental.config import Settings, load_settings
from car_rental.display.console import Console
from car_rental.emr.spark_outcomes import SUMMARY_KEY
from car_rental.s3.lake_bucket import ensure_bucket
from oracle.contract import KPI_TABLES, Table, contract_tables
from oracle.small_lake import write_table
from run_glue_crawlers import run_glue_crawlers
from setup_glue_crawlers import setup_glue_crawlers

ROLE_TRUST = """{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"},
    "Action": "sts:AssumeRole"}]}"""

# a few master rows, for lakes whose answers are counted by hand
LOCATIONS = [
    "1,Airport,1 Road,Boston,MA,02110,42.3,-71.0",
    "2,Harbour,2 Road,Salem,MA,01970,42.5,-70.9",
]
LOCATIONS += ["3,,3 Road,Boston,MA,02111,42.3,-71.1", "4,Nowhere,4 Road,Lynn,MA,01901,42.4,-70.9"]
USERS = [
    "U1,Ann,Lee,a@example.com,1,D1,2030-01-01,2020-01-01,1",
    "U2,Bo,Ray,b@example.com,2,D2,2030-01-01,2020-01-01,0",
]
USERS += ["U3,Cy,Poe,c@example.com,3,D3,2030-01-01,2020-01-01,1"]
VEHICLES = ["1,L1,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V1,01-01-2024 10:00:00,Nissan,basic"]
VEHICLES += [
    "1,L2,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V2,01-01-2024 10:00:00,Ferrari,high_end"
]
VEHICLES += ["1,L3,Owner,T,01-01-2030,,2020-01-01,2019,5,Street,V3,01-01-2024 10:00:00,,"]
MASTERS = {"locations": LOCATIONS, "users": USERS, "vehicles": VEHICLES}

_TEXT = (
    "location_name city state vehicle_type brand user_id first_name last_name spending_category"
    " day_of_week".split()
)
_INT = "location_id is_active hour_of_day day_number".split()
_COUNT = (
    "total_transactions total_dropoffs unique_vehicles total_rentals unique_users"
    " unique_vehicles_rented".split()
)
_TYPES = {
    **dict.fromkeys(_TEXT, pa.string()),
    **dict.fromkeys(_INT, pa.int32()),
    **dict.fromkeys(_COUNT, pa.int64()),
    "rental_date": pa.date32(),
    "spending_percentile": pa.float64(),
    "reasons": pa.list_(pa.string()),
}


def parquet(table: Table, default: pa.DataType) -> bytes:
    """``table`` as a Parquet file; columns without a known type get the ``default``."""
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.columns)
    arrays = [
        pa.array(cells, _TYPES.get(name, pa.string() if _has_text(cells) else default))
        for name, cells in zip(table.columns, columns, strict=True)
    ]
    stream = io.BytesIO()
    pq.write_table(pa.table(arrays, list(table.columns)), stream)
    return stream.getvalue()


def _has_text(cells: tuple[Any, ...]) -> bool:
    return any(isinstance(cell, str) for cell in cells)


@dataclass
class PublishedLake:
    """A project with bucket, catalog and workgroup.

    ``expected`` has the contract's tables of each run.
    """

    settings: Settings
    aws: Aws
    folder: Path
    expected: dict[str, dict[str, Table]]

    @classmethod
    def new(cls, url: str, environment: str, folder: Path) -> PublishedLake:
        empty = folder / "empty.env"
        empty.touch()
        settings = load_settings({}, empty, {"AWS_ENDPOINT_URL": url, "ENVIRONMENT": environment})
        aws = Aws(settings)
        ensure_bucket(aws)
        aws.client("iam").create_role(
            RoleName=settings.glue_service_role, AssumeRolePolicyDocument=ROLE_TRUST
        )
        setup_glue_crawlers(aws, quiet())
        return cls(settings, aws, folder, {})

    def publish(self, run_id: str, rows: dict[str, list[str]]) -> None:
        """Writes a good run's tables to `processed` and its rejected rentals to `rejected`."""
        for table, lines in rows.items():
            write_table(self.folder / run_id, table, lines)
        self.publish_raw(run_id, self.folder / run_id)

    def publish_raw(self, run_id: str, raw: Path) -> None:
        """Publishes the run that the contract computes from a raw folder."""
        self.expected[run_id] = contract_tables(raw)
        for table in KPI_TABLES:
            self._put(
                f"processed/{table}/run_id={run_id}",
                parquet(self.expected[run_id][table], pa.decimal128(38, 2)),
            )
        self._put_rejected(run_id, self.expected[run_id])

    def reject(self, run_id: str, rows: dict[str, list[str]]) -> None:
        """Writes the files of a failed run: its rejected rentals and nothing else."""
        for table, lines in rows.items():
            write_table(self.folder / run_id, table, lines)
        self._put_rejected(run_id, contract_tables(self.folder / run_id))

    def _put_rejected(self, run_id: str, tables: dict[str, Table]) -> None:
        self._put(
            f"rejected/rental_transactions/run_id={run_id}",
            parquet(tables["rejected_rentals"], pa.string()),
        )

    def put_summary(self, run_id: str, summary: dict[str, Any]) -> None:
        """Writes the counts that job 1 leaves beside the rejected rentals."""
        key, body = SUMMARY_KEY.format(run_id=run_id), json.dumps(summary).encode()
        self.aws.client("s3").put_object(Bucket=self.settings.s3_bucket_name, Key=key, Body=body)

    def _put(self, folder: str, content: bytes) -> None:
        self.aws.client("s3").put_object(
            Bucket=self.settings.s3_bucket_name, Key=f"{folder}/part-0.parquet", Body=content
        )

    def crawl(self) -> None:
        run_glue_crawlers(self.aws, quiet(), deadline_minutes=1)


def quiet() -> Console:
    """A console whose output is discarded."""
    return Console(io.StringIO(), io.StringIO())
