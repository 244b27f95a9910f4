"""The project's commands: the scripts' help and the Makefile's targets."""

from __future__ import annotations

import ast
import contextlib
import functools
import io
import os
import re
import runpy
import sys
from collections.abc import Iterator

from car_rental.config import ROOT

LOCAL_AWS = "local_aws/__main__.py"
_WIDTH = "100"  # columns of a help text


def scripts() -> list[str]:
    """The path of every script: main.py, those of the steps in their order, then the others."""
    numbered = sorted((step_of(path) or 99, path) for path in _with_command_line())
    return ["main.py", *(path for _, path in numbered)]


def _with_command_line() -> Iterator[str]:
    for path in [
        *sorted((ROOT / "scripts").glob("*.py")),
        ROOT / "docs" / "tools" / "write_docs.py",
    ]:
        if path.read_text(encoding="utf-8").startswith("#!"):
            yield path.relative_to(ROOT).as_posix()


def docstring(script: str) -> str:
    """A script's docstring."""
    return ast.get_docstring(ast.parse((ROOT / script).read_text(encoding="utf-8"))) or ""


def step_of(script: str) -> int | None:
    """The number of the script's step, which its docstring begins with; None for other scripts."""
    found = re.match(r"Step (\d+):", docstring(script))
    return int(found[1]) if found else None


@functools.cache
def help_text(script: str) -> str:
    """The output of ``script --help``, produced in this process.

    A new process would take a second for each script.
    """
    out = io.StringIO()
    with _as_started(script), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return out.getvalue().strip()


@contextlib.contextmanager
def _as_started(script: str) -> Iterator[None]:
    """Sets arguments, module path and terminal inside the block as for ``script --help``."""
    before = sys.argv, sys.path[:], dict(os.environ)
    home = ROOT if script == LOCAL_AWS else (ROOT / script).parent
    sys.argv, sys.path[:0] = [script, "--help"], [str(home)]
    os.environ |= {"COLUMNS": _WIDTH, "NO_COLOR": "1"}
    try:
        yield
    finally:
        sys.argv, sys.path[:] = before[0], before[1]
        os.environ.clear()
        os.environ |= before[2]


def flags(script: str) -> set[str]:
    """The flags of a script."""
    return {"--help", *re.findall(r"^  (?:-\w, )?(--[a-z-]+)", help_text(script), re.MULTILINE)}


def make_targets() -> dict[str, str]:
    """The Makefile's targets and their explanations."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z-]+):.*?## *(.*)$", text, re.MULTILINE))
