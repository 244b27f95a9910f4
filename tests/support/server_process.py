"""Runs `python -m local_aws` as a child process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from local_aws.clients import Clients
from local_aws.keys import Keys, keys_at, keys_of

ROOT = Path(__file__).parents[2]
# a user with an AWS account, a proxy, and no Java except the wheel's
ENV = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "AWS_PROFILE": "production",
    "AWS_ENDPOINT_URL": "https://example.com",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


class Server:
    """The command as a child process."""

    def __init__(self, *args: str, **environ: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "local_aws", *args],
            cwd=ROOT,
            env={**ENV, **environ},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._arguments, self._environ = args, {**ENV, **environ}
        self._printed: list[str] = []
        (self.first_line,) = self.lines(1)

    @property
    def url(self) -> str:
        return self.first_line.replace("READY ", "").replace("AWS_ENDPOINT_URL=", "")

    def lines(self, count: int) -> list[str]:
        """Reads the next lines that the server prints."""
        assert self._process.stdout
        printed = [self._process.stdout.readline().strip() for _ in range(count)]
        self._printed += printed
        return printed

    @property
    def clients(self) -> Clients:
        """Clients with the key that the server prints, stores in its data folder, or announces."""
        if self.first_line.startswith("AWS_"):
            self.lines(3 - len(self._printed[:3]))
            key, secret = (line.partition("=")[2] for line in self._printed[1:3])
            return Clients(self.url, Keys(key, secret))
        if "--data-dir" in self._arguments:
            folder = self._arguments[self._arguments.index("--data-dir") + 1]
            return Clients(self.url, keys_of(Path(folder)))
        return Clients(self.url, keys_at(self.url, self._environ))

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, signum: int) -> None:
        self._process.send_signal(signum)

    def close_input(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.stdin = None

    def end(self) -> tuple[int, str]:
        """Waits for the server's end; returns its exit code and stderr."""
        _, stderr = self._process.communicate(timeout=30)
        return self._process.returncode, stderr
