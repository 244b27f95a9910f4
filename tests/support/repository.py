"""The files of the repository, for tests that search all of them."""

from __future__ import annotations

import subprocess

import pytest
from car_rental.config import ROOT

BINARY = (".png", ".gz", ".parquet", ".ico")


def text_files() -> dict[str, str]:
    """The text of every file that git tracks or would add; skips the test without git."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = [
        name
        for name in listed.stdout.splitlines()
        if not name.endswith(BINARY) and (ROOT / name).is_file()
    ]
    if not names:
        pytest.skip("no git repository here")
    return {name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in names}
