#!/usr/bin/env python3
"""Opens the analysis in Jupyter, for the lake on this machine or on AWS, and says which.

It uses AWS if .env or the environment names an account or an endpoint (AWS_ACCESS_KEY_ID,
AWS_PROFILE, AWS_ENDPOINT_URL), else the lake on this machine; --local always uses the latter.
Ctrl-C ends Jupyter and everything started with it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from contextlib import nullcontext

from car_rental import cli
from car_rental.config import ROOT, Settings
from car_rental.display.console import Console
from car_rental.errors import DataLakeError
from car_rental.files import short_path
from car_rental.report.settings_env import settings_environment
from car_rental.runs.local_server import local_lake

NOTEBOOK = ROOT / "notebooks" / "athena_queries.ipynb"
_END_SECONDS = 15.0  # Jupyter ends its kernels first


def names_aws(settings: Settings) -> bool:
    """Returns whether the settings name an account or an endpoint."""
    return bool(settings.aws_access_key_id or settings.aws_profile or settings.aws_endpoint_url)


def open_notebook(
    settings: Settings, console: Console, *, local: bool, more: Sequence[str] = ()
) -> None:
    """Runs Jupyter until it ends or Ctrl-C. ``more`` are additional arguments for Jupyter."""
    here = local or not names_aws(settings)
    with local_lake(settings, console, shared=True) if here else nullcontext(settings) as chosen:
        console.note(_whereabouts(chosen, here=here))
        _run(chosen, more)


def _whereabouts(settings: Settings, *, here: bool) -> str:
    if not here:
        account = settings.aws_endpoint_url or settings.aws_profile or settings.aws_access_key_id
        return (
            f"the notebook looks at AWS: {account}, database {settings.glue_database_name} in"
            f" {settings.aws_region}"
        )
    empty = (
        ""
        if (settings.local_aws_dir / "s3" / settings.s3_bucket_name / "processed").is_dir()
        else "; it is empty: make demo"
    )
    return (
        "the notebook looks at the lake on this machine, in"
        f" {short_path(settings.local_aws_dir)}{empty}"
    )


def _run(settings: Settings, more: Sequence[str]) -> None:
    as_root = ["--allow-root"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    command = [sys.executable, "-m", "notebook", str(NOTEBOOK), *as_root, *more]
    # in its own session Jupyter gets no Ctrl-C, which would make it ask for confirmation; this
    # function ends it
    process = subprocess.Popen(
        command, env={**os.environ, **settings_environment(settings)}, start_new_session=True
    )
    try:
        code = process.wait()
    except KeyboardInterrupt:  # the user ends Jupyter with Ctrl-C
        code = 0
    finally:
        process.terminate()
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if code:
        raise DataLakeError(
            "notebook", f"Jupyter ended with exit code {code}.", "Its messages are above."
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--local", action="store_true", help="use the lake on this machine, whatever .env says"
    )
    parser.add_argument(
        "jupyter", nargs="*", metavar="ARGUMENT", help="for Jupyter, behind -- (-- --no-browser)"
    )
    cli.add_common(parser)
    arguments = parser.parse_args(argv)

    def run(console: Console) -> None:
        open_notebook(
            cli.settings_of(arguments, console),
            console,
            local=arguments.local,
            more=arguments.jupyter,
        )

    return cli.guard("open_notebook", arguments.traceback, Console(), run)


if __name__ == "__main__":
    sys.exit(main())
