"""The benchmark measures the memory that a command and its children hold."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from measure import CommandFailed, measure

HOLD = "import os, sys, time; held = bytearray(300 * 2**20)"
FORK = f"{HOLD}; child = os.fork(); time.sleep(1); child and os.wait()"
MORE = "import time; more = bytearray(100 * 2**20); time.sleep(1)"
RUN = f"import subprocess; {HOLD}; subprocess.run([sys.executable, '-c', '{MORE}'])"


def test_memory_shared_with_a_forked_child_is_counted_once(tmp_path: Path) -> None:
    assert 300 < measure([sys.executable, "-c", FORK], tmp_path / "log").peak_mb < 400


def test_memory_of_a_spawned_child_is_added(tmp_path: Path) -> None:
    assert 400 < measure([sys.executable, "-c", RUN], tmp_path / "log").peak_mb < 500


def test_a_failed_command_raises_instead_of_being_measured(tmp_path: Path) -> None:
    with pytest.raises(CommandFailed, match="exited with 3"):
        measure([sys.executable, "-c", "raise SystemExit(3)"], tmp_path / "log")
