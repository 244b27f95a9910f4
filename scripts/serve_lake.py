#!/usr/bin/env python3
"""Serves the lake on this machine until Ctrl-C.

The scripts, the AWS CLI and any program that uses AWS_ENDPOINT_URL can work with it. It is the lake
of `main.py --all --local`, in LOCAL_AWS_DIR. Prints the lines for .env.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from car_rental import cli
from car_rental.config import ROOT
from car_rental.display.console import Console


def main(argv: Sequence[str] | None = None) -> int:
    """Replaces this process by the server.

    Returns only if the command line or the settings are wrong.
    """
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--port",
        type=int,
        default=5000,
        metavar="N",
        help="port on 127.0.0.1 (default: %(default)s)",
    )
    parser.add_argument("--fresh", action="store_true", help="empty the lake first")
    cli.add_common(parser)
    arguments = parser.parse_args(argv)

    def serve(console: Console) -> None:
        folder = cli.settings_of(arguments, console).local_aws_dir
        command = [
            sys.executable,
            "-m",
            "local_aws",
            "--port",
            str(arguments.port),
            "--data-dir",
            str(folder),
        ]
        os.chdir(ROOT)
        os.execv(sys.executable, [*command, *(["--fresh"] if arguments.fresh else [])])

    return cli.guard("serve_lake", arguments.traceback, Console(), serve)


if __name__ == "__main__":
    sys.exit(main())
