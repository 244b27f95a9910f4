"""The rendered IAM policies are valid, small enough and limited to the project's resources.

Every exception is listed here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest
from car_rental.config import Settings, load_settings
from car_rental.emr.spark_steps import JOBS, spark_step
from car_rental.iam import roles as iam_roles
from car_rental.iam.roles import EMR_SERVICE_POLICIES, MAX_INLINE_BYTES, Role, roles
from car_rental.s3 import lake_bucket
from support.cfn_linter import lint_resources
from support.iam_evaluator import as_list

ACCOUNT = "123456789012"
KEY = "01234567-89ab-cdef-0123-456789abcdef"
TEMPLATES = Path(iam_roles.__file__).with_name("policies")
BUCKET_POLICIES = Path(lake_bucket.__file__).with_name("bucket_policies")
# IAM's prefix -> botocore's service whose operations have the actions' names
SERVICES = {
    "athena": "athena",
    "elasticmapreduce": "emr",
    "events": "events",
    "glue": "glue",
    "iam": "iam",
    "logs": "logs",
    "states": "stepfunctions",
    "xray": "xray",
}
# actions without an operation of the same name
PERMISSIONS_ONLY = {
    "iam:PassRole",
    *(f"logs:{verb}LogDelivery" for verb in ("Create", "Get", "Update", "Delete")),
    "logs:ListLogDeliveries",
}
S3_ACTIONS = {
    *("s3:ListBucket", "s3:GetBucketLocation", "s3:GetBucketAcl", "s3:ListBucketMultipartUploads"),
    *(
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "s3:AbortMultipartUpload",
        "s3:ListMultipartUploadParts",
    ),
}
# the longest valid value of each setting
LONGEST = {
    "S3_BUCKET_NAME": "b" * 58,
    "ENVIRONMENT": "prod",
    "SCHEDULE_EXPRESSION": "rate(1 day)",
    "GLUE_DATABASE_NAME": "d" * 250,
    "STEP_FUNCTIONS_STATE_MACHINE_NAME": "m" * 75,
    "EMR_SERVICE_ROLE": "e" * 59,
    "EMR_EC2_INSTANCE_PROFILE": "n" * 59,
}


def settings_with(tmp_path: Path, **overrides: str) -> Settings:
    """Settings that ignore this machine's environment and files."""
    (tmp_path / "empty.env").touch()
    return load_settings({}, tmp_path / "empty.env", overrides)


@pytest.fixture
def rendered(tmp_path: Path) -> list[Role]:
    """Every role, including the scheduler's."""
    return roles(settings_with(tmp_path, SCHEDULE_EXPRESSION="rate(1 day)"), ACCOUNT, "aws")


@pytest.fixture
def role_of(rendered: list[Role]) -> Callable[[str], Role]:
    """Returns a role by the name of its setting."""
    return {role.key: role for role in rendered}.__getitem__


