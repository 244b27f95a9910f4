"""The defects of raw data: each kind as a change to a row, with the reasons for its rejection."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from car_rental.data_contract import contract

# the row of each raw table as a named tuple
ROWS: dict[str, Any] = {
    table: namedtuple(table, columns) for table, columns in contract.RAW_COLUMNS.items()
}


@dataclass(frozen=True)
class Defect:
    """A change to a rental. ``good`` is another row of the same file, without a defect.

    ``reasons`` are all of the data contract's reasons that apply; with none, the row is odd but
    kept.
    """

    reasons: tuple[str, ...]
    change: Callable[[Any, Any], tuple[str, ...]]


UNUSED_ID = "0000000000"  # looks like every other id; the generator never uses it

RENTAL_DEFECTS = (
    Defect(("malformed_row",), lambda row, good: (*row, "late return")),
    Defect(("malformed_row",), lambda row, good: row[:-1]),
    Defect(("malformed_row",), lambda row, good: row[:2]),
    Defect(("missing_rental_id",), lambda row, good: row._replace(rental_id="")),
    Defect(("missing_user_id",), lambda row, good: row._replace(user_id="")),
    Defect(("missing_vehicle_id",), lambda row, good: row._replace(vehicle_id="   ")),
    Defect(("bad_start_time",), lambda row, good: row._replace(rental_start_time="")),
    Defect(
        ("bad_start_time",), lambda row, good: row._replace(rental_start_time="2024-02-30 10:00:00")
    ),
    Defect(("bad_end_time",), lambda row, good: row._replace(rental_end_time="")),
    Defect(("bad_end_time",), lambda row, good: row._replace(rental_end_time="05/17/2024 8:15 PM")),
    Defect(
        ("end_not_after_start",),
        lambda row, good: row._replace(
            rental_start_time=row.rental_end_time, rental_end_time=row.rental_start_time
        ),
    ),
    Defect(
        ("end_not_after_start",),
        lambda row, good: row._replace(rental_end_time=row.rental_start_time),
    ),
    Defect(("bad_amount",), lambda row, good: row._replace(total_amount="")),
    Defect(("bad_amount",), lambda row, good: row._replace(total_amount="$" + row.total_amount)),
    Defect(("bad_amount",), lambda row, good: row._replace(total_amount=row.total_amount + "5")),
    Defect(("bad_amount",), lambda row, good: row._replace(total_amount="1,260.00")),
    Defect(
        ("negative_amount",), lambda row, good: row._replace(total_amount="-" + row.total_amount)
    ),
    Defect(("unknown_user",), lambda row, good: row._replace(user_id=UNUSED_ID)),
    Defect(("unknown_vehicle",), lambda row, good: row._replace(vehicle_id=UNUSED_ID)),
    Defect(("unknown_pickup_location",), lambda row, good: row._replace(pickup_location="0")),
    Defect(("unknown_pickup_location",), lambda row, good: row._replace(pickup_location="")),
    Defect(("unknown_dropoff_location",), lambda row, good: row._replace(dropoff_location="0")),
    Defect(
        ("unknown_dropoff_location",), lambda row, good: row._replace(dropoff_location="airport")
    ),
    Defect(("duplicate_rental_id",), lambda row, good: good),
    Defect(("duplicate_rental_id",), lambda row, good: row._replace(rental_id=good.rental_id)),
    Defect(
        ("duplicate_rental_id", "unknown_user"),
        lambda row, good: row._replace(rental_id=good.rental_id, user_id=UNUSED_ID),
    ),
    Defect(
        ("negative_amount", "unknown_pickup_location", "unknown_dropoff_location"),
        lambda row, good: row._replace(
            total_amount="-0.01", pickup_location="0", dropoff_location="0"
        ),
    ),
    Defect(
        ("missing_vehicle_id", "bad_start_time", "bad_end_time", "bad_amount"),
        lambda row, good: row._replace(
            vehicle_id="", rental_start_time="n/a", rental_end_time="n/a", total_amount="n/a"
        ),
    ),
    Defect((), lambda row, good: tuple(f" {field} " for field in row)),
    Defect((), lambda row, good: row._replace(total_amount="0.00")),
)


@dataclass(frozen=True)
class Oddity:
    """Something odd in a master table: ``change`` creates the odd row from a row and another one.

    The odd row replaces the original row; with ``adds`` it is added to the table instead.
    """

    name: str
    change: Callable[..., tuple[str, ...]]
    adds: bool


ODDITIES = {
    "users": (
        Oddity("missing_id", lambda row, other: row._replace(user_id=""), adds=True),
        Oddity(
            "duplicate_id", lambda row, other: row._replace(first_name=other.first_name), adds=True
        ),
    ),
    "vehicles": (
        Oddity("missing_id", lambda row, other: row._replace(vehicle_id=""), adds=True),
        Oddity(
            "duplicate_id",
            lambda row, other: row._replace(vehicle_year=other.vehicle_year),
            adds=True,
        ),
        Oddity("empty_brand", lambda row, other: row._replace(brand=""), adds=False),
        Oddity("empty_vehicle_type", lambda row, other: row._replace(vehicle_type=""), adds=False),
    ),
    "locations": (
        Oddity("missing_id", lambda row, other: row._replace(location_id=""), adds=True),
        Oddity(
            "duplicate_id",
            lambda row, other: row._replace(location_name=other.location_name),
            adds=True,
        ),
    ),
}
