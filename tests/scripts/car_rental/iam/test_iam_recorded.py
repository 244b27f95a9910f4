"""The policies fit what is called: every recorded call of a role is allowed, no grant is without a
call, and no more is.

The whole pipeline runs on the stand-in, once by hand with the real Spark jobs and once by the state
machine, and an execution is stopped so that the Lambda function has a cluster to end. Each request
that AWS would make as a role is written down (``call_trail.py``), translated into permissions
(``iam_permissions.py``), and held against the role's policy (``iam_evaluator.py``).

What is added by hand, because the stand-in does not do it:

- what Spark reads (``read_by_steps``): all objects below the ``s3://`` arguments of the steps; the
  stand-in copies whole buckets in. What it writes and deletes, and the logs that it leaves, are
  recorded.
- ``DOCUMENTED``: what AWS's guides ask for beside the calls that are seen.

Not modelled: EMRFS's own pattern of requests beyond ``DOCUMENTED``; what EMR does as its service
role in EC2 (AWS's managed policy, which is AWS's); KMS; EventBridge Scheduler, which does not run
here; resource policies, the bucket's included; service control policies, permissions boundaries;
trust policies (``test_iam_policies.py`` has them).
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
from support.deployed_pipeline import SLOW, Pipeline, deployed, until
from support.documented_rights import BUCKET, DOCUMENTED, TAGGED
from support.iam_evaluator import allows, unused_grants
from support.iam_permissions import Permission, Translator
from terminate_emr_cluster import terminate_emr_cluster

from local_aws.clients import ACCOUNT_ID
from local_aws.server import LocalAws


@dataclass
class Recorded:
    """The roles of a run of the pipeline, and the permissions that each one needed."""

    roles: dict[str, Role]
    seen: list[Permission]

    def needs(self, key: str) -> list[Permission]:
        """All that a role needs: recorded, read by Spark's steps, documented."""
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
        by_hand(pipeline)
        by_the_state_machine(pipeline)
        reaper = cluster_reaper_role_name(pipeline.settings)

        def its_calls() -> set[str]:
            return {request.operation for request in requests if request.role == reaper}

        until(its_calls, lambda seen: "PutLogEvents" in seen, 30)  # the last thing it does
    wanted = {role.key: role for role in roles(pipeline.settings, ACCOUNT_ID, "aws")}
    translator = Translator(client)
    ours = [
        request for request in requests if request.role in {role.name for role in wanted.values()}
    ]
    seen = [permission for request in ours for permission in translator.permissions(request)]
    seen = [
        permission
        for permission in seen
        if not (permission.role == reaper and is_of_others(permission))
    ]
    nodes = wanted["EMR_EC2_INSTANCE_PROFILE"].name
    return Recorded(wanted, [*seen, *read_by_steps(pipeline, nodes, seen, requests)])


def is_of_others(permission: Permission) -> bool:
    """A look at a cluster that is not the project's: the reaper looks at all, and takes AWS's
    refusal for "not ours"."""
    tags = permission.context.items() & TAGGED.items()
    return permission.action == "elasticmapreduce:DescribeCluster" and len(tags) < len(TAGGED)


pytestmark = [pytest.mark.jvm, pytest.mark.all]
RUN = "2026-11-23T03-20-06.123Z"


def by_hand(pipeline: Pipeline) -> None:
    """Steps 5 to 8 with the real Spark jobs."""
    aws, console = pipeline.aws, pipeline.console
    setup_aws_environment(aws, console)
    create_emr_cluster(aws, console)
    run_spark_jobs(aws, console, run_id=RUN)
    run_glue_crawlers(aws, console)
    terminate_emr_cluster(aws, console)


def by_the_state_machine(pipeline: Pipeline) -> None:
    """Step 9 with jobs that do nothing, over the run that is there; then an execution that dies and
    leaves its cluster."""
    pipeline.put_jobs()
    execute_step_functions(pipeline.aws, pipeline.console, run_id=RUN)
    pipeline.put_jobs(clean_rentals=SLOW)
    died = pipeline.start("dies")
    pipeline.wait_for_step(died, "clean_rentals")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=died)
    assert pipeline.clusters_left_running(died) == []


def read_by_steps(
    pipeline: Pipeline, role: str, seen: list[Permission], requests: list[Request]
) -> Iterator[Permission]:
    """The objects below the ``s3://`` arguments of all submitted steps, deleted ones included."""
    bucket = f"s3://{pipeline.settings.s3_bucket_name}/"
    pages = (
        pipeline.aws.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=pipeline.settings.s3_bucket_name)
    )
    there = {item["Key"] for page in pages for item in page["Contents"]}
    there |= {
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
        for key in there:
            if key == prefix or key.startswith(f"{prefix}/"):
                yield Permission(role, "s3:GetObject", f"{BUCKET}/{key}")


def denied(role: Role, needs: list[Permission]) -> set[str]:
    """Those of ``needs`` that the role's policy does not allow."""
    return {
        str(need)
        for need in needs
        if not allows(role.policy, need.action, need.resource, need.context)
    }


@pytest.mark.parametrize("key", DOCUMENTED)
def test_all_that_a_role_needs_its_policy_allows(recorded: Recorded, key: str) -> None:
    assert denied(recorded.roles[key], recorded.needs(key)) == set()


@pytest.mark.parametrize("key", DOCUMENTED)
def test_no_grant_is_without_a_call(recorded: Recorded, key: str) -> None:
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
def test_each_role_was_seen_at_its_work(recorded: Recorded, key: str, actions: str) -> None:
    """Else the tests above would hold for a recording of nothing."""
    name = recorded.roles[key].name
    assert (
        set(actions.split()) - {need.action for need in recorded.seen if need.role == name} == set()
    )


@pytest.mark.parametrize("key", DOCUMENTED)
def test_without_any_one_of_its_statements_a_role_would_be_refused_something(
    recorded: Recorded, key: str
) -> None:
    role = recorded.roles[key]
    for left_out in role.policy["Statement"]:
        rest = {
            **role.policy,
            "Statement": [one for one in role.policy["Statement"] if one is not left_out],
        }
        needs = recorded.needs(key)
        assert [
            need for need in needs if not allows(rest, need.action, need.resource, need.context)
        ], left_out["Sid"]
