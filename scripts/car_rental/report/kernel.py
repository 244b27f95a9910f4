"""Runs the code of a notebook without a browser, in a kernel of its own: this Python, whatever kernels the user has installed.

By jupyter_client and not by nbclient: importing that (it brings nbformat and its schemas) takes longer than starting the kernel.
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
_LAST_WORDS_SECONDS = 10.0  # what an interrupted cell has to stop its queries
_OUTPUTS = ("display_data", "execute_result", "stream")


class CellError(Exception):
    """A cell raised: the name and message of its error, and what it had shown until then."""

    def __init__(self, name: str, message: str, outputs: list[dict[str, Any]]) -> None:
        super().__init__(f"{name}: {message}")
        self.outputs = outputs


class Kernel:
    """A context: inside it cells can be run; behind it the kernel is gone. Needs no home folder and leaves nothing in one."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._home = tempfile.TemporaryDirectory(prefix="car-rental-kernel-")
        # no kernel folder: the name then stands for the ipykernel of this Python, and no spec of the user's can take its place
        self._manager = KernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
            connection_file=str(Path(self._home.name) / "kernel.json"),
            transport="ipc" if os.name == "posix" else "tcp",  # sockets in a folder of ours and not ports that others can see
        )

    def __enter__(self) -> Kernel:
        self._manager.start_kernel(cwd=str(self._folder), env={**self._environ, "IPYTHONDIR": self._home.name})
        self._client = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=START_SECONDS)
        except BaseException as error:
            self._close()
            if not isinstance(error, RuntimeError):
                raise
            raise DataLakeError("notebook kernel", f"did not start: {error}", "Reinstall it: pip install ipykernel") from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)  # what it showed has been collected; to ask it to leave takes a second
        self._home.cleanup()

    def run(self, code: str) -> list[dict[str, Any]]:
        """Runs one cell and returns what it shows, in the notebook format; raises ``CellError`` when it raises.

        Ctrl-C interrupts the cell, gives it time to let go of what it started, and passes on.
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
        """How the cell ended; answers to what was asked before it, such as whether the kernel is ready, are passed over."""
        while True:
            message = self._client.get_shell_msg(timeout=_LAST_WORDS_SECONDS)
            if message["parent_header"].get("msg_id") == message_id:
                reply: dict[str, Any] = message["content"]
                return reply

    def _collect(self, message_id: str, outputs: list[dict[str, Any]], deadline: float = math.inf) -> None:
        """Adds what the cell shows to ``outputs`` until it has ended."""
        while time.monotonic() < deadline:
            try:
                message = self._client.get_iopub_msg(timeout=1)
            except Empty:
                if not self._manager.is_alive():
                    raise DataLakeError("notebook kernel", "died; the machine may be out of memory.") from None
                continue
            kind, content = message["msg_type"], message["content"]
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if kind in _OUTPUTS:
                outputs.append({"output_type": kind, **content})
            elif kind == "status" and content["execution_state"] == "idle":
                return
