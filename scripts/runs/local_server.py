"""The local AWS for the length of one run: `python -m local_aws` as a child process that cannot outlive us."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType

from config import ROOT
from console import Console
from errors import DataLakeError

_HARMLESS = ("AWS_REGION", "AWS_DEFAULT_REGION")


def without_aws_variables(environ: MutableMapping[str, str]) -> None:
    """Takes every AWS setting of the user but the region out of ``environ``, so that no child can use one by accident."""
    for name in [name for name in environ if name.startswith("AWS_") and name not in _HARMLESS]:
        del environ[name]
    environ["AWS_EC2_METADATA_DISABLED"] = "true"


class LocalServer:
    """A context: inside it the stand-in answers at ``url``; behind it the server and all that it started are gone."""

    def __init__(self, data_dir: Path, console: Console) -> None:
        self._data_dir = data_dir
        self._console = console
        self._process: subprocess.Popen[str] | None = None
        self._words = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115 - lives as long as we do
        self.url = ""

    def lake(self, bucket: str) -> Path:
        """Where the objects of ``bucket`` lie as files."""
        return self._data_dir / "s3" / bucket

    def __enter__(self) -> LocalServer:
        command = [sys.executable, "-m", "local_aws", "--port", "0", "--data-dir", str(self._data_dir), "--die-with-parent"]
        # its standard input is our life line: when we are gone, by whatever means, it ends and takes its children along
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            text=True,
            env=_environment(),
            start_new_session=True,  # a Ctrl-C at the terminal is for us alone: we still need the server to clean up
        )
        assert self._process.stdout
        with self._console.waiting("the local AWS starts"):
            line = self._process.stdout.readline()
        if not line.startswith("READY "):
            raise self._refusal()
        self.url = line.split()[1]
        self._console.note(f"local AWS at {self.url}")
        return self

    def _refusal(self) -> DataLakeError:
        assert self._process
        self._process.wait(timeout=30)
        self._words.seek(0)
        lines = self._words.read().strip().splitlines() or ["it ended without a word"]
        why = lines[-1].removeprefix("local_aws: ").removesuffix("; choose one with --data-dir")
        return DataLakeError(
            "local AWS", f"did not start: {why}", f"Its folder is LOCAL_AWS_DIR={self._data_dir}; python -m local_aws shows more."
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._process and self._process.stdin
        self._process.stdin.close()
        try:
            self._process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def _environment() -> dict[str, str]:
    environ = dict(os.environ)
    without_aws_variables(environ)
    return environ
