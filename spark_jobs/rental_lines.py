"""The raw rentals, a rental a line. Plain lines are cut at their commas, a third of the work of reading them as CSV; the odd
ones, which may have quotes, blanks or mistakes, are read as CSV and looked at field by field."""

from typing import Union

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from raw_tables import COLUMNS, MALFORMED, Files, Header, csv_fields, field_name, read_lines
from text_fields import INTEGER, MONEY, TIME, WHITE_SPACE, has_form

FIELDS = COLUMNS["rental_transactions"]
FORMS = {"rental_start_time": TIME, "rental_end_time": TIME, "pickup_location": INTEGER, "dropoff_location": INTEGER,
         "total_amount": MONEY}
HEADER = "header"
PLAIN_TEXT = r"[!#-+\--~]*+"  # printable ASCII without blank, quote and comma
PLAIN_TEXTS = r"[ !#-+\--~]*+"  # blanks too: in a column that nobody asks for
EDGES = rf"^[{WHITE_SPACE}]+|[{WHITE_SPACE}]+\z"


def read(spark: SparkSession, files: Files) -> DataFrame:
    """The lines of the files, headers and blank ones among them, and where each is from: `line`, `source_file`."""
    return read_lines(spark, files).select(F.col("value").alias("line"), F.input_file_name().alias("source_file"))


def cut(lines: DataFrame, header: Header, odd: str) -> DataFrame:
    """The fields of plain lines; `aside` is `odd` for all others.

    A plain line needs no trimming and no CSV, and its times, places and amount have the form that they must have.
    """
    plain = lines.withColumn("plain", F.col("line").rlike(plain_pattern(header)))
    fields = plain.withColumn("fields", F.when(F.col("plain"), F.split("line", ",")))
    return _with_fields(fields, header, F.lit(False).alias("malformed"), F.when(~F.col("plain"), odd).alias("aside"))


def by_csv(lines: DataFrame, header: Header, files: Files) -> DataFrame:
    """The fields of the lines that are not blank, without the white space around them, '' where they are missing.

    `aside` is HEADER for the first line of a file, or the same again; `malformed`: more or fewer fields than the header has.
    """
    came = csv_fields("line", header)
    fields = F.array(*[F.coalesce(came[field_name(position)], F.lit("")) for position in range(len(header))])
    filled = lines.where(~has_form(r"[\x00-\x20]*", "line")).select(
        "line", "source_file", F.lit(False).alias("plain"), came[MALFORMED].isNotNull().alias("malformed"),
        F.when(F.col("line").isin(sorted(set(files.values()))), HEADER).alias("aside"),
        F.transform(fields, lambda field: F.regexp_replace(field, EDGES, "")).alias("fields"))
    return _with_fields(filled, header, "malformed", "aside")


def odd_ones(judged: DataFrame) -> DataFrame:
    """The lines that were set aside, as `read` gave them."""
    return judged.select(F.col("refused.as_it_came.malformed_row").alias("line"), "refused.as_it_came.source_file")


def cut_as_it_came(header: Header) -> Column:
    """The fields of a plain line; of another one only the line, as `malformed_row`."""
    cut = F.split("line", ",")
    fields = [F.when(F.col("plain"), cut[header.index(name)]).alias(name) for name in FIELDS]
    return F.struct(*fields, F.when(~F.col("plain"), F.col("line")).alias(MALFORMED), "source_file")


def csv_as_it_came(header: Header) -> Column:
    """The untouched fields of a line, and `malformed_row`, the line itself, where it does not fit the header."""
    came = csv_fields("line", header)
    fields = [F.coalesce(came[field_name(header.index(name))], F.lit("")).alias(name) for name in FIELDS]
    return F.struct(*fields, F.when(F.col("malformed"), F.col("line")).alias(MALFORMED), "source_file")


def plain_pattern(header: Header) -> str:
    texts = dict.fromkeys(FIELDS, PLAIN_TEXT)
    return r"\A{}\z".format(",".join(FORMS.get(name, texts.get(name, PLAIN_TEXTS)) for name in header))


def _with_fields(lines: DataFrame, header: Header, malformed: Union[str, Column], aside: Union[str, Column]) -> DataFrame:
    fields = [F.col("fields")[header.index(name)].alias(name) for name in FIELDS]
    return lines.select("line", "source_file", "plain", malformed, aside, *fields)
