"""Runs a notebook's code without a browser, in a kernel of this Python.

It does not depend on installed kernels. It uses jupyter_client and not nbclient: importing nbclient
(with nbformat and its schemas) takes longer than starting the kernel.
"""

from __future__ import annotations

import math
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from queue import Empty
from types import TracebackType
from typing import Any

from car_rental.errors import DataLakeError
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

START_SECONDS = 60.0
_LAST_WORDS_SECONDS = 10.0  # time for an interrupted cell to stop its queries
_OUTPUTS = ("display_data", "execute_result", "stream")


class CellError(Exception):
    """A cell raised an error. Holds the error's name and message, and the cell's output so far."""

    def __init__(self, name: str, message: str, outputs: list[dict[str, Any]]) -> None:
        super().__init__(f"{name}: {message}")
        self.outputs = outputs


class Kernel:
    """A context manager: a kernel that runs cells.

    It needs no home folder and leaves no files in one.
    """

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._home = tempfile.TemporaryDirectory(prefix="car-rental-kernel-")
        # without kernel folders the name selects this Python's ipykernel, and no kernel spec of the
        # user can replace it
        self._manager = KernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(Path(self._home.name) / "kernel.json"),
            # sockets in a private folder, not ports that other users can connect to
            transport="ipc" if os.name == "posix" else "tcp",
        )

    def __enter__(self) -> Kernel:
        self._manager.start_kernel(
            cwd=str(self._folder), env={**self._environ, "IPYTHONDIR": self._home.name}
        )
        self._client = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=START_SECONDS)
        except BaseException as error:
            self._close()
            if not isinstance(error, RuntimeError):
                raise
            raise DataLakeError(
                "notebook kernel", f"did not start: {error}", "Reinstall it: pip install ipykernel"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def _close(self) -> None:
        self._client.stop_channels()
        # killed, because all output has been collected and an orderly shutdown takes a second
        self._manager.shutdown_kernel(now=True)
        self._home.cleanup()

    def run(self, code: str) -> list[dict[str, Any]]:
        """Runs one cell and returns its output in the notebook format.

        Raises ``CellError`` if the cell raises.

        Ctrl-C interrupts the cell, gives it time to release its resources, and is then raised.
        """
        outputs: list[dict[str, Any]] = []
        message_id = self._client.execute(code, allow_stdin=False)
        try:
            self._collect(message_id, outputs)
        except KeyboardInterrupt:
            self._manager.interrupt_kernel()
            self._collect(message_id, outputs, time.monotonic() + _LAST_WORDS_SECONDS)
            raise
        reply = self._reply(message_id)
        if reply["status"] != "ok":
            raise CellError(reply["ename"], reply["evalue"], outputs)
        return outputs

    def _reply(self, message_id: str) -> dict[str, Any]:
        """The reply to a cell. Replies to earlier requests are ignored."""
        while True:
            message = self._client.get_shell_msg(timeout=_LAST_WORDS_SECONDS)
            if message["parent_header"].get("msg_id") == message_id:
                reply: dict[str, Any] = message["content"]
                return reply

    def _collect(
        self, message_id: str, outputs: list[dict[str, Any]], deadline: float = math.inf
    ) -> None:
        """Appends the cell's output to ``outputs`` until the cell has ended."""
        while time.monotonic() < deadline:
            try:
                message = self._client.get_iopub_msg(timeout=1)
            except Empty:
                if not self._manager.is_alive():
                    raise DataLakeError(
                        "notebook kernel", "died; the machine may be out of memory."
                    ) from None
                continue
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if kind in _OUTPUTS:
                outputs.append({"output_type": kind, **content})
            elif kind == "status" and content["execution_state"] == "idle":
                return
