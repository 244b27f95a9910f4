"""Renders an executed notebook as one HTML file for readers who want the answers and not the code.

A section of the notebook (`## Question` and the cells below it) becomes a section of the page. In
the notebook the finding comes last; on the page it comes first. Cells tagged `notebook-only` are
left out.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from string import Template
from typing import Any

import mistune
from car_rental.config import ROOT

TEMPLATE = ROOT / "notebooks" / "report.html"
_ORDER = ("finding", "chart", "table", "query")
_FOOT = (
    "Made by <code>python main.py --analyze</code>. A rental that breaks a rule of the data"
    " contract is in none of these numbers. Money is exact to the cent; times are UTC."
)


@dataclass
class Section:
    """A section of the page: its heading, text, and the outputs of its cells by kind."""

    heading: str
    words: str = ""
    parts: dict[str, list[str]] = field(default_factory=dict)

    @property
    def anchor(self) -> str:
        """The anchor for links to the section."""
        return "-".join(
            "".join(letter if letter.isalnum() else " " for letter in self.heading.lower()).split()
        )


def render(cells: Sequence[dict[str, Any]]) -> str:
    """The page of an executed notebook. ``cells`` are in the notebook format."""
    opening, *sections = sections_of(cells)
    head = f'<div class="head">{"".join(opening.parts.get("facts", []))}</div>'
    page = Template(TEMPLATE.read_text(encoding="utf-8"))
    return page.substitute(
        title=html.escape(opening.heading),
        lead=f"<h1>{html.escape(opening.heading)}</h1>{opening.words}",
        body="\n".join([head, _brief(sections), *(_section(section) for section in sections)]),
        foot=_FOOT,
    )


def sections_of(cells: Iterable[dict[str, Any]]) -> list[Section]:
    """The notebook's title and introduction, then its sections."""
    sections: list[Section] = []
    for cell in cells:
        if "notebook-only" in cell["metadata"].get("tags", []):
            continue
        if cell["cell_type"] == "markdown":
            heading, _, words = "".join(cell["source"]).partition("\n")
            sections.append(Section(heading.lstrip("# ").strip(), _markdown(words)))
            continue
        for output in cell["outputs"]:
            part = output.get("metadata", {}).get("part")
            if part:
                sections[-1].parts.setdefault(part, []).append("".join(output["data"]["text/html"]))
    return sections


def _markdown(text: str) -> str:
    return str(mistune.html(text.strip())).strip() if text.strip() else ""


def _brief(sections: Sequence[Section]) -> str:
    """A list of the first finding of every section, each a link to its section."""
    lines = [
        f'<li><a href="#{section.anchor}">{_inner(section.parts["finding"][0])}</a></li>'
        for section in sections
        if "finding" in section.parts
    ]
    return f'<div class="brief"><h2>In short</h2><ul>{"".join(lines)}</ul></div>'


def _inner(paragraph: str) -> str:
    return paragraph.removeprefix("<p>").removesuffix("</p>")


def _section(section: Section) -> str:
    shown = "\n".join(
        _part(kind, markup) for kind in _ORDER for markup in section.parts.get(kind, [])
    )
    return (
        "<section"
        f' id="{section.anchor}"><h2>{html.escape(section.heading)}</h2>{section.words}\n'
        f"{shown}</section>"
    )


def _part(kind: str, markup: str) -> str:
    return f'<div class="{"scroll" if kind == "table" else kind}">{markup}</div>'
