"""The tables of the sample: their sizes, columns and distributions."""

from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from car_rental.sample.defects import UNUSED_ID

GUIDE_RENTALS = 20_080
MOST_RENTALS = 1_000_000_000
FIRST_DAY = np.datetime64("2024-01-01")
MINUTES_PER_DAY = 24 * 60
MOST_HOURS = 72
RENTING_USERS = 3  # one of this many users rents cars

# vehicle type -> dollars an hour, share of the rentals, brands; a third of the fleet each
TYPES = {
    "basic": (10, 0.4, ("Nissan", "Chevrolet", "Toyota", "Honda", "Ford")),
    "premium": (20, 0.4, ("BMW", "Cadillac", "Mercedes-Benz", "Audi", "Lexus")),
    "high_end": (50, 0.2, ("Ferrari", "Tesla", "Porsche", "Lamborghini", "Bentley")),
}

STATE = "MA"  # its zip codes begin with 0, which only text preserves
CITIES = (
    "Boston,Worcester,Springfield,Cambridge,Lowell,Brockton,Quincy,Lynn,New Bedford,Fall"
    " River,Lawrence,Newton,Somerville,"
    "Framingham,Haverhill,Malden,Waltham,Plymouth,Brookline,Medford,Taunton,Chicopee,Weymouth,Revere,Peabody,Methuen,"
    "Barnstable,Pittsfield,Attleboro,Arlington,Everett,Salem,Westfield,Leominster,Fitchburg,Beverly,Billerica,Holyoke,"
    "Marlborough,Woburn,Amherst,Braintree,Shrewsbury,Chelsea,Dartmouth,Chelmsford,Andover,Natick,Randolph,Watertown"
).split(",")
STREETS = (
    "Main,Oak,Maple,Washington,Park,Elm,Lake,Hill,Harbor,Church,Mill,Center,School,Union,Cedar,"
    "Summit"
).split(",")
PLACES = (
    "Airport,Downtown,Station,Harbor,University,Mall,Stadium,Convention Center,Hospital,Old Town"
).split(",")
FIRST_NAMES = (
    "James,Mary,Robert,Patricia,John,Jennifer,Michael,Linda,David,Elizabeth,William,Barbara,Richard,Susan,Joseph,Jessica,"
    "Thomas,Sarah,Carlos,Karen,Daniel,Lisa,Matthew,Nancy,Anthony,Sandra,Mark,Ashley,Andre,Emily,Kevin,Michelle,Brian,"
    "Amanda,Jose,Melissa,Luis,Zoë,Ahmed,Fatima,Wei,Mei,Raj,Priya,Ivan,Olga,René,Chloé,Kwame,Aisha"
).split(",")
LAST_NAMES = (
    "Smith,Johnson,Williams,Brown,Jones,Garcia,Miller,Davis,Rodriguez,Martinez,Hernandez,Lopez,Gonzalez,Wilson,Anderson,"
    "Thomas,Taylor,Moore,Jackson,Martin,Lee,Perez,Thompson,White,Harris,Sanchez,Clark,Ramirez,Lewis,Robinson,Walker,Young,"
    "Allen,King,Wright,Scott,Torres,Nguyen,Hill,Flores,Green,Adams,Nelson,Baker,Hall,Rivera,Campbell,Mitchell,Carter,Muñoz,"
    "O'Brien,Kowalski,Okafor,Singh,Patel,Kim,Chen,Yamamoto,Müller,Rossi"
).split(",")
# reserved domains: no real address can occur
MAIL_PROVIDERS = ("example.com", "example.net", "example.org")


@dataclass(frozen=True)
class Sizes:
    """The rows of each table, and the days of the period, which begins on 1 January 2024."""

    rentals: int
    users: int
    vehicles: int
    locations: int
    days: int


# the sizes of real sets; between them, each number grows by a power of the number of rentals
KNOWN_SIZES = (
    Sizes(1, 3, 6, 10, 152),
    Sizes(GUIDE_RENTALS, 30_000, 109_584, 300, 152),
    Sizes(1_000_000, 450_000, 300_000, 800, 366),
    Sizes(10_000_000, 2_000_000, 500_000, 1_500, 731),
    Sizes(MOST_RENTALS, 30_000_000, 2_000_000, 5_000, 3_653),
)


def sizes_for(rentals: int) -> Sizes:
    """All sizes in proportion to the rentals, as in real sets."""
    known = np.array([list(asdict(sizes).values()) for sizes in KNOWN_SIZES], dtype=float)
    logs = np.log(known)
    users, vehicles, locations, days = (
        round(float(np.exp(np.interp(np.log(rentals), logs[:, 0], logs[:, column]))))
        for column in range(1, 5)
    )
    return Sizes(rentals, users, vehicles, locations, days)


@dataclass(frozen=True)
class World:
    """The shared inputs of all rentals: renters, vehicles by type, texts of ids and times."""

    sizes: Sizes
    users: np.ndarray
    renters: np.ndarray
    last_rental: np.ndarray
    vehicle_types: np.ndarray
    location_ids: pa.Array
    dates: pa.Array


