"""The documents and their generated blocks.

A block lies between a marker with its name and an end marker.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from car_rental.config import ROOT

Make = Callable[[], str]  # generates the Markdown of a block
_BLOCK = re.compile(
    r"(?P<begin><!-- made: (?P<name>[^\n]+) -->\n).*?(?P<end><!-- end -->)", re.DOTALL
)


def pages() -> list[Path]:
    """Every document."""
    return [
        *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
        *sorted((ROOT / "docs").glob("*.md")),
    ]


def block_names(text: str) -> list[str]:
    """The names of the blocks in a document."""
    return [found["name"] for found in _BLOCK.finditer(text)]


def filled(text: str, blocks: Mapping[str, Make]) -> str:
    """The document with ``blocks`` generated anew; other blocks stay."""

    def fresh(found: re.Match[str]) -> str:
        if found["name"] not in blocks:
            return found[0]
        return f"{found['begin']}{blocks[found['name']]().strip()}\n{found['end']}"

    return _BLOCK.sub(fresh, text)


def refill(blocks: Mapping[str, Make]) -> list[Path]:
    """Generates ``blocks`` in every document. Returns the documents that changed."""
    changed = []
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled(before, blocks)
        if after != before:
            page.write_text(after, encoding="utf-8")
            changed.append(page)
    return changed