def statements(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Statements with their actions and resources as lists."""
    for statement in document["Statement"]:
        assert statement["Effect"] == "Allow"
        yield {
            **statement,
            **{key: as_list(statement[key]) for key in ("Action", "Resource") if key in statement},
        }


def test_every_role_has_a_policy_and_a_trust_template_and_every_template_is_used() -> None:
    names = {
        path.name.removesuffix(".json").removesuffix(".trust") for path in TEMPLATES.glob("*.json")
    } - {"lake_key"}
    assert names == {
        "emr_service",
        "emr_nodes",
        "glue_crawler",
        "cluster_reaper",
        "state_machine",
        "scheduler",
    }
    for name in names:
        assert (TEMPLATES / f"{name}.json").exists() and (TEMPLATES / f"{name}.trust.json").exists()


def test_no_template_contains_a_partition_or_an_account() -> None:
    for path in [*TEMPLATES.rglob("*.json"), *BUCKET_POLICIES.glob("*.json")]:
        assert re.findall(r"arn:aws|::\d{12}:", path.read_text(encoding="utf-8")) == [], path


def test_every_statement_with_the_resource_star_is_explained_in_the_readme(
    rendered: list[Role],
) -> None:
    readme = (
        (TEMPLATES / "README.md")
        .read_text(encoding="utf-8")
        .split("## Statements with the resource `*`")[1]
        .split("## ")[0]
    )
    explained = set(re.findall(r"^\| `\w+` \| `(\w+)` \| .{20,} \|$", readme, re.MULTILINE))
    wildcards = {
        statement["Sid"]
        for role in rendered
        for statement in statements(role.policy)
        for resource in statement["Resource"]
        if resource.split(":", 5)[-1].strip("*/") == "" or resource.startswith("arn:aws:s3:::*")
    }
    assert (
        wildcards
        == explained
        == {"CreateTaggedClusters", "DeliverExecutionLogs", "Trace", "ListClusters"}
    )


def test_every_action_exists_and_none_is_a_wildcard(rendered: list[Role]) -> None:
    session = botocore.session.Session()
    operations = {
        prefix: set(session.get_service_model(service).operation_names)
        for prefix, service in SERVICES.items()
    }
    for role in rendered:
        for statement in statements(role.policy):
            for action in statement["Action"]:
                prefix, name = action.split(":")
                exists = action in S3_ACTIONS | PERMISSIONS_ONLY or name in operations.get(
                    prefix, ()
                )
                assert exists, f"{role.name}: {action}"


def test_roles_are_passed_by_exact_name_to_exactly_one_service(rendered: list[Role]) -> None:
    passed = {
        (
            role.key,
            statement["Resource"][0].rsplit("/", 1)[1],
            statement["Condition"]["StringEquals"]["iam:PassedToService"],
        )
        for role in rendered
        for statement in statements(role.policy)
        if "iam:PassRole" in statement["Action"]
    }
    assert passed == {
        ("EMR_SERVICE_ROLE", "EMR_EC2_DefaultRole", "ec2.amazonaws.com"),
        ("STEP_FUNCTIONS_ROLE_ARN", "EMR_DefaultRole", "elasticmapreduce.amazonaws.com"),
        ("STEP_FUNCTIONS_ROLE_ARN", "EMR_EC2_DefaultRole", "ec2.amazonaws.com"),
    }
    for role in rendered:
        for statement in statements(role.policy):
            if any(action.startswith("iam:") for action in statement["Action"]):
                assert len(statement["Action"]) == 1 and len(statement["Resource"]) == 1
                assert "*" not in statement["Resource"][0]


def test_every_arn_is_in_the_account_and_region_or_in_the_bucket(rendered: list[Role]) -> None:
    project_arn = (
        rf"arn:aws:(s3:::car-rental-data-lake(/.*)?|iam::{ACCOUNT}:role/.+|"
        rf"[a-z]+:us-east-1:{ACCOUNT}:.+)"
    )
    for role in rendered:
        for statement in statements(role.policy):
            for resource in statement["Resource"]:
                assert resource == "*" or re.fullmatch(project_arn, resource), (
                    f"{role.name}: {resource}"
                )


def test_wildcards_in_arns_are_below_names_of_the_project(rendered: list[Role]) -> None:
    open_ended = {
        resource.split(":", 5)[-1]
        for role in rendered
        for statement in statements(role.policy)
        for resource in statement["Resource"]
        if "*" in resource and resource != "*"
    }
    lake = {
        f"car-rental-data-lake/{folder}/*"
        for folder in ("raw", "jobs", "clean", "rejected", "staging", "processed")
    }
    assert open_ended - lake == {
        *("car-rental-data-lake/logs/emr/*", "car-rental-data-lake/athena-results/*"),
        *("cluster/*", "table/car_rental_db/*", "execution:CarRentalDataPipeline:*"),
        *("log-group:/aws-glue/crawlers*", "log-group:/aws/lambda/car-rental-cluster-reaper:*"),
    }


def test_calls_on_clusters_require_the_project_s_tags(rendered: list[Role]) -> None:
    at_creation = ("AddTags", "PutAutoTerminationPolicy", "PutManagedScalingPolicy")
    untagged = {f"elasticmapreduce:{operation}" for operation in (*at_creation, "ListClusters")}
    for role in rendered:
        for statement in statements(role.policy):
            emr = {
                action for action in statement["Action"] if action.startswith("elasticmapreduce:")
            }
            if emr - untagged:
                tags = statement["Condition"]["StringEquals"]
                assert sorted(tags.values()) == ["car-rental-data-lake", "dev"]
                assert all(
                    re.match(r"(aws:RequestTag|elasticmapreduce:ResourceTag)/", key) for key in tags
                )


def test_no_role_may_write_or_delete_raw_data_or_jobs(rendered: list[Role]) -> None:
    for role in rendered:
        for statement in statements(role.policy):
            if {"s3:DeleteObject", "s3:PutObject"} & set(statement["Action"]):
                assert not [
                    resource
                    for resource in statement["Resource"]
                    if re.search(r":::[^/]+(/\*|/raw.*|/jobs.*)?$", resource)
                ]


def test_the_nodes_may_read_every_s3_folder_in_the_steps_arguments(
    role_of: Callable[[str], Role], tmp_path: Path
) -> None:
    settings = settings_with(tmp_path)
    readable = {
        resource.removeprefix("arn:aws:s3:::").removesuffix("/*")
        for statement in statements(role_of("EMR_EC2_INSTANCE_PROFILE").policy)
        if "s3:GetObject" in statement["Action"]
        for resource in statement["Resource"]
    }
    for job in JOBS:
        arguments = ",".join(spark_step(settings, job, "r1")["HadoopJarStep"]["Args"])
        for folder in re.findall(r"s3://([^,/]+/[^,/]+)", arguments):
            assert folder in readable or f"{folder}/data_pipeline" in readable, f"{job}: {folder}"


def test_the_nodes_may_use_the_folder_marker_of_each_prefix(role_of: Callable[[str], Role]) -> None:
    resources = [
        resource
        for statement in statements(role_of("EMR_EC2_INSTANCE_PROFILE").policy)
        for resource in statement["Resource"]
    ]
    prefixes = {
        resource for resource in resources if resource.endswith("/*") and "/logs/" not in resource
    }
    markers = {
        resource.replace("_$folder$", "/*")
        for resource in resources
        if resource.endswith("_$folder$")
    }
    assert prefixes == markers and len(prefixes) == 6


@pytest.mark.parametrize("emr_policy", sorted(EMR_SERVICE_POLICIES))
def test_policies_fit_the_size_limits_with_the_longest_names(
    tmp_path: Path, emr_policy: str
) -> None:
    for role in roles(settings_with(tmp_path, **LONGEST), ACCOUNT, "aws-us-gov", emr_policy):
        assert len(re.sub(r"\s", "", json.dumps(role.policy))) <= MAX_INLINE_BYTES, role.name
        assert len(re.sub(r"\s", "", json.dumps(role.trust))) <= 2_048, role.name
        assert len(role.name) <= 64 and len(role.purpose) <= 1_000


def as_resources(every_role: list[Role]) -> list[tuple[str, dict[str, Any]]]:
    """The roles as resources of a CloudFormation template."""
    return [
        (
            "AWS::IAM::Role",
            {
                "AssumeRolePolicyDocument": role.trust,
                "Policies": [{"PolicyName": "Needed", "PolicyDocument": role.policy}],
            },
        )
        for role in every_role
    ]


def test_the_linter_finds_nothing_in_any_policy(tmp_path: Path) -> None:
    every_role = roles(
        settings_with(tmp_path, SCHEDULE_EXPRESSION="rate(1 day)", KMS_KEY_ID=KEY), ACCOUNT, "aws"
    )
    text = (
        (BUCKET_POLICIES / "policy.json")
        .read_text(encoding="utf-8")
        .replace("${bucket}", "car-rental-data-lake")
    )
    text = text.replace("${partition}", "aws")
    bucket = (
        "AWS::S3::BucketPolicy",
        {"Bucket": "car-rental-data-lake", "PolicyDocument": json.loads(text)},
    )
    assert lint_resources(*as_resources(every_role), bucket) == []


@pytest.mark.parametrize(
    ("part", "wrong"),
    [("Action", "s3:GetObjekt"), ("Resource", "arn:aws:glue"), ("Effekt", "Allow")],
)
def test_the_linter_finds_a_wrong_element(rendered: list[Role], part: str, wrong: str) -> None:
    rendered[1].policy["Statement"][0][part] = wrong
    assert len(lint_resources(*as_resources(rendered))) == 1


def test_statement_ids_are_letters_and_digits_and_unique(rendered: list[Role]) -> None:
    for role in rendered:
        for document in (role.policy, role.trust):
            assert document["Version"] == "2012-10-17"
            ids = [statement["Sid"] for statement in document["Statement"]]
            assert len(ids) == len(set(ids)) and all(
                re.fullmatch(r"[A-Za-z0-9]+", sid) for sid in ids
            )


def test_trust_policies_require_the_account_if_the_service_sends_it(rendered: list[Role]) -> None:
    source_arns = {
        "EMR_SERVICE_ROLE": f"arn:aws:elasticmapreduce:us-east-1:{ACCOUNT}:*",
        "STEP_FUNCTIONS_ROLE_ARN": f"arn:aws:states:us-east-1:{ACCOUNT}:stateMachine:*",
        # the scheduler sends the ARN of the group, not of the schedule
        "SCHEDULER_ROLE": f"arn:aws:scheduler:us-east-1:{ACCOUNT}:schedule-group/default",
    }
    for role in rendered:
        (statement,) = role.trust["Statement"]
        condition = statement.get("Condition", {})
        if role.key == "EMR_EC2_INSTANCE_PROFILE":
            assert condition == {}  # EC2 sends no source, so a condition would block every instance
        else:
            assert condition["StringEquals"] == {"aws:SourceAccount": ACCOUNT}
            assert condition.get("ArnLike", {}).get("aws:SourceArn") == source_arns.get(role.key)
    services = {
        role.trust["Statement"][0]["Principal"]["Service"].split(".")[0] for role in rendered
    }
    assert services == {"elasticmapreduce", "ec2", "glue", "lambda", "states", "scheduler"}


def test_the_scheduler_has_a_role_only_with_a_schedule(
    tmp_path: Path, role_of: Callable[[str], Role]
) -> None:
    keys_without_schedule = {role.key for role in roles(settings_with(tmp_path), ACCOUNT, "aws")}
    assert "SCHEDULER_ROLE" not in keys_without_schedule and len(keys_without_schedule) == 5
    assert (
        role_of("SCHEDULER_ROLE")
        .policy["Statement"][0]["Resource"]
        .endswith(":stateMachine:CarRentalDataPipeline")
    )


def test_the_flag_selects_the_managed_policy_of_the_emr_service(tmp_path: Path) -> None:
    newer, older = (
        f"arn:aws:iam::aws:policy/{EMR_SERVICE_POLICIES[version]}" for version in ("v2", "v1")
    )
    for version, attached, unwanted in (("v2", newer, older), ("v1", older, newer)):
        service = roles(settings_with(tmp_path), ACCOUNT, "aws", version)[0]
        assert (service.managed, service.unwanted) == ((attached,), (unwanted,))


def test_each_environment_has_its_own_roles(tmp_path: Path) -> None:
    dev, prod = (
        {role.name for role in roles(settings_with(tmp_path, ENVIRONMENT=name), ACCOUNT, "aws")}
        for name in ("dev", "prod")
    )
    assert {f"prod-{name}" for name in dev} == prod


def test_a_state_machine_role_given_as_arn_keeps_its_path(tmp_path: Path) -> None:
    arn = "arn:aws:iam::000000000000:role/service-role/Mine"
    settings = settings_with(tmp_path, STEP_FUNCTIONS_ROLE_ARN=arn)
    (role,) = (
        role
        for role in roles(settings, "000000000000", "aws")
        if role.key == "STEP_FUNCTIONS_ROLE_ARN"
    )
    assert (role.arn, role.name, role.path) == (arn, "Mine", "/service-role/")


def test_the_shown_arn_of_the_nodes_is_their_instance_profile(
    role_of: Callable[[str], Role],
) -> None:
    assert (
        role_of("EMR_EC2_INSTANCE_PROFILE").shown_arn
        == f"arn:aws:iam::{ACCOUNT}:instance-profile/EMR_EC2_DefaultRole"
    )
    assert role_of("EMR_SERVICE_ROLE").shown_arn == f"arn:aws:iam::{ACCOUNT}:role/EMR_DefaultRole"


@pytest.mark.parametrize("kms_key_id", [KEY, f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY}"])
def test_roles_that_use_the_lake_s_objects_may_use_exactly_its_key_through_s3(
    tmp_path: Path, kms_key_id: str
) -> None:
    statements_by_role = {}
    for role in roles(settings_with(tmp_path, KMS_KEY_ID=kms_key_id), ACCOUNT, "aws"):
        for statement in role.policy["Statement"]:
            if statement["Sid"] == "UseTheLakesKey":
                statements_by_role[role.key] = statement
    assert set(statements_by_role) == {
        "EMR_EC2_INSTANCE_PROFILE",
        "GLUE_SERVICE_ROLE",
        "STEP_FUNCTIONS_ROLE_ARN",
    }
    for statement in statements_by_role.values():
        assert statement["Resource"] == f"arn:aws:kms:us-east-1:{ACCOUNT}:key/{KEY}"
        assert statement["Condition"] == {
            "StringEquals": {"kms:ViaService": "s3.us-east-1.amazonaws.com"}
        }


def test_no_role_may_use_a_key_if_none_is_set(rendered: list[Role]) -> None:
    assert "kms:" not in json.dumps([role.policy for role in rendered])
