"""The messages that the project's own code prints when something is wrong, found in its sources.

What is filled in while it runs stands as `…`. An error whose `where` has a name in it is printed with it in front.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from config import ROOT

PLACES = ("main.py", "scripts", "spark_jobs", "local_aws")
_ROOTS = {"DataLakeError", "JobError", "StartError", "ArgumentTypeError"}  # they and what derives from them are for people
_FINDINGS = {"problem", "warning", "warn", "error"}  # of the checks, and of the console
_WITH_PLACE = {"DataLakeError"}  # takes where and what, the others what alone
_HOLE = "…"


@dataclass(frozen=True)
class Message:
    """A message, and where the code makes it."""

    text: str
    place: str


def printed_messages() -> list[Message]:
    """All of them; those that only pass on what somebody else said are left out."""
    return [*_of_python(), *_of_shell()]


def _of_shell() -> Iterator[Message]:
    """What the wrappers of step 1 say in the form of all failures."""
    for path in sorted((ROOT / "scripts").glob("*.sh")) + sorted((ROOT / "scripts").glob("*.ps1")):
        for text in re.findall(r'"FAILED \w+: ([^"]+)"', path.read_text(encoding="utf-8")):
            yield Message(re.sub(r"\$\w+", _HOLE, text), path.name)


def _of_python() -> list[Message]:
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(_sources())}
    with_place = _derived(trees, _WITH_PLACE)
    kinds = _derived(trees, _ROOTS)
    found = []
    for path, tree in trees.items():
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args):
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            if name in kinds or name in _FINDINGS:
                text = _text(call, name in with_place)
                if re.search(r"\w{2}", text):
                    found.append(Message(text, f"{path.relative_to(ROOT)}:{call.lineno}"))
    return found


def _sources() -> Iterator[Path]:
    for place in PLACES:
        path = ROOT / place
        yield from [path] if path.is_file() else path.rglob("*.py")


def _derived(trees: dict[Path, ast.Module], roots: set[str]) -> set[str]:
    """The names of ``roots`` and of every class that derives from one of them."""
    bases = {
        node.name: {getattr(base, "attr", getattr(base, "id", "")) for base in node.bases}
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
    }
    names = set(roots)
    while more := {name for name, parents in bases.items() if parents & names} - names:
        names |= more
    return names


def _text(call: ast.Call, with_place: bool) -> str:
    if not with_place:
        return _words(call.args[0])
    where, what = call.args[0], call.args[1] if len(call.args) > 1 else call.args[0]
    named = isinstance(where, ast.JoinedStr) and what is not where
    return _tidy(f"{_words(where)}: {_words(what)}") if named else _words(what)


def _words(node: ast.expr) -> str:
    return _tidy(_raw(node))


def _tidy(text: str) -> str:
    holes = re.sub(r"%s", _HOLE, re.sub(r"\s+", " ", text))
    return re.sub(r"…[…\s]*…", _HOLE, holes).strip()


def _raw(node: ast.expr) -> str:
    """The literal text of an expression; of two alternatives the first."""
    if isinstance(node, ast.Constant):
        return str(node.value) if isinstance(node.value, str) else _HOLE
    if isinstance(node, ast.JoinedStr):
        return "".join(_raw(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return _raw(node.value) if isinstance(node.value, ast.IfExp) else _HOLE
    if isinstance(node, ast.IfExp):
        return _raw(node.body)
    if isinstance(node, ast.BinOp):
        return _raw(node.left) + _raw(node.right)
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format":
        return _formatted(node)
    return _HOLE


def _formatted(call: ast.Call) -> str:
    """`'{} has {}'.format(...)` with its arguments' own text where they have one."""
    assert isinstance(call.func, ast.Attribute)
    arguments = iter(call.args)
    return re.sub(r"\{\}", lambda _: _raw(next(arguments)), _raw(call.func.value))
