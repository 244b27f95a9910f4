#!/usr/bin/env python3
"""The car rental data lake, phase by phase: from raw CSV files to answers, on AWS or on this machine.

  python main.py --all --local   everything, on this machine, without an account
  python main.py --all           everything, on AWS, with the settings of .env

Phases can be combined. With --local they work on the lake in LOCAL_AWS_DIR, which lives on from run to
run. A run stops at the first failure, says why, and never leaves its cluster running. What it did is kept
under runs/; `--from STEP` picks up one that failed. `--plan` shows what a run would do and cost, and does
nothing.
"""

from __future__ import annotations

import os
import sys

# the step scripts and their library car_rental
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scripts"))

from car_rental import prerequisites  # noqa: F401 - first: what this Python lacks, and Ctrl-C during all that follows

# isort: split
import argparse
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from car_rental import cli
from analyze import analyze
from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Aws, explain
from car_rental.checks.plan import show_plan
from car_rental.checks.preflight import mend, require_ready
from car_rental.cleanup.teardown import add_arguments, teardown
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.display.picture import picture_file
from car_rental.emr.clusters import active_clusters, find_cluster, terminate_after_failure
from car_rental.emr.costs import Usage, cluster_nodes, find_prices, hour_of_cluster, money, used
from car_rental.errors import DataLakeError, ExitStatus, StillRunning
from car_rental.files import shown
from car_rental.runs.local_server import local_lake
from car_rental.runs.records import RunRecord
from car_rental.s3.lake_bucket import require_bucket
from car_rental.s3.lake_files import bring_files
from car_rental.s3.lake_lock import LakeLock, lake_lock
from car_rental.state_machine.executions import clusters_of, describe
from car_rental.steps import PHASES, STEPS, Step, numbers
from create_emr_cluster import create_emr_cluster
from deploy_step_functions import deploy_step_functions
from execute_step_functions import execute_step_functions
from run_glue_crawlers import run_glue_crawlers
from run_spark_jobs import run_spark_jobs
from setup_aws_environment import setup_aws_environment
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import ROLES_FILE, setup_iam_roles
from terminate_emr_cluster import terminate_emr_cluster

SETUP = (setup_iam_roles, setup_aws_environment, setup_glue_crawlers, deploy_step_functions)
_RESUMABLE = [name for name in STEPS if name != "terminate_emr_cluster"]
StepFunction = Callable[..., Any]  # the function that the script of its name runs


@dataclass
class Run:
    """One run: what the steps share, and what each did."""

    settings: Settings
    aws: Aws
    console: Console
    record: RunRecord
    roles_file: Path = ROLES_FILE
    first_step: int = 1
    keep_cluster: bool = False
    wait: bool = False
    usage: Usage | None = None

    def step(self, function: StepFunction, **arguments: Any) -> Any:
        """Runs the step that ``function`` does, shown and recorded, and returns its result; None for one before the first.

        What AWS refuses or what does not reach it is raised as an error that names the step.
        """
        step = STEPS[function.__name__]
        if step.number < self.first_step:
            self.console.left_out(step, "--from begins later")
            return None
        going = self.record.begin(step)
        with self.console.step(going), self.record.following(going):
            try:
                result = function(self.settings, self.aws, self.console, **arguments)
            except (ClientError, BotoCoreError) as error:
                raise explain(error, step.name) from error
            self.record.took(going, result)
        return result


def setup(run: Run) -> None:
    """Steps 1 to 4."""
    run.step(setup_iam_roles, file=run.roles_file)
    run.step(setup_aws_environment)
    run.step(setup_glue_crawlers)
    run.step(deploy_step_functions)


def process(run: Run) -> None:
    """Steps 5 to 8, as the one writer of the lake.

    Whatever happens once there is a cluster, it is terminated, unless it is to be kept.
    """
    if run.first_step > STEPS["run_spark_jobs"].number:  # what is left needs no cluster
        for step in (create_emr_cluster, run_spark_jobs):
            run.step(step)
        run.step(run_glue_crawlers, wait=run.wait)
        return
    require_bucket(run.aws, "main")
    with lake_lock(run.aws, run.console, "main", wait=run.wait) as lock:
        _process_locked(run, lock)


