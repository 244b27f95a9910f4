"""How the shared stand-in launches the steps of EMR: only jobs that use Spark start a JVM."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path

from local_aws.emr.launch import Command, Launcher, SparkLauncher
from local_aws.emr.spark import node_environment
from local_aws.emr.submission import Submission
from local_aws.mirror import Mirror

# a session or context, or the JVM alone, in which publish_run moves files
_OF_SPARK = ("pyspark", "of_gateway")


class PlainPython:
    """Runs an application as plain Python: no JVM, no options of spark-submit, no ``s3://``."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def command(
        self, submission: Submission, mirror: Mirror, scratch: Path, endpoint_url: str
    ) -> Command:
        """Python with stderr in stdout, where Spark's PythonRunner puts it too."""
        python = [sys.executable, str(application_file(submission, mirror)), *submission.arguments]
        return Command(
            ["sh", "-c", 'exec "$0" "$@" 2>&1', *python], node_environment(scratch, endpoint_url)
        )

    def close(self) -> None:
        """Nothing to end."""


class SparkIfImported:
    """Runs applications that need Spark's JVM with Spark, all others as plain Python.

    ``fallback`` holds the class archive if the user has no cache folder.
    """

    def __init__(self, fallback: Path) -> None:
        self._fallback = fallback
        self._python = PlainPython()

    @cached_property
    def _spark(self) -> SparkLauncher:
        return SparkLauncher(self._fallback)

    def prepare(self) -> None:
        """Nothing to prepare: tests use the class archive that ``make`` has made."""

    def command(
        self, submission: Submission, mirror: Mirror, scratch: Path, endpoint_url: str
    ) -> Command:
        """As the launcher for this application has it."""
        application = application_file(submission, mirror)
        source = application.read_text(encoding="utf-8") if application.exists() else ""
        uses_spark = any(word in source for word in _OF_SPARK)
        launcher: Launcher = self._spark if uses_spark else self._python
        return launcher.command(submission, mirror, scratch, endpoint_url)

    def close(self) -> None:
        """Nothing to end."""


def application_file(submission: Submission, mirror: Mirror) -> Path:
    """The file of ``mirror`` that holds an application ``s3://<bucket>/<key>``."""
    return mirror.root / submission.application.partition("://")[2]
