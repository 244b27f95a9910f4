"""Converts the text of a raw field to a value: NULL if it does not parse.

The results are the same on every Spark release. The patterns take linear time, so a field of
several megabytes is rejected quickly.
"""

from contract import NOT_UTF8, WHITE_SPACE
from pyspark.sql import Column
from pyspark.sql import functions as F

INTEGER = "[+-]?[0-9]+"
MONEY = r"[+-]?(?:0*[0-9]{1,10}(?:\.[0-9]{0,2})?|\.[0-9]{1,2})"
BELOW_ZERO = (  # any negative number, also if it is not a valid amount
    r"-(?=[0-9.]*[1-9])(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
)
TIME = (  # the years 1970 to 2099
    "(?:19[7-9][0-9]|20[0-9]{2})-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"
)


def sql_text(text: str) -> str:
    """A text as a literal of Spark SQL."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def trim_sql(expression: str) -> str:
    """SQL: the text without the white space around it."""
    return f"trim(BOTH {sql_text(WHITE_SPACE)} FROM {expression})"


def whole_match(pattern: str) -> str:
    """A pattern that matches a whole text; `$` would also match before a final line break."""
    return rf"\A(?:{pattern})\z"


def has_form(pattern: str, name: str) -> Column:
    return F.col(name).rlike(whole_match(pattern))


def utf8_sql(expression: str) -> str:
    """SQL: the text with one NOT_UTF8 for each sequence of bytes that are not UTF-8.

    Spark keeps such bytes unchanged when it reads a file.
    """
    return f"regexp_replace({expression}, '{NOT_UTF8}+', '{NOT_UTF8}')"


def text_or_null(name: str) -> Column:
    return F.when(F.col(name) != "", F.col(name))


def integer(name: str) -> Column:
    return F.when(has_form(INTEGER, name), to_integer(name))


def flag(name: str) -> Column:
    """0 or 1; NULL for anything else."""
    return F.when(F.col(name).isin("0", "1"), to_integer(name))


def to_integer(name: str) -> Column:
    return F.expr(f"try_cast(`{name}` AS INT)")


def to_timestamp(name: str) -> Column:
    """The timestamp of a text that matches TIME.

    Check the form first, because the cast also accepts '2024-1-1'. Spark's to_timestamp is slow.
    """
    return F.expr(f"try_cast(`{name}` AS TIMESTAMP)")


def to_money(name: str) -> Column:
    """The amount of a text that matches MONEY."""
    return F.expr(f"try_cast(`{name}` AS DECIMAL(12,2))")
