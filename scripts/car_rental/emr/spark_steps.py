"""The one list of Spark steps: what `run_spark_jobs.py` submits and what is rendered into the state machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from car_rental.config import Settings
from car_rental.data_contract import contract, job_files
from car_rental.s3.lake_lock import LOCK_KEY

# one stage after the other; the jobs of a stage run side by side
STAGES: tuple[tuple[str, ...], ...] = (
    ("clean_rentals",),
    tuple(contract.KPI_JOBS),
    ("publish_run",),
)
JOBS: tuple[str, ...] = tuple(job for stage in STAGES for job in stage)
ONE_APPLICATION = "all_jobs"  # runs all of them in one Spark application, one after the other
# jobs that only move files: their driver runs on the primary node, in every deploy mode
WITHOUT_SPARK_CONTEXT = frozenset({"publish_run"})


def new_run_id(now: datetime | None = None) -> str:
    """The id of a run that starts now: its UTC time, sortable as text, without colons, which Hadoop paths dislike."""
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H-%M-%S}.{moment.microsecond // 1000:03d}Z"


def spark_step(settings: Settings, job: str, run_id: str, owner: str = "nobody") -> dict[str, Any]:
    """One step as ``elasticmapreduce:AddJobFlowSteps`` takes it (``StepConfig``).

    ``run_id`` and ``owner``, the lock's, may also be references that the state machine fills in, which is why arguments
    are a list to the end.
    """
    command = ["spark-submit", *_deploy_mode(settings, job), "--name", job]
    programs = {ONE_APPLICATION} if job == ONE_APPLICATION else {*JOBS, ONE_APPLICATION}
    shared = [settings.s3("jobs", path.name) for path in job_files() if path.stem not in programs]
    command += ["--py-files", ",".join(shared)]
    return {
        "Name": job,
        # with concurrent steps EMR allows no other; who submits looks at every step's end
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [*command, settings.s3("jobs", f"{job}.py"), *_arguments(settings, job, run_id, owner)],
        },
    }


def _arguments(settings: Settings, job: str, run_id: str, owner: str) -> list[str]:
    """The job's command line; those of all jobs, with ``--`` between them, for the one application."""
    if job != ONE_APPLICATION:
        return [*_ARGUMENTS[job](settings, owner), "--run-id", run_id]
    commands = [["--", one, *_arguments(settings, one, run_id, owner)] for one in JOBS]
    return [argument for command in commands for argument in command][1:]


def _deploy_mode(settings: Settings, job: str) -> list[str]:
    """In cluster mode YARN fails a driver that makes no SparkContext, whatever its exit code.

    ``publish_run`` makes none. A job that fails would fail again, so YARN is told not to try it twice.
    https://spark.apache.org/docs/latest/running-on-yarn.html
    """
    if settings.emr_deploy_mode == "client" or job in WITHOUT_SPARK_CONTEXT:
        return ["--deploy-mode", "client"]
    return ["--deploy-mode", "cluster", "--conf", "spark.yarn.maxAppAttempts=1"]


def _clean_arguments(settings: Settings, _owner: str) -> list[str]:
    return [
        *("--raw", settings.s3(contract.RAW), "--clean", settings.s3(contract.CLEAN)),
        *("--rejected", settings.s3(contract.REJECTED)),
        *("--max-reject-rate", str(settings.max_reject_rate)),
    ]


def _metrics_arguments(settings: Settings, _owner: str) -> list[str]:
    return ["--clean", settings.s3(contract.CLEAN), "--staging", settings.s3(contract.STAGING)]


def _publish_arguments(settings: Settings, owner: str) -> list[str]:
    return [
        *("--clean", settings.s3(contract.CLEAN), "--rejected", settings.s3(contract.REJECTED)),
        *("--staging", settings.s3(contract.STAGING), "--processed", settings.s3(contract.PROCESSED)),
        *("--keep-runs", str(settings.keep_runs)),
        *("--lock", settings.s3(LOCK_KEY), "--owner", owner),
    ]


_ARGUMENTS: dict[str, Callable[[Settings, str], list[str]]] = {
    "clean_rentals": _clean_arguments,
    "vehicle_location_metrics": _metrics_arguments,
    "user_transaction_metrics": _metrics_arguments,
    "publish_run": _publish_arguments,
}
