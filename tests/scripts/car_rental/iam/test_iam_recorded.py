"""The policies fit a recorded run: every call is allowed, and every grant is used.

The whole pipeline runs on the stand-in, once step by step with the real Spark jobs and once by the
state machine. An execution is stopped, so that the cluster reaper has a cluster to terminate. Each
request that AWS would make as a role is recorded (``call_trail.py``), translated to permissions
(``iam_permissions.py``), and compared with the role's policy (``iam_evaluator.py``).

Two kinds of needs are added, because the stand-in does not show them:

- the objects that Spark reads (``read_by_steps``): all objects below the ``s3://`` arguments of the
  steps, because the stand-in copies whole buckets. Writes, deletions and logs are recorded.
- ``DOCUMENTED``: permissions that AWS's guides require beyond the recorded calls.

Not modelled: requests of EMRFS beyond ``DOCUMENTED``; calls that EMR makes in EC2 as its service
role (AWS's own managed policy covers them); KMS; EventBridge Scheduler, which does not run here;
resource policies; service control policies; permissions boundaries; trust policies
(``test_iam_policies.py`` tests them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from car_rental.iam.roles import Role, cluster_reaper_role_name, roles
from car_rental.sample.generator import generate
from create_emr_cluster import create_emr_cluster
from execute_step_functions import execute_step_functions
from run_glue_crawlers import run_glue_crawlers
from run_spark_jobs import run_spark_jobs
from setup_aws_environment import setup_aws_environment
from support.call_trail import CallTrail, Request
from support.deployed_pipeline import SLOW, Pipeline, deployed
from support.documented_rights import BUCKET, DOCUMENTED, TAGGED
from support.iam_evaluator import allows, denied, unused_grants
from support.iam_permissions import Permission, Translator
from support.polling import until
from terminate_emr_cluster import terminate_emr_cluster

from local_aws.clients import ACCOUNT_ID
from local_aws.server import LocalAws


@dataclass
class Recorded:
    """The roles of a run of the pipeline, and the permissions that each one needed."""

    roles: dict[str, Role]
    seen: list[Permission]

    def needs(self, key: str) -> list[Permission]:
        """All needs of a role: recorded, read by Spark's steps, documented."""
        name = self.roles[key].name
        return [need for need in self.seen if need.role == name] + [
            Permission(name, *need) for need in DOCUMENTED[key]
        ]


@pytest.fixture(scope="module")
def recorded(
    stand_in: LocalAws,
    trail: CallTrail,
    client: Callable[[str], Any],
    tmp_path_factory: pytest.TempPathFactory,
) -> Recorded:
    folder = tmp_path_factory.mktemp("recorded")
    generate(rentals=60, seed=5, folder=folder)
    with trail.recording() as requests:
        pipeline = deployed(stand_in.url, "recorded", folder)
        run_steps(pipeline)
        run_state_machine(pipeline)
        reaper = cluster_reaper_role_name(pipeline.settings)

        def reaper_operations() -> set[str]:
            return {request.operation for request in requests if request.role == reaper}

        # its last call
        until(reaper_operations, lambda operations: "PutLogEvents" in operations, 30)
    roles_by_key = {role.key: role for role in roles(pipeline.settings, ACCOUNT_ID, "aws")}
    translator = Translator(client)
    role_requests = [
        request
        for request in requests
        if request.role in {role.name for role in roles_by_key.values()}
    ]
    seen = [
        permission for request in role_requests for permission in translator.permissions(request)
    ]
    seen = [
        permission
        for permission in seen
        if not (permission.role == reaper and is_foreign_cluster(permission))
    ]
    nodes = roles_by_key["EMR_EC2_INSTANCE_PROFILE"].name
    return Recorded(roles_by_key, [*seen, *read_by_steps(pipeline, nodes, seen, requests)])


def is_foreign_cluster(permission: Permission) -> bool:
    """Tells whether the reaper read a cluster that is not the project's.

    The reaper reads all clusters; AWS denies it those that are not the project's.
    """
    tags = permission.context.items() & TAGGED.items()
    return permission.action == "elasticmapreduce:DescribeCluster" and len(tags) < len(TAGGED)


pytestmark = [pytest.mark.jvm, pytest.mark.all]
RUN = "2026-11-23T03-20-06.123Z"


