"""Each role allows what an execution of the state machine calls and what AWS documents.

The jobs do nothing here. ``test_iam_recorded.py`` runs the real Spark jobs and finds unused grants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from car_rental.config import Settings
from car_rental.iam.roles import Role, cluster_reaper_role_name, roles
from contract import KPI_TABLES as TABLES
from support.call_trail import CallTrail
from support.deployed_pipeline import SLOW, Pipeline, deployed
from support.documented_rights import DOCUMENTED
from support.iam_evaluator import denied
from support.iam_permissions import Permission, Translator
from support.polling import until

from local_aws.clients import ACCOUNT_ID
from local_aws.server import LocalAws

Needs = dict[str, list[Permission]]


def rendered_roles(settings: Settings) -> dict[str, Role]:
    return {role.key: role for role in roles(settings, ACCOUNT_ID, "aws")}


@pytest.fixture(scope="module")
def pipeline(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return deployed(stand_in.url, "executions", tmp_path_factory.mktemp("executions"))


@pytest.fixture(scope="module")
def needs_by_role(pipeline: Pipeline, trail: CallTrail, client: Callable[[str], Any]) -> Needs:
    """The needs of each role in a good execution and in one that is stopped.

    The stopped execution runs all jobs in one application.
    """
    reaper = cluster_reaper_role_name(pipeline.settings)
    with trail.recording() as requests:
        pipeline.put_jobs()
        assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"
        pipeline.with_settings(emr_one_application=True).deploy_definition()
        pipeline.put_jobs(all_jobs=SLOW)
        stopped = pipeline.start("stopped")
        pipeline.wait_for_step(stopped, "all_jobs")
        pipeline.aws.client("stepfunctions").stop_execution(executionArn=stopped)
        assert pipeline.clusters_left_running(stopped) == []

        def operations_of_reaper() -> set[str]:
            return {request.operation for request in requests if request.role == reaper}

        until(operations_of_reaper, lambda operations: "PutLogEvents" in operations, 30)
    translator, needs = Translator(client), Needs()
    for request in requests:
        needs.setdefault(request.role, []).extend(translator.permissions(request))
    return needs


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (
            "STEP_FUNCTIONS_ROLE_ARN",
            {"elasticmapreduce:RunJobFlow", "glue:StartCrawler", "s3:PutObject", "iam:PassRole"},
        ),
        ("GLUE_SERVICE_ROLE", {"s3:GetObject", "glue:CreateTable", "logs:PutLogEvents"}),
        ("LAMBDA_ROLE", {"elasticmapreduce:ListClusters", "elasticmapreduce:TerminateJobFlows"}),
    ],
)
def test_a_role_allows_every_call_of_an_execution(
    pipeline: Pipeline, needs_by_role: Needs, key: str, expected: set[str]
) -> None:
    role = rendered_roles(pipeline.settings)[key]
    # otherwise nothing was recorded
    assert expected <= {need.action for need in needs_by_role[role.name]}
    assert (
        denied(
            role.policy, [need for need in needs_by_role[role.name] if not is_foreign_cluster(need)]
        )
        == set()
    )


def is_foreign_cluster(need: Permission) -> bool:
    """Tells whether the reaper read a cluster of another test.

    The reaper reads all clusters; AWS denies it those that are not the project's.
    """
    environment = need.context.get("elasticmapreduce:ResourceTag/Environment")
    return need.action == "elasticmapreduce:DescribeCluster" and environment != "executions"


@pytest.mark.parametrize("key", DOCUMENTED)
def test_a_role_allows_what_aws_documents(key: str) -> None:
    settings = Settings(
        environment="recorded",
        s3_bucket_name="recorded-car-rental-data-lake",
        glue_database_name="recorded_car_rental_db",
        athena_workgroup="recorded-car-rental",
        emr_ec2_instance_profile="recorded-EMR_EC2_DefaultRole",
    )
    role = rendered_roles(settings)[key]
    assert denied(role.policy, [Permission(role.name, *need) for need in DOCUMENTED[key]]) == set()