def _process_locked(run: Run, lock: LakeLock) -> None:
    _bring_files(run)
    cluster_id = ""
    try:
        cluster_id = _cluster(run)
        _run_spark(run, cluster_id, lock)
        run.step(run_glue_crawlers, lock=lock)
        if not run.keep_cluster:
            run.step(terminate_emr_cluster, cluster_id=cluster_id)
    except BaseException:  # Ctrl-C too: a cluster costs money until it is gone
        _let_go_after_failure(run, keep=run.keep_cluster and bool(cluster_id))
        raise
    if run.keep_cluster:
        _say_that_it_is_kept(run, cluster_id)
    else:
        _count_cost(run, cluster_id)


def _bring_files(run: Run) -> None:
    """Processing works with the files that lie here now; a setup in the same run has brought them already."""
    later = run.first_step > STEPS["execute_step_functions"].number
    if later or any(step.step.name == setup_aws_environment.__name__ for step in run.record.steps):
        return
    require_bucket(run.aws, "process")
    run.console.note(f"raw data and Spark jobs for the lake: {bring_files(run.aws, run.console).summary()}")


def _cluster(run: Run) -> str:
    """A new cluster; with --from run_spark_jobs the one that is still active, if there is one."""
    if run.first_step == STEPS["run_spark_jobs"].number:
        if active_clusters(run.aws):
            run.step(create_emr_cluster)  # is left out
            run.record.notes_id("cluster_id", find_cluster(run.aws, None))
            return run.record.ids["cluster_id"]
        run.first_step = STEPS["create_emr_cluster"].number  # it went with the run that failed
    return str(run.step(create_emr_cluster, made=partial(run.record.notes_id, "cluster_id")).cluster_id)


def _run_spark(run: Run, cluster_id: str, lock: LakeLock) -> None:
    """Step 6; jobs that run past the deadline do not go on by themselves here, for their cluster is ended."""
    try:
        # on this machine the start of Spark is most of a small run
        run.step(run_spark_jobs, cluster_id=cluster_id, lock=lock, one_application=run.settings.is_local)
    except StillRunning as error:
        if run.keep_cluster:
            raise
        raise DataLakeError(
            error.where,
            f"{error.what.partition(';')[0]}; the cluster is ended, and the jobs with it.",
            "Run steps 5 and 6 by themselves, step 6 with a longer --timeout-minutes.",
        ) from error


def _let_go_after_failure(run: Run, *, keep: bool) -> None:
    """Ends the run's cluster, if it has one yet, and says what it has cost."""
    cluster_id = run.record.ids.get("cluster_id")
    if cluster_id and keep:
        _say_that_it_is_kept(run, cluster_id)
    elif cluster_id:
        terminate_after_failure(run.aws, run.console, cluster_id)
    _tell_cost_after_failure(run)


def _say_that_it_is_kept(run: Run, cluster_id: str) -> None:
    if run.settings.is_local:
        run.console.warn(f"Cluster {cluster_id} is kept as long as the local AWS runs.")
        return
    hour = hour_of_cluster(run.settings, find_prices(run.aws, cluster_nodes(run.settings)))
    idle = run.settings.emr_idle_timeout_seconds // 60
    run.console.warn(f"Cluster {cluster_id} is kept. On AWS an hour of it costs: {money(hour)}")
    run.console.warn(f"It ends after {idle} idle minutes, or: python scripts/terminate_emr_cluster.py --cluster-id {cluster_id}")


def _count_cost(run: Run, cluster_id: str) -> None:
    """What the cluster used; a cluster on this machine costs nothing."""
    if run.settings.is_local:
        return
    try:
        usage = used(run.aws, cluster_id)
    except (ClientError, BotoCoreError) as error:  # the run is good without it
        run.console.warn(f"What the cluster cost cannot be told: {error}")
    else:
        run.record.costs(usage)
        run.usage = usage


def _tell_cost_after_failure(run: Run) -> None:
    """No summary comes after a failure, so this says what its cluster has cost; the failure stays the one to report."""
    try:
        for cluster_id in _clusters(run):
            _count_cost(run, cluster_id)
            if run.usage:
                run.console.note(f"cluster {cluster_id} has used so far: {run.usage.summary()}")
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - said, and the failure goes on
        run.console.warn(f"What the run cost cannot be told: {str(error) or 'interrupted'}")


