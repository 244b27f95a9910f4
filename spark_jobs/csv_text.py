"""The CSV reader: text lines become records, and records become fields matched by header name.

This reader is used for all raw tables and follows RFC 4180: fields in quotes may contain commas,
doubled quotes and line breaks. LF, CRLF and CR end a record, also mixed within a file. Spark's own
CSV reader fails on such files: it assumes that the first line end is used in the whole file, and it
accepts the text after a quote that is never closed as a value.

A file is split between tasks. Only a file with a line break within quotes needs its lines in order,
so one task processes it, see `joined_records`. A line break within quotes becomes LF.
"""

from typing import Sequence

from contract import MAX_RECORD_LINES, MAX_TEXT_BYTES, NOT_UTF8, WHITE_SPACE
from lake_files import literal
from pyspark.sql import Column, DataFrame, SparkSession, Window
from pyspark.sql import functions as F
from text_fields import sql_text, trim_sql, utf8_sql, whole_match

# The patterns are possessive. Otherwise Java recurses for each character, and a long field
# overflows its stack.
_QUOTED = '"(?:[^"]|"")*+"'
_CLOSED = rf"{_QUOTED}[{WHITE_SPACE}]*+(?=,|\z)"
# A field with text after its closing quote keeps its quotes. It must not contain a line break.
_LITERAL = r'"(?:[^"\n]|"")*+"[^,\n]*+|(?!")[^,\n]*+'
_FIELD = f"(?:{_CLOSED}|{_LITERAL})"
_QUOTED_FIELD = sql_text(whole_match(f"{_QUOTED}[{WHITE_SPACE}]*+"))
_INSIDE = r'\A"((?:[^"]|"")*+)"'
_UNTIL_CLOSED = '(?:[^"]|"")*+'  # from within quotes up to the closing quote
# These match lines that end within quotes: _OPENS if the line begins outside quotes, _STAYS_OPEN if
# it begins within. Text after a closing quote belongs to the field.
_ANY_FIELD = f'(?:{_QUOTED}[^,]*+|(?!")[^,]*+)'
_OPENS = rf'\A(?:{_ANY_FIELD},)*+"{_UNTIL_CLOSED}\z'
_STAYS_OPEN = rf'\A{_UNTIL_CLOSED}(?:\z|"[^,]*+,(?:{_ANY_FIELD},)*+"{_UNTIL_CLOSED}\z)'

# Printable ASCII without blank, quote and comma, as ranges: Java's intersections (&&) are slow.
_PLAIN = r"[!#-+\--~]"
PLAIN_TEXT = _PLAIN + "*"
PLAIN_LINE = r"[ !#-+\--~]*"  # blanks anywhere: for columns that no job reads
PLAIN_WORDS = f"(?:{_PLAIN}++(?: ++{_PLAIN}++)*+)?+"  # blanks only between words


