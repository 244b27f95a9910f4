"""Launchers of EMR steps for the tests' stand-in: only jobs that use Spark start a JVM."""

from __future__ import annotations

import sys
from functools import cached_property
from pathlib import Path

from local_aws.emr.launch import Command, Launcher, SparkLauncher
from local_aws.emr.spark import node_environment
from local_aws.emr.submission import Submission
from local_aws.mirror import Mirror

# words of sources that need the JVM: a session or context, or publish_run's gateway
_WORDS_OF_SPARK = ("pyspark", "of_gateway")


class PlainPython:
    """Runs an application as plain Python: no JVM, no spark-submit options, no ``s3://`` paths."""

    def prepare(self) -> None:
        """Nothing to prepare."""

    def command(
        self, submission: Submission, mirror: Mirror, scratch: Path, endpoint_url: str
    ) -> Command:
        """Runs Python with stderr merged into stdout, as Spark's PythonRunner does."""
        python = [sys.executable, str(application_file(submission, mirror)), *submission.arguments]
        return Command(
            ["sh", "-c", 'exec "$0" "$@" 2>&1', *python], node_environment(scratch, endpoint_url)
        )

    def close(self) -> None:
        """Nothing to end."""


class SparkIfImported:
    """Runs an application with Spark if its source mentions Spark, else as plain Python.

    ``fallback`` is the folder of the class archive if the user has no cache folder.
    """

    def __init__(self, fallback: Path) -> None:
        self._fallback = fallback
        self._python = PlainPython()

    @cached_property
    def _spark(self) -> SparkLauncher:
        return SparkLauncher(self._fallback)

    def prepare(self) -> None:
        """Nothing to prepare: tests use the class archive that ``make`` has created."""

    def command(
        self, submission: Submission, mirror: Mirror, scratch: Path, endpoint_url: str
    ) -> Command:
        """The command of the launcher that fits the application."""
        application = application_file(submission, mirror)
        source = application.read_text(encoding="utf-8") if application.exists() else ""
        uses_spark = any(word in source for word in _WORDS_OF_SPARK)
        launcher: Launcher = self._spark if uses_spark else self._python
        return launcher.command(submission, mirror, scratch, endpoint_url)

    def close(self) -> None:
        """Nothing to end."""


def application_file(submission: Submission, mirror: Mirror) -> Path:
    """The file of ``mirror`` that holds the application ``s3://<bucket>/<key>``."""
    return mirror.root / submission.application.partition("://")[2]
