"""Writes the sample: four CSV files with planted defects, and the manifest that counts them."""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from car_rental.data_contract import contract
from car_rental.errors import ConfigError, DataLakeError
from car_rental.files import write_whole
from car_rental.sample.business import FIRST_MONTHS, Month, month_columns, months
from car_rental.sample.defects import ODDITIES, RENTAL_DEFECTS, ROWS
from car_rental.sample.tables import (
    GUIDE_RENTALS,
    MOST_RENTALS,
    Sizes,
    World,
    location_columns,
    make_world,
    random_numbers,
    rental_columns,
    sizes_for,
    user_columns,
    vehicle_columns,
)

MOST_DEFECTS = 0.5
DEFAULT_DEFECTS = 0.01
# share of rows with one kind of oddity in a master table, divided by the share of bad rentals
MASTER_DEFECTS = 0.1
# approximate, for the check of the free space
ROW_BYTES = {"rentals": 92, "users": 102, "vehicles": 162}
CHUNK = 250_000  # rentals generated at a time; affects the result for a seed, and the memory needed
TABLES = tuple(contract.RAW_COLUMNS)


@dataclass(frozen=True)
class SampleData:
    """The sample that was written: rows and bytes per table, and the planted defects.

    ``rejected`` counts rentals, ``by_reason`` how often each reason applies (a rental may have
    several), ``odd_but_kept`` rentals that look wrong but are not, ``oddities`` rows of the master
    tables.
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
    defects: float = DEFAULT_DEFECTS
    # of a business sample: the first months share a file, each later month has its own file
    months: tuple[str, ...] = ()


def generate(
    rentals: int = GUIDE_RENTALS,
    seed: int = 0,
    folder: Path = Path("data"),
    defects: float = DEFAULT_DEFECTS,
    force: bool = False,
    business: bool = False,
) -> SampleData:
    """Writes the four files and the manifest into ``folder``, all or nothing.

    ``business``: rentals like those of a business; otherwise they are spread evenly, as in the real
    set. ``defects`` is the share of bad rentals. Files that this function did not write are
    replaced only with ``force``. Raises ``DataLakeError``.
    """
    _check(rentals, seed, defects)
    if not force:
        _check_is_ours(folder)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        sizes = sizes_for(rentals)
        _check_free_space(folder, sizes)
        return _write(folder, make_world(sizes, seed), seed, defects, business)
    except OSError as error:
        raise DataLakeError(
            "sample data",
            f"cannot write to {folder}: {error.strerror}.",
            "Choose another folder: DATA_DIR in .env, or --output.",
        ) from error


def add_month(folder: Path) -> str:
    """Adds the next month of a business sample as a file, and returns its name.

    Empty if the folder holds other data.

    The content of a month does not depend on when it is added.
    """
    manifest = _manifest_there(folder)
    if not manifest.get("months") or _foreign(folder):
        return ""
    sizes, seed, defects = Sizes(**manifest["sizes"]), manifest["seed"], manifest["defects"]
    month = next(itertools.islice(months(sizes), len(manifest["months"]), None))
    name, planted = _month_file(month.name), Counter[int]()
    making = folder / f".{month.name}.csv"
    with making.open("wb") as file:
        file.write(_csv_line(contract.RAW_COLUMNS[contract.RENTALS]).encode())
        for lines in business_lines(make_world(sizes, seed), seed, defects, planted, [month]):
            file.write(_utf8(lines))
    rejected, by_reason, kept = _summed_up(planted)
    manifest["months"].append(month.name)
    manifest["rejected"] += rejected
    manifest["odd_but_kept"] += kept
    manifest["by_reason"] = dict(
        sorted((Counter(manifest["by_reason"]) + Counter(by_reason)).items())
    )
    manifest["rows"][contract.RENTALS] += month.rentals
    (folder / name).parent.mkdir(exist_ok=True)
    os.replace(making, folder / name)
    write_whole(folder / contract.SAMPLE_MANIFEST, json.dumps(manifest, indent=2) + "\n")
    return name


# --- rows of CSV


def csv_lines(columns: Sequence[pa.Array]) -> pa.Array:
    """One text per row: the fields, quoted as in RFC 4180, and the line end."""
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
    """The rows at the positions ``where`` as named tuples."""
    picked = (column.take(pa.array(where)).to_pylist() for column in columns)
    return [row(*fields) for fields in zip(*picked, strict=True)]


def _with_lines(lines: pa.Array, where: np.ndarray, changed: Sequence[str]) -> pa.Array:
    """Replaces the lines at the positions ``where``, which ascend."""
    mask = np.zeros(len(lines), dtype=bool)
    mask[where] = True
    return pc.replace_with_mask(lines, pa.array(mask), pa.array(changed, pa.string()))


def rental_lines(
    world: World, seed: int, defects: float, planted: Counter[int]
) -> Iterator[pa.Array]:
    """The rentals as chunks of lines. Counts each of ``RENTAL_DEFECTS`` in ``planted``."""
    for first in range(0, world.sizes.rentals, CHUNK):
        stop = min(first + CHUNK, world.sizes.rentals)
        rng = random_numbers(seed, "rentals", first)
        turns = _turns(first, stop, defects)
        planted.update(turns.tolist())
        yield _with_defects(rental_columns(world, first, stop, rng), turns, rng)


def business_lines(
    world: World, seed: int, defects: float, planted: Counter[int], wanted: Iterable[Month]
) -> Iterator[pa.Array]:
    """The rentals of the ``wanted`` months, as ``rental_lines`` returns them."""
    for month in wanted:
        end = month.first_rental + month.rentals
        for first in range(month.first_rental, end, CHUNK):
            stop = min(first + CHUNK, end)
            # leaves at least one good rental
            turns = _turns(first, stop, defects)[: stop - first - 1]
            planted.update(turns.tolist())
            columns = month_columns(world, seed, month, first, stop)
            yield _with_defects(columns, turns, random_numbers(seed, "business defects", first))


def _turns(first: int, stop: int, defects: float) -> np.ndarray:
    """The kinds of the defects among the rentals ``first`` to ``stop - 1``.

    The kinds take turns over all rentals, so that the result does not depend on the chunks.
    """
    return np.arange(round(first * defects), round(stop * defects)) % len(RENTAL_DEFECTS)


def _with_defects(
    columns: Sequence[pa.Array], turns: np.ndarray, rng: np.random.Generator
) -> pa.Array:
    count = len(columns[0])
    where = np.sort(rng.choice(count, len(turns), replace=False))
    good = rng.choice(np.delete(np.arange(count), where), len(turns))
    rows, good_rows = (
        _rows(columns, where, ROWS[contract.RENTALS]),
        _rows(columns, good, ROWS[contract.RENTALS]),
    )
    changed = [
        _csv_line(RENTAL_DEFECTS[turn].change(row, good_row))
        for turn, row, good_row in zip(turns, rows, good_rows, strict=True)
    ]
    return _with_lines(csv_lines(columns), where, changed)


def master_lines(
    table: str, columns: Sequence[pa.Array], defects: float, seed: int
) -> tuple[list[pa.Array], dict[str, int]]:
    """A master table as lines, and the number of rows for each of its ``ODDITIES``.

    The number is at least one if ``defects`` is not 0.
    """
    rng = random_numbers(seed, table, "oddities")
    each = max(1, round(len(columns[0]) * defects * MASTER_DEFECTS)) if defects else 0
    kinds = ODDITIES[table]
    where = np.sort(rng.choice(len(columns[0]), (len(kinds), each), replace=False))
    lines, added = csv_lines(columns), []
    for oddity, places in zip(kinds, where, strict=True):
        others = _rows(columns, rng.permutation(places), ROWS[table])
        pairs = zip(_rows(columns, places, ROWS[table]), others, strict=True)
        changed = [_csv_line(oddity.change(row, other)) for row, other in pairs]
        if oddity.adds:
            added.append(pa.array(changed, pa.string()))
        else:
            lines = _with_lines(lines, places, changed)
    return [lines, *added], {oddity.name: each for oddity in kinds}


# --- files


def _write(folder: Path, world: World, seed: int, defects: float, business: bool) -> SampleData:
    """Writes everything into a temporary folder first.

    A killed run then leaves no half-written file.
    """
    temporary = folder / ".generating"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        sample = _write_tables(temporary, folder, world, seed, defects, business)
        (temporary / contract.SAMPLE_MANIFEST).write_text(
            json.dumps(_manifest(sample), indent=2) + "\n", encoding="utf-8"
        )
        for month in _manifest_there(folder).get("months", ()):  # of the sample that is replaced
            (folder / _month_file(month)).unlink(missing_ok=True)
        # the manifest is moved first, so that each new file matches it as soon as it is in place
        for name in (contract.SAMPLE_MANIFEST, *map(file_name, TABLES)):
            os.replace(temporary / name, folder / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return sample


def _write_tables(
    making: Path, folder: Path, world: World, seed: int, defects: float, business: bool
) -> SampleData:
    masters = {
        "locations": location_columns(world.location_ids, random_numbers(seed, "locations")),
        "users": user_columns(world.sizes, random_numbers(seed, "users")),
        "vehicles": vehicle_columns(world.vehicle_types, random_numbers(seed, "vehicles")),
    }
    rows, oddities = {}, {}
    for table, columns in masters.items():
        lines, oddities[table] = master_lines(table, columns, defects, seed)
        rows[table] = _write_csv(making, table, lines)
    planted: Counter[int] = Counter()
    first_months = tuple(itertools.islice(months(world.sizes), FIRST_MONTHS)) if business else ()
    rentals = business_lines(world, seed, defects, planted, first_months)
    rentals = rentals if business else rental_lines(world, seed, defects, planted)
    rows["rental_transactions"] = _write_csv(making, "rental_transactions", rentals)
    sizes_on_disk = {table: (making / file_name(table)).stat().st_size for table in TABLES}
    names = tuple(month.name for month in first_months)
    return SampleData(
        folder,
        seed,
        world.sizes,
        rows,
        sizes_on_disk,
        *_summed_up(planted),
        oddities,
        defects,
        names,
    )


def _write_csv(folder: Path, table: str, chunks: Iterable[pa.Array]) -> int:
    """Writes header and lines. Returns the number of rows."""
    rows = 0
    with (folder / file_name(table)).open("wb") as file:
        file.write(_csv_line(contract.RAW_COLUMNS[table]).encode())
        for lines in chunks:
            file.write(_utf8(lines))
            rows += len(lines)
    return rows


def _utf8(lines: pa.StringArray) -> memoryview:
    """The lines joined, from Arrow's buffer."""
    _, offsets, text = lines.buffers()
    first, stop = np.frombuffer(offsets, dtype=np.int32)[
        lines.offset : lines.offset + len(lines) + 1
    ][[0, -1]]
    return memoryview(text)[first:stop]


