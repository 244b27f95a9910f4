"""The command line of the generator of sample data."""

from __future__ import annotations

from pathlib import Path

import pytest
from generate_sample_data import main


def test_the_command_line_writes_the_sample_and_prints_its_defects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--rentals", "3000", "--seed", "2", "--output", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "rental_transactions.csv" in printed and "3,000" in printed
    assert "malformed_row" in printed and "rentals to be rejected" in printed


def test_the_command_line_can_leave_out_defects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--rentals", "3000", "--defects", "0", "--output", str(tmp_path)]) == 0
    assert "Planted" not in capsys.readouterr().out


def test_the_command_line_writes_to_data_dir_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "elsewhere"))
    assert main(["--rentals", "50"]) == 0
    assert (tmp_path / "elsewhere" / "users.csv").exists()


def test_a_folder_that_cannot_be_created_is_one_line_and_exit_code_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert main(["--rentals", "50", "--output", str(tmp_path / "file")]) == 1
    printed = capsys.readouterr().err
    assert "cannot write to" in printed and "--output" in printed
    assert "Traceback" not in printed


def test_an_invalid_number_is_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rentals", "0"]) == 2
    assert "Choose a number from 1" in capsys.readouterr().err