def run_steps(pipeline: Pipeline) -> None:
    """Runs steps 5 to 8 with the real Spark jobs."""
    aws, console = pipeline.aws, pipeline.console
    setup_aws_environment(aws, console)
    create_emr_cluster(aws, console)
    run_spark_jobs(aws, console, run_id=RUN)
    run_glue_crawlers(aws, console)
    terminate_emr_cluster(aws, console)


def run_state_machine(pipeline: Pipeline) -> None:
    """Runs step 9 over the existing run with jobs that do nothing, then stops an execution."""
    pipeline.put_jobs()
    execute_step_functions(pipeline.aws, pipeline.console, run_id=RUN)
    pipeline.put_jobs(clean_rentals=SLOW)
    stopped = pipeline.start("stopped")
    pipeline.wait_for_step(stopped, "clean_rentals")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=stopped)
    assert pipeline.clusters_left_running(stopped) == []


def read_by_steps(
    pipeline: Pipeline, role: str, seen: list[Permission], requests: list[Request]
) -> Iterator[Permission]:
    """Permissions to read the objects below the steps' ``s3://`` arguments, deleted ones too."""
    bucket = f"s3://{pipeline.settings.s3_bucket_name}/"
    pages = (
        pipeline.aws.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=pipeline.settings.s3_bucket_name)
    )
    keys = {item["Key"] for page in pages for item in page["Contents"]}
    keys |= {
        need.resource.partition("/")[2]
        for need in seen
        if need.role == role and need.action == "s3:PutObject"
    }
    steps = [
        step
        for request in requests
        if request.operation == "AddJobFlowSteps"
        for step in request.parameters["Steps"]
    ]
    arguments = {
        part
        for step in steps
        for argument in step["HadoopJarStep"]["Args"]
        for part in argument.split(",")
    }
    yield Permission(role, "s3:ListBucket", BUCKET)
    for prefix in (part.removeprefix(bucket) for part in arguments if part.startswith(bucket)):
        for key in keys:
            if key == prefix or key.startswith(f"{prefix}/"):
                yield Permission(role, "s3:GetObject", f"{BUCKET}/{key}")


@pytest.mark.parametrize("key", DOCUMENTED)
def test_a_role_allows_every_recorded_and_documented_call(recorded: Recorded, key: str) -> None:
    assert denied(recorded.roles[key].policy, recorded.needs(key)) == set()


@pytest.mark.parametrize("key", DOCUMENTED)
def test_a_role_grants_nothing_that_no_call_uses(recorded: Recorded, key: str) -> None:
    assert list(unused_grants(recorded.roles[key].policy, recorded.needs(key))) == []


@pytest.mark.parametrize(
    ("key", "actions"),
    [
        ("EMR_EC2_INSTANCE_PROFILE", "s3:GetObject s3:PutObject s3:DeleteObject s3:ListBucket"),
        (
            "GLUE_SERVICE_ROLE",
            "s3:ListBucket s3:GetObject glue:GetDatabase glue:CreateTable logs:PutLogEvents",
        ),
        (
            "LAMBDA_ROLE",
            "elasticmapreduce:ListClusters elasticmapreduce:TerminateJobFlows logs:PutLogEvents",
        ),
        (
            "STEP_FUNCTIONS_ROLE_ARN",
            (
                "elasticmapreduce:RunJobFlow elasticmapreduce:AddJobFlowSteps"
                " elasticmapreduce:DescribeStep iam:PassRole glue:StartCrawler"
                " athena:StartQueryExecution glue:GetPartitions s3:PutObject"
            ),
        ),
    ],
)
def test_the_recording_contains_the_main_calls_of_each_role(
    recorded: Recorded, key: str, actions: str
) -> None:
    name = recorded.roles[key].name
    assert (
        set(actions.split()) - {need.action for need in recorded.seen if need.role == name} == set()
    )


@pytest.mark.parametrize("key", DOCUMENTED)
def test_every_statement_of_a_role_is_needed(recorded: Recorded, key: str) -> None:
    role = recorded.roles[key]
    for removed in role.policy["Statement"]:
        rest = {
            **role.policy,
            "Statement": [
                statement for statement in role.policy["Statement"] if statement is not removed
            ],
        }
        needs = recorded.needs(key)
        assert [
            need for need in needs if not allows(rest, need.action, need.resource, need.context)
        ], removed["Sid"]