def _summed_up(planted: Mapping[int, int]) -> tuple[int, dict[str, int], int]:
    """The counts of rejected rentals, of each reason, and of odd rentals that are kept."""
    by_reason: Counter[str] = Counter()
    for turn, times in planted.items():
        by_reason.update(dict.fromkeys(RENTAL_DEFECTS[turn].reasons, times))
    kept = sum(times for turn, times in planted.items() if not RENTAL_DEFECTS[turn].reasons)
    return sum(planted.values()) - kept, dict(sorted(by_reason.items())), kept


def _manifest(sample: SampleData) -> dict[str, Any]:
    return {name: value for name, value in asdict(sample).items() if name != "folder"}


def file_name(table: str) -> str:
    """The CSV file of a table."""
    return f"{table}.csv"


def _month_file(month: str) -> str:
    return f"{contract.RENTALS}/{month}.csv"


# --- checks of the request


def _check(rentals: int, seed: int, defects: float) -> None:
    if not 1 <= rentals <= MOST_RENTALS:
        what = f"{rentals:,} rentals cannot be generated."
        raise ConfigError("sample data", what, f"Choose a number from 1 to {MOST_RENTALS:,}.")
    if seed < 0:
        raise ConfigError(
            "sample data", f"a seed of {seed} is not possible.", "Choose a whole number from 0."
        )
    if not 0 <= defects <= MOST_DEFECTS:
        raise ConfigError(
            "sample data",
            f"a defect rate of {defects} is not possible.",
            f"Choose 0 to {MOST_DEFECTS}.",
        )


