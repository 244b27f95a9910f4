"""The blocks that are generated from the project's sources, without running anything."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from car_rental.athena.named_queries import named_queries
from car_rental.config import ROOT, Settings, setting_fields
from car_rental.emr.costs import RUN_MINUTES, price_lines, table_prices
from car_rental.steps import STEPS

from documents import commands
from documents.markdown import table
from documents.pages import Make
from documents.rights import rights, roles
from documents.state_diagram import state_machine


def steps() -> str:
    """The ten steps: phase, number, script, purpose."""
    purposes = {
        number: _purpose(script)
        for script in commands.scripts()
        if (number := commands.step_of(script))
    }
    scripts = {
        number: script for script in commands.scripts() if (number := commands.step_of(script))
    }
    rows: list[Sequence[str]] = []
    phase = ""
    for step in STEPS.values():
        shown = "" if step.phase == phase else step.phase
        rows.append((shown, str(step.number), f"`{scripts[step.number]}`", purposes[step.number]))
        phase = step.phase
    return table(("phase", "step", "script", "what it does"), rows)


def _purpose(script: str) -> str:
    """The first sentence of the script's docstring, after the step's number."""
    sentence = (
        commands.docstring(script).split(":", 1)[1].split("\n\n")[0].replace("\n", " ").strip()
    )
    return sentence.split(". ")[0].rstrip(".")


def settings() -> str:
    """Every setting with its default."""
    rows = [
        (
            f"`{name}`",
            field.metadata["help"],
            f"`{default}`" if (default := _default(field)) else "",
        )
        for name, field in setting_fields().items()
    ]
    return table(("setting", "meaning", "default"), rows)


def _default(field: dataclasses.Field[Any]) -> str:
    if isinstance(field.default, bool):
        return "yes" if field.default else "no"
    if isinstance(field.default, Path):
        return field.default.relative_to(ROOT).as_posix()
    return re.sub(r"^arn:.*:", "arn:…:", str(field.default))  # a cell does not break inside a name


def price() -> str:
    """The price of a run on AWS, in one sentence."""
    found = table_prices(Settings.aws_region)
    _, cluster, crawl, queries, *_ = (amount for _, amount in price_lines(Settings(), found))
    total = sum(Decimal(amount.rpartition("$")[2]) for amount in (cluster, crawl, queries))
    return (
        f"A run on the sample data costs **about ${total}** in {Settings.aws_region}: {cluster} for"
        f" {RUN_MINUTES} minutes of the cluster, {crawl} for the crawl, {queries} for the queries."
        f" Instance prices: {found.source}; `--plan` asks AWS for today's."
    )


def prices() -> str:
    """The prices that `--plan` shows, with the default settings and the prices of prices.json."""
    found = table_prices(Settings.aws_region)
    return (
        table(("what", "USD, before tax"), price_lines(Settings(), found))
        + f"\n\nInstance prices: {found.source}."
    )


def make_targets() -> str:
    """The list that `make` prints."""
    return table(
        ("command", "does"),
        [(f"`make {name}`", said) for name, said in commands.make_targets().items()],
    )


def local_aws_help() -> str:
    """The help of `python -m local_aws`."""
    return _as_printed(commands.LOCAL_AWS)


def _as_printed(script: str) -> str:
    return f"```text\n{commands.help_text(script)}\n```"


def questions() -> str:
    """The analysis queries."""
    rows = [
        (f"`notebooks/queries/{query.name}.sql`", query.question)
        for query in named_queries().values()
    ]
    return table(("query", "question"), rows)


BLOCKS: dict[str, Make] = {
    "steps": steps,
    "settings": settings,
    "price of a run": price,
    "prices": prices,
    "make": make_targets,
    "help of the local AWS": local_aws_help,
    "questions": questions,
    "roles": roles,
    "rights": rights,
    "state machine": state_machine,
}
