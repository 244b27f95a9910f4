"""The one description of the EMR cluster: what `create_emr_cluster.py` sends and what is rendered into the state machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config import Settings

# what runs side by side: the two KPI jobs; each driver runs on the primary node in client mode
STEP_CONCURRENCY = 2
LOG_PREFIX = "logs/emr/"
# AmazonEMRServicePolicy_v2 allows EMR to touch only what carries this tag
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html
EMR_MANAGED_POLICY_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}


def cluster_request(settings: Settings, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """The parameters of ``elasticmapreduce:RunJobFlow``; ``tags`` as ``[{"Key": ..., "Value": ...}]``.

    The cluster stays up without steps and terminates itself after ``emr_idle_timeout_seconds`` without work. Only Spark is
    asked for: EMR adds what it needs, and emr-spark-8.x knows no Hadoop application.
    """
    return {
        "Name": settings.emr_cluster_name,
        "ReleaseLabel": settings.emr_release_label,
        "LogUri": settings.s3(LOG_PREFIX),
        "Applications": [{"Name": "Spark"}],
        "Instances": _instances(settings),
        "ServiceRole": settings.emr_service_role,
        "JobFlowRole": settings.emr_ec2_instance_profile,
        "StepConcurrencyLevel": STEP_CONCURRENCY,
        "AutoTerminationPolicy": {"IdleTimeout": settings.emr_idle_timeout_seconds},
        "Tags": [*tags, EMR_MANAGED_POLICY_TAG],
    }


def _instances(settings: Settings) -> dict[str, Any]:
    instances: dict[str, Any] = {
        "InstanceGroups": [
            _group("Primary", "MASTER", settings.emr_master_instance_type, 1),
            _group("Core", "CORE", settings.emr_core_instance_type, settings.emr_core_instance_count),
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
        "TerminationProtected": False,
    }
    if settings.emr_ec2_key_name:
        instances["Ec2KeyName"] = settings.emr_ec2_key_name
    if settings.emr_subnet_id:
        instances["Ec2SubnetId"] = settings.emr_subnet_id
    return instances


def _group(name: str, role: str, instance_type: str, count: int) -> dict[str, Any]:
    return {"Name": name, "InstanceRole": role, "InstanceType": instance_type, "InstanceCount": count, "Market": "ON_DEMAND"}
