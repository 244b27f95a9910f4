"""The raw rentals, a rental a line. Plain lines are cut at their commas, a third of the work of reading them as CSV; the odd
ones, which may have quotes, blanks or mistakes, are read as CSV and looked at field by field."""

from typing import Callable, List

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from raw_tables import COLUMNS, MALFORMED, Files, Header, csv_fields, field_name, read_lines
from text_fields import INTEGER, MONEY, TIME, has_form, without_edges

FIELDS = COLUMNS["rental_transactions"]
CAME = ["came_" + name for name in FIELDS]
FORMS = {"rental_start_time": TIME, "rental_end_time": TIME, "pickup_location": INTEGER, "dropoff_location": INTEGER,
         "total_amount": MONEY}
PLAIN_TEXT = r'[!-~&&[^",]]*+'  # printable ASCII without blank, quote and comma
PLAIN_TEXTS = r'[ -~&&[^",]]*+'  # blanks too: in a column that nobody asks for


def read(spark: SparkSession, header: Header, files: Files) -> DataFrame:
    """The lines that are not blank: `line`, `source_file`, and their fields without white space around them, '' where missing.

    A `plain` line needs no trimming and no CSV, and its times, places and amount have the form that they must have.
    `malformed`: more or fewer fields than the header has; `is_header`: the same as the first line of a file.

    Spark generates no code for reading CSV: as a column by itself that leaves code to be generated for what is before and after.
    """
    plain, line = F.col("plain"), F.col("line")
    lines = (read_lines(spark, files).withColumnRenamed("value", "line")
             .where((line >= "!") | ~has_form(r"[\x00-\x20]*", "line"))
             .withColumn("plain", line.rlike(plain_pattern(header)))
             .withColumn("odd_fields", F.when(~plain, _odd_fields(header))))
    cut = lines.select(
        line, F.input_file_name().alias("source_file"), plain, (~plain & F.col("odd_fields").isNull()).alias("malformed"),
        (~plain & line.isin(sorted(set(files.values())))).alias("is_header"),
        F.when(plain, F.split(line, ",")).otherwise(F.col("odd_fields")).alias("fields"))
    return cut.select("*", *[F.col("fields")[header.index(name)].alias(name) for name in FIELDS]).drop("fields")


def as_they_came(lines: DataFrame, headers: List[Header]) -> DataFrame:
    """Adds CAME, the untouched fields of each `line`, NULL where it does not fit its header, and `malformed_row`: such a line.

    `header_number` is the place of its header among `headers`.
    """
    came = [F.when(F.col("header_number") == str(number), _untouched_fields(header)) for number, header in enumerate(headers)]
    return lines.select("*", F.coalesce(*came).alias("came")).select(*lines.columns, "came.*")


def _odd_fields(header: Header) -> Column:
    """All fields of the line without the white space around them, NULL where it does not fit the header."""
    return _by_csv(header, lambda came: F.when(came[MALFORMED].isNull(), F.array(
        *[without_edges(_field(came, position)) for position in range(len(header))])))


def _untouched_fields(header: Header) -> Column:
    return _by_csv(header, lambda came: F.struct(
        *[F.when(came[MALFORMED].isNull(), _field(came, header.index(name))).alias(new) for name, new in zip(FIELDS, CAME)],
        came[MALFORMED].alias(MALFORMED)))


def _by_csv(header: Header, made: Callable[[Column], Column]) -> Column:
    """What is made of the parsed line. A lambda gives it a name: so it is parsed once, however often it is used."""
    return F.transform(F.array(csv_fields("line", header)), made)[0]


def _field(came: Column, position: int) -> Column:
    return F.coalesce(came[field_name(position)], F.lit(""))


def plain_pattern(header: Header) -> str:
    texts = dict.fromkeys(FIELDS, PLAIN_TEXT)
    return r"\A{}\z".format(",".join(FORMS.get(name, texts.get(name, PLAIN_TEXTS)) for name in header))

