"""A file is written completely or not at all, because somebody may open it at any moment."""

import errno
import os
import stat
from pathlib import Path

import pytest
from car_rental import files as local_files
from car_rental.cli import as_failure
from car_rental.files import write_whole


def test_a_full_disk_is_reported_with_the_file(tmp_path, monkeypatch):
    def full(*_arguments, **_options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError) as caught:
        write_whole(tmp_path / "reports" / "r.html", "x")
    failure = as_failure(caught.value, "analyze")
    assert failure.what == f"no space left on the disk for {tmp_path}/reports/r.html."
    assert "another disk: DATA_DIR, LOCAL_AWS_DIR, REPORTS_DIR or RUNS_DIR" in failure.fix
    assert list((tmp_path / "reports").iterdir()) == []


def test_a_folder_that_cannot_be_created_is_reported_with_the_settings_to_change(tmp_path):
    (tmp_path / "reports").touch()
    with pytest.raises(OSError) as caught:
        write_whole(tmp_path / "reports" / "r.html", "x")
    failure = as_failure(caught.value, "analyze")
    assert f"{tmp_path}/reports" in failure.what
    assert "DATA_DIR, LOCAL_AWS_DIR, REPORTS_DIR or RUNS_DIR" in failure.fix


def test_a_new_folder_is_readable_only_by_its_owner(tmp_path):
    write_whole(tmp_path / "reports" / "r.html", "x")
    assert stat.S_IMODE((tmp_path / "reports").stat().st_mode) == 0o700


def test_the_folder_is_created_and_contains_only_the_file(tmp_path):
    path = tmp_path / "reports" / "r.html"
    write_whole(path, "first")
    write_whole(path, "second é")
    assert path.read_bytes() == "second é".encode()
    assert os.listdir(path.parent) == ["r.html"]


def test_a_failed_write_leaves_the_old_content(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "r.html"
    write_whole(path, "first")
    monkeypatch.setattr(local_files.os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["r.html"]
