"""The Lambda function that terminates the clusters of dead executions.

EventBridge calls it when an execution is FAILED, TIMED_OUT or ABORTED. It terminates every cluster
that carries the tag of that execution, and nothing else. It is idempotent.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

TAG = "Execution"
ACTIVE = ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"]
CLOCKS_DIFFER = timedelta(minutes=5)


def handler(event: dict[str, Any], context: object) -> dict[str, list[str]]:
    """Handles a "Step Functions Execution Status Change" event.

    Returns the ids of the clusters that are being terminated.
    """
    detail = event["detail"]
    started = datetime.fromtimestamp(detail["startDate"] / 1000, UTC)
    reaped = reap(boto3.client("emr"), detail["executionArn"], started)
    print(
        f"{detail['executionArn']} ended {detail['status']}: terminated"
        f" {', '.join(reaped) or 'no cluster'}"
    )
    return {"terminated": reaped}


def reap(emr: Any, execution_arn: str, started: datetime) -> list[str]:
    """Terminates the active clusters of the execution, protected or not. Returns their ids."""
    pages = emr.get_paginator("list_clusters").paginate(
        ClusterStates=ACTIVE, CreatedAfter=started - CLOCKS_DIFFER
    )
    ids = [cluster["Id"] for page in pages for cluster in page["Clusters"]]
    left = [cluster_id for cluster_id in ids if made_by(emr, cluster_id, execution_arn)]
    for cluster_id in left:
        emr.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
        emr.terminate_job_flows(JobFlowIds=[cluster_id])
    return left


def made_by(emr: Any, cluster_id: str, execution_arn: str) -> bool:
    """Returns whether the cluster carries the execution's tag.

    The function's role may describe only the project's clusters.
    """
    try:
        tags = emr.describe_cluster(ClusterId=cluster_id)["Cluster"].get("Tags", [])
    except ClientError as error:
        if error.response["Error"]["Code"] not in ("AccessDeniedException", "AccessDenied"):
            raise
        return False
    return {"Key": TAG, "Value": execution_arn} in tags
