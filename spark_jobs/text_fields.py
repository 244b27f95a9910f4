"""How the text of a raw field becomes a value, NULL where it does not parse: alike on every Spark release, ANSI or not."""

from pyspark.sql import Column
from pyspark.sql import functions as F

WHITE_SPACE = " \t\n\x0b\x0c\r"
INTEGER = "[+-]?[0-9]+"
MONEY = r"[+-]?(?:[0-9]+(?:\.[0-9]{0,2})?|\.[0-9]{1,2})"
BELOW_ZERO = r"-(?=[0-9.]*[1-9])(?:[0-9]+\.?[0-9]*|\.[0-9]+)"  # of any number, also one that is no amount of money
TIME = "(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}"


def trimmed(name: str) -> Column:
    """The field without the white space around it, '' where it is missing.

    Spark trims blanks fast and any other set of characters slowly: that is left for the fields that need it.
    """
    field = F.coalesce(F.trim(name), F.lit(""))
    needs_more = field < "!"  # it begins with a control character, or is empty
    for character in WHITE_SPACE.strip(" "):
        needs_more = needs_more | field.endswith(character)
    return F.when(needs_more, F.expr(f"trim(BOTH '{WHITE_SPACE}' FROM coalesce(`{name}`, ''))")).otherwise(field)


def without_edges(field: Column) -> Column:
    """As `trimmed`, of any text, also one without a name; slower."""
    return F.regexp_replace(field, rf"^[{WHITE_SPACE}]+|[{WHITE_SPACE}]+\z", "")


def has_form(pattern: str, *names: str) -> Column:
    """Whether the fields, all of them, have this form; for several the pattern has a | between them."""
    text = F.col(names[0]) if len(names) == 1 else F.concat_ws("|", *names)
    return text.rlike(rf"\A(?:{pattern})\z")


def text_or_null(name: str) -> Column:
    return F.when(F.col(name) != "", F.col(name))


def integer(name: str) -> Column:
    return F.when(has_form(INTEGER, name), to_integer(name))


def to_integer(name: str) -> Column:
    return F.expr(f"try_cast(`{name}` AS INT)")


def to_timestamp(name: str) -> Column:
    """Of a text that has the form of a time: a cast alone would also take '2024-1-1', and to_timestamp is slow."""
    return F.expr(f"try_cast(`{name}` AS TIMESTAMP)")


def to_money(name: str) -> Column:
    """Of a text that has the form of money, NULL from ten thousand million on."""
    return F.expr(f"try_cast(`{name}` AS DECIMAL(12,2))")
