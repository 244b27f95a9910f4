"""Writes a realistic sample of the raw data: four CSV files, with a known small share of every kind of defect.

The same seed and size give the same bytes. sample_data.json beside the files says what was planted, that is, what the
validation must find.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import shutil
import sys
import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cli import guard
from config import load_settings
from console import Console
from errors import ConfigError, DataLakeError
from sample_defects import ODDITIES, RENTAL_DEFECTS, UNUSED_ID, Location, Rental, User, Vehicle

GUIDE_RENTALS = 20_080
MOST_RENTALS = 1_000_000_000
MOST_DEFECTS = 0.5
DEFAULT_DEFECTS = 0.01
MASTER_DEFECTS = 0.1  # master data is better kept: each of its oddities is this much rarer than bad rentals are
BYTES_PER_RENTAL = 120  # of all four files, for the look at the free space
CHUNK = 250_000  # rentals made at a time; part of what a seed means, memory grows with it
MANIFEST = "sample_data.json"
TABLES = {"locations": Location, "users": User, "vehicles": Vehicle, "rental_transactions": Rental}

FIRST_DAY = np.datetime64("2024-01-01")
MINUTES_PER_DAY = 24 * 60
MOST_HOURS = 72
RENTING_USERS = 3  # one user in so many rents

# vehicle type -> dollars an hour, share of the rentals, brands; in the fleet each type is a third
TYPES = {
    "basic": (10, 0.4, ("Nissan", "Chevrolet", "Toyota", "Honda", "Ford")),
    "premium": (20, 0.4, ("BMW", "Cadillac", "Mercedes-Benz", "Audi", "Lexus")),
    "high_end": (50, 0.2, ("Ferrari", "Tesla", "Porsche", "Lamborghini", "Bentley")),
}

STATE = "MA"  # its zip codes begin with 0, which only text keeps
CITIES = (
    "Boston,Worcester,Springfield,Cambridge,Lowell,Brockton,Quincy,Lynn,New Bedford,Fall River,Lawrence,Newton,Somerville,"
    "Framingham,Haverhill,Malden,Waltham,Plymouth,Brookline,Medford,Taunton,Chicopee,Weymouth,Revere,Peabody,Methuen,"
    "Barnstable,Pittsfield,Attleboro,Arlington,Everett,Salem,Westfield,Leominster,Fitchburg,Beverly,Billerica,Holyoke,"
    "Marlborough,Woburn,Amherst,Braintree,Shrewsbury,Chelsea,Dartmouth,Chelmsford,Andover,Natick,Randolph,Watertown"
).split(",")
STREETS = "Main,Oak,Maple,Washington,Park,Elm,Lake,Hill,Harbor,Church,Mill,Center,School,Union,Cedar,Summit".split(",")
PLACES = "Airport,Downtown,Station,Harbor,University,Mall,Stadium,Convention Center,Hospital,Old Town".split(",")
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
MAIL_PROVIDERS = ("example.com", "example.net", "example.org")  # reserved: nobody's real address can come out


@dataclass(frozen=True)
class Sizes:
    """How much there is of everything; the period begins with 2024."""

    rentals: int
    users: int
    vehicles: int
    locations: int
    days: int


# what real sets of these sizes have; between two of them each number grows by a power of the rentals
KNOWN_SIZES = (
    Sizes(1, 3, 6, 10, 152),
    Sizes(GUIDE_RENTALS, 30_000, 109_584, 300, 152),
    Sizes(1_000_000, 450_000, 300_000, 800, 366),
    Sizes(10_000_000, 2_000_000, 500_000, 1_500, 731),
    Sizes(MOST_RENTALS, 30_000_000, 2_000_000, 5_000, 3_653),
)


@dataclass(frozen=True)
class SampleData:
    """What was written: rows and bytes a table, and what was planted.

    ``rejected`` counts rentals, ``by_reason`` how often each reason applies (a rental may have several), ``odd_but_kept``
    rentals that look wrong and are not, ``oddities`` rows of the master tables.
    """

    folder: Path
    seed: int
    sizes: Sizes
    rows: Mapping[str, int]
    bytes: Mapping[str, int]
    rejected: int
    by_reason: Mapping[str, int]
    odd_but_kept: int
    oddities: Mapping[str, Mapping[str, int]]


def generate(
    rentals: int = GUIDE_RENTALS,
    seed: int = 0,
    folder: Path = Path("data"),
    defects: float = DEFAULT_DEFECTS,
    force: bool = False,
) -> SampleData:
    """Writes the four files and the manifest into ``folder``, all or nothing.

    ``defects`` is the share of rentals that something is wrong with. Files there that this function did not write are
    only replaced with ``force``. Raises ``DataLakeError``.
    """
    _check(rentals, seed, defects)
    if not force:
        _check_is_ours(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _check_free_space(folder, rentals)
        return _write(folder, make_world(sizes_for(rentals), seed), seed, defects)
    except OSError as error:
        raise DataLakeError(
            "sample data", f"cannot write to {folder}: {error.strerror}.", "Choose another folder with --output."
        ) from error


# --- what is in a set


def sizes_for(rentals: int) -> Sizes:
    """Everything else in proportion to the rentals, as in real sets."""
    known = np.array([list(asdict(sizes).values()) for sizes in KNOWN_SIZES], dtype=float)
    logs = np.log(known)
    users, vehicles, locations, days = (
        round(float(np.exp(np.interp(np.log(rentals), logs[:, 0], logs[:, column])))) for column in range(1, 5)
    )
    return Sizes(rentals, users, vehicles, locations, days)


@dataclass(frozen=True)
class World:
    """What every rental draws from: who rents up to which rental, the vehicles of each type, the text of ids and times."""

    sizes: Sizes
    renters: np.ndarray
    last_rental: np.ndarray
    vehicle_types: np.ndarray
    location_ids: pa.Array
    dates: pa.Array


def make_world(sizes: Sizes, seed: int) -> World:
    """All that must be known before any row is written."""
    rng = _rng(seed, "world")
    renters = rng.permutation(sizes.users)[: max(1, sizes.users // RENTING_USERS)]
    ids = rng.choice(max(9_000, 10 * sizes.locations), sizes.locations, replace=False) + 1_000
    return World(
        sizes=sizes,
        renters=renters,
        last_rental=np.cumsum(rentals_per_renter(sizes.rentals, len(renters), rng)),
        vehicle_types=rng.permutation(np.arange(sizes.vehicles) % len(TYPES)),
        location_ids=_texts(ids),
        dates=_texts(FIRST_DAY + np.arange(sizes.days + MOST_HOURS // 24 + 1)),
    )


def rentals_per_renter(rentals: int, renters: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform from 1 to k each, where k makes the mean right; then a few one more or one less, so that the sum is."""
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
        hex_ids(_vehicles_of(world.vehicle_types, types, rng), "vehicles"),
        _times(world.dates, start),
        _times(world.dates, start + 60 * hours),
        world.location_ids.take(pa.array(pickup)),
        world.location_ids.take(pa.array(dropoff)),
        pc.binary_join_element_wise(_texts(hours * rates[types]), "00", "."),
    ]


