"""Hypothesis strategies for small raw zones with every kind of defect and odd file format."""

from __future__ import annotations

import csv
import gzip
import io
from dataclasses import dataclass
from pathlib import Path

from hypothesis import strategies as st
from oracle.contract import COLUMNS

Row = list[str]

USERS = ["U1", "u1", "U2", "Ünï-3", "U 4", "日本"]
VEHICLES = ["V1", "v1", "V2", "V,3", 'V"4']
LOCATIONS = ["1", "2", "30", "-7", "2147483647"]
TIMES = [
    "2024-02-29 23:59:59",
    "2024-03-01 00:00:00",
    "2024-03-10 02:30:00",
    "2024-11-03 01:30:00",
    "2023-12-31 23:00:00",
    "2024-01-01 00:00:01",
    "2024-05-05 12:00:00",
    "2099-12-31 23:59:59",
    "1970-01-01 00:00:00",
]
BAD_TIMES = [
    "",
    "1969-12-31 23:59:59",
    "2100-01-01 00:00:00",
    "2023-02-29 10:00:00",
    "2024-1-1 10:00:00",
    "2024-01-01",
    "2024-01-01T10:00:00",
    "2024-01-01 24:00:00",
    "2024-01-01 10:00:00Z",
    "0000-01-01 00:00:00",
    "10:00",
    "2024-01-01 10:60:00",
]
AMOUNTS = [
    "0.00",
    "0",
    "-0.00",
    "12.5",
    "12.50",
    "007.10",
    "5.",
    ".5",
    "+3.10",
    "9999999999.99",
    "100",
    "33.33",
    "0.01",
]
BAD_AMOUNTS = [
    "",
    "abc",
    "1.005",
    "-1",
    "-5.123",
    "-0.01",
    "10000000000.00",
    "-99999999999.00",
    "1e2",
    "1,5",
    ".",
    "$5",
    "٣",
]
TEXTS = [
    "",
    "a",
    "Ann",
    "O'Neil, Jr.",
    'the "Duke"',
    "Zoë",
    "  padded\t",
    "two\nlines",
    "a\r\nb",
    "caf\ufffd",
    "東京",
    "NULL",
    "\\",
    "back\\slash",
]
ODD_IDS = ["", "  ", "gone", "U1 x"]