def read_lines(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """The lines of text files as `line`, including headers and blank lines."""
    return spark.read.text([literal(path) for path in paths]).withColumnRenamed("value", "line")


def with_source(lines: DataFrame) -> DataFrame:
    """Adds `source_file`. Filter first, because Spark computes the name for each row."""
    return lines.withColumn("source_file", F.input_file_name())


def opens_quote() -> Column:
    """Returns whether `line`, which begins outside quotes, ends within quotes."""
    return F.col("line").contains('"') & F.col("line").rlike(_OPENS)


def plain_records(lines: DataFrame) -> DataFrame:
    """`line` -> `line`, `source_file`, `unclosed`, for files without line breaks within quotes.

    Each line is a record.
    """
    return with_source(lines).withColumn("unclosed", F.lit(False))


def joined_records(spark: SparkSession, paths: Sequence[str]) -> DataFrame:
    """The records of files with line breaks within quotes: `line`, `source_file`, `unclosed`.

    The lines from an opening quote to its closing quote become one record. If a quote is not closed
    within MAX_RECORD_LINES lines, its lines are not joined and are `unclosed`. Otherwise a stray
    quote would turn the rest of a file into one record, which may not fit into memory.
    """
    lines = with_source(read_lines(spark, paths)).select(
        "line",
        "source_file",
        F.expr("input_file_block_start()").alias("block"),
        F.monotonically_increasing_id().alias("place"),
    )
    numbered = _with_record(lines)
    records = (
        numbered.where(~F.col("unclosed"))
        .groupBy("source_file", "record")
        .agg(F.sort_array(F.collect_list(F.struct("block", "place", "line"))).alias("parts"))
        .select(
            F.array_join("parts.line", "\n").alias("line"),
            "source_file",
            F.lit(False).alias("unclosed"),
        )
    )
    return records.unionByName(numbered.where("unclosed").select("line", "source_file", "unclosed"))


def _with_record(lines: DataFrame) -> DataFrame:
    """Adds `record` and `unclosed` to `line`, `source_file`, `block`, `place`.

    `record` is the record's number within its file. The state after a line is open if the line ends
    within quotes. `from_closed` is that state if the line begins outside quotes, `from_open` if it
    begins within. If both are equal, the line sets the state; otherwise it keeps or inverts it. So
    the state after a line is the last state that was set, inverted once for each inverting line
    since then.
    """
    in_file = Window.partitionBy("source_file")
    in_order = in_file.orderBy("block", "place")
    has_quote = F.col("line").contains('"')
    quotes = lines.select(
        "*",
        (has_quote & F.col("line").rlike(_OPENS)).alias("from_closed"),
        (~has_quote | F.col("line").rlike(_STAYS_OPEN)).alias("from_open"),
    )
    turned = (F.col("from_closed") & ~F.col("from_open")).cast("INT")
    turns = quotes.withColumn("turns", F.sum(turned).over(in_order))
    sets = F.when(
        F.col("from_closed") == F.col("from_open"),
        F.struct(F.col("from_closed").cast("INT").alias("open"), "turns"),
    )
    last_set = turns.withColumn("set", F.last(sets, ignorenulls=True).over(in_order))
    state = (
        F.coalesce(F.col("set.open"), F.lit(0))
        + F.col("turns")
        - F.coalesce(F.col("set.turns"), F.lit(0))
    )
    open_after = last_set.withColumn("open_after", state % 2 == 1)
    begins = ~F.lag("open_after", 1, False).over(in_order)
    records = open_after.withColumn("record", F.sum(begins.cast("INT")).over(in_order))
    last = F.struct("block", "place")
    is_last = F.col("record") == F.max("record").over(in_file)
    ends_open = F.max(F.struct(last, "open_after")).over(in_file)["open_after"]
    lines_of_record = F.count(F.lit(1)).over(Window.partitionBy("source_file", "record"))
    unclosed = (is_last & ends_open) | (lines_of_record > MAX_RECORD_LINES)
    return records.select(
        "line", "source_file", "block", "place", "record", unclosed.alias("unclosed")
    )


def split_records(records: DataFrame, patterns: Sequence[str], headers: Sequence[str]) -> DataFrame:
    """Splits records into fields.

    `line`, `source_file`, `unclosed` -> `line`, `source_file`, `plain`, `not_utf8`, `malformed`,
    `is_header`, `fields`.

    `fields` is an array with the trimmed text of each column, '' for an empty one. It is NULL in a
    row that cannot be split. `patterns` has a pattern for each column. A row that matches all of
    them is `plain` and split at its commas; other rows are parsed field by field, which is slower
    and gives the same result. A row is `malformed` if a text column (PLAIN_TEXT, PLAIN_WORDS) has
    more than MAX_TEXT_BYTES. Blank rows are dropped. `is_header`: the row is one of `headers`.
    """
    line, plain = F.col("line"), F.col("plain")
    checked = (
        records.where(~_is_blank())
        .withColumn("is_long", F.expr(f"octet_length(line) > {MAX_TEXT_BYTES}"))
        .withColumn(
            "plain",
            ~F.col("unclosed") & ~F.col("is_long") & line.rlike(whole_match(",".join(patterns))),
        )
        .withColumn("odd_fields", F.when(~plain & ~F.col("unclosed"), _odd_fields(len(patterns))))
        .withColumn("odd_fields", F.when(_are_short(patterns), F.col("odd_fields")))
    )
    not_utf8 = ~plain & line.rlike(NOT_UTF8)
    return checked.select(
        "line",
        "source_file",
        "plain",
        not_utf8.alias("not_utf8"),
        (~plain & ~not_utf8 & F.col("odd_fields").isNull()).alias("malformed"),
        F.when(plain, line.isin(*headers))
        # every header contains "_id": this cheap test avoids the slow trim on other lines
        .otherwise(
            ~F.col("unclosed")
            & line.contains("_id")
            & F.expr(trim_sql(utf8_sql("line"))).isin(*headers)
        )
        .alias("is_header"),
        F.when(plain, F.split("line", ",")).otherwise(F.col("odd_fields")).alias("fields"),
    )


def _is_blank() -> Column:
    """Returns whether `line` is only white space.

    The first character rules that out for most lines, which avoids Spark's slow trim.
    """
    begins_with_ascii = (F.col("line") >= "!") & (F.col("line") < "\x7f")
    return ~begins_with_ascii & (F.expr(trim_sql("line")) == "")


def _are_short(patterns: Sequence[str]) -> Column:
    """Returns whether all text columns in `odd_fields` have at most MAX_TEXT_BYTES."""
    texts = [place for place, text in enumerate(patterns) if text in (PLAIN_TEXT, PLAIN_WORDS)]
    lengths = [f"octet_length(odd_fields[{place}])" for place in texts]
    return ~F.col("is_long") | F.expr(f"array_max(array({', '.join(lengths)})) <= {MAX_TEXT_BYTES}")


def _odd_fields(count: int) -> Column:
    """The fields of `line`; NULL unless it is well-formed and has `count` fields."""
    fields = f"transform({raw_fields()}, field -> {trim_sql(unquoted_sql('field'))})"
    well_formed = whole_match(f"(?:{_FIELD},){{{count - 1}}}+{_FIELD}")
    return F.when(F.col("line").rlike(well_formed), F.expr(fields))


def raw_fields() -> str:
    """SQL: the fields of a well-formed `line`, unchanged, with their quotes."""
    return f"regexp_extract_all(concat(line, ','), {sql_text(f'({_FIELD}),')}, 1)"


def unquoted_sql(field: str) -> str:
    """SQL: the text of a field, without the quotes around it."""
    quoted = f"startswith({field}, '\"') and {field} rlike {_QUOTED_FIELD}"
    inside = f"regexp_extract({field}, {sql_text(_INSIDE)}, 1)"
    return f"""if({quoted}, replace({inside}, '""', '"'), {field})"""


def field(position: int) -> Column:
    """One field of `line`, trimmed.

    If the row has too few fields, the result is '' or another field.
    """
    quoted = unquoted_sql(f"array_join(slice({raw_fields()}, {position + 1}, 1), '')")
    plain = f"substring_index(substring_index(line, ',', {position + 1}), ',', -1)"
    return F.expr(trim_sql(f"""if(contains(line, '"'), {quoted}, {plain})"""))


def original_fields(names: Sequence[str], wanted: Sequence[str]) -> Column:
    """The untrimmed fields of `line` without their quotes: a struct of `wanted`."""
    texts = F.expr(f"transform({raw_fields()}, field -> {unquoted_sql('field')})")
    return F.transform(
        F.array(texts),
        lambda fields: F.struct(*[fields[list(names).index(name)].alias(name) for name in wanted]),
    )[0]