def _vehicles_of(vehicle_types: np.ndarray, wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each wanted type one vehicle of that type, all of them equally likely."""
    by_type = np.argsort(vehicle_types, kind="stable")
    counts = np.bincount(vehicle_types, minlength=len(TYPES))
    first = np.cumsum(counts) - counts
    return by_type[first[wanted] + (rng.random(len(wanted)) * counts[wanted]).astype(int)]


def user_columns(sizes: Sizes, rng: np.random.Generator) -> list[pa.Array]:
    """All users, as columns in header order."""
    count = sizes.users
    first, last = rng.integers(0, len(FIRST_NAMES), count), rng.integers(0, len(LAST_NAMES), count)
    mailbox = pc.binary_join_element_wise(
        _taken([_mail_part(name) for name in FIRST_NAMES], first), _taken([_mail_part(name) for name in LAST_NAMES], last), "."
    )
    return [
        hex_ids(np.arange(count), "users"),
        _taken(FIRST_NAMES, first),
        _taken(LAST_NAMES, last),
        pc.binary_join_element_wise(mailbox, _drawn(MAIL_PROVIDERS, count, rng), "@"),
        _numbered("+1-617-555-0", 100, 200, count, rng),  # 555-0100 to 555-0199 belong to nobody
        _numbered("S", 10_000_000, 100_000_000, count, rng),
        _drawn(_days("2024-06-01", "2034-01-01"), count, rng),
        _drawn(_days("2018-01-01", "2024-01-01"), count, rng),
        _drawn(["1", "1", "1", "1", "0"], count, rng),
    ]


def vehicle_columns(types: np.ndarray, rng: np.random.Generator) -> list[pa.Array]:
    """All vehicles, as columns in header order; brand and type go together, the rest is independent."""
    count = len(types)
    brands = [brand for _, _, brands in TYPES.values() for brand in brands]
    brand = types * (len(brands) // len(TYPES)) + rng.integers(0, len(brands) // len(TYPES), count)
    owner = pc.binary_join_element_wise(_drawn(LAST_NAMES, count, rng), _drawn(FIRST_NAMES, count, rng), ", ")
    updated = pc.binary_join_element_wise(_drawn(_days("2023-01-01", "2024-01-01", dmy=True), count, rng), "13:55:00", " ")
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
    """All locations, as columns in header order; those of one city lie around it and share its zip code."""
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
        _texts(latitude.round(6)),
        _texts(longitude.round(6)),
    ]


# --- columns of text


def hex_ids(numbers: np.ndarray, table: str) -> pa.Array:
    """Ten hex digits for each number, never two alike in a table and never ``UNUSED_ID``: a bijection of 40 bits."""
    factor = {"rentals": 0x9E3779B97F, "users": 0xC2B2AE3D27, "vehicles": 0x85EBCA77C3}[table]
    mask = np.uint64(2**40 - 1)
    mixed = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(factor) & mask  # factors are odd, and 0 stays 0
    mixed ^= mixed >> np.uint64(19)
    mixed = mixed * np.uint64(0xD6E8FEB867) & mask
    mixed ^= mixed >> np.uint64(21)
    digits = _HEX[mixed.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 3:]]
    offsets = np.arange(0, len(UNUSED_ID) * len(numbers) + 1, len(UNUSED_ID), dtype=np.int32)
    return pa.StringArray.from_buffers(len(numbers), pa.py_buffer(offsets), pa.py_buffer(digits.tobytes()))


_HEX = np.frombuffer(bytes(range(256)).hex().encode(), dtype=np.uint8).reshape(256, 2)
_CLOCK = pa.array([f"{minute // 60:02}:{minute % 60:02}:00" for minute in range(MINUTES_PER_DAY)])


def _times(dates: pa.Array, minutes: np.ndarray) -> pa.Array:
    """Minutes since the first day as ``yyyy-MM-dd HH:mm:ss``."""
    day, minute = np.divmod(minutes, MINUTES_PER_DAY)
    return pc.binary_join_element_wise(dates.take(pa.array(day)), _CLOCK.take(pa.array(minute)), " ")


def _texts(values: np.ndarray) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _taken(choices: Sequence[str], which: np.ndarray) -> pa.Array:
    return pa.array(choices, pa.string()).take(pa.array(which))


def _drawn(choices: Sequence[str], count: int, rng: np.random.Generator) -> pa.Array:
    return _taken(choices, rng.integers(0, len(choices), count))


def _numbered(prefix: str, least: int, beyond: int, count: int, rng: np.random.Generator) -> pa.Array:
    return pc.binary_join_element_wise(prefix, _texts(rng.integers(least, beyond, count)), "")


def _days(first: str, beyond: str, dmy: bool = False) -> list[str]:
    days = np.arange(first, beyond, dtype="datetime64[D]").astype(str).tolist()
    return ["-".join(reversed(day.split("-"))) for day in days] if dmy else days


def _addresses(count: int, rng: np.random.Generator) -> pa.Array:
    street = pc.binary_join_element_wise(_numbered("", 1, 2_000, count, rng), _drawn(STREETS, count, rng), " ")
    # commas and quotation marks on purpose: a reader that splits at commas must fail here
    ends = [" St", " Ave", " Rd", ' Blvd "Rear"', " St, Suite 200"]
    return pc.binary_join_element_wise(street, _drawn(ends, count, rng), "")


def _mail_part(name: str) -> str:
    return unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().replace("'", "").lower()


# --- rows of CSV


def csv_lines(columns: Sequence[pa.Array]) -> pa.Array:
    """One text a row: the fields, quoted where RFC 4180 wants it, and the line's end."""
    *others, last = (_quoted(column) for column in columns)
    return pc.binary_join_element_wise(*others, pc.binary_join_element_wise(last, "\n", ""), ",")


def _quoted(column: pa.Array) -> pa.Array:
    special = pc.or_(pc.match_substring(column, ","), pc.match_substring(column, '"'))
    if not pc.any(special).as_py():
        return column
    escaped = pc.replace_substring(column, '"', '""')
    return pc.if_else(special, pc.binary_join_element_wise('"', escaped, '"', ""), column)


def _csv_line(fields: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(fields)
    return line.getvalue()


def _rows(columns: Sequence[pa.Array], where: np.ndarray, row: type) -> list[Any]:
    """The rows at ``where`` as named tuples."""
    picked = (column.take(pa.array(where)).to_pylist() for column in columns)
    return [row(*fields) for fields in zip(*picked, strict=True)]


def _with_lines(lines: pa.Array, where: np.ndarray, changed: Sequence[str]) -> pa.Array:
    """The lines with those at ``where`` replaced; ``where`` is in ascending order."""
    mask = np.zeros(len(lines), dtype=bool)
    mask[where] = True
    return pc.replace_with_mask(lines, pa.array(mask), pa.array(changed, pa.string()))


def rental_lines(world: World, seed: int, defects: float, planted: Counter[int]) -> Iterator[pa.Array]:
    """The rentals chunk by chunk as lines; counts in ``planted`` how often each of ``RENTAL_DEFECTS`` was made."""
    for first in range(0, world.sizes.rentals, CHUNK):
        stop = min(first + CHUNK, world.sizes.rentals)
        rng = _rng(seed, "rentals", first)
        columns = rental_columns(world, first, stop, rng)
        # the defects take turns over the whole file, however it is cut
        turns = np.arange(round(first * defects), round(stop * defects)) % len(RENTAL_DEFECTS)
        planted.update(turns.tolist())
        yield _with_defects(columns, turns, rng)


def _with_defects(columns: Sequence[pa.Array], turns: np.ndarray, rng: np.random.Generator) -> pa.Array:
    count = len(columns[0])
    where = np.sort(rng.choice(count, len(turns), replace=False))
    good = rng.choice(np.delete(np.arange(count), where), len(turns))
    rows, good_rows = _rows(columns, where, Rental), _rows(columns, good, Rental)
    changed = [
        _csv_line(RENTAL_DEFECTS[turn].change(row, good_row)) for turn, row, good_row in zip(turns, rows, good_rows, strict=True)
    ]
    return _with_lines(csv_lines(columns), where, changed)


def master_lines(table: str, columns: Sequence[pa.Array], defects: float, seed: int) -> tuple[list[pa.Array], dict[str, int]]:
    """A master table as lines, and how many rows of each of its ``ODDITIES`` it has: at least one, where any are wanted."""
    rng = _rng(seed, table, "oddities")
    each = max(1, round(len(columns[0]) * defects * MASTER_DEFECTS)) if defects else 0
    kinds = ODDITIES[table]
    where = np.sort(rng.choice(len(columns[0]), (len(kinds), each), replace=False))
    lines, added = csv_lines(columns), []
    for oddity, places in zip(kinds, where, strict=True):
        others = _rows(columns, rng.permutation(places), TABLES[table])
        pairs = zip(_rows(columns, places, TABLES[table]), others, strict=True)
        changed = [_csv_line(oddity.change(row, other)) for row, other in pairs]
        if oddity.adds:
            added.append(pa.array(changed, pa.string()))
        else:
            lines = _with_lines(lines, places, changed)
    return [lines, *added], {oddity.name: each for oddity in kinds}


# --- files


def _write(folder: Path, world: World, seed: int, defects: float) -> SampleData:
    """Everything into a folder of its own first, so that a run that is killed leaves no half-written file in place."""
    making = folder / ".generating"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir()
    try:
        made = _write_tables(making, folder, world, seed, defects)
        (making / MANIFEST).write_text(json.dumps(_manifest(made), indent=2) + "\n", encoding="utf-8")
        # the manifest first: whatever is in place from here on is known as ours
        for name in (MANIFEST, *map(_file, TABLES)):
            os.replace(making / name, folder / name)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return made


def _write_tables(making: Path, folder: Path, world: World, seed: int, defects: float) -> SampleData:
    masters = {
        "locations": location_columns(world.location_ids, _rng(seed, "locations")),
        "users": user_columns(world.sizes, _rng(seed, "users")),
        "vehicles": vehicle_columns(world.vehicle_types, _rng(seed, "vehicles")),
    }
    rows, oddities = {}, {}
    for table, columns in masters.items():
        lines, oddities[table] = master_lines(table, columns, defects, seed)
        rows[table] = _write_csv(making, table, lines)
    planted: Counter[int] = Counter()
    rows["rental_transactions"] = _write_csv(making, "rental_transactions", rental_lines(world, seed, defects, planted))
    sizes_on_disk = {table: (making / _file(table)).stat().st_size for table in TABLES}
    return SampleData(folder, seed, world.sizes, rows, sizes_on_disk, *_summed_up(planted), oddities)


def _write_csv(folder: Path, table: str, chunks: Iterable[pa.Array]) -> int:
    """Header and lines; returns the number of rows."""
    rows = 0
    with (folder / _file(table)).open("wb") as file:
        file.write(_csv_line(TABLES[table]._fields).encode())
        for lines in chunks:
            file.write(_utf8(lines))
            rows += len(lines)
    return rows


def _utf8(lines: pa.StringArray) -> memoryview:
    """The lines one after the other, as Arrow keeps them."""
    _, offsets, text = lines.buffers()
    first, stop = np.frombuffer(offsets, dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1][[0, -1]]
    return memoryview(text)[first:stop]


def _summed_up(planted: Mapping[int, int]) -> tuple[int, dict[str, int], int]:
    """How many rentals are to be rejected, how often for each reason, and how many odd ones are to be kept."""
    by_reason: Counter[str] = Counter()
    for turn, times in planted.items():
        by_reason.update(dict.fromkeys(RENTAL_DEFECTS[turn].reasons, times))
    kept = sum(times for turn, times in planted.items() if not RENTAL_DEFECTS[turn].reasons)
    return sum(planted.values()) - kept, dict(sorted(by_reason.items())), kept


def _manifest(made: SampleData) -> dict[str, Any]:
    return {name: value for name, value in asdict(made).items() if name != "folder"}


def _file(table: str) -> str:
    return f"{table}.csv"


def _rng(seed: int, *what: str | int) -> np.random.Generator:
    """Random numbers of their own for each part, so that no part depends on how much another one drew."""
    return np.random.default_rng([seed, *(part if isinstance(part, int) else zlib.crc32(part.encode()) for part in what)])


# --- what can be wrong with the request


def _check(rentals: int, seed: int, defects: float) -> None:
    if not 1 <= rentals <= MOST_RENTALS:
        raise ConfigError("sample data", f"{rentals:,} rentals cannot be made.", f"Choose a number from 1 to {MOST_RENTALS:,}.")
    if seed < 0:
        raise ConfigError("sample data", f"a seed of {seed} is not possible.", "Choose a whole number from 0.")
    if not 0 <= defects <= MOST_DEFECTS:
        raise ConfigError("sample data", f"a defect rate of {defects} is not possible.", f"Choose 0 to {MOST_DEFECTS}.")


def _check_is_ours(folder: Path) -> None:
    """Refuses to replace raw data that was not written here or that has been changed since."""
    found = {table: (folder / _file(table)).stat().st_size for table in TABLES if (folder / _file(table)).exists()}
    written = _written(folder)
    foreign = [_file(table) for table, size in found.items() if written.get(table) != size]
    if foreign:
        raise DataLakeError(
            "sample data",
            f"{folder} holds data that this script did not write: {', '.join(foreign)}.",
            "Choose another folder with --output, or replace it with --force.",
        )


def _written(folder: Path) -> Mapping[str, int]:
    """The bytes of each table by the manifest there; none without a manifest that can be read."""
    try:
        return dict(json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["bytes"])
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError):
        return {}


def _check_free_space(folder: Path, rentals: int) -> None:
    needed, free = rentals * BYTES_PER_RENTAL, shutil.disk_usage(folder).free
    if needed > free:
        raise DataLakeError(
            "sample data",
            f"{rentals:,} rentals need about {needed / 1e9:.1f} GB, and {folder} has {free / 1e9:.1f} GB left.",
            "Choose another folder with --output, or fewer --rentals.",
        )


# --- command line


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return guard("generate_sample_data", arguments.traceback, Console(), lambda console: _run(arguments, console))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rentals", type=int, default=GUIDE_RENTALS, metavar="N", help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="another seed, other data (default: %(default)s)")
    parser.add_argument(
        "--defects",
        type=float,
        default=DEFAULT_DEFECTS,
        metavar="RATE",
        help="share of bad rentals, 0: none (default: %(default)s)",
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="folder to write to (default: DATA_DIR, that is, data/)")
    parser.add_argument("--force", action="store_true", help="replace data there that this script did not write")
    parser.add_argument("--env", type=Path, metavar="FILE", help="settings file to read instead of .env")
    parser.add_argument("--traceback", action="store_true", help="show the whole traceback of a failure")
    return parser


def _run(arguments: argparse.Namespace, console: Console) -> None:
    folder = arguments.output or load_settings(os.environ, arguments.env).data_dir
    made = generate(arguments.rentals, arguments.seed, folder, arguments.defects, arguments.force)
    show(made, console)


def show(made: SampleData, console: Console) -> None:
    """The files, and what was planted in them."""
    console.table(
        f"Raw data in {made.folder}", ("file", "rows", "bytes"), [(_file(t), made.rows[t], made.bytes[t]) for t in TABLES]
    )
    if made.rejected:
        reasons = [*made.by_reason.items(), ("rentals to be rejected", made.rejected), ("odd, but to be kept", made.odd_but_kept)]
        console.table("Planted in the rentals (one may have several)", ("reason", "rentals"), reasons)
        oddities = [(table, name, count) for table, kinds in made.oddities.items() for name, count in kinds.items()]
        console.table("Planted in the master tables", ("table", "oddity", "rows"), oddities)


if __name__ == "__main__":
    sys.exit(main())
