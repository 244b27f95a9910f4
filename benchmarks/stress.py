"""`make stress`: runs our jobs on large and on skewed data with 2 GB of heap, checked by DuckDB.

The large data has 30 million rentals. The skewed data has 10 million; half of them belong to one
user and begin and end at one location.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import duckdb
from run import CONTENDERS, DUCKDB, OURS, SCRATCH, fresh, generated, one_round

SKEWED = 10_000_000
LARGE = 30_000_000
# half of the rentals get the smallest user id and the smallest location id
HALF_OF_ONE = """
    COPY (
        SELECT rental_id, if(half, a_user, user_id) AS user_id, vehicle_id,
            rental_start_time, rental_end_time,
            if(half, a_place, pickup_location) AS pickup_location,
            if(half, a_place, dropoff_location) AS dropoff_location,
            total_amount
        FROM (SELECT *, hash(rental_id) % 2 = 0 AS half
                FROM read_csv('{even}/rental_transactions/*',
                     header = true, all_varchar = true, ignore_errors = true)),
            (SELECT min(user_id) AS a_user
             FROM read_csv('{even}/users/*', header = true, all_varchar = true)),
            (SELECT min(location_id) AS a_place
             FROM read_csv('{even}/locations/*', header = true, all_varchar = true))
    ) TO '{skewed}/rentals.csv' (HEADER true)
"""


def main() -> None:
    for name, raw_zone in (("skewed", skewed), ("large", partial(generated, LARGE))):
        measured = one_round(
            raw_zone(SCRATCH),
            SCRATCH / "results",
            {OURS: CONTENDERS[OURS], DUCKDB: CONTENDERS[DUCKDB]},
        )[OURS]
        figures = f"{measured.wall:.0f} s, {measured.cpu:.0f} CPU s, {measured.peak_mb:.0f} MB"
        print(f"{name}: all seven tables are correct; {figures}", flush=True)


def skewed(work: Path) -> Path:
    """A raw zone of SKEWED rentals: even data, but half of it moved to one user and location."""
    even, raw = generated(SKEWED, work), fresh(work / f"raw-{SKEWED}-skewed")
    for table in ("locations", "users", "vehicles"):
        (raw / table).symlink_to(even / table)
    duckdb.sql(HALF_OF_ONE.format(even=even, skewed=fresh(raw / "rental_transactions")))
    return raw


if __name__ == "__main__":
    main()
