"""The outcome of the Spark jobs: the counts of a published run, or the reason for a failed step.

Steps 6 and 9 use it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Answer, Aws, explain
from car_rental.data_contract import contract
from car_rental.display.console import Console
from car_rental.emr.clusters import describe_cluster
from car_rental.emr.spark_steps import JOBS
from car_rental.emr.step_logs import probable_cause
from car_rental.errors import DataLakeError
from car_rental.glue.rejected_table import OF_FAILED_RUNS, register_failed_run
from car_rental.s3.lake_bucket import young_bucket_note

SUMMARY_KEY = "/".join(
    [contract.REJECTED, contract.RENTALS, contract.RUN_FOLDER + "{run_id}", contract.RUN_SUMMARY]
)

_REJECTS = (
    f"SELECT reasons, count(*) AS rentals FROM {OF_FAILED_RUNS} WHERE run_id = '{{}}' GROUP BY 1"
    " ORDER BY 2 DESC"
)


_KILLED = re.compile(r"killed by SIG|exit code 137|exit code: 137|Exit code is 137")
_MORE_MEMORY = (
    "The system kills processes when memory runs out. Close other programs, give the machine or its"
    " container more, or take larger nodes (EMR_CORE_INSTANCE_TYPE); nothing of this run was"
    " published."
)


def read_summary(aws: Aws, run_id: str) -> dict[str, Any]:
    """The counts of a published run: rows read, kept, rejected by reason, rows of each table."""
    key = SUMMARY_KEY.format(run_id=run_id)
    body = aws.client("s3").get_object(Bucket=aws.settings.s3_bucket_name, Key=key)["Body"].read()
    summary: dict[str, Any] = json.loads(body)
    return summary


def run_counts(run_id: str, report: Mapping[str, Any]) -> str:
    """The run id and the counts in one line."""
    rows = report.get("rentals", {})
    counted = (
        f": {rows['read']:,} rentals read, {rows['kept']:,} kept, {rows['rejected']:,} rejected"
        if rows
        else ""
    )
    notes = [_master_counts(table, counts) for table, counts in report.get("masters", {}).items()]
    if report.get("not_read"):
        notes.append(f"not read: {_shortened(sorted(report['not_read']))}")
    return "; ".join([f"run {run_id}{counted}", *filter(None, notes)])


def _master_counts(table: str, counts: Mapping[str, Any]) -> str:
    """The rejected rows of a master table.

    One lost location can explain a hundred rejected rentals.
    """
    if not counts.get("rejected"):
        return ""
    reasons = ", ".join(
        f"{reason} {count:,}" for reason, count in counts["rejected_by_reason"].items()
    )
    return f"{counts['rejected']:,} of {counts['rows']:,} {table} rejected ({reasons})"


def _shortened(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(names[:3]) + more


def show_rejects(aws: Aws, run_id: str, failure: DataLakeError) -> DataLakeError:
    """Adds the query for the rejected rentals to the remedy of a failed validation."""
    if failure.where != "Spark job clean_rentals" or " rentals " not in failure.what:
        return failure
    try:
        if register_failed_run(aws, run_id):
            here = "--local " if aws.settings.is_local else ""
            failure.fix += (
                f' What it rejected: python scripts/query_lake.py {here}"{_REJECTS.format(run_id)}"'
            )
    except (ClientError, BotoCoreError):  # the earlier failure is the one to report
        return failure
    return failure


def _failed_job(headline: str) -> str:
    """The job that an error message names; needed if one application runs all four jobs."""
    found = re.match(r"ERROR (\w+): ", headline)
    return found[1] if found and found[1] in JOBS else ""


def step_failure(
    aws: Aws, console: Console, cluster_id: str, job: str, step: Answer
) -> DataLakeError:
    """The error for a failed step: its state, the probable cause from its log, the log's URI."""
    status = step["Status"]
    look_again = (
        f"python scripts/run_spark_jobs.py --explain {step['Id']} --cluster-id {cluster_id}"
    )
    try:
        log_uri = describe_cluster(aws, cluster_id).get("LogUri", "")
        if status["State"] == "CANCELLED" or not log_uri:
            return DataLakeError(f"Spark job {job}", f"step {step['Id']} was {status['State']}.")
        cause = probable_cause(aws, console, log_uri, cluster_id, step["Id"])
    except (ClientError, BotoCoreError) as error:  # the failure of the step matters more
        why = explain(error, "its log")
        return DataLakeError(
            f"Spark job {job}",
            f"step {step['Id']} {status['State']}, and its log cannot be read: {why.what}",
            f"Look again: {look_again}. {why.fix}".strip(),
        )
    ended = status.get("FailureDetails", {}).get("Message", "")
    if _KILLED.search(ended):
        what = f"step {step['Id']} {status['State']}: {ended.rstrip('.')}."
        return DataLakeError(f"Spark job {job}", what, _MORE_MEMORY, log=cause.log)
    if not cause.found and ended:
        cause = dataclasses.replace(cause, headline=ended)
    job = _failed_job(cause.headline) or job
    again = f" Logs arrive late; to look again: {look_again}"
    young = "" if aws.settings.is_local else f" {young_bucket_note(aws)}".rstrip()
    return DataLakeError(
        f"Spark job {job}",
        f"step {step['Id']} {status['State']}: {cause.headline.removeprefix(f'ERROR {job}: ')}",
        "Nothing of this run was published. Fix the cause and run it again."
        + ("" if cause.found else again)
        + young,
        log=cause.log,
        details=cause.lines,
    )
