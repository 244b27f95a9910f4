"""A picture of a run's terminal as one SVG file."""

from __future__ import annotations

import argparse
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path

from car_rental.files import write_whole
from rich.console import Console as RichConsole
from rich.console import RenderableType
from rich.terminal_theme import MONOKAI

_WIDTH = 100  # columns
_WEB_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # an image in a page cannot load fonts


def picture_file(text: str) -> Path:
    """The argument of ``--record``; rejects a path that cannot be written."""
    path = Path(text)
    folder = path.parent
    if path.is_dir():
        why = "it is a folder"
    elif not folder.is_dir():
        why = f"there is no folder {folder}"
    elif not os.access(folder, os.W_OK):
        why = f"you may not write in {folder}"
    else:
        return path
    raise argparse.ArgumentTypeError(f"{path} cannot be written: {why}")


def save_picture(path: Path, command: str, shown: Sequence[RenderableType]) -> None:
    """Writes the command and its output as an SVG, atomically."""
    terminal = RichConsole(
        record=True,
        file=io.StringIO(),
        width=_WIDTH,
        force_terminal=True,
        no_color=False,
        highlight=False,
    )
    terminal.print(f"[green]$[/] [bold]{command}[/]\n")
    for renderable in shown:
        terminal.print(renderable)
    svg = terminal.export_svg(title="car rental data lake", theme=MONOKAI, unique_id="run")
    write_whole(path, _WEB_FONTS.sub("", svg))
