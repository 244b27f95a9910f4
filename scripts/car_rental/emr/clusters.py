"""The project's EMR clusters: finding, waiting, terminating, and why a start failed."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError
from car_rental.aws import Answer, Aws
from car_rental.display.console import Console
from car_rental.errors import ConfigError, DataLakeError
from car_rental.waiting import Pace, States, Wait, wait_until

ACTIVE: tuple[Any, ...] = ("STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING")
REQUEST_TAG = "Request"  # a tag of the cluster with the token of the request that created it
ENDED = ("TERMINATED", "TERMINATED_WITH_ERRORS")
_STARTING = States(
    going=frozenset({"STARTING", "BOOTSTRAPPING"}),
    good=frozenset({"RUNNING", "WAITING"}),
    bad=frozenset({"TERMINATING", *ENDED}),
)
_ENDING = States(going=frozenset({*ACTIVE, "TERMINATING"}), good=frozenset(ENDED))

# StateChangeReason or ErrorDetails code (or its beginning) -> the remedy
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-troubleshoot-error-errordetail.html
_FIXES = {
    "VALIDATION_ERROR_INVALID_SSH_KEY_NAME": (
        "The key pair does not exist in this region: create it, or empty EMR_EC2_KEY_NAME."
    ),
    "VALIDATION_ERROR_INSTANCE_TYPE_NOT_SUPPORTED": (
        "Choose another instance type, or a subnet in another zone (EMR_SUBNET_ID)."
    ),
    "INTERNAL_ERROR_EC2_INSUFFICIENT_CAPACITY": (
        "EC2 has no capacity there: use another instance type or subnet, or try later."
    ),
    "VALIDATION_ERROR": (
        "Check roles, subnet, key pair and instance types in .env; step 1 restores the roles."
    ),
    "BOOTSTRAP_FAILURE": "A bootstrap action failed: its log is under node/ in the cluster's logs.",
    "INSTANCE_FAILURE": "A node failed: try again.",
    "INTERNAL_ERROR": "EMR itself failed: try again, or see the AWS health dashboard.",
}

# AmazonEMRServicePolicy_v2 without tags on the network, or a role that lacks a right
_NETWORK_FIX = (
    "Find and set the missing tags: python main.py --check --fix; step 1 restores the role's"
    " rights."
)


def active_clusters(aws: Aws) -> list[Answer]:
    """The project's clusters that start or run, newest first, from ``DescribeCluster``."""
    emr = aws.client("emr")
    pages = emr.get_paginator("list_clusters").paginate(ClusterStates=list(ACTIVE))
    named = [
        item["Id"]
        for page in pages
        for item in page["Clusters"]
        if item["Name"] == aws.settings.emr_cluster_name
    ]
    described = [describe_cluster(aws, cluster_id) for cluster_id in named]
    return [cluster for cluster in described if is_ours(aws, cluster)]


def requested_cluster(aws: Aws, token: str) -> str | None:
    """The active cluster with that ``REQUEST_TAG``; None if there is none."""
    tag = {"Key": REQUEST_TAG, "Value": token}
    return next(
        (str(cluster["Id"]) for cluster in active_clusters(aws) if tag in cluster["Tags"]), None
    )


def is_ours(aws: Aws, cluster: Answer) -> bool:
    """Returns whether the cluster carries the tags of this project and environment."""
    tags = {tag["Key"]: tag.get("Value", "") for tag in cluster.get("Tags", [])}
    return all(tags.get(key) == value for key, value in aws.tags.items())


def describe_cluster(aws: Aws, cluster_id: str) -> Answer:
    """The response of ``DescribeCluster``. Raises ``ConfigError`` if there is no such cluster."""
    try:
        cluster: Answer = aws.client("emr").describe_cluster(ClusterId=cluster_id)["Cluster"]
    except ClientError as error:
        if "is not valid" not in error.response["Error"].get("Message", ""):
            raise
        raise ConfigError(
            f"cluster {cluster_id}",
            f"does not exist in {aws.settings.aws_region}.",
            "Check the id; without --cluster-id the one active cluster of this project is taken.",
        ) from error
    return cluster


def require_ours(aws: Aws, cluster_id: str) -> Answer:
    """The cluster's description.

    Raises ``ConfigError`` if it does not exist or lacks the project's tags.
    """
    cluster = describe_cluster(aws, cluster_id)
    if not is_ours(aws, cluster):
        what = f"({cluster['Name']}) is not a cluster of this project: it lacks the project's tags."
        raise ConfigError(f"cluster {cluster_id}", what)
    return cluster


