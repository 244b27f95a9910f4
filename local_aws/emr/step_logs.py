"""A step's logs: written where EMR writes them, and searched for the cause of a failure.

The driver's output is in ``<LogUri>/<cluster>/steps/<step>/`` in client mode, and in
``<LogUri>/<cluster>/containers/<application>/<first container>/`` in cluster mode:
https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-manage-view-web-log-files.html
"""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

log = logging.getLogger(__name__)

_MISSING_BUCKET = re.compile(
    r"Could not initialize target File System for URI : s3[an]?://([^/\s]+)/?"
)
_TRACEBACK = "Traceback (most recent call last):"
_JAVA_EXCEPTION = re.compile(
    r"^(?:Exception in thread \"[^\"]*\" |Caused by:"
    r" |)((?:[\w$]+\.)+[\w$]*(?:Exception|Error)\b.*)$",
    re.MULTILINE,
)
_MESSAGE_CHARACTERS = 1000
# the first line that SparkContext logs
_CONTEXT_MADE = "SparkContext: Running Spark version"
# org.apache.spark.deploy.yarn.ApplicationMaster.runDriver
NO_CONTEXT_EXIT_CODE = 13
_NO_CONTEXT = "java.lang.IllegalStateException: User did not initialize spark context!"


@dataclass(frozen=True)
class DriverOutput:
    stdout: str
    stderr: str

    def with_aws_errors(self) -> DriverOutput:
        """Adds S3's error for a missing bucket, which Hadoop's local file system does not raise."""
        missing = sorted(set(_MISSING_BUCKET.findall(self.stdout + self.stderr)))
        named = "".join(f"{no_such_bucket(bucket)}\n" for bucket in missing)
        return DriverOutput(self.stdout, self.stderr + named)

    @property
    def made_context(self) -> bool:
        return _CONTEXT_MADE in self.stderr

    def without_context(self) -> DriverOutput:
        """Adds the message of YARN's application master for a missing SparkContext."""
        said = f"ERROR ApplicationMaster: Uncaught exception: \n{_NO_CONTEXT}\n"
        said += (
            f"INFO ApplicationMaster: Final app status: FAILED, exitCode: {NO_CONTEXT_EXIT_CODE}\n"
        )
        return DriverOutput(self.stdout, self.stderr + said)

    def cause(self) -> tuple[str, str]:
        """The line that says why the driver failed, and the name of the log that contains it.

        Tracebacks are in stdout: Spark's PythonRunner redirects the Python process's stderr to
        stdout.
        """
        missing = _MISSING_BUCKET.search(self.stdout + self.stderr)
        if missing:
            return no_such_bucket(missing.group(1)), "stderr"
        for name, text in (("stdout", self.stdout), ("stderr", self.stderr)):
            if _TRACEBACK in text:
                return _last_line_of_traceback(text), name
        exceptions = _JAVA_EXCEPTION.findall(self.stderr)
        return (exceptions[0] if exceptions else _last_line(self.stderr))[
            :_MESSAGE_CHARACTERS
        ], "stderr"


def no_such_bucket(bucket: str) -> str:
    """S3's message for a missing bucket, as the AWS SDK for Java prints it."""
    codes = f"Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket; Bucket: {bucket}"
    return f"The specified bucket does not exist ({codes})"


@dataclass(frozen=True)
class LogFolder:
    s3: Any
    log_uri: str
    cluster_id: str

    def step(self, step_id: str) -> str:
        """The folder of a step's own logs, as a URI that ends with a slash."""
        return f"{self.log_uri.rstrip('/')}/{self.cluster_id}/steps/{step_id}/"

    def container(self, application: str) -> str:
        """The folder of a YARN application's first container (the driver in cluster mode)."""
        first = f"{application.replace('application', 'container')}_01_000001"
        return f"{self.log_uri.rstrip('/')}/{self.cluster_id}/containers/{application}/{first}/"

    def write(self, folder: str, logs: dict[str, str]) -> None:
        """Writes ``logs`` by name, gzipped. A missing bucket does not change the step's state."""
        bucket, _, prefix = folder.partition("://")[2].partition("/")
        for name, text in logs.items():
            body = gzip.compress(text.encode("utf-8", "replace"), compresslevel=6, mtime=0)
            try:
                self.s3.put_object(Bucket=bucket, Key=f"{prefix}{name}.gz", Body=body)
            except ClientError as error:
                log.warning("the log %s%s.gz was not written: %s", folder, name, error)


def controller_log(
    command: Iterable[str], ran: Iterable[str], notes: Iterable[str], exit_code: int, seconds: float
) -> str:
    """The controller's log: the submitted ``command``, the command that ``ran``, and notes."""
    end = "succeeded" if exit_code == 0 else "failed"
    lines = [
        "INFO startExec 'hadoop jar /var/lib/aws/emr/step-runner/hadoop-jars/command-runner.jar "
        + " ".join(command)
        + "'",
        "INFO local_aws ran it as: " + " ".join(ran),
        *(f"WARN the job does not see {note}" for note in notes),
        f"INFO total process run time: {seconds:.0f} seconds",
        f"INFO Step {end} with exitCode {exit_code} and took {seconds:.0f} seconds",
    ]
    now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"
    return "".join(f"{now} {line}\n" for line in lines)


def yarn_client_log(application: str, exit_code: int) -> str:
    """The output of spark-submit itself in cluster mode; the driver's output is elsewhere."""
    if exit_code == 0:
        return (
            f"INFO Client: Application report for {application} (state: FINISHED)\n\t final status:"
            " SUCCEEDED\n"
        )
    return (
        f"INFO Client: Application report for {application} (state: FINISHED)\n"
        f"\t diagnostics: User application exited with status {exit_code}\n\t final status:"
        " FAILED\n"
        f'Exception in thread "main" org.apache.spark.SparkException: Application {application}'
        " finished with failed status\n"
    )


def _last_line_of_traceback(text: str) -> str:
    after = text.rsplit(_TRACEBACK, 1)[1].strip("\n").splitlines()
    said = next((line for line in after if line and not line[0].isspace()), _TRACEBACK)
    return said.strip()[:_MESSAGE_CHARACTERS]


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
