"""How the text of a raw field becomes a value, NULL where it does not parse: alike on every Spark release, ANSI or not."""

from pyspark.sql import Column
from pyspark.sql import functions as F

WHITE_SPACE = " \t\n\x0b\x0c\r"
INTEGER = r"^[+-]?[0-9]+$"
DECIMAL = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)$"
THIRD_DECIMAL = r"\.[0-9]{3}"
BELOW_ZERO = r"^-[0-9.]*[1-9]"
TIME = r"^(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}$"


def trimmed(name: str) -> Column:
    """The field without the white space around it, '' where it is missing."""
    return F.coalesce(F.expr(f"trim(BOTH '{WHITE_SPACE}' FROM `{name}`)"), F.lit(""))


def text_or_null(name: str) -> Column:
    return F.when(F.col(name) != "", F.col(name))


def integer(name: str) -> Column:
    return F.when(F.col(name).rlike(INTEGER), F.expr(f"try_cast(`{name}` AS INT)"))


def timestamp(name: str) -> Column:
    """`yyyy-MM-dd HH:mm:ss` to the letter: a cast alone would also take '2024-1-1', and a pattern costs five times the time."""
    return F.when(F.col(name).rlike(TIME), F.expr(f"try_cast(`{name}` AS TIMESTAMP)"))


def money(name: str) -> Column:
    """A plain decimal number with at most two decimals, below ten thousand million."""
    plain = F.col(name).rlike(DECIMAL) & ~F.col(name).rlike(THIRD_DECIMAL)
    return F.when(plain, F.expr(f"try_cast(`{name}` AS DECIMAL(12,2))"))


def below_zero(name: str) -> Column:
    """Asked of the text, so that it also holds for a number that is refused as an amount."""
    return F.col(name).rlike(DECIMAL) & F.col(name).rlike(BELOW_ZERO)
