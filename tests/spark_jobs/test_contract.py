"""The contract's own rules: which files are raw data, and what a header must be like."""

from __future__ import annotations

import bz2
import gzip
import lzma

import contract
import pytest
from contract import (
    ContractError,
    Header,
    check_header,
    file_header,
    other_header,
    raw_files,
    read_header,
)

USERS = ",".join(contract.RAW_COLUMNS["users"])


def test_csv_files_anywhere_below_a_tables_folder_and_beside_it_are_read() -> None:
    paths = [
        "users.csv",
        "users/users.csv",
        "users/2024/apr.csv",
        "users/year=2024/part-0.csv.gz",
        "users/FEB.CSV",
        "users/mar.csv.GZ",
        "users/export.csv/part-00000.csv",
    ]
    files = raw_files(paths)
    assert files.read["users"] == sorted(paths)
    assert (files.not_read, files.refused) == ({}, {})


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("rental_transactions (1).csv", "belongs to no table"),
        ("Rental_Transactions/jun.csv", "belongs to no table"),
        ("rental_transactions_jul.csv", "belongs to no table"),
        ("rental_transactions.xlsx", "belongs to no table"),
        ("rental_transactions/may.txt", "is no .csv or .csv.gz file"),
        ("rental_transactions/aug.csv.bz2", "is no .csv or .csv.gz file"),
        ("rental_transactions/_sep.csv", "begins with '_'"),
        ("rental_transactions/_old/sep.csv", "begins with '_'"),
        ("rental_transactions/.old/sep.csv", "begins with '_' or '.'"),
        ("rental_transactions/.2024/apr.parquet", "begins with '_' or '.'"),
        ("rental_transactions/.part.csv", "begins with '_' or '.'"),
        ("rental_transactions/_new.csv.bz2", "begins with '_' or '.'"),
        ("users/.ipynb_checkpoints/x-checkpoint.csv", "begins with '_' or '.'"),
        (".users/part.csv.gz", "belongs to no table"),
    ],
)
def test_every_other_file_is_named_with_the_reason(path: str, word: str) -> None:
    files = raw_files([path])
    assert word in files.not_read[path]
    assert not any(files.read.values())


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "users/.DS_Store",
        "users/._part.csv",
        "users/_SUCCESS",
        "users/.part-00000.csv.crc",
        "users/.~lock.part.csv#",
        "users/_temporary/0/_SUCCESS",
        "__MACOSX/users/._part.csv",
        ".git/objects/0a/1b",
        contract.SAMPLE_MANIFEST,
    ],
)
def test_hidden_files_need_no_word(path: str) -> None:
    assert raw_files([path]) == raw_files([])


def test_a_name_that_hadoop_cannot_read_is_refused() -> None:
    assert "rename it" in raw_files(["users/b_10:00.csv"]).refused["users/b_10:00.csv"]


def test_a_name_with_a_line_break_is_refused_and_printed_on_one_line() -> None:
    files = raw_files(["users/a\nb.csv", "users/a\tb.txt"])
    assert files.refused == {r"users/a\x0ab.csv": "has a control character in its name: rename it"}
    assert list(files.not_read) == [r"users/a\x09b.txt"]


@pytest.mark.parametrize(
    "text",
    [
        f"{USERS}\nU1",
        f"\ufeff{USERS}\r\nU1",
        f"\ufeff\ufeff{USERS}\rU1",
        f"\n \r\n\u00a0\n{USERS}",
        ",".join(f'"{name}"' for name in contract.RAW_COLUMNS["users"]),
        ",".join(f"\u200b {name}\u00a0" for name in contract.RAW_COLUMNS["users"]),
    ],
)
def test_a_header_is_the_first_record_that_is_not_blank(text: str) -> None:
    assert read_header(text.encode()).names == contract.RAW_COLUMNS["users"]


