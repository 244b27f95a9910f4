#!/usr/bin/env python3
"""Queries the lake in SQL and prints the rows: as a table on a terminal, as CSV in a pipe.

  python scripts/query_lake.py --local "SELECT * FROM vehicle_type_metrics"
  python scripts/query_lake.py --local top_locations   a saved query, by name
  python scripts/query_lake.py                         lists the saved queries

With --local it queries the lake on this machine, which `make demo` fills; otherwise the lake on
AWS. A query that does not mention run_id reads the newest run; a query that mentions it reads all
runs. Bytes read and cost go to stderr. Ctrl-C cancels the query.
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from car_rental import cli
from car_rental.athena.client import Athena, QueryResult
from car_rental.athena.formats import rows_for_people, write_csv, write_json_lines
from car_rental.athena.named_queries import named_queries, saved_queries
from car_rental.athena.newest_run import limited_to_newest_run
from car_rental.aws import Aws
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.errors import ConfigError
from car_rental.glue.published import require_workgroup
from car_rental.runs.local_server import local_lake

_MOST_ROWS = 1000  # rows in a table for people
_QUIET_SECONDS = 3.0  # after this time a message says that the query is running


@dataclass(frozen=True)
class Question:
    """SQL, and its name in errors."""

    name: str
    sql: str


def query_lake(aws: Aws, console: Console, question: Question) -> tuple[QueryResult, str]:
    """Runs the query. Returns its rows, and the run to which the query was limited."""
    require_workgroup(aws)
    narrowed = limited_to_newest_run(aws, question.sql)

    def progress(what: str, state: str, elapsed: float) -> None:
        if elapsed >= _QUIET_SECONDS:
            console.progress(what, state, elapsed)

    with console.waiting("the query is running"):
        return Athena(aws, progress).run(narrowed.sql, question.name), narrowed.run_id


def question_of(aws: Aws, arguments: argparse.Namespace) -> Question:
    """The SQL from a file, from a saved query, or as typed."""
    if arguments.file:
        sql = _read(arguments.file)
        if not sql.strip():
            raise ConfigError(f"--file {arguments.file}", "holds no SQL.", "Give one query.")
        return Question(str(arguments.file), sql)
    if re.fullmatch(r"\s*[\w-]+\s*", arguments.sql):
        return _saved(aws, arguments.sql.strip())
    return Question("", arguments.sql)


def _read(file: Path) -> str:
    try:
        return sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--file {file}",
            f"cannot be read: {error}",
            "Give a text file in UTF-8 with one query.",
        ) from error


def _saved(aws: Aws, name: str) -> Question:
    files = named_queries()
    if name in files:
        return Question(name, files[name].sql)
    saved = {query["Name"]: query["QueryString"] for query in saved_queries(aws)}
    if name in saved:
        return Question(name, saved[name])
    near = difflib.get_close_matches(name, [*files, *saved], n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise ConfigError(
        f"saved query {name}", "does not exist.", f"{hint}List them: python scripts/query_lake.py"
    )


def _list(console: Console) -> None:
    console.table(
        "Saved queries",
        ("name", "question"),
        [(query.name, query.question) for query in named_queries().values()],
    )


def _show(console: Console, result: QueryResult, wanted: str) -> None:
    if wanted == "csv" and result.names:
        write_csv(result, sys.stdout)
    elif wanted == "jsonl":
        write_json_lines(result, sys.stdout)
    elif wanted == "table" and result.names:
        console.rows(result.names, rows_for_people(result)[:_MOST_ROWS])
        if len(result.rows) > _MOST_ROWS:
            console.warn(
                f"{_MOST_ROWS:,} of {len(result.rows):,} rows are shown. All of them: --format csv"
            )


def _facts(settings: Settings, result: QueryResult, run_id: str) -> str:
    rows = f"{len(result.rows):,} row{'' if len(result.rows) == 1 else 's'}"
    here = " on AWS, nothing here" if settings.is_local else ""
    cost = "free" if result.is_free else f"${result.dollars:.5f}{here}"
    newest = [f"of the newest run, {run_id}"] if run_id else []
    return "; ".join(
        [
            " ".join([rows, *newest]),
            f"{result.scanned_bytes:,} bytes read, {cost}",
            f"{result.seconds:.1f} s",
        ]
    )


def _act(arguments: argparse.Namespace, console: Console) -> None:
    if not arguments.sql.strip() and not arguments.file:
        _list(console)
        return
    settings = cli.settings_of(arguments, console)
    with local_lake(settings, console) if arguments.local else nullcontext(settings) as chosen:
        aws = Aws(chosen)
        result, run_id = query_lake(aws, console, question_of(aws, arguments))
    try:
        _show(console, result, arguments.format or ("table" if sys.stdout.isatty() else "csv"))
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    console.note(_facts(chosen, result, run_id))


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "sql", nargs="?", default="", metavar="SQL", help="the query, or the name of a saved one"
    )
    what.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="read the query from FILE (-: from standard input)",
    )
    parser.add_argument("--local", action="store_true", help="query the lake on this machine")
    parser.add_argument(
        "--format",
        choices=("table", "csv", "jsonl"),
        help="default: table on a terminal, csv elsewhere; jsonl: JSON lines",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = _parser()
    cli.add_common(parser)
    arguments = parser.parse_args(argv)
    return cli.guard(
        "query_lake", arguments.traceback, Console(), lambda console: _act(arguments, console)
    )


if __name__ == "__main__":
    sys.exit(main())
