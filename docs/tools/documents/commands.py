"""The project's commands as they explain themselves: the scripts' help and the Makefile's targets."""

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
    """Every script that people start, by its path in the project: those of the steps in their order, then the others."""
    numbered = sorted((step_of(path) or 99, path) for path in _with_command_line())
    return ["main.py", *(path for _, path in numbered)]


def _with_command_line() -> Iterator[str]:
    for path in [*sorted((ROOT / "scripts").glob("*.py")), ROOT / "docs" / "tools" / "write_docs.py"]:
        if path.read_text(encoding="utf-8").startswith("#!"):
            yield path.relative_to(ROOT).as_posix()


def docstring(script: str) -> str:
    """What a script says of itself."""
    return ast.get_docstring(ast.parse((ROOT / script).read_text(encoding="utf-8"))) or ""


def step_of(script: str) -> int | None:
    """The number of the step that a script does, as its docstring begins; None for any other script."""
    found = re.match(r"Step (\d+):", docstring(script))
    return int(found[1]) if found else None


@functools.cache
def help_text(script: str) -> str:
    """What ``script --help`` prints, in this process: a new one for each would take a second apiece."""
    out = io.StringIO()
    with _as_started(script), contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        runpy.run_path(str(ROOT / script), run_name="__main__")
    return out.getvalue().strip()


@contextlib.contextmanager
def _as_started(script: str) -> Iterator[None]:
    """Inside, arguments, module path and terminal are as for somebody who starts the script with --help."""
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
    """The flags that a script takes."""
    return {"--help", *re.findall(r"^  (?:-\w, )?(--[a-z-]+)", help_text(script), re.MULTILINE)}


def make_targets() -> dict[str, str]:
    """The Makefile's targets, each with its line of explanation."""
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z-]+):.*?## *(.*)$", text, re.MULTILINE))