def test_a_header_may_have_a_line_break_within_quotes() -> None:
    header = read_header(f'{USERS},"key\r\nnumber"\r\nU1'.encode())
    assert header == Header(
        f'{USERS},"key\nnumber"', (*contract.RAW_COLUMNS["users"], "key\nnumber")
    )


@pytest.mark.parametrize(
    "blank", [b"\n" * 100_000, b" \r\n" * 100_000, "\u00a0\u200b\n".encode() * 99_999]
)
def test_a_header_may_come_behind_any_number_of_blank_lines(blank: bytes) -> None:
    content = blank + USERS.encode() + b"\nU1,Zo\xc3\xab" + b"x" * contract.HEADER_BYTES
    assert file_header(lambda count: content[:count]).names == contract.RAW_COLUMNS["users"]


def test_a_file_of_nothing_but_blank_lines_is_empty() -> None:
    with pytest.raises(ContractError, match="is empty"):
        file_header(lambda count: (b"\n" * 9_999_999)[:count])


def test_a_file_that_is_gzipped_twice_is_to_be_unpacked() -> None:
    with pytest.raises(ContractError, match="gzipped once more .*: unpack it once"):
        read_header(gzip.compress(b"x"))


@pytest.mark.parametrize(
    ("start", "content"),
    [
        (bz2.compress(b"x"), "compressed with bzip2"),
        (lzma.compress(b"x"), "compressed with xz"),
        (b"PK\x03\x04\x14\0", "a ZIP archive or an Excel workbook"),
        (b"PAR1\x15\x04", "Parquet"),
    ],
)
def test_a_file_in_another_format_is_told_by_its_content(start: bytes, content: str) -> None:
    with pytest.raises(ContractError, match=f"is no CSV file but {content}: save it as .csv"):
        read_header(start)


NAMES = contract.RAW_COLUMNS["users"]
SWAPPED = ",".join([NAMES[0], NAMES[2], NAMES[1], *NAMES[3:]])


@pytest.mark.parametrize(
    "line",
    [
        SWAPPED,
        SWAPPED.upper(),
        SWAPPED.title(),
        SWAPPED.replace(",", '"," ').join('""'),
        "\ufeff" + SWAPPED,
        SWAPPED.replace("email", "e-mail"),
        "U1,Ann,Lee,a,1,D1,,,1" + SWAPPED,
    ],
)
def test_a_header_further_down_with_another_order_is_told(line: str) -> None:
    assert other_header("users", read_header(USERS.encode()), line)


@pytest.mark.parametrize(
    "line",
    [
        USERS,
        USERS.upper(),
        USERS + ",note",
        "note," + USERS,
        "U1,Ann,Lee,a,1,D1,,,1" + USERS,
        "first_name,last_name,email,U2",
        "U1,Ann,Lee,a,1,D1,,,1",
        '"' + USERS,
        "",
    ],
)
def test_a_header_like_the_first_and_other_rows_are_not(line: str) -> None:
    assert not other_header("users", read_header(USERS.encode()), line)


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (USERS.encode() + b',"never closed\nU1', "header that is no CSV"),
        (USERS.encode() + b",x" * contract.HEADER_BYTES, "header of more than"),
    ],
)
def test_a_file_without_a_header_is_an_error(start: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read_header(start[: contract.HEADER_BYTES])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (
            USERS.replace("email", "e-mail").encode(),
            "lacks the column email; its header has user_id",
        ),
        (USERS.encode("utf-16"), "not UTF-8"),
        (USERS.encode("utf-16-be"), "not UTF-8"),
        ((USERS + ",email").encode(), "the column email twice"),
        ((USERS + ",x" * 1000).encode(), "has 1009 columns"),
    ],
)
def test_a_header_must_have_each_column_once(header: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_header("users", read_header(header))


def test_bytes_that_are_no_utf8_do_no_harm_in_the_name_of_another_column() -> None:
    check_header("users", read_header((USERS + ",Straße").encode("latin-1")))
