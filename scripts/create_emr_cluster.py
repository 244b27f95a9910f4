#!/usr/bin/env python3
"""Step 5: creates an EMR cluster, waits until it accepts steps, and prints its id.

The cluster terminates itself after EMR_IDLE_TIMEOUT_SECONDS without work. Needs the roles of step 1
and the bucket of step 2. It costs money until it ends: python scripts/terminate_emr_cluster.py
"""

from __future__ import annotations

import argparse
import sys
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from car_rental import cli
from botocore.exceptions import ClientError
from car_rental.aws import Aws
from car_rental.display.console import Console
from car_rental.emr.cluster_request import cluster_request
from car_rental.emr.clusters import (
    REQUEST_TAG,
    active_clusters,
    requested_cluster,
    terminate_after_failure,
    wait_until_ready,
)
from car_rental.emr.sent_once import send_once
from car_rental.errors import ConfigError, DataLakeError, Interrupted
from car_rental.iam.retry import retry_while_iam_spreads
from car_rental.s3.lake_bucket import require_bucket
from car_rental.signals import ctrl_c_deferred

DEADLINE_MINUTES = 30.0
# EMR's messages for roles that are too new
_ROLES_NOT_YET = ("Invalid InstanceProfile", "Failed to authorize instance profile")


@dataclass(frozen=True)
class ClusterResult:
    """A cluster that accepts steps."""

    cluster_id: str
    release_label: str

    def summary(self) -> str:
        """One line for the summary."""
        return f"{self.cluster_id} ({self.release_label})"


def create_emr_cluster(
    aws: Aws,
    console: Console,
    *,
    deadline_minutes: float = DEADLINE_MINUTES,
    on_created: Callable[[str], object] | None = None,
) -> ClusterResult:
    """Creates the cluster and waits until it accepts steps.

    If that fails, the cluster is terminated.

    ``on_created(cluster_id)`` is called as soon as EMR returns an id. The caller is then
    responsible for terminating the cluster.
    """
    settings = aws.settings
    require_bucket(aws, "create_emr_cluster")
    _refuse_a_second(aws)
    ours: list[str] = []  # the cluster, if the caller does not learn its id: terminated on failure
    try:
        cluster_id = _create(aws, console, on_created or ours.append)
        nodes = settings.emr_core_instance_count + 1
        console.note(f"cluster {cluster_id} requested: {nodes} nodes, {settings.emr_release_label}")
        with console.waiting(f"cluster {cluster_id} starts"):
            wait_until_ready(aws, console, cluster_id, deadline_minutes)
    except KeyboardInterrupt:
        _end(aws, console, ours)
        raise Interrupted(
            "create_emr_cluster", "interrupted while the cluster was starting."
        ) from None
    except Exception:
        _end(aws, console, ours)
        raise
    return ClusterResult(cluster_id, settings.emr_release_label)


def _end(aws: Aws, console: Console, cluster_ids: Sequence[str]) -> None:
    for cluster_id in cluster_ids:
        terminate_after_failure(aws, console, cluster_id)


def _refuse_a_second(aws: Aws) -> None:
    active = active_clusters(aws)
    if active:
        ids = ", ".join(str(cluster["Id"]) for cluster in active)
        raise ConfigError(
            "create_emr_cluster",
            f"{ids} of this project is active already.",
            "Use it (python main.py --all --from run_spark_jobs), or terminate it: python"
            " scripts/terminate_emr_cluster.py",
        )


def _create(aws: Aws, console: Console, on_created: Callable[[str], object]) -> str:
    """Requests the cluster and calls ``on_created`` with its id.

    That also happens if Ctrl-C arrives during the request.
    """
    emr, token = aws.client_without_retries("emr"), uuid.uuid4().hex
    request = cluster_request(aws.settings, [*aws.tag_list, {"Key": REQUEST_TAG, "Value": token}])

    def ask() -> str:
        with ctrl_c_deferred():
            cluster_id = send_once(
                aws,
                "create_emr_cluster",
                lambda: str(emr.run_job_flow(**request)["JobFlowId"]),
                lambda: requested_cluster(aws, token),
            )
            on_created(cluster_id)
            return cluster_id

    try:
        return retry_while_iam_spreads(
            ask, _ROLES_NOT_YET, console, aws.settings.timing.iam_patience_seconds
        )
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        if (
            "InstanceProfile" not in message
            and "ServiceRole" not in message
            and "Service role" not in message
        ):
            raise
        raise DataLakeError(
            "create_emr_cluster",
            f"EMR does not accept the roles: {message}",
            "Run step 1 (python scripts/setup_iam_roles.py), or check EMR_SERVICE_ROLE and"
            " EMR_EC2_INSTANCE_PROFILE in .env.",
        ) from error


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    console.result(
        create_emr_cluster(aws, console, deadline_minutes=arguments.timeout_minutes).cluster_id
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    cli.add_timeout(parser, DEADLINE_MINUTES)
    return cli.run(parser, argv, _act)


if __name__ == "__main__":
    sys.exit(main())
