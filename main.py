#!/usr/bin/env python3
"""The car rental data lake, from raw CSV files to answers, on AWS or on this machine.

  python main.py --all --local   everything, on this machine, without an account
  python main.py --all           everything, on AWS, with the settings of .env

Phases can be combined. With --local they use the lake in LOCAL_AWS_DIR, which persists between
runs. A run stops at the first failure, says why, and never leaves its cluster running. Its record
is kept under runs/; `--from STEP` picks up a failed run. `--plan` shows what a run would do and
cost, without doing it.
"""

from __future__ import annotations

import os
import sys

# the step scripts and their library car_rental
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts"))

# imported first: checks the Python packages, and handles Ctrl-C during the other imports
from car_rental import prerequisites  # noqa: F401

# isort: split
import argparse
from collections.abc import Callable, Sequence
from functools import partial

from car_rental import cli
from analyze import analyze
from car_rental.aws import Aws
from car_rental.checks.plan import show_plan
from car_rental.checks.preflight import apply_fixes, require_ready
from car_rental.cleanup.teardown import teardown
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.emr.clusters import active_clusters, find_cluster, terminate_after_failure
from car_rental.errors import DataLakeError, ExitStatus, StillRunning
from car_rental.files import short_path
from car_rental.iam.roles_file import ROLES_FILE
from car_rental.runs.cluster_costs import (
    record_cost,
    report_cost_after_failure,
    report_kept_cluster,
)
from car_rental.runs.command_line import RESUMABLE, command_line, phases
from car_rental.runs.local_server import local_lake
from car_rental.runs.records import RunRecord
from car_rental.runs.run import Run
from car_rental.runs.selection import shown_on_board, steps_to_run
from car_rental.s3.lake_bucket import require_bucket
from car_rental.s3.lake_files import upload_files
from car_rental.s3.lake_lock import LakeLock, lake_lock
from car_rental.steps import PHASES
from create_emr_cluster import create_emr_cluster
from deploy_step_functions import deploy_step_functions
from execute_step_functions import execute_step_functions
from run_glue_crawlers import run_glue_crawlers
from run_spark_jobs import run_spark_jobs
from setup_aws_environment import setup_aws_environment
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import setup_iam_roles
from terminate_emr_cluster import terminate_emr_cluster

SETUP = (setup_iam_roles, setup_aws_environment, setup_glue_crawlers, deploy_step_functions)


# --- the phases


def setup(run: Run) -> None:
    """Steps 1 to 4."""
    for function in SETUP:
        if run.includes(function):
            arguments = {"file": run.roles_file} if function is setup_iam_roles else {}
            run.step(function, **arguments)


def process(run: Run) -> None:
    """Runs steps 5 to 8 while it holds the lake's lock.

    The cluster is terminated even if a step fails or is interrupted, unless --keep-cluster is
    given.
    """
    if not run.includes(run_spark_jobs):  # the crawler alone needs no cluster
        run.step(run_glue_crawlers, wait=run.wait)
        return
    require_bucket(run.aws, "main")
    with lake_lock(run.aws, run.console, "main", wait=run.wait) as lock:
        _process_locked(run, lock)


def _process_locked(run: Run, lock: LakeLock) -> None:
    _upload_files(run)
    try:
        cluster_id = _cluster(run)
        _run_spark(run, cluster_id, lock)
        run.step(run_glue_crawlers, lock=lock)
        if not run.keep_cluster:
            run.step(terminate_emr_cluster, cluster_id=cluster_id)
    except BaseException:  # Ctrl-C too: a cluster costs money until it is terminated
        _clean_up_after_failure(run)
        raise
    if run.keep_cluster:
        report_kept_cluster(run, cluster_id)
    else:
        record_cost(run, cluster_id)


def _upload_files(run: Run) -> None:
    """Uploads the raw data and the Spark jobs that changed, unless step 2 is part of this run."""
    if run.includes(setup_aws_environment):
        return
    require_bucket(run.aws, "process")
    run.console.note(
        f"raw data and Spark jobs for the lake: {upload_files(run.aws, run.console).summary()}"
    )


def _cluster(run: Run) -> str:
    """The id of a new cluster, or of the active one when this run begins with step 6."""
    if run.includes(create_emr_cluster):
        on_created = partial(run.record.record_id, "cluster_id")
        return str(run.step(create_emr_cluster, on_created=on_created).cluster_id)
    run.record.record_id("cluster_id", find_cluster(run.aws, None))
    return run.record.ids["cluster_id"]


def _run_spark(run: Run, cluster_id: str, lock: LakeLock) -> None:
    """Step 6. A timeout is a failure here: the cluster is terminated, and the jobs end with it."""
    try:
        # on this machine a small run spends most of its time on starting Spark
        local = run.aws.settings.is_local
        run.step(run_spark_jobs, cluster_id=cluster_id, lock=lock, one_application=local)
    except StillRunning as error:
        if run.keep_cluster:
            raise
        raise DataLakeError(
            error.where,
            f"{error.what.partition(';')[0]}; the cluster is terminated, and the jobs end with it.",
            "Run steps 5 and 6 by themselves, step 6 with a longer --timeout-minutes.",
        ) from error


def _clean_up_after_failure(run: Run) -> None:
    """Terminates the cluster of the run if there is one, and says what it has cost."""
    cluster_id = run.record.ids.get("cluster_id")
    if cluster_id and run.keep_cluster:
        report_kept_cluster(run, cluster_id)
    elif cluster_id:
        terminate_after_failure(run.aws, run.console, cluster_id)
    report_cost_after_failure(run)


