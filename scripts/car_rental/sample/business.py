"""Rentals that look like those of a business: rush hours, weekends, seasons, growth.

Some customers are loyal. A rental costs its whole hours times the rate of the vehicle's type, as in
the real set. Each month has its own random numbers, so that a month can be added without the
months before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from car_rental.sample.tables import (
    CITIES,
    FIRST_DAY,
    MINUTES_PER_DAY,
    MOST_HOURS,
    PLACES,
    TYPES,
    Sizes,
    World,
    hex_ids,
    location_columns,
    random_numbers,
    texts,
    times,
    vehicles_of,
)

FIRST_MONTHS = 5  # January to May 2024, the period of the guide's set
GROWTH = 1.04  # per month, in addition to the season
SEASONS = (0.85, 0.85, 0.95, 1.0, 1.1, 1.2, 1.35, 1.3, 1.1, 1.0, 0.9, 1.05)
WEEKDAYS = (0.9, 0.85, 0.9, 1.0, 1.25, 1.35, 1.1)  # Monday first
# weights of the starts by hour: commuters on working days, late risers at weekends
WORKING_DAY = (1, 1, 1, 1, 2, 4, 9, 16, 18, 11, 8, 8, 9, 8, 8, 10, 15, 19, 14, 9, 6, 5, 3, 2)
WEEKEND = (3, 2, 1, 1, 1, 2, 3, 5, 9, 14, 18, 18, 16, 14, 12, 11, 10, 10, 9, 8, 7, 6, 5, 4)
# weights of the places, in the order of PLACES: an airport earns more than a hospital
PLACE_WEIGHTS = dict(zip(PLACES, (14.0, 5.0, 7.0, 2.0, 3.0, 2.5, 2.0, 3.0, 1.0, 1.5), strict=True))
# share of the users who rent in the first month, and who join in each later month
FIRST_CUSTOMERS, MORE_CUSTOMERS = 0.12, 0.02
LOYALTY = 1.3  # the larger, the more rentals belong to few customers
SHORT = 2.2  # the larger, the shorter the typical rental


@dataclass(frozen=True)
class Month:
    """One month: its number from 0, its first day, its number of days and of rentals."""

    number: int
    first_day: int
    days: int
    first_rental: int
    rentals: int

    @property
    def name(self) -> str:
        """``2024-06``."""
        return str(np.datetime64("2024-01") + self.number)


def months(sizes: Sizes) -> Iterator[Month]:
    """An endless sequence of months.

    The first ``FIRST_MONTHS`` share ``sizes.rentals``; later ones continue the growth.
    """
    weights = [_weight(number) for number in range(FIRST_MONTHS)]
    stops = np.round(np.cumsum(weights) / sum(weights) * sizes.rentals).astype(int)
    pace = sizes.rentals / sum(weights)
    number, first = 0, 0
    while True:
        stop = (
            int(stops[number])
            if number < FIRST_MONTHS
            else first + max(1, round(pace * _weight(number)))
        )
        begin, end = (_first_day(number + more) for more in (0, 1))
        yield Month(number, begin, end - begin, first, stop - first)
        number, first = number + 1, stop


def month_columns(world: World, seed: int, month: Month, first: int, stop: int) -> list[pa.Array]:
    """Rentals ``first`` to ``stop - 1``, all of ``month``, as columns in header order."""
    rng, count = random_numbers(seed, "business", first), stop - first
    places = _place_weights(world, seed)
    types = rng.choice(len(TYPES), count, p=[share for _, share, _ in TYPES.values()])
    start = _starts(month, count, rng)
    hours = 1 + (MOST_HOURS * rng.random(count) ** SHORT).astype(int)
    pickup = rng.choice(len(places), count, p=places)
    dropoff = rng.choice(len(places), count, p=places)
    dropoff = np.where(dropoff == pickup, (dropoff + 1) % len(places), dropoff)
    rates = np.array([rate for rate, _, _ in TYPES.values()])
    dates = texts(FIRST_DAY + np.arange(month.first_day + month.days + MOST_HOURS // 24 + 1))
    return [
        hex_ids(np.arange(first, stop), "rentals"),
        hex_ids(_customers(world, month, count, rng), "users"),
        hex_ids(vehicles_of(world.vehicle_types, types, rng), "vehicles"),
        times(dates, start),
        times(dates, start + 60 * hours),
        world.location_ids.take(pa.array(pickup)),
        world.location_ids.take(pa.array(dropoff)),
        pc.binary_join_element_wise(texts(hours * rates[types]), "00", "."),
    ]


def _weight(month: int) -> float:
    """The relative weight of a month."""
    days = _first_day(month + 1) - _first_day(month)
    return float(GROWTH**month * SEASONS[month % 12] * days)


def _first_day(month: int) -> int:
    return int(((np.datetime64("2024-01") + month).astype("datetime64[D]") - FIRST_DAY).astype(int))


def _starts(month: Month, count: int, rng: np.random.Generator) -> np.ndarray:
    """Minutes since the first day, weighted by weekday and hour."""
    days = month.first_day + np.arange(month.days)
    weekdays = days % 7  # 2024-01-01 was a Monday
    day = rng.choice(days, count, p=_shares(np.array(WEEKDAYS)[weekdays]))
    at_work, off = (
        rng.choice(24, count, p=_shares(np.array(hours, float))) for hours in (WORKING_DAY, WEEKEND)
    )
    hour = np.where(day % 7 >= 5, off, at_work)
    starts: np.ndarray = day * MINUTES_PER_DAY + hour * 60 + rng.integers(0, 60, count)
    return starts


def _customers(world: World, month: Month, count: int, rng: np.random.Generator) -> np.ndarray:
    """Customers who have joined by then; few of them rent often.

    A customer's rentals are consecutive, as in the real set.
    """
    joined = max(
        1, int(world.sizes.users * min(1.0, FIRST_CUSTOMERS + MORE_CUSTOMERS * month.number))
    )
    users: np.ndarray = world.users[np.sort((joined * rng.random(count) ** LOYALTY).astype(int))]
    return users


def _place_weights(world: World, seed: int) -> np.ndarray:
    """Weights of the locations, by city and kind of place."""
    columns = location_columns(world.location_ids, random_numbers(seed, "locations"))
    names, cities = columns[1].to_pylist(), columns[3].to_pylist()
    return _shares(
        np.array(
            [
                PLACE_WEIGHTS[name.removeprefix(f"{city} ")] / (1 + CITIES.index(city)) ** 0.7
                for name, city in zip(names, cities, strict=True)
            ]
        )
    )


def _shares(weights: np.ndarray) -> np.ndarray:
    shares: np.ndarray = weights / weights.sum()
    return shares
