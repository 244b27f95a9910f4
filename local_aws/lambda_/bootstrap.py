"""Runs one invocation of a handler, as a separate program that ``run.py`` starts.

``python -I bootstrap.py FOLDER``: reads ``FOLDER/invocation.json`` (event and context), imports the
handler from ``FOLDER/code`` and writes ``FOLDER/outcome.json``: ``result``, or ``error`` in the
form of Lambda's unhandled errors.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any


class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    def __init__(self, facts: dict[str, Any]) -> None:
        self._deadline = time.monotonic() + facts.pop("timeout")
        self.__dict__.update(facts)

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is killed."""
        return max(0, int((self._deadline - time.monotonic()) * 1000))


def invoke(folder: Path) -> dict[str, Any]:
    """The outcome of the invocation: the handler's result or its exception."""
    invocation = json.loads((folder / "invocation.json").read_text())
    sys.path.insert(0, str(folder / "code"))
    os.chdir(folder / "code")
    module, _, name = invocation["handler"].rpartition(".")
    try:
        handler = getattr(importlib.import_module(module.replace("/", ".")), name)
        return {"result": json.dumps(handler(invocation["event"], Context(invocation["context"])))}
    except Exception as error:  # noqa: BLE001 - any exception is the function's outcome
        traceback.print_exc()
        frames = traceback.format_tb(error.__traceback__)[1:]
        return {
            "error": {
                "errorMessage": str(error),
                "errorType": type(error).__name__,
                "stackTrace": frames,
            }
        }


if __name__ == "__main__":
    os.dup2(1, 2)  # one stream for both, in order
    here = Path(sys.argv[1])
    (here / "outcome.json").write_text(json.dumps(invoke(here)))
