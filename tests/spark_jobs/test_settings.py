"""What the jobs set of Spark, and what they leave to spark-submit."""

from __future__ import annotations

import lake_job
from pyspark.sql import SparkSession


def test_the_jobs_settings_are_in_force(spark: SparkSession) -> None:
    for name, value in {**lake_job.SETTINGS, **lake_job.TUNING}.items():
        assert spark.conf.get(name) == value


def test_a_setting_for_speed_that_spark_submit_has_given_is_left_alone(spark: SparkSession) -> None:
    lake_job.set_unless_given(spark, lake_job.SHUFFLE_PARTITIONS, "7")
    assert spark.conf.get(lake_job.SHUFFLE_PARTITIONS) == "2"