def orchestrate(run: Run) -> None:
    """Step 9, in place of steps 5 to 8."""
    _upload_files(run)
    try:
        result = run.step(
            execute_step_functions, on_created=partial(run.record.record_id, "execution_arn")
        )
    except BaseException:
        report_cost_after_failure(run)
        raise
    if result.cluster_id:
        record_cost(run, result.cluster_id)


def analyze_tables(run: Run) -> None:
    """Step 10."""
    run.step(analyze)


_WORK: dict[str, Callable[[Run], None]] = {
    "setup": setup,
    "process": process,
    "orchestrate": orchestrate,
    "analyze": analyze_tables,
}


def show_summary(run: Run) -> None:
    """Shows the published tables, the steps and the cost of a good run."""
    if run.record.tables:
        run.console.table("Published tables", ("table", "rows"), list(run.record.tables.items()))
    run.console.summary()
    if run.usage:
        run.console.result(f"\nCost of the cluster: {run.usage.summary()}")


def _run(
    arguments: argparse.Namespace, chosen: Sequence[str], record: RunRecord, console: Console
) -> None:
    settings = cli.settings_of(arguments, console)
    if not arguments.local:
        _run_on(arguments, chosen, Run(Aws(settings), console, record))
        return
    with local_lake(settings, console, fresh=arguments.fresh) as here:
        run = Run(Aws(here), console, record, roles_file=settings.local_aws_dir / ROLES_FILE.name)
        try:
            _run_on(arguments, chosen, run)
        finally:
            lake = settings.local_aws_dir / "s3" / settings.s3_bucket_name
            console.result(f"The lake and its logs are in {short_path(lake)}")


def _run_on(arguments: argparse.Namespace, chosen: Sequence[str], run: Run) -> None:
    settings = run.aws.settings
    if arguments.all and not settings.is_local:
        require_ready(run.aws, run.console, local=False, quiet=True)
    run.record.belongs_to(settings)
    run.keep_cluster, run.wait = arguments.keep_cluster, arguments.wait
    try:
        has_cluster = arguments.first_step == "run_spark_jobs" and bool(active_clusters(run.aws))
        run.steps = steps_to_run(
            chosen, arguments.first_step, keep_cluster=run.keep_cluster, has_cluster=has_cluster
        )
        run_phases(run, chosen)
    except BaseException:
        failed = run.record.steps[-1].step.name if run.record.steps else None
        # a run that failed in its first step is simply run again
        if failed in RESUMABLE and failed != run.steps[0]:
            run.console.note(f"to pick it up: the same command with --from {failed}")
        raise


def run_phases(run: Run, chosen: Sequence[str]) -> None:
    """Runs the steps of the chosen phases that are part of ``run``, and names the others."""
    try:
        on_board = shown_on_board(run.steps, chosen)
        with run.console.board(on_board):
            for step in on_board:
                if step.name not in run.steps:
                    run.console.left_out(step, "--from begins later")
            for phase in chosen:
                if set(PHASES[phase]) & set(run.steps):
                    _WORK[phase](run)
        show_summary(run)
    finally:
        if run.record.file:
            run.console.result(f"\nRecord of the run: {short_path(run.record.file)}")


def _instead(arguments: argparse.Namespace, console: Console) -> None:
    """Runs the checks, the plan or the teardown."""
    settings = cli.settings_of(arguments, console)
    if not arguments.local or arguments.check:
        _instead_on(settings, arguments, console)
        return
    with local_lake(settings, console) as here:
        _instead_on(here, arguments, console)


def _instead_on(settings: Settings, arguments: argparse.Namespace, console: Console) -> None:
    if arguments.check:
        aws, local = Aws(settings), arguments.local or settings.is_local
        if arguments.fix and not local:
            apply_fixes(aws, console, yes=arguments.yes)
        require_ready(aws, console, local=local)
    elif arguments.plan:
        planned = phases(arguments) or [*PHASES]
        show_plan(
            Aws(settings, plan_only=True), console, SETUP if "setup" in planned else (), planned
        )
    else:
        result = teardown(
            Aws(settings), console, delete_data=arguments.delete_data, yes=arguments.yes
        )
        console.result(result.summary())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = command_line(__doc__)
    arguments = parser.parse_args(argv)
    if arguments.fresh and not arguments.local:
        parser.error("--fresh empties the lake on this machine: give it with --local")
    if arguments.fresh and (arguments.first_step or arguments.plan or arguments.teardown):
        parser.error("--fresh begins with an empty lake: leave --from, --plan and --teardown out")
    if arguments.check or arguments.plan or arguments.teardown:
        return cli.guard(
            "main", arguments.traceback, Console(), lambda console: _instead(arguments, console)
        )
    chosen = phases(arguments)
    if not chosen:
        parser.print_help()
        return ExitStatus.USAGE if arguments.local else ExitStatus.OK
    record = RunRecord(list(sys.argv[1:] if argv is None else argv))

    def work(console: Console) -> None:
        with record.recording_end():
            _run(arguments, chosen, record, console)

    console = Console(out=sys.stderr if arguments.json else None)
    code = cli.guard("main", arguments.traceback, console, work)
    if arguments.record:
        drawn = cli.guard(
            "--record",
            arguments.traceback,
            console,
            lambda console: console.save_picture(arguments.record, record.command),
        )
        code = code or drawn
    if arguments.json:
        print(record.as_json())
    return code


if __name__ == "__main__":
    sys.exit(main())
