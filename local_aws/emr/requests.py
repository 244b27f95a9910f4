"""Validates requests to EMR: raises AWS's errors, and rejects unsupported features by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from botocore.exceptions import ClientError
from moto.utilities.utils import load_resource

from local_aws.clients import Clients
from local_aws.emr.cluster import MOST_STEPS, Step
from local_aws.emr.submission import local_conf, parse_submission
from local_aws.overlay import AwsError, Call, not_supported
from local_aws.roles import find_role

# Every parameter of RunJobFlow is in one of these sets, or rejected.
_SUPPORTED = frozenset(
    "Name LogUri ReleaseLabel Instances Steps Applications Configurations JobFlowRole ServiceRole"
    " Tags StepConcurrencyLevel AutoTerminationPolicy".split()
)
# Accepted and returned without effect: machines, disks and visibility, which do not exist here.
_NO_EFFECT = frozenset(
    "VisibleToAllUsers ScaleDownBehavior EbsRootVolumeSize EbsRootVolumeIops"
    " EbsRootVolumeThroughput OSReleaseLabel RepoUpgradeOnBoot ExtendedSupport AutoScalingRole"
    " ManagedScalingPolicy SecurityConfiguration PlacementGroupConfigs MonitoringConfiguration"
    " LogEncryptionKmsKeyId".split()
)
_INSTANCES_SUPPORTED = frozenset(
    "InstanceGroups KeepJobFlowAliveWhenNoSteps TerminationProtected".split()
)
_INSTANCES_NO_EFFECT = frozenset(
    "Ec2KeyName Placement UnhealthyNodeReplacement Ec2SubnetId Ec2SubnetIds"
    " EmrManagedMasterSecurityGroup EmrManagedSlaveSecurityGroup ServiceAccessSecurityGroup"
    " AdditionalMasterSecurityGroups AdditionalSlaveSecurityGroups".split()
)
# https://docs.aws.amazon.com/emr/latest/ReleaseGuide/emr-release-components.html
_APPLICATIONS = frozenset(
    "AmazonCloudWatchAgent Delta Flink Ganglia HBase HCatalog Hadoop Hive Hudi Hue Iceberg"
    " JupyterEnterpriseGateway JupyterHub Livy MXNet Mahout Oozie Phoenix Pig Presto PrestoDB"
    " PrestoSQL Spark Sqoop TensorFlow Tez Trino Zeppelin ZooKeeper".split()
)
# configurations that make Spark use a Hive metastore
_METASTORE = frozenset({"spark-hive-site", "hive-site"})
_ACTIONS_ON_FAILURE = ("TERMINATE_JOB_FLOW", "TERMINATE_CLUSTER", "CANCEL_AND_WAIT", "CONTINUE")
_LOG_URI = re.compile(r"s3[an]?://([a-z0-9.-]{3,63})(/.*)?")
_IDLE_SECONDS = (60, 604800)
_LEVELS = (1, 256)


def invalid(message: str) -> AwsError:
    """EMR's error for an invalid request."""
    return AwsError("ValidationException", message)


class RequestRules:
    """Checks requests against IAM, S3 and EMR's releases; all methods raise ``AwsError``."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def run_job_flow(self, call: Call) -> None:
        """Checks a RunJobFlow request, except for its steps."""
        body = call.body
        reject_unknown("RunJobFlow", body, _SUPPORTED | _NO_EFFECT)
        reject_unknown(
            "RunJobFlow Instances",
            body.get("Instances", {}),
            _INSTANCES_SUPPORTED | _INSTANCES_NO_EFFECT,
        )
        _concurrency(body.get("StepConcurrencyLevel", 1))
        _idle_timeout(body.get("AutoTerminationPolicy", {}).get("IdleTimeout", _IDLE_SECONDS[0]))
        spark_defaults(body.get("Configurations", []))
        _release(body, call.region)
        self._roles(body)
        self._log_uri(body.get("LogUri"))
        _applications(body)
        _instances(body)

    def role_of_nodes(self, body: Mapping[str, Any]) -> str:
        """The role in the instance profile of a RunJobFlow request that has passed the checks."""
        found = self._clients.client("iam").get_instance_profile(
            InstanceProfileName=_name(body["JobFlowRole"])
        )
        return str(found["InstanceProfile"]["Roles"][0]["RoleName"])

    def _roles(self, body: Mapping[str, Any]) -> None:
        iam = self._clients.client("iam")
        service_role, profile = body.get("ServiceRole"), body.get("JobFlowRole")
        if not service_role:
            raise invalid("ServiceRole is required for creating cluster.")
        if not profile:
            raise invalid("InstanceProfile is required for creating cluster.")
        if not find_role(iam, service_role):
            raise invalid(f"Invalid ServiceRole: {service_role}. The role does not exist.")
        found = _exists(lambda: iam.get_instance_profile(InstanceProfileName=_name(profile)))
        wrong_arn = (
            found and profile.startswith("arn:") and found["InstanceProfile"]["Arn"] != profile
        )
        if not found or wrong_arn or not found["InstanceProfile"]["Roles"]:
            raise invalid(f"Invalid InstanceProfile: {profile}.")

    def _log_uri(self, log_uri: str | None) -> None:
        if not log_uri:
            return
        match = _LOG_URI.fullmatch(log_uri)
        if match is None:
            raise invalid(
                f"Invalid LogUri: {log_uri}. It must be an S3 location, s3://bucket/folder/."
            )
        if not _exists(lambda: self._clients.client("s3").head_bucket(Bucket=match.group(1))):
            raise invalid(f"Invalid LogUri: {log_uri}. The bucket {match.group(1)} does not exist.")


def _release(body: Mapping[str, Any], region: str) -> None:
    label = body.get("ReleaseLabel")
    if not label:
        raise invalid(
            "Must specify exactly one of the following: release label, AMI version, or Hadoop"
            " version."
        )
    # moto contains AWS's lists
    if label not in load_resource(f"emr/resources/release-labels-{region}.json"):
        raise invalid(f"The supplied release label is invalid: {label}.")


def _instances(body: Mapping[str, Any]) -> None:
    groups, label = instance_groups(body["Instances"]), body["ReleaseLabel"]
    supported = load_resource(f"emr/resources/instance-types-{label}.json")
    for group in groups:
        if group["InstanceType"] not in supported:
            raise invalid(
                f"Instance type '{group['InstanceType']}' is not supported on release {label}."
            )


def instance_groups(instances: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The instance groups with their defaults; raises ``AwsError``."""
    groups = [{"Market": "ON_DEMAND"} | group for group in instances.get("InstanceGroups", [])]
    roles = [group["InstanceRole"] for group in groups]
    for role in ("MASTER", "CORE"):
        if roles.count(role) > 1:
            raise invalid(
                f"Multiple {role.lower()} instance groups supplied, you must specify exactly one."
            )
    if "MASTER" not in roles:
        raise invalid(
            "Zero master instance groups supplied, you must specify exactly one master instance"
            " group"
        )
    if "TASK" in roles and "CORE" not in roles:
        raise invalid("Clusters with task nodes must also define core nodes.")
    if any(group["InstanceCount"] < 1 for group in groups):
        raise invalid("An instance group must have at least one instance")
    return groups


