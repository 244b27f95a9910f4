"""The IAM roles of the project: names, trust policies and policies (templates in policies/)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from car_rental.aws import PROJECT, Answer, Aws
from car_rental.config import Settings
from car_rental.errors import ConfigError
from car_rental.glue.crawlers import crawlers

POLICY_NAME = PROJECT  # name of the inline policy that each role has
MAX_INLINE_BYTES = (
    10_240  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
)
# AWS is retiring v1, but it works in accounts whose network cannot have the tags that v2 requires
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-managed-iam-policies.html
EMR_SERVICE_POLICIES = {
    "v2": "service-role/AmazonEMRServicePolicy_v2",
    "v1": "service-role/AmazonElasticMapReduceRole",
}
_TEMPLATES = Path(__file__).with_name("policies")
# roles that read or write objects, so they need the right to use the lake's KMS key
_USE_THE_LAKE = ("emr_nodes", "glue_crawler", "state_machine")


def role_name(name_or_arn: str) -> str:
    """The name of a role without ARN and path, as IAM's own calls take it."""
    return name_or_arn.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Role:
    """The wanted state of a role.

    ``key`` is its name in iam_roles.json. Policies are JSON documents; managed policies are ARNs.
    ``unwanted`` are managed policies that an earlier run may have attached. The instance profile
    has the same name as its role, as EMR requires.
    """

    key: str
    arn: str
    purpose: str
    trust: dict[str, Any]
    policy: dict[str, Any]
    managed: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    has_instance_profile: bool = False

    @property
    def name(self) -> str:
        """The name without the path."""
        return role_name(self.arn)

    @property
    def path(self) -> str:
        """The path, ``/`` for nearly every role."""
        return self.arn.split(":role", 1)[1].removesuffix(self.name)

    @property
    def shown_arn(self) -> str:
        """The ARN for the setting: the instance profile's ARN if there is one, else the role's."""
        return (
            self.arn.replace(":role/", ":instance-profile/")
            if self.has_instance_profile
            else self.arn
        )


REGION_TAG = "Region"


def role_tags(aws: Aws) -> list[Any]:
    """The tags of a role.

    They name the region: roles are global, but their policies name one region.
    """
    return [*aws.tag_list, {"Key": REGION_TAG, "Value": aws.settings.aws_region}]


def region_of(tags: Iterable[Answer]) -> str:
    """The region in a role's tags; empty if there is none."""
    return next((tag["Value"] for tag in tags if tag["Key"] == REGION_TAG), "")


def role_misfit(aws: Aws, role: Role, current: Answer) -> ConfigError | None:
    """The reason why these settings cannot use the existing role, or None.

    ``current`` is from ``iam:GetRole``.
    """
    if current["Arn"] != role.arn:
        return ConfigError(
            f"role {role.name}",
            f"has a path: services know it as {current['Arn']} alone.",
            f"Set {role.key} in .env to that ARN, or to another name.",
        )
    tags = current.get("Tags", [])
    ours, region = all(tag in tags for tag in aws.tag_list), region_of(tags)
    if ours and region not in ("", aws.settings.aws_region):
        return ConfigError(
            f"role {role.name}",
            f"serves ENVIRONMENT={aws.settings.environment} in {region}; its policies are about"
            " that region.",
            f"Choose another ENVIRONMENT for {aws.settings.aws_region}, or tear the other one down"
            " first.",
        )
    return None


def cluster_reaper_name(settings: Settings) -> str:
    """The Lambda function that terminates the clusters of dead executions."""
    return settings.shared_name("car-rental-cluster-reaper")


def cluster_reaper_role_name(settings: Settings) -> str:
    """The role of that function."""
    return settings.shared_name("CarRentalClusterReaperRole")


def scheduler_role_name(settings: Settings) -> str:
    """The role with which the schedule starts the state machine."""
    return settings.shared_name("CarRentalSchedulerRole")


def roles(settings: Settings, account: str, partition: str, emr_policy: str = "v2") -> list[Role]:
    """Every role that these settings need. ``emr_policy`` is one of ``EMR_SERVICE_POLICIES``."""
    values = policy_values(settings, account, partition)

    def role(key: str, name_or_arn: str, template: str, purpose: str, **more: Any) -> Role:
        arn = (
            name_or_arn
            if ":" in name_or_arn
            else f"arn:{partition}:iam::{account}:role/{name_or_arn}"
        )
        arn = arn.replace(":instance-profile/", ":role/")
        policy = _render(template, values)
        if settings.kms_key_id and template in _USE_THE_LAKE:
            policy["Statement"] += _render("lake_key", values)["Statement"]
        return Role(key, arn, purpose, _render(f"{template}.trust", values), policy, **more)

    service_policies = {
        version: f"arn:{partition}:iam::aws:policy/{name}"
        for version, name in EMR_SERVICE_POLICIES.items()
    }
    attached = service_policies.pop(emr_policy)
    wanted = [
        role(
            "EMR_SERVICE_ROLE",
            settings.emr_service_role,
            "emr_service",
            "EMR: starts and stops the cluster's instances",
            managed=(attached,),
            unwanted=tuple(service_policies.values()),
        ),
        role(
            "EMR_EC2_INSTANCE_PROFILE",
            settings.emr_ec2_instance_profile,
            "emr_nodes",
            "EMR's instances: read and write the lake",
            has_instance_profile=True,
        ),
        role(
            "GLUE_SERVICE_ROLE",
            settings.glue_service_role,
            "glue_crawler",
            "Glue crawler: fills the catalog",
        ),
        role(
            "LAMBDA_ROLE",
            cluster_reaper_role_name(settings),
            "cluster_reaper",
            "Lambda: terminates the clusters of dead executions",
        ),
        role(
            "STEP_FUNCTIONS_ROLE_ARN",
            _state_machine_role(settings),
            "state_machine",
            "Step Functions: runs the pipeline",
        ),
    ]
    if settings.schedule_expression:
        wanted.append(
            role(
                "SCHEDULER_ROLE",
                scheduler_role_name(settings),
                "scheduler",
                "Scheduler: starts the pipeline",
            )
        )
    return wanted


def _state_machine_role(settings: Settings) -> str:
    return (
        settings.step_functions_role_arn
        if settings.step_functions_role_is_given
        else settings.step_functions_role_name
    )


def policy_values(settings: Settings, account: str, partition: str) -> dict[str, str]:
    """The values of the templates' placeholders."""
    (crawler,) = crawlers(settings)
    return {
        "account": account,
        "partition": partition,
        "region": settings.aws_region,
        "project": PROJECT,
        "environment": settings.environment,
        "bucket": settings.s3_bucket_name,
        "key_arn": _key_arn(settings, account, partition),
        "database": settings.glue_database_name,
        "crawler": crawler.name,
        "workgroup": settings.athena_workgroup,
        "state_machine": settings.step_functions_state_machine_name,
        "emr_service_role": _below_role(settings.emr_service_role),
        "emr_nodes_role": _below_role(settings.emr_ec2_instance_profile),
        "reaper_function": cluster_reaper_name(settings),
    }


def _below_role(name_or_arn: str) -> str:
    """The last part of a role's ARN: its path, if any, and its name."""
    return re.sub(r"^arn:[^/]*/", "", name_or_arn)


def _key_arn(settings: Settings, account: str, partition: str) -> str:
    key = settings.kms_key_id
    return key if ":" in key else f"arn:{partition}:kms:{settings.aws_region}:{account}:key/{key}"


def _render(template: str, values: dict[str, str]) -> dict[str, Any]:
    text = (_TEMPLATES / f"{template}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(Template(text).substitute(values))
    return document
