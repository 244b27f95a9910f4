"""The rejected zone: rows that break a rule, as they came, each with all of its reasons. For
rentals and master tables."""

from typing import Any, Dict, List, Sequence, Tuple

from csv_text import came
from lake_job import observed
from pyspark.sql import Column, DataFrame, Observation, Window
from pyspark.sql import functions as F
from text_fields import utf8_sql

CAME = "came"
UNREADABLE = ("malformed_row", "not_utf8")


def repeated_headers(headers: DataFrame) -> DataFrame:
    """Of the rows that are their file's header all but one: files were put together, and the others
    are no data."""
    same_file = Window.partitionBy("source_file").orderBy("line")
    return (
        headers.withColumn("number", F.row_number().over(same_file))
        .where("number > 1")
        .drop("number")
    )


def with_came(
    rows: DataFrame, headers: Sequence[Tuple[str, ...]], columns: Sequence[str]
) -> DataFrame:
    """`reasons`, `line`, `header_number` and others -> the same and CAME, a struct of `columns`:
    the fields as they came.

    CAME is NULL in a row whose fields cannot be told apart. `headers` has the names in the header
    of each `header_number`.
    """
    readable = ~F.col("reasons").isin(*UNREADABLE)
    structs = [
        F.when(readable & (F.col("header_number") == number), came(names, columns))
        for number, names in enumerate(headers)
    ]
    return rows.withColumn(CAME, F.coalesce(*structs))


def rejected_rows(rows: DataFrame, columns: Sequence[str]) -> DataFrame:
    """`reasons` as text, `line`, `source_file`, CAME -> reasons, the columns, malformed_row,
    source_file.

    `malformed_row` is the row where its fields cannot be told apart.
    """
    unreadable = F.when(F.col("reasons").isin(*UNREADABLE), F.expr(utf8_sql("line")))
    return rows.select(
        F.split("reasons", ",").alias("reasons"),
        *[F.col(CAME)[name].alias(name) for name in columns],
        unreadable.alias("malformed_row"),
        "source_file",
    )


def write_rejected(
    rows: DataFrame, columns: Sequence[str], reasons: Sequence[str], folder: str
) -> Tuple[int, Dict[str, int]]:
    """Write the rows of `rejected_rows`; return how many they are, and how many each reason has."""
    counts = Observation()
    rejected_rows(rows, columns).observe(counts, *reason_counts(reasons)).write.mode(
        "overwrite"
    ).parquet(folder)
    found = observed(counts)
    return found.get("rows", 0), {reason: found[reason] for reason in reasons if found.get(reason)}


def reason_counts(reasons: Sequence[str]) -> List[Column]:
    by_reason = [
        F.count(F.when(F.array_contains("reasons", reason), 1)).alias(reason) for reason in reasons
    ]
    return [F.count(F.lit(1)).alias("rows"), *by_reason]


def told(by_reason: Dict[str, Any]) -> str:
    return ", ".join(f"{reason} {count}" for reason, count in by_reason.items())
