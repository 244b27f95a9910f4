"""An archive of Spark's classes (AppCDS): a JVM maps it instead of reading 240 jars.

Created once for each pair of Java and PySpark, by a training job, and stored in the user's cache
folder. Without an archive Spark only starts more slowly, so all errors here are logged and none is
raised.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

from local_aws.emr.spark import FAST_START, Spark, mounts
from local_aws.process import SupervisedProcess

log = logging.getLogger(__name__)

_FIRST_JAVA = 13  # -XX:ArchiveClassesAtExit, https://openjdk.org/jeps/350
_LOW_PRIORITY = 10
_TRAINING_JOB = Path(__file__).with_name("training_job.py")


class ClassArchive:
    """The archive for ``spark``, in the user's cache folder if that is writable."""

    def __init__(self, spark: Spark, fallback: Path) -> None:
        self._spark = spark
        self._folder = _writable(_cache_folder(), fallback) / _key(spark)
        self._base, self._top = self._folder / "java.jsa", self._folder / "spark.jsa"
        self._lock = threading.Lock()
        self._process: SupervisedProcess | None = None
        self._maker: threading.Thread | None = None
        self._closed = False

    def exists(self) -> bool:
        """Returns whether the archive is ready for use."""
        return self._top.exists()

    def java_flags(self) -> list[str]:
        """JVM options that use the archive; none while there is no archive."""
        return (
            [f"-XX:SharedArchiveFile={self._base}{os.pathsep}{self._top}", "-Xshare:auto"]
            if self.exists()
            else []
        )

    def make(self, niceness: int = 0) -> bool:
        """Creates the archive unless it exists; returns whether it exists now."""
        if self._spark.java.major < _FIRST_JAVA:
            log.info("no class archive: Java %s cannot create one", self._spark.java.major)
            return False
        try:
            with self._only_maker() as alone:
                if alone and not self.exists():
                    self._make(niceness)
        except OSError as error:
            log.warning("no class archive, Spark steps start more slowly: %s", error)
        return self.exists()

    def make_in_background(self) -> None:
        """Creates the archive in the background at low priority; ``close`` cancels that."""
        with self._lock:
            if self._maker is None and not self._closed and not self.exists():
                self._maker = threading.Thread(
                    target=self.make, args=(_LOW_PRIORITY,), name="class-archive", daemon=True
                )
                self._maker.start()

    def close(self) -> None:
        """Cancels the creation and waits for its processes; an incomplete archive is never used."""
        with self._lock:
            self._closed = True
            if self._process:
                self._process.end()
        if self._maker:
            self._maker.join()

    @contextlib.contextmanager
    def _only_maker(self) -> Iterator[bool]:
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
            else:
                yield True

    def _make(self, niceness: int) -> None:
        _remove_orphans(self._folder.parent)
        (self._folder / "spark_home").write_text(str(self._spark.home))
        scratch = self._folder / "making"
        shutil.rmtree(scratch, ignore_errors=True)
        (scratch / "tmp").mkdir(parents=True)
        (scratch / "bucket").mkdir()
        half_made = self._folder / "spark.half"
        try:
            # A Java from a wheel lacks the archive of its own classes, which this archive extends.
            java_alone = [
                str(self._spark.java.executable),
                *FAST_START,
                "-Xshare:dump",
                f"-XX:SharedArchiveFile={self._base}",
            ]
            if self._run(java_alone, scratch, niceness) and self._run(
                self._watched_job(scratch, half_made), scratch, niceness
            ):
                half_made.rename(self._top)
        finally:
            half_made.unlink(missing_ok=True)
            shutil.rmtree(scratch, ignore_errors=True)

    def _watched_job(self, scratch: Path, archive: Path) -> list[str]:
        arguments = [*mounts(scratch, ["bucket"]), str(_TRAINING_JOB), "s3://bucket"]
        return self._spark.command(
            arguments,
            scratch,
            [f"-XX:SharedArchiveFile={self._base}", f"-XX:ArchiveClassesAtExit={archive}"],
        )

    def _run(self, command: list[str], scratch: Path, niceness: int) -> bool:
        output = scratch / "output"
        with self._lock:
            if self._closed:
                return False
            self._process = SupervisedProcess(
                command,
                env=self._spark.environment(scratch, endpoint_url=""),
                cwd=scratch,
                stdout=output,
                stderr=scratch / "errors",
                niceness=niceness,
                grace=0.0,  # on SIGTERM, Java would first write the archive, which takes seconds
            )
        code = self._process.wait()
        if code != 0 and not self._closed:
            log.warning(
                "no class archive, Spark steps start more slowly: exit code %s, %s",
                code,
                output.read_text()[-500:],
            )
        return code == 0


def _cache_folder() -> Path:
    """The user's cache folder by the XDG base directory specification."""
    home = (
        os.environ.get("XDG_CACHE_HOME")
        or Path(os.environ.get("HOME") or "/nonexistent") / ".cache"
    )
    return Path(home) / "car-rental-data-lake"


def _writable(folder: Path, otherwise: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return otherwise
    return folder if os.access(folder, os.W_OK) else otherwise


def _key(spark: Spark) -> str:
    """A name for this Java and these jars, from path, modification time and version."""
    jars = spark.home / "jars"
    made_of = (
        spark.java.home,
        spark.java.executable.stat().st_mtime_ns,
        jars,
        jars.stat().st_mtime_ns,
        spark.version,
    )
    fingerprint = hashlib.sha256(repr(made_of).encode()).hexdigest()[:12]
    return f"pyspark-{spark.version}-java-{spark.java.major}-{fingerprint}"


def _remove_orphans(folder: Path) -> None:
    """Removes the archives (145 MB each) of environments that no longer exist."""
    for owner in folder.glob("*/spark_home"):
        if not Path(owner.read_text()).exists():
            shutil.rmtree(owner.parent, ignore_errors=True)