def _clusters(run: Run) -> list[str]:
    """The clusters on AWS that the run, or its execution of the state machine, has made."""
    if run.settings.is_local:
        return []
    if "execution_arn" in run.record.ids:
        execution = describe(run.aws, run.record.ids["execution_arn"])
        made = clusters_of(run.aws, execution["executionArn"], execution["startDate"], active_only=False)
        return [str(cluster["Id"]) for cluster in made]
    return [run.record.ids["cluster_id"]] if "cluster_id" in run.record.ids else []


def orchestrate(run: Run) -> None:
    """Step 9, in place of steps 5 to 8."""
    _bring_files(run)
    try:
        result = run.step(execute_step_functions, made=partial(run.record.notes_id, "execution_arn"))
    except BaseException:
        _tell_cost_after_failure(run)
        raise
    if result and result.cluster_id:
        _count_cost(run, result.cluster_id)


def analyze_tables(run: Run) -> None:
    """Step 10."""
    run.step(analyze)


_WORK: dict[str, Callable[[Run], None]] = {
    "setup": setup,
    "process": process,
    "orchestrate": orchestrate,
    "analyze": analyze_tables,
}


def phases(arguments: argparse.Namespace) -> list[str]:
    """The phases that the flags ask for, in order."""
    processing = "orchestrate" if arguments.orchestrate else "process"
    wanted: dict[str, bool] = {
        "setup": arguments.setup or arguments.all,
        processing: arguments.process or arguments.orchestrate or arguments.all,
        "analyze": arguments.analyze or arguments.all,
    }
    return [phase for phase, asked in wanted.items() if asked]


def show_summary(run: Run) -> None:
    """What a run that ended well has made: the tables that it published, its steps, its cost."""
    if run.record.tables:
        run.console.table("Published tables", ("table", "rows"), list(run.record.tables.items()))
    run.console.summary()
    if run.usage:
        run.console.result(f"\nCost of the cluster: {run.usage.summary()}")


def command_line() -> argparse.ArgumentParser:
    """The parser of the flags."""
    parser = cli.parser(__doc__)
    group = parser.add_argument_group("phases")
    group.add_argument("--setup", action="store_true", help=f"{numbers('setup')}: roles, bucket and data, catalog, state machine")
    group.add_argument("--process", action="store_true", help=f"{numbers('process')}: cluster, Spark jobs, crawlers, termination")
    group.add_argument(
        "--orchestrate", action="store_true", help=f"{numbers('orchestrate')}: the state machine does {numbers('process')}"
    )
    group.add_argument(
        "--analyze", action="store_true", help=f"{numbers('analyze')}: SQL over the published tables, and the report"
    )
    group.add_argument("--all", action="store_true", help="setup, process and analyze")
    group = parser.add_argument_group("instead of phases")
    group.add_argument("--check", action="store_true", help="what stands in the way of a run, before any money is spent")
    group.add_argument("--fix", action="store_true", help="with --check: set missing tags of the network, asked first")
    group.add_argument(
        "--plan", action="store_true", help="what the phases (default: all) would create or change, and their price"
    )
    group.add_argument("--teardown", action="store_true", help="remove what the project made; the data stays")
    add_arguments(group)
    group = parser.add_argument_group("how")
    group.add_argument("--local", action="store_true", help="on the lake on this machine: a stand-in answers in place of AWS")
    group.add_argument("--fresh", action="store_true", help="with --local: empty the lake on this machine first")
    cli.add_wait(group)
    group.add_argument("--keep-cluster", action="store_true", help="do not terminate the cluster; says what an hour costs")
    group.add_argument(
        "--from", dest="first_step", choices=_RESUMABLE, metavar="STEP", help="leave out the steps before it (run_spark_jobs ...)"
    )
    group.add_argument(
        "--record", type=picture_file, metavar="FILE", help="write a picture of this run's terminal to FILE, an SVG"
    )
    group.add_argument("--json", action="store_true", help="the record of the run to stdout, and nothing else there")
    cli.add_common(parser)
    return parser


def _run(arguments: argparse.Namespace, chosen: Sequence[str], record: RunRecord, console: Console) -> None:
    settings = cli.settings_of(arguments)
    for note in settings.notes:
        console.warn(note)
    if not arguments.local:
        _run_on(settings, ROLES_FILE, arguments, chosen, record, console)
        return
    with local_lake(settings, console, fresh=arguments.fresh) as here:
        try:
            _run_on(here, settings.local_aws_dir / ROLES_FILE.name, arguments, chosen, record, console)
        finally:
            console.result(f"The lake, logs included, lies in {shown(settings.local_aws_dir / 's3' / settings.s3_bucket_name)}")


