"""The local AWS for the duration of one command.

It is `python -m local_aws` as a child process, which ends with the command.
"""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from car_rental.config import ROOT, Settings
from car_rental.display.console import Console
from car_rental.errors import DataLakeError
from car_rental.files import short_path
from car_rental.steps import STEPS

_HARMLESS = ("AWS_REGION", "AWS_DEFAULT_REGION")
# flag that the server suggests when it does not start -> the remedy for the user of a script
_REMEDIES = {
    "--data-dir": "Its folder is LOCAL_AWS_DIR={}.",
    "--fresh": "`python main.py --all --local --fresh` empties the lake in {}.",
}


def without_aws_variables(environ: MutableMapping[str, str]) -> None:
    """Removes the user's AWS variables except the region from ``environ``.

    Then no child process can use them by accident.
    """
    for name in [name for name in environ if name.startswith("AWS_") and name not in _HARMLESS]:
        del environ[name]
    environ["AWS_EC2_METADATA_DISABLED"] = "true"


class LocalServer:
    """A context manager: the stand-in serves the lake in ``data_dir`` at ``url``.

    It starts a server, which ends with the block. If `make serve` or `make notebook` serves the
    lake already, it uses that server and leaves it running.

    ``fresh`` empties the lake first. With ``shared``, other commands may use this server.
    """

    def __init__(
        self, data_dir: Path, console: Console, *, fresh: bool = False, shared: bool = False
    ) -> None:
        self._data_dir = data_dir
        self._console = console
        self._fresh = fresh
        self._flags = [*(["--fresh"] if fresh else []), *(["--shared"] if shared else [])]
        self._process: subprocess.Popen[str] | None = None
        # stays open as long as this object
        self._words = tempfile.TemporaryFile(  # noqa: SIM115
            "w+", encoding="utf-8", errors="replace"
        )
        self.url = ""

    def lake(self, bucket: str) -> Path:
        """The folder with the objects of ``bucket``."""
        return self._data_dir / "s3" / bucket

    def __enter__(self) -> LocalServer:
        command = [
            sys.executable,
            "-m",
            "local_aws",
            "--port",
            "0",
            "--data-dir",
            str(self._data_dir),
            "--die-with-parent",
        ]
        # the server watches its standard input: it ends when this process ends for any reason, and
        # terminates its own child processes
        self._process = subprocess.Popen(
            [*command, *self._flags],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
            env=_environment(),
            # a Ctrl-C at the terminal must not reach the server, which is needed for cleanup
            start_new_session=True,
        )
        emptied = (
            sum(path.is_file() for path in (self._data_dir / "s3").rglob("*")) if self._fresh else 0
        )
        with self._console.waiting("the local AWS starts"):
            state, self.url = self._first_words(self._process)
        if emptied:
            self._console.warn(
                f"The lake in {short_path(self._data_dir)} is emptied of {emptied:,} objects."
            )
        if state == "RUNS":
            self._console.note(f"local AWS at {self.url}, which serves this lake already")
        else:
            self._console.note(
                f"local AWS at {self.url}, with the lake in {short_path(self._data_dir)}"
            )
        return self

    def _first_words(self, process: subprocess.Popen[str]) -> tuple[str, str]:
        assert process.stdout
        for line in process.stdout:
            word, _, rest = line.strip().partition(" ")
            if word == "NOTE":
                self._console.warn(rest)
            elif word in ("READY", "RUNS"):
                return word, rest
            elif word == "FAILED":
                flag, _, message = rest.partition(" ")
                remedy = _REMEDIES.get(flag, "").format(self._data_dir)
                raise DataLakeError("local AWS", f"did not start: {message}", remedy)
        raise DataLakeError("local AWS", f"did not start: {self._last_words()}")

    def _last_words(self) -> str:
        assert self._process
        self._process.wait(timeout=30)
        self._words.seek(0)
        lines = self._words.read().strip().splitlines() or ["it ended without a word"]
        return lines[-1].removeprefix("local_aws: ")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process and self._process.stdin
        died = self._process.poll()
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if died and isinstance(error, Exception):
            raise self._death(died) from error

    def _death(self, code: int) -> DataLakeError:
        """The error for a server that ended during the command, with ``code``."""
        again = "The lake is unchanged since then: run it again."
        if code != -signal.SIGKILL:
            return DataLakeError(
                "local AWS",
                f"ended in the middle of the run (exit code {code}): {self._last_words()}",
                again,
            )
        return DataLakeError(
            "local AWS",
            "was killed in the middle of the run (SIGKILL): the system does that when memory runs"
            " out.",
            "End other programs, or give this machine or its container more memory; the sample"
            f" needs 2 GB. {again}",
        )


@contextmanager
def local_lake(
    settings: Settings, console: Console, *, fresh: bool = False, shared: bool = False
) -> Iterator[Settings]:
    """Serves the lake in LOCAL_AWS_DIR inside the block, and yields settings for it.

    Commands in the remedies of errors are adapted to this lake.
    """
    without_aws_variables(os.environ)
    try:
        with LocalServer(settings.local_aws_dir, console, fresh=fresh, shared=shared) as server:
            yield dataclasses.replace(settings, aws_endpoint_url=server.url)
    except DataLakeError as error:
        error.fix = _as_local_command(error.fix)
        raise


def _as_local_command(text: str) -> str:
    """Adapts the commands in ``text`` to the lake on this machine."""

    def phase(found: re.Match[str]) -> str:
        return f"python main.py --{STEPS[found[1]].phase} --local"

    text = re.sub(rf"python scripts/({'|'.join(STEPS)})\.py", phase, text)
    return re.sub(
        r"(python (?:scripts/query_lake\.py|main\.py --(?:setup|process|orchestrate|analyze|all)))"
        r"(?! --local)",
        r"\1 --local",
        text,
    )


def _environment() -> dict[str, str]:
    environ = dict(os.environ)
    without_aws_variables(environ)
    return environ
