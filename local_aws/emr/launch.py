"""Builds the command of a step's application: Spark on this machine, or a test's replacement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from local_aws.emr.class_archive import ClassArchive
from local_aws.emr.spark import Spark, mounts
from local_aws.emr.submission import Submission
from local_aws.java import find_java
from local_aws.mirror import Mirror


@dataclass(frozen=True)
class Command:
    """The command of a supervised process, and its whole environment."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


class Launcher(Protocol):
    """Builds the command of a submission; ``StepExecution`` runs it under supervision."""

    def prepare(self) -> None:
        """Starts background work that makes later steps start faster; needed once."""

    def command(
        self, submission: Submission, mirror: Mirror, scratch: Path, endpoint_url: str
    ) -> Command:
        """The command that runs the application, with the buckets as folders of ``mirror``."""

    def close(self) -> None:
        """Cancels the background work; may be called twice."""


class SparkLauncher:
    """Runs ``spark-submit``; ``fallback`` holds the class archive if there is no cache folder.

    Raises ``JavaNotFound``.
    """

    def __init__(self, fallback: Path) -> None:
        self._spark = Spark.installed(find_java())
        self._archive = ClassArchive(self._spark, fallback)

    def prepare(self) -> None:
        """Starts to create the class archive, unless it exists."""
        self._archive.make_in_background()

    def command(
        self, submission: Submission, mirror: Mirror, scratch: Path, endpoint_url: str
    ) -> Command:
        """``spark-submit`` with every bucket of ``mirror`` as ``s3://<bucket>/``."""
        arguments = [
            *mounts(mirror.root, mirror.buckets()),
            *(*submission.options, submission.application, *submission.arguments),
        ]
        return Command(
            self._spark.command(arguments, scratch, self._archive.java_flags()),
            self._spark.environment(scratch, endpoint_url),
        )

    def close(self) -> None:
        self._archive.close()