def steps_of(configs: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps in ``configs``; raises ``AwsError`` for invalid or unsupported ones."""
    if len(configs) > MOST_STEPS:
        raise invalid(
            "1 validation error detected: Value at 'steps' failed to satisfy constraint: Member"
            f" must have length less than or equal to {MOST_STEPS}"
        )
    return [_step(number, config) for number, config in enumerate(configs, 1)]


def _step(number: int, config: Mapping[str, Any]) -> Step:
    on_failure = config.get("ActionOnFailure", "TERMINATE_CLUSTER")
    if on_failure not in _ACTIONS_ON_FAILURE:
        raise invalid(
            f"1 validation error detected: Value '{on_failure}' at"
            f" 'steps.{number}.member.actionOnFailure' failed to satisfy constraint: Member must"
            f" satisfy enum value set: [{', '.join(_ACTIONS_ON_FAILURE)}]"
        )
    jar_step = config["HadoopJarStep"]
    reject_unknown(f"step {config['Name']}:", config, {"Name", "ActionOnFailure", "HadoopJarStep"})
    reject_unknown(f"step {config['Name']}: HadoopJarStep", jar_step, {"Jar", "Args"})
    if jar_step["Jar"].rpartition("/")[2] != "command-runner.jar":
        raise not_supported(
            f"step {config['Name']}: the jar {jar_step['Jar']}; only command-runner.jar"
            " spark-submit runs here"
        )
    args = jar_step.get("Args", [])
    return Step(config["Name"], on_failure, args, parse_submission(args))


def spark_defaults(configurations: Iterable[Mapping[str, Any]]) -> list[str]:
    """``spark-defaults`` of a cluster's ``Configurations`` as options of spark-submit."""
    properties: dict[str, str] = {}
    for configuration in configurations:
        if configuration["Classification"] in _METASTORE:
            raise not_supported(
                f"a Hive metastore (the configuration {configuration['Classification']})"
            )
        if configuration["Classification"] == "spark-defaults":
            properties |= configuration.get("Properties", {})
    return local_conf(properties)


def _concurrency(level: int) -> None:
    if not _LEVELS[0] <= level <= _LEVELS[1]:
        raise invalid(
            f"The step concurrency level {level} is invalid: it must be from {_LEVELS[0]} to"
            f" {_LEVELS[1]}."
        )


def _idle_timeout(seconds: int) -> None:
    if not _IDLE_SECONDS[0] <= seconds <= _IDLE_SECONDS[1]:
        raise invalid(
            f"The idle timeout {seconds} is invalid: it must be from {_IDLE_SECONDS[0]} to"
            f" {_IDLE_SECONDS[1]} seconds."
        )


def _applications(body: Mapping[str, Any]) -> None:
    for application in body.get("Applications", []):
        if application["Name"].lower() not in {name.lower() for name in _APPLICATIONS}:
            raise invalid(
                f"Invalid application: {application['Name']} is not available in"
                f" {body['ReleaseLabel']}."
            )


def reject_unknown(where: str, body: Mapping[str, Any], known: Iterable[str]) -> None:
    """Rejects parameters of ``body`` that are not in ``known``, unless they are empty."""
    unknown = sorted(
        key
        for key, value in body.items()
        if value not in (None, [], {}, False) and key not in known
    )
    if unknown:
        raise not_supported(f"{where} {', '.join(unknown)}")


def _name(name_or_arn: str) -> str:
    return name_or_arn.rpartition("/")[2]


def _exists(ask: Callable[[], Any]) -> Any:
    """The response, or ``None`` if the resource does not exist."""
    try:
        return ask()
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return None
        raise
