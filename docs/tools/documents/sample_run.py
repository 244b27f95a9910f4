"""The results of a real run for the README: a picture of the terminal, a chart, some numbers."""

from __future__ import annotations

import base64
import html
import json
import os
import re
import shutil
import subprocess
import sys
from datetime import datetime
from typing import Any

from car_rental.config import ROOT, Settings, setting_fields

from documents.markdown import table
from documents.pages import Make

IMAGES = ROOT / "docs" / "images"
TERMINAL, CHART = IMAGES / "run.svg", IMAGES / "top_locations.svg"
_SECTION = "which-locations-earn-the-most"  # the section of the report whose chart is shown
_OUT = ROOT / "out" / "sample"  # separate from the project's files and the user's data
# the chart's text is dark, so it needs a light background on a dark page
_BACKGROUND = '<rect width="100%" height="100%" fill="white"/>'


def pictures_and_blocks() -> dict[str, Make]:
    """Runs everything on this machine, writes the pictures, returns the blocks about the run."""
    record = _run()
    report = (ROOT / record["steps"][-1]["result"]["page"]).read_text(encoding="utf-8")
    CHART.write_text(_chart(report), encoding="utf-8")
    return {"time of a run": lambda: time_of(record), "sample": lambda: sample(report)}


def _run() -> dict[str, Any]:
    """The record of `python main.py --all --local --record ...` with a fresh sample.

    It uses the default settings.
    """
    shutil.rmtree(_OUT, ignore_errors=True)
    defaults = {
        name: str(field.default) for name, field in setting_fields().items() if field.default
    }
    environ = {
        **os.environ,
        **defaults,
        "DATA_DIR": str(_OUT / "data"),
        "LOCAL_AWS_DIR": str(_OUT / "lake"),
    }
    command = [sys.executable, "main.py", "--all", "--local", "--record", str(TERMINAL)]
    subprocess.run(command, cwd=ROOT, env=environ, check=True)
    newest = max(Settings.runs_dir.glob("*.json"))
    record: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
    return record


def _chart(report: str) -> str:
    """The first chart of a section, with a background."""
    section = report.split(f'<section id="{_SECTION}">')[1]
    encoded = re.search(r'src="data:image/svg\+xml;base64,([^"]+)"', section)
    if not encoded:
        raise ValueError(f"the report has no chart in its section {_SECTION}")
    drawn = base64.b64decode(encoded[1]).decode()
    return re.sub(r"(<svg[^>]*>)", rf"\1{_BACKGROUND}", drawn, count=1)


def time_of(record: dict[str, Any]) -> str:
    """The duration of the run, and the number of cores."""
    began, ended = (datetime.fromisoformat(record[moment]) for moment in ("started", "ended"))
    seconds = (ended - began).total_seconds()
    return (
        f"`make demo` took **{seconds:.0f} s** on {os.cpu_count()} cores; the first time it also"
        " makes its environment (`.venv`), a minute or two of download."
    )


def sample(report: str) -> str:
    """The numbers at the head of the report, and its first finding with the chart."""
    facts = {
        html.unescape(name): html.unescape(value)
        for name, value in re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", report)
    }
    numbers = {
        facts["Revenue"]: "revenue, exact to the cent",
        f"{facts['Rentals kept']} of {facts['Rentals read']}": (
            f"rentals kept; {facts['Rentals rejected']} rejected with reasons"
        ),
        facts["Customers"]: f"customers; {facts['Mean amount of a rental']} a rental on average",
    }
    finding = re.search(rf'<a href="#{_SECTION}">(.*?)</a>', report)
    return "\n\n".join(
        [
            table(list(numbers), [list(numbers.values())]),
            re.sub("</?strong>", "**", html.unescape(finding[1])) if finding else "",
            f"![Bars of the ten locations with the highest revenue]({CHART.relative_to(ROOT)})",
        ]
    )