@dataclass(frozen=True)
class RawFile:
    """The format of a drawn file: the order of its columns, its bytes and its name."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    line_ends: tuple[str, ...]  # used in turns, as in a file joined from several exports
    quote_all: bool = False
    byte_order_marks: int = 0
    last_line_end: bool = True
    junk: tuple[bytes, ...] = ()  # lines after the rows
    header_again: bool = False  # after the junk: exports put together
    name: str = "part.csv"

    def write(self, folder: Path) -> None:
        lines = [self._line(row) for row in (self.columns, *self.rows)]
        ends = [self.line_ends[number % len(self.line_ends)] for number in range(len(lines))]
        if not self.last_line_end and not self.junk and not self.header_again:
            ends[-1] = ""
        text = "\ufeff" * self.byte_order_marks + "".join(
            line + end for line, end in zip(lines, ends, strict=True)
        )
        last = [self._line(self.columns).encode()] if self.header_again else []
        content = text.encode("utf-8") + b"\n".join([*self.junk, *last])
        (folder / self.name).parent.mkdir(parents=True, exist_ok=True)
        (folder / self.name).write_bytes(
            gzip.compress(content) if self.name.lower().endswith(".gz") else content
        )

    def _line(self, row: Row | tuple[str, ...]) -> str:
        text = io.StringIO()
        csv.writer(
            text, lineterminator="", quoting=csv.QUOTE_ALL if self.quote_all else csv.QUOTE_MINIMAL
        ).writerow(row)
        return text.getvalue()


RawZone = dict[str, list[RawFile]]
LINE_ENDS = [("\n",), ("\r\n",), ("\r",), ("\n", "\r\n"), ("\n", "\r", "\r\n"), ("\r\r\n",)]
NAMES = [
    "part [{}].csv",
    "2024/apr {}.csv",
    "year=2024/part-{}.csv.gz",
    "FEB{}.CSV",
    "mar{}.csv.GZ",
    "a.csv/{}%20.csv",
]
JUNK = {
    b'R-inch,17" U1,V1,x': 2,
    b'"R-junk"x,U1,V1,x': 2,
    b'R-words,"Ni\\"ssan",V1,x': 2,
    b"caf\xe9,U1,V1": 3,
    b'R-open,"U1,V1': 1,
    b'R-across,"U1\nV1"x,V1\nnext,a,b': 1,
    b"\xc2\xa0": 1,
    b" \x00": 1,
    b'"': 1,
    b'""': 1,
    b"": 1,
}


def write_raw_zone(zone: RawZone, raw: Path) -> None:
    for table, files in zone.items():
        for file in files:
            file.write(raw / table)


def mostly(good: list[str], odd: list[str]) -> st.SearchStrategy[str]:
    """A good value in nine of ten cases, so that enough rentals are kept for the KPIs."""
    padding = st.sampled_from([" ", "\t", "\u00a0", "\u200b", "\ufeff "])
    padded = st.tuples(padding, st.sampled_from(good), padding).map("".join)
    return st.integers(0, 29).flatmap(
        lambda n: st.sampled_from(odd) if n < 2 else padded if n == 2 else st.sampled_from(good)
    )


def rentals() -> st.SearchStrategy[Row]:
    ids = st.integers(0, 60).map(lambda n: f"R{n}" if n else "")
    later = st.tuples(mostly(TIMES, BAD_TIMES), mostly(TIMES, BAD_TIMES)).map(sorted)
    times = st.integers(0, 14).flatmap(
        lambda n: later if n else st.tuples(st.sampled_from(TIMES), st.sampled_from(TIMES))
    )
    locations = mostly(LOCATIONS, ["", "99", "x", "1.0", "99999999999", "+2", "002"])
    return st.tuples(
        ids,
        mostly(USERS, ODD_IDS),
        mostly(VEHICLES, ODD_IDS),
        times,
        locations,
        locations,
        mostly(AMOUNTS, BAD_AMOUNTS),
    ).map(lambda row: [row[0], row[1], row[2], *row[3], row[4], row[5], row[6]])


def master_rows(table: str, ids: list[str]) -> st.SearchStrategy[list[Row]]:
    """Rows with each id at least once, then duplicates and invalid ids."""
    columns = COLUMNS[table]
    position = columns.index(
        {"users": "user_id", "vehicles": "vehicle_id", "locations": "location_id"}[table]
    )
    fields = st.lists(st.sampled_from(TEXTS), min_size=len(columns), max_size=len(columns))
    special = {
        "is_active": ["0", "1", "", "yes"],
        "brand": ["", "Nissan", "BMW"],
        "vehicle_type": ["", "basic", "premium"],
    }
    random_rows = (
        st.tuples(*[st.sampled_from(special.get(column, TEXTS)) for column in columns])
        if table != "locations"
        else fields
    )

    def with_id(name: str) -> st.SearchStrategy[Row]:
        return random_rows.map(lambda row: [*row[:position], name, *row[position + 1 :]])

    more_rows = st.lists(st.sampled_from([*ids, "", " ", "unused"]).flatmap(with_id), max_size=4)
    return st.tuples(st.tuples(*[with_id(name) for name in ids]), more_rows).map(
        lambda parts: [*parts[0], *parts[1]]
    )


@st.composite
def files(draw: st.DrawFn, table: str, rows: list[Row]) -> list[RawFile]:
    """Distributes the rows over up to three files, each in a format of its own."""
    count = draw(st.integers(1, 3))
    return [draw(raw_file(table, rows[number::count], number)) for number in range(count)]


@st.composite
def raw_file(draw: st.DrawFn, table: str, rows: list[Row], number: int) -> RawFile:
    columns = [
        *COLUMNS[table],
        *draw(st.sampled_from([[], [], ["note"], ["USER_ID", "note, of all"]])),
    ]
    order = draw(st.permutations(columns)) if draw(st.booleans()) else columns
    written = [
        draw(as_written(dict(zip(COLUMNS[table], row, strict=True)), order, table)) for row in rows
    ]
    quote_all, last_line_end = draw(st.booleans()), draw(st.booleans())
    marks = draw(st.sampled_from([0, 0, 1, 2]))
    junk = draw(
        st.lists(
            st.sampled_from([line for line, times in JUNK.items() for _ in range(times)]),
            max_size=2,
        )
    )
    name = draw(st.sampled_from(NAMES)).format(number)
    return RawFile(
        tuple(order),
        tuple(written),
        draw(st.sampled_from(LINE_ENDS)),
        quote_all,
        marks,
        last_line_end,
        tuple(junk),
        marks < 2 and draw(st.integers(0, 5)) == 0,  # with two, either may count as the first
        name,
    )


@st.composite
def as_written(
    draw: st.DrawFn, row: dict[str, str], order: list[str], table: str
) -> tuple[str, ...]:
    """The fields of a row in the file's order; now and then one too many or too few."""
    fields = [row[name] if name in row else draw(st.sampled_from(TEXTS)) for name in order]
    error = draw(st.integers(0, 24))
    if error == 1:
        return (*fields, "one more")
    if error == 2:
        return tuple(fields[:-1])
    return tuple(fields)


@st.composite
def raw_zones(draw: st.DrawFn) -> RawZone:
    """A raw zone with at least one rental that is kept."""
    masters = {"users": USERS, "vehicles": VEHICLES, "locations": [*LOCATIONS, "x", "02"]}
    zone = {
        table: draw(files(table, draw(master_rows(table, ids)))) for table, ids in masters.items()
    }
    good = ["R-good", "U2", "V2", "2024-05-05 12:00:00", "2024-05-05 13:00:00", "1", "1", "10.00"]
    rows = draw(st.lists(rentals(), min_size=20, max_size=60))
    zone["rental_transactions"] = draw(files("rental_transactions", rows))
    zone["rental_transactions"].append(plain_file("rental_transactions", good))
    for table, name in {"users": "U2", "vehicles": "V2", "locations": "1"}.items():
        zone[table].append(
            plain_file(
                table, [name if column == f"{table[:-1]}_id" else "" for column in COLUMNS[table]]
            )
        )
    return zone


def plain_file(table: str, row: Row) -> RawFile:
    return RawFile(tuple(COLUMNS[table]), (tuple(row),), ("\n",), name="plain.csv")
