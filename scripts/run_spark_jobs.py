#!/usr/bin/env python3
"""Step 6: runs the Spark jobs as steps of the EMR cluster, follows them, and shows why one failed.

The jobs run in stages, the jobs of a stage concurrently: clean_rentals; vehicle_location_metrics
and user_transaction_metrics; publish_run. With --one-application, a single step runs all four.
Nothing is published if any of them fails. Without --cluster-id, the one active cluster of this
project is used.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from car_rental import cli
from botocore.exceptions import ClientError
from car_rental.aws import Aws
from car_rental.display.console import Console
from car_rental.emr.clusters import find_cluster, require_ours
from car_rental.emr.sent_once import send_once
from car_rental.emr.spark_outcomes import read_summary, run_counts, show_rejects, step_failure
from car_rental.emr.spark_steps import ONE_APPLICATION, STAGES, new_run_id, spark_step
from car_rental.errors import ConfigError, DataLakeError, Interrupted
from car_rental.s3.lake_bucket import require_bucket
from car_rental.s3.lake_files import upload_files, warn_of_differences
from car_rental.s3.lake_lock import LakeLock, lake_lock, require_newest
from car_rental.signals import ctrl_c_deferred
from car_rental.waiting import Pace, States, Wait, wait_until

DEADLINE_MINUTES = 240.0
_GOING = frozenset({"PENDING", "RUNNING", "CANCEL_PENDING"})
_BAD = frozenset({"FAILED", "CANCELLED", "INTERRUPTED"})


@dataclass(frozen=True)
class SparkResult:
    """A published run: its id, the ids of its steps by job, and the counts of the jobs."""

    run_id: str
    steps: dict[str, str]
    counts: dict[str, Any] = field(default_factory=dict)

    def summary(self) -> str:
        """One line for the summary."""
        return run_counts(self.run_id, self.counts)


def run_spark_jobs(
    aws: Aws,
    console: Console,
    *,
    cluster_id: str | None = None,
    run_id: str | None = None,
    one_application: bool = False,
    deadline_minutes: float = DEADLINE_MINUTES,
    wait: bool = False,
    lock: LakeLock | None = None,
) -> SparkResult:
    """Runs all stages. Raises ``DataLakeError`` with the probable cause if a step fails.

    ``one_application``: one step runs the four jobs in one Spark application, as with
    EMR_ONE_APPLICATION, instead of a step for each job.

    Takes the lake's lock, unless the caller holds it (``lock``). With ``wait``, waits for another
    writer to end. Ctrl-C cancels the running steps and raises ``Interrupted``.
    """
    settings = aws.settings
    require_bucket(aws, "run_spark_jobs")
    cluster_id = find_cluster(aws, cluster_id)
    run_id = run_id or new_run_id()
    one_application = one_application or settings.emr_one_application
    console.note(f"run {run_id} on cluster {cluster_id}")
    steps: dict[str, str] = {}
    with lake_lock(aws, console, "run_spark_jobs", wait=wait, held=lock) as held:
        held.works_on(cluster_id)
        require_newest(aws, "run_spark_jobs", run_id)
        began = time.monotonic()
        for stage in ((ONE_APPLICATION,),) if one_application else STAGES:
            held.check()
            left = deadline_minutes * 60 - (time.monotonic() - began)
            pace = Pace(settings.timing.poll_seconds, left)
            requested = [spark_step(settings, job, run_id, held.token) for job in stage]
            steps |= _run_stage(aws, console, cluster_id, run_id, requested, pace)
    return SparkResult(run_id, steps, read_summary(aws, run_id))


def _run_stage(
    aws: Aws,
    console: Console,
    cluster_id: str,
    run_id: str,
    requested: list[dict[str, Any]],
    pace: Pace,
) -> dict[str, str]:
    """Submits the steps of one stage and waits for all of them. Returns their ids by job."""
    steps: dict[str, str] = {}
    try:
        with ctrl_c_deferred():
            steps |= _submit(aws, cluster_id, requested)
        with console.waiting(" and ".join(steps)):
            wait_until(_all_of(aws, cluster_id, steps), pace, console.progress)
    except KeyboardInterrupt:
        if steps:
            cancel(aws, cluster_id, list(steps.values()))
        ids = ", ".join(steps.values()) or "no step"
        raise Interrupted(
            "run_spark_jobs", f"interrupted; {ids} cancelled, nothing published."
        ) from None
    try:
        _raise_first_failure(aws, console, cluster_id, steps)
    except DataLakeError as failure:
        raise show_rejects(aws, run_id, failure) from failure.__cause__
    return steps


def _submit(aws: Aws, cluster_id: str, requested: list[dict[str, Any]]) -> dict[str, str]:
    jobs = [step["Name"] for step in requested]
    request: dict[str, Any] = {"JobFlowId": cluster_id, "Steps": requested}
    emr = aws.client_without_retries("emr")
    return send_once(
        aws,
        "run_spark_jobs",
        lambda: dict(zip(jobs, emr.add_job_flow_steps(**request)["StepIds"], strict=True)),
        lambda: _submitted(aws, cluster_id, requested),
    )


def _submitted(aws: Aws, cluster_id: str, requested: list[dict[str, Any]]) -> dict[str, str] | None:
    """The newest steps of the cluster with exactly the requested arguments.

    None unless all of them exist.
    """
    wanted = {step["Name"]: step["HadoopJarStep"]["Args"] for step in requested}
    pages = aws.client("emr").get_paginator("list_steps").paginate(ClusterId=cluster_id)
    steps = [step for page in pages for step in page["Steps"]]
    good = [step for step in reversed(steps) if step["Status"]["State"] not in _BAD]
    found = {
        step["Name"]: str(step["Id"])
        for step in good
        if wanted.get(step["Name"]) == step["Config"]["Args"]
    }
    return found if found.keys() == wanted.keys() else None


def _all_of(aws: Aws, cluster_id: str, steps: dict[str, str]) -> Wait[dict[str, str]]:
    """Waits until all steps of a stage have ended.

    Their outcome is checked afterwards, so that siblings run to the end.
    """

    def describe() -> dict[str, str]:
        answer = aws.client("emr").list_steps(ClusterId=cluster_id, StepIds=list(steps.values()))
        return {step["Name"]: step["Status"]["State"] for step in answer["Steps"]}

    def state(found: dict[str, str]) -> str:
        unknown = set(found.values()) - _GOING - _BAD - {"COMPLETED"}
        if unknown:
            return sorted(unknown)[0]
        return "going" if any(one in _GOING for one in found.values()) else "ended"

    return Wait(
        what="Spark",
        describe=describe,
        state=state,
        states=States(going=frozenset({"going"}), good=frozenset({"ended"})),
        explain=lambda found: DataLakeError("Spark steps", str(found)),
        resume=(
            "See it in the EMR console, or end it: python scripts/terminate_emr_cluster.py"
            f" --cluster-id {cluster_id}"
        ),
        show=lambda found: ", ".join(f"{job} {found[job]}" for job in steps),
    )


def _raise_first_failure(
    aws: Aws, console: Console, cluster_id: str, steps: dict[str, str]
) -> None:
    for job, step_id in steps.items():
        step = aws.client("emr").describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
        if step["Status"]["State"] != "COMPLETED":
            raise step_failure(aws, console, cluster_id, job, step)


def explain_step(aws: Aws, console: Console, cluster_id: str | None, step_id: str) -> str:
    """The state of a step, even of a terminated cluster.

    Raises ``DataLakeError`` with the probable cause if it failed.
    """
    cluster_id = str(require_ours(aws, cluster_id)["Id"]) if cluster_id else find_cluster(aws, None)
    try:
        step = aws.client("emr").describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
    except ClientError as error:
        if "is not valid" not in error.response["Error"].get("Message", ""):
            raise
        raise ConfigError(
            f"step {step_id}",
            f"is not a step of cluster {cluster_id}.",
            f"List them: aws emr list-steps --cluster-id {cluster_id}",
        ) from error
    state = step["Status"]["State"]
    if state in _BAD:
        raise step_failure(aws, console, cluster_id, step["Name"], step)
    return f"step {step_id} ({step['Name']}) of cluster {cluster_id}: {state}"


def cancel(aws: Aws, cluster_id: str, step_ids: list[str]) -> None:
    """Cancels steps, including running ones."""
    aws.client("emr").cancel_steps(
        ClusterId=cluster_id, StepIds=step_ids, StepCancellationOption="TERMINATE_PROCESS"
    )


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    if arguments.explain:
        console.result(explain_step(aws, console, arguments.cluster_id, arguments.explain))
        return
    require_bucket(aws, "run_spark_jobs")
    if arguments.upload:
        console.note(upload_files(aws, console).summary())
    else:
        warn_of_differences(aws, console)
    result = run_spark_jobs(
        aws,
        console,
        cluster_id=arguments.cluster_id,
        run_id=arguments.run_id,
        one_application=arguments.one_application,
        deadline_minutes=arguments.timeout_minutes,
        wait=arguments.wait,
    )
    console.result(result.summary())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    cli.add_cluster_id(parser)
    cli.add_timeout(parser, DEADLINE_MINUTES)
    cli.add_wait(parser)
    parser.add_argument(
        "--explain",
        metavar="STEP_ID",
        help="run nothing: explain why this step failed, from its logs",
    )
    parser.add_argument(
        "--upload",
        action="store_true",
        help="first upload raw data and job sources that differ from the lake's",
    )
    parser.add_argument(
        "--one-application",
        action="store_true",
        help="one step that runs the four jobs in one Spark application (EMR_ONE_APPLICATION)",
    )
    parser.add_argument(
        "--run-id", help="id of the run (default: the time now, such as 2026-11-23T03-20-06.123Z)"
    )
    return cli.run(parser, argv, _act)


if __name__ == "__main__":
    sys.exit(main())