def find_cluster(aws: Aws, cluster_id: str | None) -> str:
    """The id of the cluster to use.

    It is ``cluster_id`` if that cluster is active and the project's; without a ``cluster_id``, the
    one active cluster.
    """
    if cluster_id is None:
        return _the_only_one(aws)
    cluster = require_ours(aws, cluster_id)
    state = cluster["Status"]["State"]
    if state not in ACTIVE:
        raise ConfigError(
            f"cluster {cluster_id}",
            f"is {state}.",
            "Create another: python scripts/create_emr_cluster.py",
        )
    return cluster_id


def _the_only_one(aws: Aws) -> str:
    found = active_clusters(aws)
    name = aws.settings.emr_cluster_name
    if not found:
        raise ConfigError(
            "EMR cluster",
            f"no active cluster named {name}.",
            "Run step 5: python scripts/create_emr_cluster.py",
        )
    if len(found) > 1:
        listed = tuple(f"{item['Id']} {item['Status']['State']}" for item in found)
        raise ConfigError(
            "EMR cluster",
            f"{len(found)} clusters named {name} are active:",
            "Say which: --cluster-id",
            details=listed,
        )
    return str(found[0]["Id"])


def wait_until_ready(
    aws: Aws, console: Console, cluster_id: str, deadline_minutes: float
) -> Answer:
    """Waits until the cluster accepts steps.

    Raises ``DataLakeError`` with AWS's reason if it fails to start.
    """
    return _wait(aws, console, cluster_id, _STARTING, deadline_minutes)


def wait_until_ended(
    aws: Aws, console: Console, cluster_id: str, deadline_minutes: float
) -> Answer:
    """Waits until the cluster is terminated, with or without errors."""
    return _wait(aws, console, cluster_id, _ENDING, deadline_minutes)


def _wait(
    aws: Aws, console: Console, cluster_id: str, states: States, deadline_minutes: float
) -> Answer:
    wait = Wait(
        what=f"cluster {cluster_id}",
        describe=lambda: describe_cluster(aws, cluster_id),
        state=lambda cluster: str(cluster["Status"]["State"]),
        states=states,
        explain=start_failure,
        resume=(
            "It costs money until it ends: python scripts/terminate_emr_cluster.py --cluster-id"
            f" {cluster_id}"
        ),
    )
    return wait_until(
        wait, Pace(aws.settings.timing.poll_seconds, deadline_minutes * 60), console.progress
    )


def start_failure(cluster: Answer) -> DataLakeError:
    """The reason why a cluster did not start, with a remedy for known codes."""
    status = cluster["Status"]
    reason = status.get("StateChangeReason", {})
    details = status.get("ErrorDetails", [])
    codes = [*(detail.get("ErrorCode", "") for detail in details), reason.get("Code", "")]
    fix = next(
        (fix for code in codes for prefix, fix in _FIXES.items() if code.startswith(prefix)), ""
    )
    if "insufficient EC2 permissions" in reason.get("Message", ""):
        fix = _NETWORK_FIX
    return DataLakeError(
        f"cluster {cluster['Id']}",
        f"is {status['State']} ({reason.get('Code', 'no reason given')}):"
        f" {reason.get('Message', '')}".rstrip(": "),
        fix,
        log=cluster.get("LogUri", "") + cluster["Id"] + "/" if cluster.get("LogUri") else "",
        details=tuple(
            f"{item.get('ErrorCode', '')}: {item.get('ErrorMessage', '')}" for item in details
        ),
    )


def terminate_after_failure(aws: Aws, console: Console, cluster_id: str) -> None:
    """Asks EMR to terminate the cluster.

    Raises nothing: the earlier failure is the one to report.
    """
    try:
        terminate(aws, cluster_id)
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - printed with a remedy
        if isinstance(error, EndpointConnectionError) and aws.settings.is_local:
            console.note(f"cluster {cluster_id} has ended with the local AWS")
            return
        why = str(error) or "interrupted"
        console.warn(
            f"Cluster {cluster_id} could not be terminated and may still cost money: {why}"
        )
        console.warn(f"Run: python scripts/terminate_emr_cluster.py --cluster-id {cluster_id}")
    else:
        console.note(f"cluster {cluster_id} is being terminated")


def terminate(aws: Aws, cluster_id: str) -> None:
    """Asks EMR to terminate the cluster, even if it is protected.

    Does nothing to one that is terminated.
    """
    emr = aws.client("emr")
    if describe_cluster(aws, cluster_id).get("TerminationProtected"):
        emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
