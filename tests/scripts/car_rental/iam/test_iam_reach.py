"""Each role's policy allows the calls that its work needs, and no call of a list of others.

The lists are written by hand after the services' documentation; ``test_iam_recorded.py`` compares
with the calls of a real run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from car_rental.config import load_settings
from car_rental.iam.roles import Role, roles
from moto.iam.aws_managed_policies import aws_managed_policies_data
from support.iam_evaluator import allows

ACCOUNT, OTHER = "123456789012", "000000000000"
BUCKET = "arn:aws:s3:::car-rental-data-lake"
ELSEWHERE = "arn:aws:s3:::somebody-elses-bucket"
REGION = f"us-east-1:{ACCOUNT}"
MACHINE = f"arn:aws:states:{REGION}:stateMachine:CarRentalDataPipeline"
CLUSTER = f"arn:aws:elasticmapreduce:{REGION}:cluster/j-1"
TAGS = {"Project": "car-rental-data-lake", "Environment": "dev"}
REQUESTED = {f"aws:RequestTag/{key}": value for key, value in TAGS.items()}
KEYS = (
    *("EMR_SERVICE_ROLE", "EMR_EC2_INSTANCE_PROFILE", "GLUE_SERVICE_ROLE", "LAMBDA_ROLE"),
    *("STEP_FUNCTIONS_ROLE_ARN", "SCHEDULER_ROLE"),
)
ADMIN = f"arn:aws:iam::{ACCOUNT}:role/Admin"

# calls that no role may make in any context
NEVER = [
    *(
        ("s3:DeleteBucket", BUCKET),
        ("s3:PutBucketPolicy", BUCKET),
        ("s3:PutLifecycleConfiguration", BUCKET),
    ),
    *(
        ("s3:GetObject", f"{ELSEWHERE}/raw/users.csv"),
        ("s3:ListBucket", ELSEWHERE),
        ("s3:PutObject", f"{ELSEWHERE}/x"),
    ),
    *(
        ("s3:PutObject", f"{BUCKET}/raw/users/x.csv"),
        ("s3:DeleteObject", f"{BUCKET}/raw/users/users.csv"),
    ),
    *(
        ("s3:PutObject", f"{BUCKET}/jobs/publish_run.py"),
        ("s3:DeleteObjectVersion", f"{BUCKET}/processed/x"),
    ),
    *(
        ("iam:CreateUser", f"arn:aws:iam::{ACCOUNT}:user/x"),
        ("iam:CreateAccessKey", f"arn:aws:iam::{ACCOUNT}:user/x"),
    ),
    *(
        ("iam:PutRolePolicy", f"arn:aws:iam::{ACCOUNT}:role/EMR_DefaultRole"),
        ("sts:AssumeRole", ADMIN),
    ),
    *(("iam:PassRole", ADMIN), ("iam:PassRole", f"arn:aws:iam::{OTHER}:role/EMR_EC2_DefaultRole")),
    *(
        ("glue:DeleteDatabase", f"arn:aws:glue:{REGION}:database/car_rental_db"),
        ("athena:DeleteWorkGroup", "*"),
    ),
    *(
        ("glue:GetTable", f"arn:aws:glue:{REGION}:table/payroll/salaries"),
        ("lambda:UpdateFunctionCode", "*"),
    ),
    *(("states:UpdateStateMachine", MACHINE), ("states:DeleteStateMachine", MACHINE)),
    *(
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:key/x"),
        ("ec2:RunInstances", "*"),
        ("secretsmanager:GetSecretValue", "*"),
    ),
]
# contexts of a request: none, and those that fulfil a condition of some role
CONTEXTS = [
    {},
    {"iam:PassedToService": "ec2.amazonaws.com"},
    {"iam:PassedToService": "elasticmapreduce.amazonaws.com"},
    {f"elasticmapreduce:ResourceTag/{key}": value for key, value in TAGS.items()},
]


@pytest.fixture(scope="module")
def role_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Role]:
    path: Path = tmp_path_factory.mktemp("settings") / "x.env"
    path.touch()
    settings = load_settings({}, path, {"SCHEDULE_EXPRESSION": "rate(1 day)"})
    return {role.key: role for role in roles(settings, ACCOUNT, "aws")}.__getitem__


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(("action", "resource"), NEVER)
def test_no_role_allows_a_forbidden_call(
    role_of: Callable[[str], Role], key: str, action: str, resource: str
) -> None:
    assert not [
        context for context in CONTEXTS if allows(role_of(key).policy, action, resource, context)
    ]


# AWS's policy names EMR_EC2_DefaultRole without an account; a role of another account cannot be
# passed in any case
MANAGED_NEVER = [call for call in NEVER if not (call[0] == "iam:PassRole" and OTHER in call[1])]


@pytest.mark.parametrize(
    ("action", "resource"),
    [*MANAGED_NEVER, ("ec2:TerminateInstances", f"arn:aws:ec2:{REGION}:instance/i-untagged")],
)
def test_aws_s_managed_policy_of_the_emr_service_allows_no_forbidden_call(
    role_of: Callable[[str], Role], action: str, resource: str
) -> None:
    (attached,) = role_of("EMR_SERVICE_ROLE").managed
    policy = json.loads(aws_managed_policies_data)[attached.rpartition("/")[2]]["Document"]
    assert not [context for context in CONTEXTS if allows(policy, action, resource, context)]


def tagged(**tags: str) -> dict[str, str]:
    """The context of a call on a cluster with these tags."""
    return {f"elasticmapreduce:ResourceTag/{key}": value for key, value in tags.items()}


NEEDED = [
    (
        "EMR_SERVICE_ROLE",
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/EMR_EC2_DefaultRole",
        CONTEXTS[1],
    ),
    *(
        ("EMR_EC2_INSTANCE_PROFILE", action, f"{BUCKET}/{key}", {})
        for action, key in (
            *(("s3:GetObject", "raw/users/users.csv"), ("s3:GetObject", "jobs/clean_rentals.py")),
            *(
                ("s3:PutObject", "clean/rentals/run_id=r/part-0.parquet"),
                ("s3:PutObject", "rejected/rental_transactions/x"),
            ),
            *(
                ("s3:PutObject", "staging/run_id=r/user_metrics/x"),
                ("s3:DeleteObject", "staging/run_id=r/user_metrics/x"),
            ),
            *(
                ("s3:PutObject", "processed/user_metrics/run_id=r/x"),
                ("s3:DeleteObject", "processed/user_metrics/run_id=r/x"),
            ),
            ("s3:PutObject", "logs/emr/j-1/steps/s-1/stderr.gz"),
        )
    ),
    ("EMR_EC2_INSTANCE_PROFILE", "s3:ListBucket", BUCKET, {}),
    ("GLUE_SERVICE_ROLE", "s3:GetObject", f"{BUCKET}/processed/user_metrics/run_id=r/x", {}),
    (
        "GLUE_SERVICE_ROLE",
        "glue:BatchCreatePartition",
        f"arn:aws:glue:{REGION}:table/car_rental_db/user_metrics",
        {},
    ),
    ("LAMBDA_ROLE", "elasticmapreduce:TerminateJobFlows", CLUSTER, tagged(**TAGS)),
    ("STEP_FUNCTIONS_ROLE_ARN", "elasticmapreduce:RunJobFlow", "*", REQUESTED),
    ("STEP_FUNCTIONS_ROLE_ARN", "elasticmapreduce:AddJobFlowSteps", CLUSTER, tagged(**TAGS)),
    (
        "STEP_FUNCTIONS_ROLE_ARN",
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/EMR_EC2_DefaultRole",
        CONTEXTS[1],
    ),
    (
        "STEP_FUNCTIONS_ROLE_ARN",
        "glue:StartCrawler",
        f"arn:aws:glue:{REGION}:crawler/car-rental-processed",
        {},
    ),
    ("SCHEDULER_ROLE", "states:StartExecution", MACHINE, {}),
]


@pytest.mark.parametrize(("key", "action", "resource", "context"), NEEDED)
def test_a_role_allows_the_calls_that_its_work_needs(
    role_of: Callable[[str], Role], key: str, action: str, resource: str, context: dict[str, str]
) -> None:
    assert allows(role_of(key).policy, action, resource, context)


BEYOND = [
    ("GLUE_SERVICE_ROLE", "s3:GetObject", f"{BUCKET}/raw/users/users.csv", {}),
    ("GLUE_SERVICE_ROLE", "s3:PutObject", f"{BUCKET}/processed/user_metrics/x", {}),
    ("EMR_EC2_INSTANCE_PROFILE", "s3:GetObject", f"{BUCKET}/athena-results/x.csv", {}),
    ("EMR_EC2_INSTANCE_PROFILE", "elasticmapreduce:TerminateJobFlows", CLUSTER, tagged(**TAGS)),
    (
        "LAMBDA_ROLE",
        "elasticmapreduce:TerminateJobFlows",
        CLUSTER,
        tagged(**{**TAGS, "Environment": "prod"}),
    ),
    ("LAMBDA_ROLE", "elasticmapreduce:TerminateJobFlows", CLUSTER, {}),
    ("LAMBDA_ROLE", "elasticmapreduce:RunJobFlow", "*", REQUESTED),
    ("STEP_FUNCTIONS_ROLE_ARN", "elasticmapreduce:RunJobFlow", "*", {}),
    (
        "STEP_FUNCTIONS_ROLE_ARN",
        "elasticmapreduce:AddJobFlowSteps",
        CLUSTER,
        tagged(Project="something-else"),
    ),
    (
        "STEP_FUNCTIONS_ROLE_ARN",
        "iam:PassRole",
        f"arn:aws:iam::{ACCOUNT}:role/EMR_EC2_DefaultRole",
        {},
    ),
    ("STEP_FUNCTIONS_ROLE_ARN", "s3:GetObject", f"{BUCKET}/raw/users/users.csv", {}),
    ("SCHEDULER_ROLE", "states:StopExecution", MACHINE, {}),
    (
        "SCHEDULER_ROLE",
        "states:StartExecution",
        f"arn:aws:states:{REGION}:stateMachine:Another",
        {},
    ),
]


@pytest.mark.parametrize(("key", "action", "resource", "context"), BEYOND)
def test_a_role_does_not_allow_calls_of_other_roles_or_environments(
    role_of: Callable[[str], Role], key: str, action: str, resource: str, context: dict[str, str]
) -> None:
    assert not allows(role_of(key).policy, action, resource, context)


# --- the evaluator itself


def policy(**statement: object) -> dict[str, object]:
    return {
        "Statement": [
            {"Effect": "Allow", "Action": "s3:Get*", "Resource": "arn:aws:s3:::b/*", **statement}
        ]
    }


def test_the_evaluator_handles_wildcards_and_conditions_and_raises_on_unknown_elements() -> None:
    assert allows(policy(), "S3:getobject", "arn:aws:s3:::b/x/y") and not allows(
        policy(), "s3:PutObject", "arn:aws:s3:::b/x"
    )
    with_condition = policy(Condition={"StringEquals": {"aws:SourceAccount": [ACCOUNT, OTHER]}})
    assert allows(with_condition, "s3:GetObject", "arn:aws:s3:::b/x", {"aws:SourceAccount": OTHER})
    assert not allows(with_condition, "s3:GetObject", "arn:aws:s3:::b/x")
    with pytest.raises(NotImplementedError):
        allows(policy(Effect="Deny"), "s3:GetObject", "arn:aws:s3:::b/x")
    with pytest.raises(KeyError):
        allows(policy(Condition={"IpAddress": {"x": "y"}}), "s3:GetObject", "arn:aws:s3:::b/x")
