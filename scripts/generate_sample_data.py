#!/usr/bin/env python3
"""Writes a realistic sample of the raw data, with a known small share of every kind of defect.

The sample is four CSV files; the same seed and size give the same bytes. sample_data.json beside
them counts the planted defects, which the validation must find. With --business the rentals look
like those of a business: rush hours, weekends, seasons, growth; --next-month adds a month to such a
sample.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from car_rental import cli
from car_rental.config import load_settings
from car_rental.display.console import Console
from car_rental.files import short_path
from car_rental.s3.raw_data import is_empty
from car_rental.sample.generator import (
    DEFAULT_DEFECTS,
    TABLES,
    SampleData,
    add_month,
    file_name,
    generate,
)
from car_rental.sample.tables import GUIDE_RENTALS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    arguments = _parser().parse_args(argv)
    return cli.guard(
        "generate_sample_data",
        arguments.traceback,
        Console(),
        lambda console: _run(arguments, console),
    )


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--rentals",
        type=int,
        default=GUIDE_RENTALS,
        metavar="N",
        help="how many (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="S",
        help="another seed, other data (default: %(default)s)",
    )
    parser.add_argument(
        "--defects",
        type=float,
        default=DEFAULT_DEFECTS,
        metavar="RATE",
        help="share of bad rentals, 0: none (default: %(default)s)",
    )
    parser.add_argument("--business", action="store_true", help="rentals like those of a business")
    parser.add_argument(
        "--next-month",
        action="store_true",
        help="add a month to a sample like a business; makes one in an empty folder",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: DATA_DIR, that is, data/)",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="replace data in the folder that this script did not write",
    )
    parser.add_argument(
        "--env", type=Path, metavar="FILE", help="settings file to read instead of .env"
    )
    parser.add_argument(
        "--traceback", action="store_true", help="show the whole traceback of a failure"
    )
    return parser


def _run(arguments: argparse.Namespace, console: Console) -> None:
    folder = arguments.output or load_settings(os.environ, arguments.env).data_dir
    if arguments.next_month and not is_empty(folder):
        name = add_month(folder)
        added = f"{short_path(folder / name)} is new: a month more"
        console.note(added if name else f"{short_path(folder)} holds other data: it stays")
        return
    business = arguments.business or arguments.next_month
    show(
        generate(
            arguments.rentals, arguments.seed, folder, arguments.defects, arguments.force, business
        ),
        console,
    )


def show(sample: SampleData, console: Console) -> None:
    """Prints the files and the planted defects."""
    console.table(
        f"Raw data in {sample.folder}",
        ("file", "rows", "bytes"),
        [(file_name(t), sample.rows[t], sample.bytes[t]) for t in TABLES],
    )
    if sample.rejected:
        reasons = [
            *sample.by_reason.items(),
            ("rentals to be rejected", sample.rejected),
            ("odd, but to be kept", sample.odd_but_kept),
        ]
        console.table(
            "Planted in the rentals (one may have several)", ("reason", "rentals"), reasons
        )
        oddities = [
            (table, name, count)
            for table, kinds in sample.oddities.items()
            for name, count in kinds.items()
        ]
        console.table("Planted in the master tables", ("table", "oddity", "rows"), oddities)


if __name__ == "__main__":
    sys.exit(main())
