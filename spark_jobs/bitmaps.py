"""Distinct keys counted exactly, by bitmaps: a row has a bit for each key of a block, however many rentals that key has.

Keys are handed out one after the other (`monotonically_increasing_id`, never negative), so that a group has many keys of the
same block, and a hash table of blocks is a fraction of one of keys. Spark 3.3 has `bit_or` and `bit_count`, but no bitmaps yet.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

WORD_BITS = 6  # of a key: its place in a word of 64 bits
BLOCK_BITS = 10  # of a key: its place in a block, of 16 words
WORDS = [f"word_{number}" for number in range(1 << BLOCK_BITS - WORD_BITS)]


def count_distinct(rows: DataFrame, group: str, key: str, name: str) -> DataFrame:
    """One row a group, with how many keys it has.

    Rows of a block are brought together first: before that hardly two of them share a bitmap, which would only fill the memory.
    """
    met = rows.selectExpr(group, key, f"shiftright({key}, {BLOCK_BITS}) AS block").repartition(group, "block")
    placed = met.select(group, "block", word_of(key).alias("word"), bit_of(key).alias("bit"))
    bitmaps = placed.groupBy(group, "block").agg(
        *[F.expr(f"bit_or(IF(word = {number}, bit, 0L))").alias(word) for number, word in enumerate(WORDS)])
    return bitmaps.groupBy(group).agg(count_of(*WORDS).alias(name))


def word_of(key: str) -> Column:
    """Which word of its block has the key's bit."""
    return F.expr(f"CAST(shiftright({key}, {WORD_BITS}) & {len(WORDS) - 1} AS INT)")


def bit_of(key: str) -> Column:
    """A word with nothing but the key's bit. `bit_or` puts together those of one word."""
    return F.expr(f"shiftleft(1L, CAST({key} & {(1 << WORD_BITS) - 1} AS INT))")


def count_of(*words: str) -> Column:
    """Aggregate: how many bits there are."""
    return F.expr("sum({})".format(" + ".join(f"bit_count({word})" for word in words)))
