"""The definition of the EMR cluster, for the script that creates one and for the state machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from car_rental.config import Settings

# the two KPI jobs run concurrently; in client mode both drivers run on the primary node
STEP_CONCURRENCY = 2
LOG_PREFIX = "logs/emr/"
# AmazonEMRServicePolicy_v2 allows EMR to change only resources with this tag
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html
EMR_MANAGED_POLICY_TAG = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}


# minutes after which EMR stops looking for Spot capacity and uses on-demand core nodes
_SPOT_MINUTES = 10


def cluster_request(settings: Settings, tags: Sequence[dict[str, str]]) -> dict[str, Any]:
    """The parameters of ``elasticmapreduce:RunJobFlow``.

    ``tags`` are ``[{"Key": ..., "Value": ...}]``.

    The cluster stays up without steps and terminates itself after ``emr_idle_timeout_seconds``
    without work. It requests Spark alone: EMR adds the applications that Spark needs, and
    emr-spark-8.x has no Hadoop application.
    """
    return {
        "Name": settings.emr_cluster_name,
        "ReleaseLabel": settings.emr_release_label,
        "LogUri": settings.s3(LOG_PREFIX),
        "Applications": [{"Name": "Spark"}],
        "Instances": _instances(settings),
        "ServiceRole": settings.emr_service_role,
        "JobFlowRole": settings.emr_ec2_instance_profile.replace(":role/", ":instance-profile/"),
        "StepConcurrencyLevel": STEP_CONCURRENCY,
        "AutoTerminationPolicy": {"IdleTimeout": settings.emr_idle_timeout_seconds},
        "Tags": [*tags, EMR_MANAGED_POLICY_TAG],
        **_options(settings),
    }


def _options(settings: Settings) -> dict[str, Any]:
    """The optional parameters that the settings ask for."""
    options: dict[str, Any] = {}
    if settings.emr_spark_conf:
        properties = dict(pair.split("=", 1) for pair in settings.emr_spark_conf.split())
        options["Configurations"] = [{"Classification": "spark-defaults", "Properties": properties}]
    if settings.emr_security_configuration:
        options["SecurityConfiguration"] = settings.emr_security_configuration
    if settings.emr_max_core_instance_count:
        options["ManagedScalingPolicy"] = {"ComputeLimits": _limits(settings)}
    return options


def _limits(settings: Settings) -> dict[str, Any]:
    """The limits of managed scaling. The primary node does not count.

    EMR adds on-demand nodes first, up to their own maximum. For Spot core nodes that maximum is 0,
    so that every node that EMR adds is a Spot instance.
    https://docs.aws.amazon.com/emr/latest/ManagementGuide/managed-scaling-allocation-strategy.html
    """
    spot = settings.emr_core_market == "spot"
    return {
        "UnitType": "InstanceFleetUnits" if spot else "Instances",
        "MinimumCapacityUnits": settings.emr_core_instance_count,
        "MaximumCapacityUnits": settings.emr_max_core_instance_count,
        **({"MaximumOnDemandCapacityUnits": 0} if spot else {}),
    }


def _instances(settings: Settings) -> dict[str, Any]:
    instances: dict[str, Any] = {"KeepJobFlowAliveWhenNoSteps": True, "TerminationProtected": False}
    if settings.emr_ec2_key_name:
        instances["Ec2KeyName"] = settings.emr_ec2_key_name
    return instances | (
        _fleets(settings) if settings.emr_core_market == "spot" else _groups(settings)
    )


def _groups(settings: Settings) -> dict[str, Any]:
    groups = [
        _group("Primary", "MASTER", settings.emr_master_instance_type, 1),
        _group("Core", "CORE", settings.emr_core_instance_type, settings.emr_core_instance_count),
    ]
    return {
        "InstanceGroups": groups,
        **({"Ec2SubnetId": settings.emr_subnet_id} if settings.emr_subnet_id else {}),
    }


def _group(name: str, role: str, instance_type: str, count: int) -> dict[str, Any]:
    return {
        "Name": name,
        "InstanceRole": role,
        "InstanceType": instance_type,
        "InstanceCount": count,
        "Market": "ON_DEMAND",
    }


def _fleets(settings: Settings) -> dict[str, Any]:
    """Instance fleets for Spot core nodes: only a fleet can fall back to on-demand.

    The primary node stays on-demand, because the cluster fails with it.
    https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-instance-fleet.html
    """
    primary = {
        "Name": "Primary",
        "InstanceFleetType": "MASTER",
        "TargetOnDemandCapacity": 1,
        "InstanceTypeConfigs": [{"InstanceType": settings.emr_master_instance_type}],
    }
    core = {
        "Name": "Core",
        "InstanceFleetType": "CORE",
        "TargetSpotCapacity": settings.emr_core_instance_count,
        "InstanceTypeConfigs": [
            {"InstanceType": settings.emr_core_instance_type, "WeightedCapacity": 1}
        ],
        "LaunchSpecifications": {
            "SpotSpecification": {
                "TimeoutDurationMinutes": _SPOT_MINUTES,
                "TimeoutAction": "SWITCH_TO_ON_DEMAND",
                "AllocationStrategy": "capacity-optimized",
            }
        },
    }
    subnets = {"Ec2SubnetIds": [settings.emr_subnet_id]} if settings.emr_subnet_id else {}
    return {"InstanceFleets": [primary, core], **subnets}
