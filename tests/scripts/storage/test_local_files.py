"""A file that somebody may open at any moment: whole, or as it was before."""

import os

import pytest
from storage import local_files
from storage.local_files import write_whole


def test_the_folder_is_made_and_nothing_else_is_left_there(tmp_path):
    path = tmp_path / "reports" / "r.html"
    write_whole(path, "first")
    write_whole(path, "second é")
    assert path.read_bytes() == "second é".encode()
    assert os.listdir(path.parent) == ["r.html"]


def test_a_write_that_fails_leaves_what_was_there_before(tmp_path, monkeypatch):
    def full_disk(*_):
        raise OSError(28, "No space left on device")

    path = tmp_path / "r.html"
    write_whole(path, "first")
    monkeypatch.setattr(local_files.os, "replace", full_disk)
    with pytest.raises(OSError, match="No space"):
        write_whole(path, "second")
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["r.html"]
