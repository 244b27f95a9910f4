"""Odd files as users upload them are read, or rejected by name."""

from __future__ import annotations

import contextlib
import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
import pytest
from oracle.contract import COLUMNS, KPI_TABLES, MASTERS, contract_tables
from oracle.job_runs import Run
from oracle.small_lake import ROWS, write_small_lake
from pyspark.sql import SparkSession

RENTALS = "rental_transactions"
HEADER = ",".join(COLUMNS[RENTALS])
NOT_READ = ["b.txt", "b.csv.bz2", "b.csv.zip", "_new.csv", "part.csv.bak", "part.csv~"]
IGNORED = [".DS_Store", "._part.csv", "_SUCCESS"]


def rental(name: str, **changed: str) -> str:
    row = {
        **dict(zip(COLUMNS[RENTALS], ROWS[RENTALS][0].split(","), strict=True)),
        "rental_id": name,
        **changed,
    }
    return ",".join(row.values())


def csv_file(*rows: str, header: str = HEADER, end: str = "\n") -> bytes:
    return (header + end + end.join(rows) + end).encode()


ACROSS = csv_file(
    rental("across", user_id='"U\n1"'),
    rental('"ac\r\nross 2"'),
    rental('17" inch'),
    rental('"junk"x'),
    rental("behind"),
    rental("mixed") + "\r" + rental("cr"),
    rental("mixed 2") + "\r\n" + rental("crlf"),
)
FORMS = {  # column -> valid and invalid values of a rental
    "total_amount": (
        ["+5", "5.", ".5", "-0.00", "000012.50", "9999999999.99", "\u00a012.50", "12.50\u200b\t"],
        "1e3 €12 12.345 12.500 NaN Infinity NULL -0.01 --5 (5) 5- 1_000 １２ 10000000000.00".split()
        + ['"1,234.50"', "1\u2009000", "12\u3000", "12\u2028", "12\0", ""],
    ),
    "rental_start_time": (
        ["1970-01-01 00:00:00", "2000-02-29 12:00:00", "\u200b2024-01-01 10:00:00\u00a0"],
        ["1969-12-31 23:59:59", "2023-02-29 12:00:00", "1900-02-29 12:00:00", "2024-1-1 10:00:00"]
        + ["2024-01-01T10:00:00", "2024-01-01 10:00:00Z", "2024-01-01 10:00:00.000", "2024-01-01"]
        + ["2024-01-01 24:00:00", "2024-01-01 10:00:60", "2024-01-01\u00a010:00:00", "now", ""]
        + ["1704103200", "45292.41", "01/01/2024 10:00", "2024-01-01 10:00:00+05:45"],
    ),
    "rental_end_time": (
        ["2099-12-31 23:59:59", "2024-02-29 00:00:00", "2024-01-01 10:00:01"],
        ["2100-01-01 00:00:00", "2024-02-30 00:00:00", "2024-01-01 10:00:00"],
    ),
    "pickup_location": (
        ["01", "+1", " 1 ", "1\u00a0", '"1"', "4"],
        ["1.0", "1e0", "2147483648", "9" * 20, "-0", "0x1", "Airport", "١", "1\u3000", "nan", ""],
    ),
    "user_id": (
        ["U1 ", "\ufeffU1", '"U1"\u00a0', "U9", "U16", "#U11", "\0U12", '="U10"'],
        ["u1", "'U1'", "U1\u3000", "U1\0", "U\u00ad1", "NULL", "U13", "U14", ' "U1"', ""],
    ),
    "vehicle_id": (["V4", "V5"], ["v1", "VEHICLE_ID", "V\n1"]),
}
FORM_ROWS = [
    rental(f"{kind} {column} {number}", **{column: value})
    for column, values in FORMS.items()
    for kind, of_kind in zip(("good", "bad"), values, strict=True)
    for number, value in enumerate(of_kind)
]
# Spark 3.3 takes a file that was edited for a damaged one
STALE_CHECKSUM = (
    {"rental_transactions/.edited.csv.crc": b"crc\0\0\0\2\0" + bytes(4)}
    if pyspark.__version__ >= "3.4"
    else {}
)
RENTAL_FILES = {
    "rental_transactions/2024/nested.csv": csv_file(rental("nested")),
    "rental_transactions/year=2024/hive.csv": csv_file(rental("hive")),
    "rental_transactions/export.csv/part-00000.csv": csv_file(rental("spark")),
    "rental_transactions/UPPER.CSV": csv_file(rental("upper")),
    "rental_transactions/mar [1] ä%20b.csv.GZ": gzip.compress(
        csv_file(rental("zipped"), rental("bad", total_amount="x"))
    ),
    "rental_transactions/two.csv.gz": (
        gzip.compress(csv_file(rental("two"))) + gzip.compress(rental("members").encode())
    ),
    "rental_transactions.csv": csv_file(rental("beside")),
    "rental_transactions/blank_first.csv": b" \n\xc2\xa0\n" + csv_file(rental("blank first")),
    "rental_transactions/marks.csv": "\ufeff\ufeff".encode() + csv_file(rental("marks"), "", " "),
    "rental_transactions/cr.csv": csv_file(rental("cr only"), end="\r"),
    "rental_transactions/order.csv": csv_file(
        "9.00," + rental("order").rsplit(",", 1)[0], header="total_amount," + HEADER[:-13]
    ),
    "rental_transactions/together.csv": csv_file(
        rental("first"), HEADER, f'"{HEADER[:9]}"{HEADER[9:]}', rental("second")
    ),
    "rental_transactions/across.csv": ACROSS,
    "rental_transactions/spaces.csv": csv_file(
        rental("nbsp", user_id="U1\u00a0"),
        rental("zwsp", vehicle_id="\u200bV1"),
        rental("bom", total_amount="\ufeff5.00"),
        rental("quoted", user_id='"U1" '),
        header="\u200b" + HEADER.replace(",", "\u00a0,"),
    ),
    "rental_transactions/values.csv": csv_file(
        rental("digits", total_amount="9" * 3_000_000),
        rental("long user", user_id="U" * 1_000_000),
        rental("long time", rental_start_time="2024-01-01 10:00:00" + "0" * 1_000_000),
        rental("long place", pickup_location="1" * 1_000_000),
        rental("quotes", user_id='"' + '""' * 20_000 + '"'),
        rental("i" * 2_000_000),
        rental("j" * 10_000),
        rental("k" * 10_001),
        rental("zero amount", total_amount="0" * 20_000),
        rental("y1969", rental_start_time="1969-12-31 23:59:59"),
        rental("y2100", rental_end_time="2100-01-01 00:00:00"),
        rental("zeros", total_amount="0" * 50_000 + "1.50"),
        "\ufffd" + rental("replaced"),
        ",",
    ),
    "rental_transactions/behind_blanks.csv": b"\n" * 140_000 + csv_file(rental("behind blanks")),
    "rental_transactions/in_the_middle.csv": csv_file(
        rental("before"), "\ufeff" + HEADER, "\ufeff" + rental("after"), HEADER.upper()
    ),
    **{
        f"rental_transactions/{name}.csv": csv_file(rental(f"name {number}"))
        for number, name in enumerate(["a#b", "a?b", "{a,b}", "*", "a\\b", "d=%2F/é", " é "])
    },
    "rental_transactions/forms.csv": csv_file(*FORM_ROWS),
    "rental_transactions/quoted_header.csv": csv_file(
        rental("quoted header"), header='\ufeff"' + HEADER.replace(",", '","') + '"'
    ),
    "rental_transactions/columns.csv": csv_file(
        f"0,x,{rental('columns')},y,ok,", header=f",note,{HEADER},note,Schlüssel,"
    ),
    "rental_transactions/same.csv": csv_file(rental("same")),
    "rental_transactions/same.csv.gz": gzip.compress(b"\xef\xbb\xbf" + csv_file(rental("same"))),
    "rental_transactions/ends.csv": (
        csv_file(rental("crcrlf"), end="\r\r\n") + rental("no line end").encode()
    ),
    "rental_transactions/edited.csv": csv_file(rental("edited")),
    **STALE_CHECKSUM,
    "rental_transactions/open_behind.csv": csv_file(
        rental("last good"), rental("open", user_id='"U1'), HEADER, rental("swallowed")
    ),
    "rental_transactions/far_away.csv": csv_file(
        rental("closed", note='"' + "\n" * 9_999 + '"'),
        rental("closed too late", note='"' + "\n" * 10_000 + '"'),
        rental("behind it", note=""),
        header=HEADER + ",note",
    ),
    "rental_transactions/latin.csv": (
        csv_file(rental("utf8", user_id="Zoë"), header=HEADER) + "Zoë,U1\n".encode("latin-1")
    ),
}
MASTER_FILES = {
    "users/more.csv": (
        csv_file(
            "U3,An\nn,Lee,a,1,D,2030-01-01,2020-01-01,7",
            "U4,x,y,z,1,D,2030-01-01,2020-01-01,1.0",
            ",x,y,z,1,D,,,1",
            "short,row",
            "U" * 2_000_000 + ",x,y,z,1,D,,,1",
            "U6," + "é" * 5_001 + ",y,z,1,D,,,1",
            "U7," + "é" * 5_000 + ",y,z,1,D,,,1",
            header=",".join(COLUMNS["users"]),
        ).replace(b"An\nn", b'"An\r\nn"')
    ),
    "users/blank_first.csv": b" \r\n\n"
    + csv_file(
        "U9,Zoë 🚗,李,א,1,D,,,1,ok",
        '="U10",x,y,z,1,D,,,1,ok',
        "#U11,x,y,z,1,D,,,1,ok",
        "\0U12,x,y,z,1,D,,,1,ok",
        'U13,"Bob,Hall,c,1,D,,,1,ok',
        "U14,x,y,z,1,D,,,1,ok",
        'U15,"Nick",Hall,c,1,D,,,1,ok',
        "U16,,,,,,,,,ok",
        header=",".join(COLUMNS["users"]) + ',"key\nnumber"',
        end="\r",
    ),
    "users/header_only.csv": ",".join(COLUMNS["users"]).encode(),
    "users/latin.csv": (
        (",".join(COLUMNS["users"]) + ",Straße\nU5,Zoë,y,z,1,D,,,1,ok\n").encode("latin-1")
    ),
    "locations/cp1252.csv": csv_file(
        "5,Caf\u00e9,5 Road,X,MA,1,1,1", header=",".join(COLUMNS["locations"])
    ).replace(b"\xc3\xa9", "\u2019".encode("cp1252")),
    "locations/more.csv": csv_file(
        "99999999999,Far,1 Road,X,MA,1,1,1",
        "3,Pier,3 Road, Suite 5,Town,MA,02110,42.3,-71.0",
        "01,Airport,1 Road,Boston,MA,02110,42.3,-71.0",
        "4,,,,,,,",
        header=",".join(COLUMNS["locations"]),
    ),
    "vehicles/more.csv": csv_file(
        "1,L1,Owner,T,,,,2019,5,Street,V2,,Nissan\u00a0,\u200b",
        ",".join(COLUMNS["vehicles"]).upper(),
        '1,L1,"Owner\\",T,,,,2019,5,"C:\\fleet\\",V4,,NULL,null',
        ",,,,,,,,,,V5,,,",
        '1,L1,Owner "The Man" Lee,T,,,,2019,5,"5th ""Ave""",V3,,"Ni\\"ssan",17" basic',
        header=",".join(COLUMNS["vehicles"]),
    ),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    raw = write_small_lake(tmp_path_factory.mktemp("odd") / "raw")
    others = {f"{RENTALS}/{name}": b"x" for name in (*NOT_READ, *IGNORED)}
    for name, content in {**RENTAL_FILES, **MASTER_FILES, **others}.items():
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_bytes(content)
    return raw


@dataclass
class FinishedRun:
    """A finished run over the raw zone, its summary and its output."""

    run: Run
    summary: dict[str, Any]
    printed: str


@pytest.fixture(scope="module")
def finished_run(spark: SparkSession, raw: Path) -> FinishedRun:
    run = Run(spark, raw.parent / "lake", "run-1")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        summary = run.validate(raw)
        run.compute()
        run.publish()
    return FinishedRun(run, summary, printed.getvalue())


@pytest.fixture
def run(finished_run: FinishedRun) -> Run:
    return finished_run.run


def test_odd_files_give_the_oracle_s_rows_and_tables(run: Run, raw: Path) -> None:
    expected = contract_tables(raw)
    assert run.kept_rentals() == expected["kept_rentals"]
    for table in (RENTALS, *MASTERS):
        expected_rows = expected["rejected_rentals" if table == RENTALS else f"rejected_{table}"]
        assert run.rejected_rows(table).rows == expected_rows.rows, table
    for table in KPI_TABLES:
        assert run.table(table) == expected[table], table


def test_rentals_of_every_readable_file_are_kept(run: Run) -> None:
    kept = {row[0] for row in run.kept_rentals().rows}
    assert kept >= {
        "R1",
        "R4",
        "nested",
        "hive",
        "spark",
        "upper",
        "zipped",
        "two",
        "members",
        "beside",
        "blank first",
        "marks",
        "cr only",
        "order",
        "first",
        "second",
        "behind",
        "mixed",
        "cr",
        "mixed 2",
        "crlf",
        "ac\nross 2",
        "nbsp",
        "zwsp",
        "bom",
        "quoted",
        "zeros",
        "behind blanks",
        "before",
        "after",
        *(f"name {number}" for number in range(7)),
        "quoted header",
        "columns",
        "same",
        "edited",
        "closed",
        "behind it",
        "last good",
        "crcrlf",
        "no line end",
    }
    assert max(map(len, kept)) == 10_000
    assert not kept & {
        "digits",
        "quotes",
        "y1969",
        "y2100",
        "rental_id",
        "utf8",
        "swallowed",
        "closed too late",
    }
    assert not {name for name in kept if name.startswith("long ")}


@pytest.mark.parametrize("column", FORMS)
def test_a_value_in_an_invalid_form_is_rejected_instead_of_guessed(run: Run, column: str) -> None:
    kept = {row[0] for row in run.kept_rentals().rows}
    good, bad = FORMS[column]
    assert kept >= {f"good {column} {number}" for number in range(len(good))}
    assert not kept & {f"bad {column} {number}" for number in range(len(bad))}


def test_rejected_master_rows_have_their_reasons(run: Run) -> None:
    reasons = {
        table: sorted(reason for row in run.rejected_rows(table).rows for reason in row[0])
        for table in MASTERS
    }
    assert reasons == {
        "users": [*["malformed_row"] * 4, "missing_id", "not_utf8"],
        "locations": ["bad_id", "malformed_row", "not_utf8"],
        "vehicles": ["bad_id"],
    }


def test_files_that_are_not_read_are_in_the_summary_and_the_output(
    finished_run: FinishedRun,
) -> None:
    assert sorted(finished_run.summary["not_read"]) == sorted(
        f"{RENTALS}/{name}" for name in NOT_READ
    )
    for name in NOT_READ:
        assert f"NOTE {RENTALS}/{name} is not read" in finished_run.printed
    assert "across.csv has line breaks within quotes and is read as a whole" in finished_run.printed
    assert {
        table: counts["duplicates"] for table, counts in finished_run.summary["masters"].items()
    } == {"locations": 1, "users": 0, "vehicles": 0}
