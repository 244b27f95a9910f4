#!/usr/bin/env python3
"""Step 9: runs the state machine, which does steps 5 to 8 by itself, and follows it to its end.

Needs steps 1 to 4. Ctrl-C stops the execution and terminates its cluster. After --timeout-minutes
the execution goes on; --execution-arn picks it up again.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from car_rental import cli
from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Answer, Aws, explain
from car_rental.display.console import Console
from car_rental.emr.clusters import terminate
from car_rental.emr.spark_outcomes import read_summary, run_counts, show_rejects, step_failure
from car_rental.emr.spark_steps import new_run_id
from car_rental.errors import DataLakeError, Interrupted
from car_rental.glue.published import published_runs
from car_rental.glue.rejected_table import register_rejected_rentals
from car_rental.s3.lake_bucket import require_bucket
from car_rental.signals import ctrl_c_deferred
from car_rental.state_machine.definition import state_machine_arn
from car_rental.state_machine.executions import (
    EXECUTION_STATES,
    History,
    clusters_of,
    describe,
    start,
    stop,
)
from car_rental.waiting import Pace, Wait, wait_until

DEADLINE_MINUTES = 360.0
_WHERE = "execute_step_functions"
_FAILED_STEPS: Any = ["FAILED", "INTERRUPTED"]
_LOOKS_FOR_CLUSTERS = 3  # EMR lists a cluster that was requested just before the stop with a delay
_FIXES = {
    "AnotherExecutionRuns": (
        "Wait for it: python scripts/execute_step_functions.py --execution-arn <its ARN>"
    ),
    "AnotherRunWorks": "Start it again when that run has ended.",
    "RunIdIsOld": "Choose a later --run-id, or leave it out.",
    "ClusterNotTerminated": "End it: python scripts/terminate_emr_cluster.py --cluster-id <its id>",
    "States.Permissions": (
        "The role of the state machine lacks a right: run step 1 (python"
        " scripts/setup_iam_roles.py)."
    ),
}


@dataclass(frozen=True)
class ExecutionResult:
    """An execution and the id of its run.

    The cluster and the counts are empty unless the script waited for the end.
    """

    execution_arn: str
    run_id: str
    state: str
    cluster_id: str = ""
    counts: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """One line for the summary."""
        return (
            run_counts(self.run_id, self.counts)
            if self.state == "SUCCEEDED"
            else f"run {self.run_id}: {self.state}"
        )


def execute_step_functions(
    aws: Aws,
    console: Console,
    *,
    run_id: str | None = None,
    execution_arn: str | None = None,
    wait: bool = True,
    deadline_minutes: float = DEADLINE_MINUTES,
    on_created: Callable[[str], object] | None = None,
) -> ExecutionResult:
    """Starts the state machine, or picks up ``execution_arn``, and waits for its end.

    With ``wait`` false it returns after the start. ``on_created(arn)`` is called as soon as the
    execution has an ARN. Raises ``DataLakeError`` with the probable cause if the execution fails.
    Ctrl-C stops it and raises ``Interrupted``.
    """
    require_bucket(aws, _WHERE)
    arns = [execution_arn] if execution_arn else []
    with _reporting_lost_contact(console, arns), _stopping_on_ctrl_c(aws, console, arns):
        if not arns:
            run_id = run_id or new_run_id()
            with ctrl_c_deferred():
                arns.append(start(aws, execution_name(run_id), run_id))
        if on_created:
            on_created(arns[0])
        execution = describe(aws, arns[0])
        console.note(f"execution {arns[0]}")
        if not wait:
            return ExecutionResult(arns[0], _run_id(execution), str(execution["status"]))
        ended = _follow(
            aws, console, execution, Pace(aws.settings.timing.poll_seconds, deadline_minutes * 60)
        )
    return _published(aws, ended)


def execution_name(run_id: str) -> str:
    """The execution's name for a run id.

    CloudWatch requires letters, digits, ``-`` and ``_``.
    """
    return "run-" + re.sub(r"[^0-9A-Za-z_-]", "-", run_id)


def _run_id(execution: Answer) -> str:
    """The run's id: from the input, else the start time, as in the state machine."""
    given: dict[str, Any] = json.loads(execution.get("input") or "{}")
    return str(given.get("run_id") or new_run_id(execution["startDate"]))


def _follow(aws: Aws, console: Console, execution: Answer, pace: Pace) -> Answer:
    """Waits for the end, and shows each state on its first entry."""
    arn = execution["executionArn"]
    show = _entered_states(console, History(aws, arn), execution["startDate"])
    wait = Wait(
        what="execution",
        describe=lambda: describe(aws, arn),
        state=lambda described: str(described["status"]),
        states=EXECUTION_STATES,
        explain=lambda described: _failure(aws, console, described),
        resume=f"Pick it up again: python scripts/execute_step_functions.py --execution-arn {arn}",
        show=show,
    )
    with console.waiting("execution"):
        return wait_until(wait, pace, console.progress)


def _entered_states(
    console: Console, history: History, started: datetime
) -> Callable[[Answer], str]:
    """Returns a function that prints a line for each task that is entered for the first time.

    That function returns the newest state as words.
    """
    seen: list[str] = []

    def show(described: Answer) -> str:
        for event in history.new_events():
            name = event.get("stateEnteredEventDetails", {}).get("name", "")
            if event["type"] == "TaskStateEntered" and name not in seen:
                seen.append(name)
                console.note(
                    f"{(event['timestamp'] - started).total_seconds():5.0f} s  {_words(name)}"
                )
        return (
            _words(seen[-1])
            if seen and described["status"] == "RUNNING"
            else str(described["status"])
        )

    return show