def _run_on(
    settings: Settings,
    roles_file: Path,
    arguments: argparse.Namespace,
    chosen: Sequence[str],
    record: RunRecord,
    console: Console,
) -> None:
    aws = Aws(settings)
    if arguments.all and not settings.is_local:
        require_ready(settings, aws, console, local=False, quiet=True)
    run = _run_of(arguments, settings, aws, record, console)
    run.roles_file = roles_file
    try:
        _run_phases(run, chosen)
    except BaseException:
        if record.steps and record.steps[-1].step.name in _RESUMABLE:
            console.note(f"to pick it up: the same command with --from {record.steps[-1].step.name}")
        raise


def _run_of(arguments: argparse.Namespace, settings: Settings, aws: Aws, record: RunRecord, console: Console) -> Run:
    record.belongs_to(settings)
    run = Run(settings, aws, console, record, keep_cluster=arguments.keep_cluster, wait=arguments.wait)
    run.first_step = STEPS[arguments.first_step].number if arguments.first_step else 1
    return run


def _run_phases(run: Run, chosen: Sequence[str]) -> None:
    try:
        with run.console.board(planned_steps(run, chosen)):
            for phase in chosen:
                _WORK[phase](run)
        show_summary(run)
    finally:
        if run.record.file:
            run.console.result(f"\nRecord of the run: {shown(run.record.file)}")


def planned_steps(run: Run, chosen: Sequence[str]) -> list[Step]:
    """The steps of the chosen phases; there may be no cluster to terminate, or none that is to be."""
    no_end = run.keep_cluster or run.first_step > STEPS["run_spark_jobs"].number
    names = [name for phase in chosen for name in PHASES[phase]]
    return [STEPS[name] for name in names if not (no_end and name == "terminate_emr_cluster")]


def _instead(arguments: argparse.Namespace, console: Console) -> None:
    """What is done instead of a run: the checks, the plan, or the teardown."""
    settings = cli.settings_of(arguments)
    if not arguments.local or arguments.check:
        _instead_on(settings, arguments, console)
        return
    with local_lake(settings, console) as here:
        _instead_on(here, arguments, console)


def _instead_on(settings: Settings, arguments: argparse.Namespace, console: Console) -> None:
    if arguments.check:
        aws, local = Aws(settings), arguments.local or settings.is_local
        if arguments.fix and not local:
            mend(settings, aws, console, yes=arguments.yes)
        require_ready(settings, aws, console, local=local)
    elif arguments.plan:
        planned = phases(arguments) or [*PHASES]
        show_plan(settings, Aws(settings, plan_only=True), console, SETUP if "setup" in planned else (), planned)
    else:
        result = teardown(settings, Aws(settings), console, delete_data=arguments.delete_data, yes=arguments.yes)
        console.result(result.summary())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    parser = command_line()
    arguments = parser.parse_args(argv)
    if arguments.fresh and not arguments.local:
        parser.error("--fresh empties the lake on this machine: give it with --local")
    if arguments.fresh and (arguments.first_step or arguments.plan or arguments.teardown):
        parser.error("--fresh begins with an empty lake: leave --from, --plan and --teardown out")
    if arguments.check or arguments.plan or arguments.teardown:
        return cli.guard("main", arguments.traceback, Console(), lambda console: _instead(arguments, console))
    chosen = phases(arguments)
    if not chosen:
        parser.print_help()
        return ExitStatus.USAGE if arguments.local else ExitStatus.OK
    record = RunRecord(list(sys.argv[1:] if argv is None else argv))

    def work(console: Console) -> None:
        with record.ending():
            _run(arguments, chosen, record, console)

    console = Console(out=sys.stderr if arguments.json else None)
    code = cli.guard("main", arguments.traceback, console, work)
    if arguments.record:
        drawn = cli.guard("--record", arguments.traceback, console, lambda it: it.save_picture(arguments.record, _typed(record)))
        code = code or drawn
    if arguments.json:
        print(record.as_json())
    return code


def _typed(record: RunRecord) -> str:
    """The command line as it was typed, but for the flag of the picture that shows it."""
    return re.sub(r" --record[ =]\S+", "", shlex.join(["python", "main.py", *record.flags]))


if __name__ == "__main__":
    sys.exit(main())
