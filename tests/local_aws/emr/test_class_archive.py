"""The archive of Spark's classes is created once, shared by all servers, and never required."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from pathlib import Path

import pytest

from local_aws.emr.class_archive import ClassArchive
from local_aws.emr.spark import Spark
from local_aws.java import Java, find_java

# writes the requested archive and counts its calls; a file "fail" makes it fail, "slow" makes it
# take a minute
FAKE_JAVA = """#!/bin/sh
echo called >> {home}/calls
[ -e {home}/fail ] && echo "out of luck" && exit 1
[ -e {home}/slow ] && trap '' TERM && echo $$ > {home}/pid && sleep 60
for option in "$@"; do
  case $option in
    -XX:ArchiveClassesAtExit=*) echo archive > "${{option#*=}}" ;;
  esac
done
"""


class Machine:
    """A fake Java and PySpark, and a cache folder."""

    def __init__(self, folder: Path, major: int = 17) -> None:
        self.home = folder / "java"
        (self.home / "bin").mkdir(parents=True)
        (self.home / "bin/java").write_text(FAKE_JAVA.format(home=self.home))
        (self.home / "bin/java").chmod(0o755)
        self.spark = Spark(Java(self.home, major, "test"), folder / "pyspark", "3.5.9")
        (self.spark.home / "jars").mkdir(parents=True)
        self.fallback = folder / "fallback"

    def archive(self) -> ClassArchive:
        return ClassArchive(self.spark, self.fallback)

    def calls(self) -> int:
        file = self.home / "calls"
        return len(file.read_text().split()) if file.exists() else 0


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Machine(tmp_path)


def test_java_gets_no_flags_before_the_archive_exists(machine: Machine) -> None:
    assert machine.archive().java_flags() == []


def test_an_archive_is_created_once_and_used_by_later_servers(machine: Machine) -> None:
    assert machine.archive().make()
    calls = machine.calls()
    assert machine.archive().make()
    assert machine.calls() == calls
    [flag, auto] = machine.archive().java_flags()
    base, top = flag.removeprefix("-XX:SharedArchiveFile=").split(os.pathsep)
    assert Path(top).read_text() == "archive\n"
    assert Path(base).parent == Path(top).parent
    assert auto == "-Xshare:auto"


def test_a_changed_pyspark_needs_a_new_archive(machine: Machine, tmp_path: Path) -> None:
    machine.archive().make()
    (machine.spark.home / "jars/new.jar").touch()
    assert not machine.archive().exists()


def test_a_failed_creation_leaves_no_files(
    machine: Machine, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (machine.home / "fail").touch()
    assert not machine.archive().make()
    assert "out of luck" in caplog.text
    assert not list((tmp_path / "cache").rglob("spark.*"))
    assert not list((tmp_path / "cache").rglob("making"))


def test_servers_run_without_the_archive_while_another_creates_it(
    machine: Machine, tmp_path: Path
) -> None:
    machine.archive().make()
    [top] = (tmp_path / "cache").rglob("spark.jsa")
    top.unlink()
    calls = machine.calls()
    with (top.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert not machine.archive().make()
    assert machine.calls() == calls
    assert machine.archive().make()


def test_the_data_folder_is_used_if_the_cache_is_not_writable(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert machine.archive().make()
    assert list(machine.fallback.rglob("spark.jsa"))


def test_no_archive_is_created_if_no_folder_is_writable(
    machine: Machine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    machine.fallback = tmp_path / "file/too"
    assert not machine.archive().make()
    assert "start more slowly" in caplog.text
    assert machine.archive().java_flags() == []


def test_archives_of_removed_environments_are_deleted(machine: Machine, tmp_path: Path) -> None:
    removed = Machine(tmp_path / "gone")
    removed.archive().make()
    [old] = (tmp_path / "cache").rglob("spark.jsa")
    (removed.spark.home / "jars").rmdir()
    removed.spark.home.rmdir()
    machine.archive().make()
    assert not old.exists()
    assert machine.archive().exists()


def test_an_old_java_gets_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    old = Machine(tmp_path, major=11)
    assert not old.archive().make()
    assert old.calls() == 0


def test_no_creation_starts_after_close(machine: Machine) -> None:
    archive = machine.archive()
    archive.close()
    assert not archive.make()
    assert machine.calls() == 0


@pytest.mark.jvm
@pytest.mark.long
def test_spark_loads_its_classes_from_the_archive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    archive = ClassArchive(Spark.installed(find_java()), tmp_path / "fallback")
    assert archive.make()
    (tmp_path / "tmp").mkdir()
    command = Spark.installed(find_java()).command(
        ["--version"], tmp_path, [*archive.java_flags(), "-Xlog:class+load"]
    )
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "org.apache.spark.deploy.SparkSubmit source: shared objects file (top)" in result.stdout


def test_close_kills_a_running_creation(machine: Machine, tmp_path: Path) -> None:
    (machine.home / "slow").touch()
    archive, pid = machine.archive(), machine.home / "pid"
    for _ in range(2):
        archive.make_in_background()
    while not (pid.exists() and pid.read_text()):
        time.sleep(0.01)
    archive.close()
    assert machine.calls() == 1
    assert not Path(f"/proc/{pid.read_text().strip()}").exists()
    assert not list((tmp_path / "cache").rglob("making"))