def _check_is_ours(folder: Path) -> None:
    """Refuses to replace raw data that was not generated, or that has been changed since."""
    foreign = _foreign(folder)
    if foreign:
        raise DataLakeError(
            "sample data",
            f"{folder} holds data that this script did not write: {', '.join(foreign)}.",
            "Choose another folder with --output, or replace it with --force.",
        )


def _foreign(folder: Path) -> list[str]:
    """The tables' files that differ from the manifest."""
    found = {
        table: (folder / file_name(table)).stat().st_size
        for table in TABLES
        if (folder / file_name(table)).exists()
    }
    try:
        written = dict(_manifest_there(folder).get("bytes", {}))
    except (ValueError, TypeError):
        written = {}
    return [file_name(table) for table, size in found.items() if written.get(table) != size]


def _manifest_there(folder: Path) -> dict[str, Any]:
    """The manifest in ``folder``; empty if there is none that can be parsed."""
    try:
        manifest = json.loads((folder / contract.SAMPLE_MANIFEST).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _check_free_space(folder: Path, sizes: Sizes) -> None:
    needed, free = (
        sum(getattr(sizes, what) * each for what, each in ROW_BYTES.items()),
        shutil.disk_usage(folder).free,
    )
    if needed > free:
        raise DataLakeError(
            "sample data",
            f"{sizes.rentals:,} rentals need about {needed / 1e6:,.0f} MB, and {folder} has"
            f" {free / 1e6:,.0f} MB left.",
            "Choose another folder with --output, or fewer --rentals.",
        )