def make_world(sizes: Sizes, seed: int) -> World:
    """Computes the inputs that all rentals share."""
    rng = random_numbers(seed, "world")
    users = rng.permutation(sizes.users)
    renters = users[: max(1, sizes.users // RENTING_USERS)]
    ids = rng.choice(max(9_000, 10 * sizes.locations), sizes.locations, replace=False) + 1_000
    return World(
        sizes=sizes,
        users=users,
        renters=renters,
        last_rental=np.cumsum(rentals_per_renter(sizes.rentals, len(renters), rng)),
        vehicle_types=rng.permutation(np.arange(sizes.vehicles) % len(TYPES)),
        location_ids=texts(ids),
        dates=texts(FIRST_DAY + np.arange(sizes.days + MOST_HOURS // 24 + 1)),
    )


def rentals_per_renter(rentals: int, renters: int, rng: np.random.Generator) -> np.ndarray:
    """Draws a count from 1 to k for each renter, uniformly, with a k that gives the right mean.

    Then changes single counts by one until their sum is exactly ``rentals``.
    """
    counts = rng.integers(1, round(2 * rentals / renters - 1), renters, endpoint=True)
    while missing := rentals - int(counts.sum()):
        candidates = np.flatnonzero(counts > (1 if missing < 0 else 0))
        changed = rng.choice(candidates, min(abs(missing), len(candidates)), replace=False)
        counts[changed] += 1 if missing > 0 else -1
    return counts


def rental_columns(world: World, first: int, stop: int, rng: np.random.Generator) -> list[pa.Array]:
    """The rentals with the numbers ``first`` to ``stop - 1``, as columns in header order."""
    numbers, count, locations = np.arange(first, stop), stop - first, world.sizes.locations
    types = rng.choice(len(TYPES), count, p=[share for _, share, _ in TYPES.values()])
    start = rng.integers(0, world.sizes.days * MINUTES_PER_DAY, count)
    hours = rng.integers(1, MOST_HOURS, count, endpoint=True)
    pickup = rng.integers(0, locations, count)
    dropoff = (pickup + rng.integers(1, locations, count)) % locations
    rates = np.array([rate for rate, _, _ in TYPES.values()])
    users = world.renters[np.searchsorted(world.last_rental, numbers, side="right")]
    return [
        hex_ids(numbers, "rentals"),
        hex_ids(users, "users"),
        hex_ids(vehicles_of(world.vehicle_types, types, rng), "vehicles"),
        times(world.dates, start),
        times(world.dates, start + 60 * hours),
        world.location_ids.take(pa.array(pickup)),
        world.location_ids.take(pa.array(dropoff)),
        pc.binary_join_element_wise(texts(hours * rates[types]), "00", "."),
    ]


def vehicles_of(
    vehicle_types: np.ndarray, wanted: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """One vehicle for each wanted type, uniformly chosen."""
    by_type = np.argsort(vehicle_types, kind="stable")
    counts = np.bincount(vehicle_types, minlength=len(TYPES))
    first = np.cumsum(counts) - counts
    chosen: np.ndarray = by_type[
        first[wanted] + (rng.random(len(wanted)) * counts[wanted]).astype(int)
    ]
    return chosen


def user_columns(sizes: Sizes, rng: np.random.Generator) -> list[pa.Array]:
    """All users, as columns in header order."""
    count = sizes.users
    first, last = rng.integers(0, len(FIRST_NAMES), count), rng.integers(0, len(LAST_NAMES), count)
    mailbox = pc.binary_join_element_wise(
        _taken([_mail_part(name) for name in FIRST_NAMES], first),
        _taken([_mail_part(name) for name in LAST_NAMES], last),
        ".",
    )
    return [
        hex_ids(np.arange(count), "users"),
        _taken(FIRST_NAMES, first),
        _taken(LAST_NAMES, last),
        pc.binary_join_element_wise(mailbox, _drawn(MAIL_PROVIDERS, count, rng), "@"),
        # 555-0100 to 555-0199 are fictitious numbers
        _numbered("+1-617-555-0", 100, 200, count, rng),
        _numbered("S", 10_000_000, 100_000_000, count, rng),
        _drawn(_days("2024-06-01", "2034-01-01"), count, rng),
        _drawn(_days("2018-01-01", "2024-01-01"), count, rng),
        _drawn(["1", "1", "1", "1", "0"], count, rng),
    ]


def vehicle_columns(types: np.ndarray, rng: np.random.Generator) -> list[pa.Array]:
    """All vehicles, as columns in header order.

    Brand and type depend on each other, all else is independent.
    """
    count = len(types)
    brands = [brand for _, _, brands in TYPES.values() for brand in brands]
    brand = types * (len(brands) // len(TYPES)) + rng.integers(0, len(brands) // len(TYPES), count)
    owner = pc.binary_join_element_wise(
        _drawn(LAST_NAMES, count, rng), _drawn(FIRST_NAMES, count, rng), ", "
    )
    updated = pc.binary_join_element_wise(
        _drawn(_days("2023-01-01", "2024-01-01", dmy=True), count, rng), "13:55:00", " "
    )
    return [
        _drawn(["1", "1", "1", "0"], count, rng),
        _numbered("T", 100_000, 1_000_000, count, rng),
        pc.utf8_upper(owner),
        _drawn(["FOR HIRE VEHICLE"], count, rng),
        _drawn(_days("2024-06-01", "2030-01-01", dmy=True), count, rng),
        _numbered("AC", 10_000, 100_000, count, rng),
        _drawn(_days("2018-01-01", "2024-01-01"), count, rng),
        _numbered("", 2012, 2024, count, rng),
        _numbered("(617) 555-0", 100, 200, count, rng),
        _addresses(count, rng),
        hex_ids(np.arange(count), "vehicles"),
        updated,
        _taken(brands, brand),
        _taken(list(TYPES), types),
    ]


def location_columns(ids: pa.Array, rng: np.random.Generator) -> list[pa.Array]:
    """All locations, as columns in header order.

    Those of one city are near it and share its zip code.
    """
    count = len(ids)
    city = rng.integers(0, len(CITIES), count)
    zip_codes = [f"0{1001 + 35 * number}" for number in range(len(CITIES))]
    latitude = rng.uniform(42.0, 42.7, len(CITIES))[city] + rng.normal(0, 0.02, count)
    longitude = rng.uniform(-73.2, -70.9, len(CITIES))[city] + rng.normal(0, 0.02, count)
    return [
        ids,
        pc.binary_join_element_wise(_taken(CITIES, city), _drawn(PLACES, count, rng), " "),
        _addresses(count, rng),
        _taken(CITIES, city),
        _taken([STATE], np.zeros(count, dtype=int)),
        _taken(zip_codes, city),
        texts(latitude.round(6)),
        texts(longitude.round(6)),
    ]


# --- columns of text


def hex_ids(numbers: np.ndarray, table: str) -> pa.Array:
    """Ten hex digits for each number: a bijection of 40 bits.

    The ids are unique in a table, and none is ``UNUSED_ID``.
    """
    factor = {"rentals": 0x9E3779B97F, "users": 0xC2B2AE3D27, "vehicles": 0x85EBCA77C3}[table]
    mask = np.uint64(2**40 - 1)
    # odd factors make this a bijection; only 0 maps to UNUSED_ID, and the added 1 excludes it
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(factor) & mask
    mixed ^= mixed >> np.uint64(19)
    mixed = mixed * np.uint64(0xD6E8FEB867) & mask
    mixed ^= mixed >> np.uint64(21)
    digits = _HEX[mixed.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:]]
    offsets = np.arange(0, len(UNUSED_ID) * len(numbers) + 1, len(UNUSED_ID), dtype=np.int32)
    return pa.StringArray.from_buffers(
        len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes())
    )


_HEX = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint8).reshape(256, 2)
_CLOCK = pa.array([f"{minute // 60:02}:{minute % 60:02}:00" for minute in range(MINUTES_PER_DAY)])


def times(dates: pa.Array, minutes: np.ndarray) -> pa.Array:
    """Minutes since the first day as ``yyyy-MM-dd HH:mm:ss``."""
    day, minute = np.divmod(minutes, MINUTES_PER_DAY)
    return pc.binary_join_element_wise(
        dates.take(pa.array(day)), _CLOCK.take(pa.array(minute)), " "
    )


def texts(values: np.ndarray) -> pa.Array:
    """Each value as text."""
    return pa.array(values).cast(pa.string())


def _taken(choices: Sequence[str], which: np.ndarray) -> pa.Array:
    return pa.array(choices, pa.string()).take(pa.array(which))


def _drawn(choices: Sequence[str], count: int, rng: np.random.Generator) -> pa.Array:
    return _taken(choices, rng.integers(0, len(choices), count))


def _numbered(
    prefix: str, least: int, beyond: int, count: int, rng: np.random.Generator
) -> pa.Array:
    return pc.binary_join_element_wise(prefix, texts(rng.integers(least, beyond, count)), "")


def _days(first: str, beyond: str, dmy: bool = False) -> list[str]:
    days = np.arange(first, beyond, dtype="datetime64[D]").astype(str).tolist()
    return ["-".join(reversed(day.split("-"))) for day in days] if dmy else days


def _addresses(count: int, rng: np.random.Generator) -> pa.Array:
    street = pc.binary_join_element_wise(
        _numbered("", 1, 2_000, count, rng), _drawn(STREETS, count, rng), " "
    )
    # commas and quotation marks on purpose: a parser that splits at commas must fail here
    ends = [" St", " Ave", " Rd", ' Blvd "Rear"', " St, Suite 200"]
    return pc.binary_join_element_wise(street, _drawn(ends, count, rng), "")


def _mail_part(name: str) -> str:
    return (
        unicodedata.normalize("NFKD", name)
        .encode("ascii", "ignore")
        .decode()
        .replace("'", "")
        .lower()
    )


def random_numbers(seed: int, *what: str | int) -> np.random.Generator:
    """A random generator for each part, so that parts do not depend on each other."""
    return np.random.default_rng(
        [seed, *(part if isinstance(part, int) else zlib.crc32(part.encode()) for part in what)]
    )
