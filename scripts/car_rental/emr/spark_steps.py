"""The Spark steps, for the script that submits them and for the state machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from car_rental.config import Settings
from car_rental.data_contract import contract, job_files
from car_rental.s3.lake_lock import LOCK_KEY

# stages run one after the other, the jobs of a stage concurrently
STAGES: tuple[tuple[str, ...], ...] = (
    ("clean_rentals",),
    tuple(contract.KPI_JOBS),
    ("publish_run",),
)
JOBS: tuple[str, ...] = tuple(job for stage in STAGES for job in stage)
ONE_APPLICATION = "all_jobs"  # runs all jobs in one Spark application, one after the other
# these jobs only move files: their driver runs on the primary node in every deploy mode
WITHOUT_SPARK_CONTEXT = frozenset({"publish_run"})


def new_run_id(now: datetime | None = None) -> str:
    """The id of a run that starts now: its UTC time.

    It sorts as text and has no colons, which Hadoop paths do not allow.
    """
    moment = (now or datetime.now(UTC)).astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H-%M-%S}.{moment.microsecond // 1000:03d}Z"


def spark_step(settings: Settings, job: str, run_id: str, owner: str = "nobody") -> dict[str, Any]:
    """One step as ``elasticmapreduce:AddJobFlowSteps`` takes it (``StepConfig``).

    ``run_id`` and ``owner`` (of the lock) may be references, which the state machine resolves
    later. Each is a whole argument, so that the definition can replace it.
    """
    command = ["spark-submit", *_deploy_mode(settings, job), "--name", job]
    programs = {ONE_APPLICATION} if job == ONE_APPLICATION else {*JOBS, ONE_APPLICATION}
    shared = [settings.s3("jobs", path.name) for path in job_files() if path.stem not in programs]
    command += ["--py-files", ",".join(shared)]
    return {
        "Name": job,
        # EMR allows no other action for concurrent steps; the caller checks how each step ended
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {
            "Jar": "command-runner.jar",
            "Args": [
                *command,
                settings.s3("jobs", f"{job}.py"),
                *_arguments(settings, job, run_id, owner),
            ],
        },
    }


def _arguments(settings: Settings, job: str, run_id: str, owner: str) -> list[str]:
    """The job's command line; for the one application, those of all jobs, separated by ``--``."""
    if job != ONE_APPLICATION:
        return [*_ARGUMENTS[job](settings, owner), "--run-id", run_id]
    commands = [["--", one, *_arguments(settings, one, run_id, owner)] for one in JOBS]
    return [argument for command in commands for argument in command][1:]


def _deploy_mode(settings: Settings, job: str) -> list[str]:
    """The options of spark-submit for the deploy mode; always client for ``publish_run``.

    In cluster mode YARN fails a driver without a SparkContext. A job that fails would fail again,
    so YARN gets one attempt. https://spark.apache.org/docs/latest/running-on-yarn.html
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
        *(
            "--staging",
            settings.s3(contract.STAGING),
            "--processed",
            settings.s3(contract.PROCESSED),
        ),
        *("--keep-runs", str(settings.keep_runs)),
        *("--lock", settings.s3(LOCK_KEY), "--owner", owner),
    ]


_ARGUMENTS: dict[str, Callable[[Settings, str], list[str]]] = {
    "clean_rentals": _clean_arguments,
    "vehicle_location_metrics": _metrics_arguments,
    "user_transaction_metrics": _metrics_arguments,
    "publish_run": _publish_arguments,
}
