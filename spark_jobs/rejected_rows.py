"""The rejected zone: rentals and rows of master tables that break a rule.

Each row has its original text and all reasons for its rejection.
"""

from typing import Any, Dict, List, Sequence, Tuple
from urllib.parse import unquote

from csv_text import original_fields
from lake_files import literal
from lake_job import observed
from pyspark.sql import Column, DataFrame, Observation, SparkSession, Window
from pyspark.sql import functions as F
from text_fields import utf8_sql

ORIGINAL = "original"
KEPT, REJECTED, HEADER = "kept", "rejected", "header"  # verdicts


def rejection(reasons: Column, names: Sequence[str], columns: Sequence[str]) -> Column:
    """A struct with the columns of a rejected row, computed from `csv_text.split_records`.

    Its fields are reasons, ORIGINAL, malformed_row and source_file. ORIGINAL is a struct of
    `columns` with the original text. If a row cannot be split, ORIGINAL is NULL and malformed_row
    is the whole row. The argument `reasons` has the reasons of a row that can be split, separated
    by commas. `names` are the header's names.
    """
    unreadable = F.col("malformed") | F.col("not_utf8")
    all_reasons = (
        F.when(F.col("not_utf8"), "not_utf8")
        .when(F.col("malformed"), "malformed_row")
        .otherwise(reasons)
    )
    return F.struct(
        all_reasons.alias("reasons"),
        F.when(~unreadable, original_fields(names, columns)).alias(ORIGINAL),
        F.when(unreadable, F.expr(utf8_sql("line"))).alias("malformed_row"),
        "source_file",
    )


def of_judged(judged: DataFrame) -> DataFrame:
    """The fields of `rejection` for all rejected rows and repeated headers."""
    headers = judged.where(F.col("verdict") == HEADER).select("rejection.*")
    rejected = judged.where(F.col("verdict") == REJECTED).select("rejection.*")
    return rejected.unionByName(repeated_headers(headers))


def repeated_headers(headers: DataFrame) -> DataFrame:
    """Header rows -> the same without the first one of each file.

    More than one header means that files were concatenated.
    """
    same_file = Window.partitionBy("source_file").orderBy(ORIGINAL)
    numbered = headers.withColumn("number", F.row_number().over(same_file))
    return numbered.where("number > 1").drop("number")


def write_rejected(
    rows: DataFrame, columns: Sequence[str], reasons: Sequence[str], folder: str
) -> Tuple[int, Dict[str, int]]:
    """Write rows with the fields of `rejection`; return their number and the count of each reason.

    The written columns are reasons, `columns`, malformed_row and source_file.
    """
    counts = Observation()
    rejected = rows.select(
        F.split("reasons", ",").alias("reasons"),
        *[F.col(ORIGINAL)[name].alias(name) for name in columns],
        "malformed_row",
        "source_file",
    )
    rejected.observe(counts, *reason_counts(reasons)).write.mode("overwrite").parquet(folder)
    found = observed(counts)
    return found.get("rows", 0), {reason: found[reason] for reason in reasons if found.get(reason)}


def reason_counts(reasons: Sequence[str]) -> List[Column]:
    """Aggregates over rejected rows: rows, and a count for each reason."""
    by_reason = [
        F.count(F.when(F.array_contains("reasons", reason), 1)).alias(reason) for reason in reasons
    ]
    return [F.count(F.lit(1)).alias("rows"), *by_reason]


def problem(
    spark: SparkSession, rows_of: str, counts: Dict[str, Any], max_reject_rate: float, folder: str
) -> str:
    """The reason to stop the run because too many rows are rejected; '' if there is none.

    `counts` has rows, kept, rejected and rejected_by_reason.
    """
    rows, rejected = counts["rows"], counts["rejected"]
    if not counts["kept"]:
        words = f"not one of {rows} {rows_of} could be kept"
    elif rejected / rows > max_reject_rate:  # rows * rate would have rounding errors
        words = (
            f"{rejected} of {rows} {rows_of} are rejected, more than the share of"
            f" {max_reject_rate} that is allowed"
        )
    else:
        return ""
    reasons = ", ".join(f"{name} {count}" for name, count in counts["rejected_by_reason"].items())
    return f"{words}: {reasons}. {_where(spark, folder)}"


def _where(spark: SparkSession, folder: str) -> str:
    """Names the folder of the rejected rows, and the file that most of them come from."""
    of_files = spark.read.parquet(literal(folder)).groupBy("source_file").count()
    most, *_ = of_files.orderBy(F.desc("count"), "source_file").collect()
    file = unquote(most["source_file"])
    return f"Most are of {file}. The rejected rows with their reasons are in {folder}"
