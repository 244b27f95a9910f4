"""PyAthena and awswrangler work against the local AWS without a change."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.server import LocalAws

pytestmark = pytest.mark.all


@pytest.fixture
def bucket(client: Callable[[str], Any], stand_in: LocalAws, monkeypatch: pytest.MonkeyPatch) -> str:
    """A bucket that is a database's name too, and an environment in which clients find the stand-in."""
    name = f"lake{uuid.uuid4().hex[:8]}"
    client("s3").create_bucket(Bucket=name)
    client("glue").create_database(DatabaseInput={"Name": name})
    for variable, value in {
        "AWS_ENDPOINT_URL": stand_in.url,
        "AWS_ACCESS_KEY_ID": "local",
        "AWS_SECRET_ACCESS_KEY": "local",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    return name


def test_pyathena_runs_queries(bucket: str) -> None:
    import pyathena

    cursor = pyathena.connect(s3_staging_dir=f"s3://{bucket}/out/", region_name="us-east-1", schema_name=bucket).cursor()
    cursor.execute("SELECT 1 AS n, DECIMAL '1.50' AS d, DATE '2024-01-01' AS day, CAST(NULL AS varchar) AS nothing")
    row = cursor.fetchone()
    assert [str(value) for value in row] == ["1", "1.50", "2024-01-01", "None"]
    assert [column[0] for column in cursor.description] == ["n", "d", "day", "nothing"]
    with pytest.raises(pyathena.error.OperationalError, match="COLUMN_NOT_FOUND"):
        cursor.execute("SELECT nope")


def test_awswrangler_writes_a_table_and_reads_it_each_way(bucket: str) -> None:
    import awswrangler as wr
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2], "name": ["a", None], "run": ["x", "y"]})
    wr.s3.to_parquet(frame, path=f"s3://{bucket}/t/", dataset=True, database=bucket, table="t", partition_cols=["run"])
    ways: list[dict[str, Any]] = [{"ctas_approach": False}, {"ctas_approach": True}]
    for number, way in enumerate(ways):
        place = f"s3://{bucket}/out{number}/"
        read = wr.athena.read_sql_query("SELECT id, run FROM t ORDER BY id", database=bucket, s3_output=place, **way)
        assert read.to_dict("list") == {"id": [1, 2], "run": ["x", "y"]}
    described = wr.athena.describe_table(database=bucket, table="t", s3_output=f"s3://{bucket}/out/")
    assert list(described["Column Name"]) == ["id", "name", "run"]