def _words(state: str) -> str:
    """``clean rentals`` for ``CleanRentals``."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", state).lower()


def _published(aws: Aws, execution: Answer) -> ExecutionResult:
    """The result of a successful execution. Updates the table of rejected rentals."""
    output = json.loads(execution["output"])
    register_rejected_rentals(aws, published_runs(aws))
    report = read_summary(aws, output["run_id"])
    return ExecutionResult(
        execution["executionArn"], output["run_id"], "SUCCEEDED", output["cluster_id"], report
    )


def _failure(aws: Aws, console: Console, execution: Answer) -> DataLakeError:
    """The reason for a failed execution.

    It is the probable cause of a failed Spark job, else the execution's own error.
    """
    error, cause = execution.get("error", ""), execution.get("cause", "")
    if execution["status"] == "FAILED":
        try:
            for cluster in clusters_of(
                aws, execution["executionArn"], execution["startDate"], active_only=False
            ):
                for step in _failed_steps(aws, cluster["Id"]):
                    failure = step_failure(aws, console, cluster["Id"], step["Name"], step)
                    return show_rejects(aws, _run_id(execution), failure)
        except (ClientError, BotoCoreError) as refusal:  # the execution's own error remains
            console.warn(
                f"It is unknown whether a Spark job failed: {explain(refusal, _WHERE).what}"
            )
    message = f"{execution['status']} {error}".strip() + (f": {cause}" if cause else ".")
    fix = _FIXES.get(
        error, "Its history: the Step Functions console, or aws stepfunctions get-execution-history"
    )
    return DataLakeError("execution", message, fix, details=(execution["executionArn"],))


def _failed_steps(aws: Aws, cluster_id: str) -> list[Answer]:
    """The failed steps of the cluster, in the order in which they failed."""
    pages = (
        aws.client("emr")
        .get_paginator("list_steps")
        .paginate(ClusterId=cluster_id, StepStates=_FAILED_STEPS)
    )
    steps = [step for page in pages for step in page["Steps"]]
    return sorted(
        steps,
        key=lambda step: step["Status"]["Timeline"].get(
            "EndDateTime", datetime.max.replace(tzinfo=UTC)
        ),
    )


@contextmanager
def _reporting_lost_contact(console: Console, arns: list[str]) -> Iterator[None]:
    """If AWS stops answering, says that the execution goes on and how to pick it up."""
    try:
        yield
    except (ClientError, BotoCoreError):
        if arns:
            console.warn(
                "The execution goes on: python scripts/execute_step_functions.py --execution-arn"
                f" {arns[0]}"
            )
        raise


@contextmanager
def _stopping_on_ctrl_c(aws: Aws, console: Console, arns: list[str]) -> Iterator[None]:
    """Ctrl-C inside the block stops the execution and terminates its cluster.

    A second Ctrl-C leaves at once.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not arns:
            raise
        arn = arns[0]
        console.warn(
            "Interrupted: stopping the execution and its cluster; once more leaves at once."
        )
        try:
            stop(aws, arn, "Ctrl-C in execute_step_functions.py")
            ended = _terminate_clusters(aws, describe(aws, arn))
        except KeyboardInterrupt:
            raise Interrupted(
                "execution",
                f"{arn} may still run, and its cluster with it.",
                f"Stop it: {_stop_command(arn)}",
            ) from None
        clusters = (
            f"cluster {', '.join(ended)} is being terminated" if ended else "it had no cluster"
        )
        raise Interrupted(
            "execution", f"{arn} has been stopped; {clusters}; nothing more is published."
        ) from None


def _stop_command(arn: str) -> str:
    return f"aws stepfunctions stop-execution --execution-arn {arn}"


def _terminate_clusters(aws: Aws, execution: Answer) -> list[str]:
    """Terminates the clusters that the execution created. Returns their ids."""
    for _ in range(_LOOKS_FOR_CLUSTERS):
        found = clusters_of(
            aws, execution["executionArn"], execution["startDate"], active_only=True
        )
        if found:
            break
        time.sleep(min(aws.settings.timing.poll_seconds, 3.0))
    ids = [str(cluster["Id"]) for cluster in found]
    for cluster_id in ids:
        terminate(aws, cluster_id)
    return ids


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    if arguments.dry_run:
        _print_plan(arguments, aws, console)
        return
    result = execute_step_functions(
        aws,
        console,
        run_id=arguments.run_id,
        execution_arn=arguments.execution_arn,
        wait=not arguments.no_wait,
        deadline_minutes=arguments.timeout_minutes,
    )
    if arguments.no_wait:
        console.note(
            "Follow it: python scripts/execute_step_functions.py --execution-arn"
            f" {result.execution_arn}"
        )
        console.result(result.execution_arn)
    else:
        console.result(result.summary())


def _print_plan(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    """Says what would be started or picked up, without doing it."""
    if arguments.execution_arn:
        console.result(
            f"would follow {arguments.execution_arn}, which is"
            f" {describe(aws, arguments.execution_arn)['status']}"
        )
        return
    run_id = arguments.run_id or new_run_id()
    console.result(
        f"would start {execution_name(run_id)} of {state_machine_arn(aws)} for run {run_id}"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    cli.add_timeout(parser, DEADLINE_MINUTES)
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--run-id", help="id of the run (default: the time now, such as 2026-11-23T03-20-06.123Z)"
    )
    which.add_argument(
        "--execution-arn", metavar="ARN", help="follow this execution instead of starting one"
    )
    parser.add_argument("--no-wait", action="store_true", help="start it, print its ARN and leave")
    parser.add_argument(
        "--dry-run", action="store_true", help="say what would be started, without starting it"
    )
    return cli.run(parser, argv, _act)


if __name__ == "__main__":
    sys.exit(main())
