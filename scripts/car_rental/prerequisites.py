"""Imported first: checks Python and its packages, and handles Ctrl-C during the imports.

Runs on old Pythons, without any package.
"""

import os
import sys


def _end(kind, error, trace, otherwise=sys.excepthook):  # type: ignore[no-untyped-def]
    """Ctrl-C during the imports ends the program without a traceback."""
    if not issubclass(kind, KeyboardInterrupt):
        otherwise(kind, error, trace)
        return
    sys.stderr.write("! Interrupted.\n")
    sys.stderr.flush()
    os._exit(130)


sys.excepthook = _end

import importlib.util  # noqa: E402

_LEAST_PYTHON = (3, 11)
_PACKAGES = ("boto3", "dotenv", "rich")  # the packages that every script needs
_HOW = (
    "python3 -m venv .venv && .venv/bin/python -m pip install -r requirements.txt (or: make demo)"
)


def _missing() -> str:
    if sys.version_info < _LEAST_PYTHON:
        return "this is Python {}.{}, and {}.{} or later is needed".format(
            *sys.version_info[:2], *_LEAST_PYTHON
        )
    absent = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    return (
        "this Python ({}) lacks the packages {}".format(sys.executable, ", ".join(absent))
        if absent
        else ""
    )


def _require() -> None:
    missing = _missing()
    if missing:
        name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
        sys.stderr.write(f"FAILED {name}: {missing}\n-> Install them: {_HOW}\n")
        sys.exit(2)


_require()
