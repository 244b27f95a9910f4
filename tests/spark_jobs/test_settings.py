"""What the jobs set of Spark, and what they leave to spark-submit."""

from __future__ import annotations

import lake_job
import pytest
from py4j.java_gateway import JVMView
from pyspark.sql import SparkSession
from pyspark.sql import functions as F


def test_the_jobs_settings_are_in_force(spark: SparkSession) -> None:
    for name, value in {**lake_job.SETTINGS, **lake_job.TUNING}.items():
        assert spark.conf.get(name) == value


def test_a_setting_for_speed_that_spark_submit_has_given_is_left_alone(spark: SparkSession) -> None:
    lake_job.set_unless_given(spark, lake_job.SHUFFLE_PARTITIONS, "7")
    assert spark.conf.get(lake_job.SHUFFLE_PARTITIONS) == "2"


def test_the_jvm_is_asked_once_for_the_names_that_pyspark_uses(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of these questions takes milliseconds, and there were thousands: a sixth of a small run's seconds."""
    asked, ask = [], JVMView.__getattr__
    monkeypatch.setattr(JVMView, "__getattr__", lambda view, name: (asked.append(name), ask(view, name))[1])
    spark.range(1).select(F.array(F.upper(F.lit("a")), F.lit("b")).alias("made")).collect()
    assert not {path.split(".")[0] for path in lake_job.LOOKED_UP_ONCE} & set(asked)
