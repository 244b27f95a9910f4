"""A small Spark job that uses the usual features, so that the class archive contains their classes.

Reads CSV and writes Parquet through ``s3://``, with joins, windows, aggregates, dates and text
functions.
"""

import sys

from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F

SCHEMA = (
    "id string, user string, begin timestamp, end timestamp, amount decimal(12,2), corrupt string"
)


def main(folder: str) -> None:
    """Runs the job; all its files are under ``folder``."""
    spark = SparkSession.builder.appName("local_aws class archive").getOrCreate()
    text = spark.range(200).select(
        F.concat_ws(
            ",",
            F.col("id"),
            F.col("id") % 7,
            F.lit("2024-01-01 10:00:00,2024-01-02 11:30:00,12.50"),
        ).alias("value")
    )
    text.write.mode("overwrite").text(f"{folder}/raw")
    rows = spark.read.csv(
        f"{folder}/raw", schema=SCHEMA, mode="PERMISSIVE", columnNameOfCorruptRecord="corrupt"
    ).cache()
    users = rows.groupBy("user").agg(
        F.count("*").alias("rows"), F.min("begin").alias("first"), F.collect_set("id").alias("ids")
    )
    latest = Window.partitionBy("id").orderBy(F.col("begin").desc_nulls_last(), "user")
    kept = (
        rows.withColumn("rank", F.row_number().over(latest))
        .where((F.col("rank") == 1) & F.col("id").rlike("^[0-9]+$"))
        .join(F.broadcast(users), on="user", how="left")
        .withColumn("hours", (F.col("end").cast("long") - F.col("begin").cast("long")) / 3600)
        .withColumn("day", F.to_date("begin"))
    )
    kept.write.mode("overwrite").parquet(f"{folder}/clean")
    clean = spark.read.parquet(f"{folder}/clean")
    daily = clean.groupBy("day", F.hour("begin").alias("hour")).agg(
        F.sum("amount").alias("sum"),
        F.avg("hours"),
        F.countDistinct("user"),
        F.expr("percentile_approx(amount, 0.5)"),
    )
    joined = daily.join(clean.select("day", "user").distinct(), on="day", how="inner").orderBy(
        F.col("sum").desc(), "user"
    )
    joined.coalesce(1).write.mode("overwrite").option("compression", "snappy").parquet(
        f"{folder}/daily"
    )
    clean.createOrReplaceTempView("clean")
    spark.sql(
        "select user, round(sum(amount), 2) from clean group by user having count(*) > 1"
    ).collect()
    spark.stop()


if __name__ == "__main__":
    main(sys.argv[1])
