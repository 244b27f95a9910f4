#!/usr/bin/env python3
"""The car rental data lake, phase by phase: from raw CSV files to answers, on AWS or on this machine.

  python main.py --all --local     everything, on this machine, without an AWS account
  python main.py --all             everything, on AWS, with the settings of .env

Phases can be combined. A run stops at the first failure, says why, and never leaves its cluster running.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "scripts"))  # the step scripts import each other's helpers by plain name, as when run by hand

import cli  # noqa: E402
from analyze import analyze  # noqa: E402
from aws import Aws  # noqa: E402
from clusters import terminate  # noqa: E402
from config import Settings  # noqa: E402
from console import Console  # noqa: E402
from create_emr_cluster import create_emr_cluster  # noqa: E402
from deploy_step_functions import deploy_step_functions  # noqa: E402
from errors import ExitStatus  # noqa: E402
from execute_step_functions import execute_step_functions  # noqa: E402
from local_server import LocalServer, without_aws_variables  # noqa: E402
from preflight import require_ready  # noqa: E402
from run_glue_crawlers import run_glue_crawlers  # noqa: E402
from run_spark_jobs import run_spark_jobs  # noqa: E402
from setup_aws_environment import setup_aws_environment  # noqa: E402
from setup_glue_crawlers import setup_glue_crawlers  # noqa: E402
from setup_iam_roles import ROLES_FILE, setup_iam_roles  # noqa: E402
from terminate_emr_cluster import terminate_emr_cluster  # noqa: E402

StepFunction = Callable[..., Any]  # the function that the script of its name runs


@dataclass
class Run:
    """One run: what the steps share, and what each did."""

    settings: Settings
    aws: Aws
    console: Console
    roles_file: Path = ROLES_FILE
    done: list[tuple[str, float, str]] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)

    def step(self, number: int, function: StepFunction, **arguments: Any) -> Any:
        """Runs one step, shows that it began and how it ended, and returns its result."""
        name = f"{number} {function.__name__}"
        self.console.heading(name)
        began = time.monotonic()
        result = function(self.settings, self.aws, self.console, **arguments)
        seconds = time.monotonic() - began
        self.done.append((name, seconds, result.summary()))
        self.tables |= getattr(result, "report", {}).get("tables", {})
        self.console.note(f"done in {seconds:.1f} s: {result.summary()}")
        return result


def setup(run: Run) -> None:
    """Steps 1 to 4."""
    run.step(1, setup_iam_roles, file=run.roles_file)
    run.step(2, setup_aws_environment)
    run.step(3, setup_glue_crawlers)
    run.step(4, deploy_step_functions)


def process(run: Run) -> None:
    """Steps 5 to 8; whatever happens after the cluster is there, it is terminated."""
    cluster_id = run.step(5, create_emr_cluster).cluster_id
    try:
        run.step(6, run_spark_jobs, cluster_id=cluster_id)
        run.step(7, run_glue_crawlers)
    except BaseException:  # Ctrl-C too: a cluster costs money until it is gone
        _terminate_after_failure(run, cluster_id)
        raise
    run.step(8, terminate_emr_cluster, cluster_id=cluster_id)


def _terminate_after_failure(run: Run, cluster_id: str) -> None:
    try:
        terminate(run.aws, cluster_id)
    except Exception as error:  # noqa: BLE001 - the failure that brought us here is the one to report; this one is said too
        run.console.warn(f"Cluster {cluster_id} could not be terminated and may still cost money: {error}")
        run.console.warn(f"Run: python scripts/terminate_emr_cluster.py --cluster-id {cluster_id}")
    else:
        run.console.note(f"cluster {cluster_id} is being terminated")


def orchestrate(run: Run) -> None:
    """Step 9, in place of steps 5 to 8."""
    run.step(9, execute_step_functions)


def analyze_tables(run: Run) -> None:
    """Step 10."""
    run.step(10, analyze)


Phase = Callable[[Run], None]


def phases(arguments: argparse.Namespace) -> list[Phase]:
    """The phases that the flags ask for, in order.

    The local AWS begins empty, so in local mode the phases that come before those asked for run too.
    """
    wanted: dict[Phase, bool] = {
        setup: arguments.setup or arguments.all,
        orchestrate if arguments.orchestrate else process: arguments.process or arguments.orchestrate or arguments.all,
        analyze_tables: arguments.analyze or arguments.all,
    }
    chosen = [phase for phase, asked in wanted.items() if asked]
    if arguments.local and chosen:
        return list(wanted)[: list(wanted).index(chosen[-1]) + 1]
    return chosen


def show_summary(run: Run, seconds: float) -> None:
    """Steps, times and results of a run that ended well."""
    rows = [(name, f"{elapsed:.1f} s", result) for name, elapsed, result in run.done]
    if run.tables:
        counts = [(name, table["rows"]) for name, table in run.tables.items()]
        run.console.table("Published tables", ("table", "rows"), counts)
    run.console.table("Summary", ("step", "time", "result"), [*rows, ("total", f"{seconds:.1f} s", "")])


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    group = parser.add_argument_group("phases")
    group.add_argument("--setup", action="store_true", help="steps 1 to 4: roles, bucket and data, catalog, state machine")
    group.add_argument("--process", action="store_true", help="steps 5 to 8: cluster, Spark jobs, crawlers, termination")
    group.add_argument("--orchestrate", action="store_true", help="step 9: the state machine does steps 5 to 8")
    group.add_argument("--analyze", action="store_true", help="step 10: SQL over the published tables, and the report")
    group.add_argument("--all", action="store_true", help="setup, process and analyze")
    group = parser.add_argument_group("instead of phases")
    group.add_argument("--check", action="store_true", help="what stands in the way of a run, before any money is spent")
    parser.add_argument("--local", action="store_true", help="on this machine: a stand-in answers in place of AWS")
    return parser


def _run(arguments: argparse.Namespace, chosen: Sequence[Phase], console: Console) -> None:
    settings = cli.settings_of(arguments)
    for note in settings.notes:
        console.warn(note)
    if arguments.check:
        require_ready(settings, Aws(settings), console, local=arguments.local or settings.is_local)
        return
    if not arguments.local:
        if arguments.all and not settings.is_local:
            require_ready(settings, Aws(settings), console, local=False, quiet=True)
        _run_phases(Run(settings, Aws(settings), console), chosen)
        return
    without_aws_variables(os.environ)
    server = LocalServer(settings.local_aws_dir, console)
    try:
        with server:
            settings = dataclasses.replace(settings, aws_endpoint_url=server.url)
            roles_file = settings.local_aws_dir / ROLES_FILE.name
            _run_phases(Run(settings, Aws(settings), console, roles_file), chosen)
    finally:
        lake = server.lake(settings.s3_bucket_name)
        if lake.is_dir():
            console.result(f"\nThe lake, logs included, lies in {lake}")


def _run_phases(run: Run, chosen: Sequence[Phase]) -> None:
    began = time.monotonic()
    for phase in chosen:
        phase(run)
    show_summary(run, time.monotonic() - began)


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    chosen = phases(arguments)
    if not chosen and not arguments.check:
        parser.print_help()
        return ExitStatus.USAGE if arguments.local else ExitStatus.OK
    return cli.guard("main", arguments.traceback, Console(), lambda console: _run(arguments, chosen, console))


if __name__ == "__main__":
    sys.exit(main())
