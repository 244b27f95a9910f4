"""The flags of main.py, and the phases that they select."""

from __future__ import annotations

import argparse

from car_rental import cli
from car_rental.cleanup.teardown import add_arguments
from car_rental.display.picture import picture_file
from car_rental.steps import STEPS, numbers

RESUMABLE = [
    name for name in STEPS if name != "terminate_emr_cluster"
]  # steps that --from can name


def command_line(description: str | None) -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = cli.parser(description)
    group = parser.add_argument_group("phases")
    group.add_argument(
        "--setup",
        action="store_true",
        help=f"{numbers('setup')}: roles, bucket and data, catalog, state machine",
    )
    group.add_argument(
        "--process",
        action="store_true",
        help=f"{numbers('process')}: cluster, Spark jobs, crawlers, termination",
    )
    group.add_argument(
        "--orchestrate",
        action="store_true",
        help=f"{numbers('orchestrate')}: the state machine does {numbers('process')}",
    )
    group.add_argument(
        "--analyze",
        action="store_true",
        help=f"{numbers('analyze')}: SQL over the published tables, and the report",
    )
    group.add_argument("--all", action="store_true", help="setup, process and analyze")
    group = parser.add_argument_group("instead of phases")
    group.add_argument(
        "--check", action="store_true", help="look for obstacles to a run, before it costs money"
    )
    group.add_argument(
        "--fix",
        action="store_true",
        help="with --check: set missing tags of the network, asked first",
    )
    group.add_argument(
        "--plan",
        action="store_true",
        help="show what the phases (default: all) would create or change, and their price",
    )
    group.add_argument(
        "--teardown", action="store_true", help="remove the project's resources; the data stays"
    )
    add_arguments(group)
    group = parser.add_argument_group("how")
    group.add_argument(
        "--local",
        action="store_true",
        help="use the lake on this machine: a stand-in answers in place of AWS",
    )
    group.add_argument(
        "--fresh", action="store_true", help="with --local: empty the lake on this machine first"
    )
    cli.add_wait(group)
    group.add_argument(
        "--keep-cluster",
        action="store_true",
        help="do not terminate the cluster; shows the price of an hour",
    )
    group.add_argument(
        "--from",
        dest="first_step",
        choices=RESUMABLE,
        metavar="STEP",
        help="begin with this step (run_spark_jobs ...)",
    )
    group.add_argument(
        "--record",
        type=picture_file,
        metavar="FILE",
        help="write a picture of this run's terminal to FILE, an SVG",
    )
    group.add_argument(
        "--json",
        action="store_true",
        help="print the record of the run on stdout, and nothing else there",
    )
    cli.add_common(parser)
    return parser


def phases(arguments: argparse.Namespace) -> list[str]:
    """The phases that the flags select, in order."""
    processing = "orchestrate" if arguments.orchestrate else "process"
    wanted: dict[str, bool] = {
        "setup": arguments.setup or arguments.all,
        processing: arguments.process or arguments.orchestrate or arguments.all,
        "analyze": arguments.analyze or arguments.all,
    }
    return [phase for phase, asked in wanted.items() if asked]
