"""The contract's rules about files and headers of raw data."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from pathlib import Path

import contract
import pytest
from contract import (
    ContractError,
    Header,
    check_header,
    file_header,
    files_below,
    other_header,
    raw_files,
    read_header,
)

USERS = ",".join(contract.RAW_COLUMNS["users"])


def test_csv_files_in_and_beside_a_table_s_folder_are_read() -> None:
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
    ("path", "reason"),
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
        ("rental_transactions/_new.csv~", "begins with '_' or '.'"),
        ("rental_transactions/_new.csv (1)", "begins with '_' or '.'"),
        ("rental_transactions/_new.csv.gz.part", "begins with '_' or '.'"),
        ("rental_transactions/_new.zip", "begins with '_' or '.'"),
        ("rental_transactions/.new.gz", "begins with '_' or '.'"),
        ("users/.ipynb_checkpoints/x-checkpoint.csv", "begins with '_' or '.'"),
        (".users/part.csv.gz", "belongs to no table"),
    ],
)
def test_any_other_file_is_reported_with_the_reason(path: str, reason: str) -> None:
    files = raw_files([path])
    assert reason in files.not_read[path]
    assert not any(files.read.values())


@pytest.mark.parametrize(
    "path",
    [
        ".DS_Store",
        "users/.DS_Store",
        "users/._part.csv",
        "users/_SUCCESS",
        "users/.part-00000.csv.crc",
        "users/.part-00000.csv.gz.crc",
        "users/.~lock.part.csv#",
        "users/_temporary/0/_SUCCESS",
        "__MACOSX/users/._part.csv",
        ".git/objects/0a/1b",
        contract.SAMPLE_MANIFEST,
    ],
)
def test_hidden_files_of_systems_are_ignored(path: str) -> None:
    assert raw_files([path]) == raw_files([])


@pytest.mark.parametrize(
    ("path", "name", "reason"),
    [
        ("users/b_10:00.csv", "users/b_10:00.csv", "has a ':' in its name, which Hadoop cannot"),
        ("users/a\nb.csv", r"users/a\nb.csv", "has a control character in its name: rename it"),
        ("users/a\x9b1mb.csv", r"users/a\x9b1mb.csv", "has a control character in its name"),
        ("users/a\u2028b.csv", r"users/a\u2028b.csv", "has a control character in its name"),
        (
            f"users/{1011 * 'a'}.csv",
            f"users/{1011 * 'a'}.csv",
            "has a path of more than 1020 bytes",
        ),
        ("users/caf\udce9.csv", r"users/caf\udce9.csv", "has a name that is not UTF-8: rename it"),
    ],
)
def test_a_name_that_hadoop_cannot_read_is_an_error_printed_on_one_line(
    path: str, name: str, reason: str
) -> None:
    refused = raw_files([path]).refused
    assert refused[name].startswith(reason)


def test_reported_names_contain_no_control_characters() -> None:
    names = ["users/a\tb.txt", "users/\x1b[2J.txt", "users/caf\udce9.txt", "users/Zoë 🚗.txt"]
    assert sorted(raw_files(names).not_read) == [
        "users/Zoë 🚗.txt",
        r"users/\x1b[2J.txt",
        r"users/a\tb.txt",
        r"users/caf\udce9.txt",
    ]


def test_broken_links_and_pipes_are_errors_and_link_cycles_are_walked_once(tmp_path: Path) -> None:
    users = tmp_path / "users"
    (users / "2024").mkdir(parents=True)
    (users / "2024" / "a.csv").touch()
    (users / "gone.csv").symlink_to(tmp_path / "nowhere")
    (users / "itself.csv").symlink_to("itself.csv")
    (users / "loop").symlink_to(users)
    os.mkfifo(users / "pipe.csv")
    files = raw_files(files_below(str(tmp_path)), str(tmp_path))
    assert files.read["users"] == ["users/2024/a.csv"]
    assert list(files.not_read) == ["users/loop"]
    assert {name: why.partition(":")[0] for name, why in files.refused.items()} == {
        "users/gone.csv": "is a link to a file that does not exist",
        "users/itself.csv": "is a link to a file that does not exist",
        "users/pipe.csv": "is no regular file",
    }
    assert files_below(str(tmp_path / "nowhere")) == []


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
def test_the_header_is_the_first_record_that_is_not_blank(text: str) -> None:
    assert read_header(text.encode()).names == contract.RAW_COLUMNS["users"]


def test_a_header_may_contain_a_quoted_line_break() -> None:
    header = read_header(f'{USERS},"key\r\nnumber"\r\nU1'.encode())
    assert header == Header(
        f'{USERS},"key\nnumber"', (*contract.RAW_COLUMNS["users"], "key\nnumber")
    )


@pytest.mark.parametrize(
    "blank", [b"\n" * 100_000, b" \r\n" * 100_000, "\u00a0\u200b\n".encode() * 99_999]
)
def test_any_number_of_blank_lines_may_precede_the_header(blank: bytes) -> None:
    content = blank + USERS.encode() + b"\nU1,Zo\xc3\xab" + b"x" * contract.HEADER_BYTES
    header = file_header("users", lambda count: content[:count])
    assert header.names == contract.RAW_COLUMNS["users"]


def test_a_file_of_blank_lines_is_empty() -> None:
    with pytest.raises(ContractError, match="is empty"):
        file_header("users", lambda count: (b"\n" * 9_999_999)[:count])


def test_a_file_gzipped_twice_is_an_error() -> None:
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
def test_a_file_in_another_format_is_recognised_by_its_content(start: bytes, content: str) -> None:
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
def test_a_second_header_with_another_order_is_recognised(line: str) -> None:
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
def test_a_repeated_header_and_ordinary_rows_are_not_another_header(line: str) -> None:
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
def test_a_file_without_a_valid_header_is_an_error(start: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        read_header(start[: contract.HEADER_BYTES])


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (USERS.replace("email", "mail").encode(), "lacks the column email; its header has user_id"),
        (USERS.encode("utf-16"), "not UTF-8"),
        (USERS.encode("utf-16-be"), "not UTF-8"),
        (b"\xef\xbb\xbf\r\n" + USERS.encode("utf-16-le"), "not UTF-8"),
        ((USERS + ",email").encode(), "the column email twice"),
        ((USERS + ",x" * 1000).encode(), "has 1009 columns"),
    ],
)
def test_a_header_has_to_contain_each_column_once(header: bytes, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        check_header("users", read_header(header))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (f"Users of April,,,,\n{USERS}\n", "has other lines above its header: delete them"),
        (f",,,,,,,,\r\n{USERS}\r\n", "has other lines above its header"),
        (f"sep=,\n{USERS}\n", "has other lines above its header"),
        (f"sep=;\r\n{USERS.replace(',', ';')}\r\n", "has other lines above its header"),
        (f'# export\r# "2024"\r\ufeff"{USERS}"\r', "has other lines above its header"),
        (USERS.replace(",", ";"), "has columns separated by ';', not by ','"),
        (USERS.replace(",", " \t "), "has columns separated by tabs, not by ','"),
        (f'"{USERS}"\n"U1,Ann"\n', "has each line in quotes as a whole"),
        (USERS.title(), "spells User_Id for user_id, First_Name for first_name"),
        (USERS.replace("is_active", "isActive"), "spells isActive for is_active: correct its"),
        (USERS.replace("user_id", "user id"), "spells user id for user_id"),
        (USERS.replace("user_id", "user\u2060_id"), r"spells user\\u2060_id for user_id"),
        (USERS.replace("email", "\x1b[31m"), r"lacks the column email; .* \\x1b\[31m,"),
        ("U1,Ann,Lee,ann@example.com,1,D1,,,1", "has no header: its first line names none"),
        ("<!DOCTYPE html>\n<html>", "has no header: its first line names none of the columns"),
    ],
)
def test_the_reason_for_missing_columns_is_named(start: str, message: str) -> None:
    with pytest.raises(ContractError, match=message) as error:
        file_header("users", lambda count: start.encode()[:count])
    assert "ann@example.com" not in str(error.value)


def test_an_additional_column_may_have_a_name_that_is_not_utf8() -> None:
    check_header("users", read_header((USERS + ",Straße").encode("latin-1")))
