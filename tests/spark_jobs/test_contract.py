"""The contract's own rules: which files are raw data, and what a header must be like."""

from __future__ import annotations

import contract
import pytest
from contract import ContractError, Header, check_header, raw_files, read_header

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
        "users/.ipynb_checkpoints/x.csv",
        "users/_temporary/0/x.txt",
        contract.SAMPLE_MANIFEST,
    ],
)
def test_hidden_files_need_no_word(path: str) -> None:
    assert raw_files([path]) == raw_files([])


def test_a_name_that_hadoop_cannot_read_is_refused() -> None:
    assert "rename it" in raw_files(["users/b_10:00.csv"]).refused["users/b_10:00.csv"]


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
