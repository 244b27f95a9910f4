"""A bucket and a database of one test."""

from __future__ import annotations

import io
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class Lake:
    """A bucket and a database with names of their own on the shared stand-in."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.client = client
        self.s3, self.glue = client("s3"), client("glue")
        self.bucket = f"lake-{uuid.uuid4().hex[:8]}"
        self.database = self.bucket.replace("-", "_")
        self.s3.create_bucket(Bucket=self.bucket)
        self.glue.create_database(DatabaseInput={"Name": self.database})

    def put(self, key: str, body: bytes | str) -> None:
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=body)

    def put_parquet(self, key: str, **columns: Any) -> None:
        sink = io.BytesIO()
        pq.write_table(pa.table(columns), sink)
        self.put(key, sink.getvalue())
