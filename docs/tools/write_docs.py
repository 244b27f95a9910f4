#!/usr/bin/env python3
"""Writes the generated parts of the documents: help texts, tables, permissions, the diagram.

With --run it first runs everything on this machine, with a fresh sample, and takes the README's
picture of the terminal, its chart and its numbers from that run. A test fails while a generated
part is out of date.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))

from car_rental import cli
from car_rental.config import ROOT
from documents.blocks import BLOCKS
from documents.pages import refill
from documents.sample_run import pictures_and_blocks


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the blocks, and names the documents that changed."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--run",
        action="store_true",
        help="run everything first; take pictures and numbers from that run",
    )
    arguments = parser.parse_args(argv)
    blocks = {**BLOCKS, **(pictures_and_blocks() if arguments.run else {})}
    for page in refill(blocks):
        print(f"{page.relative_to(ROOT)} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
