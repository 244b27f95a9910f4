"""Distinct keys counted by bitmaps are as many as a set of them has."""

from __future__ import annotations

import random
from pathlib import Path

import bitmaps
import pytest
from pyspark.sql import SparkSession

LARGEST_KEY = 2**63 - 1
AT_RANDOM = random.Random(7).choices(range(5000), k=2000)
AT_THE_EDGES = [0, 1, 63, 64, 1023, 1024, 2**33 - 1, 2**33, 2**33 + 1023, LARGEST_KEY]


@pytest.mark.parametrize("keys", [AT_THE_EDGES, [*range(3000)], [0, 0, 0], AT_RANDOM])
def test_keys_are_counted_once(spark: SparkSession, tmp_path: Path, keys: list[int]) -> None:
    rows = [(-1, key) for key in keys[1:]] + [(3, key) for key in keys]
    (tmp_path / "rows.csv").write_text("".join(f"{day},{key}\n" for day, key in rows))
    read = spark.read.csv(str(tmp_path / "rows.csv"), schema="day INT, key BIGINT")
    counts = bitmaps.count_distinct(read, "day", "key", "keys").collect()
    assert {(row["day"], row["keys"]) for row in counts} == {
        (group, len({key for day, key in rows if day == group})) for group in {day for day, _ in rows}}
