"""A role may do what an execution of the state machine asks of it, and what AWS documents beyond
that.

The jobs do nothing here; ``test_iam_recorded.py`` has those of Spark, and finds grants that nothing
needs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from car_rental.config import Settings
from car_rental.iam.roles import Role, cluster_reaper_role_name, roles
from contract import KPI_TABLES as TABLES
from support.call_trail import CallTrail
from support.deployed_pipeline import SLOW, Pipeline, deployed, until
from support.documented_rights import DOCUMENTED
from support.iam_evaluator import allows
from support.iam_permissions import Permission, Translator

from local_aws.clients import ACCOUNT_ID
from local_aws.server import LocalAws

Asked = dict[str, list[Permission]]


def rendered(settings: Settings) -> dict[str, Role]:
    return {role.key: role for role in roles(settings, ACCOUNT_ID, "aws")}


def denied(role: Role, needs: list[Permission]) -> set[str]:
    return {
        str(need)
        for need in needs
        if not allows(role.policy, need.action, need.resource, need.context)
    }


@pytest.fixture(scope="module")
def pipeline(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return deployed(stand_in.url, "executions", tmp_path_factory.mktemp("executions"))


@pytest.fixture(scope="module")
def asked(pipeline: Pipeline, trail: CallTrail, client: Callable[[str], Any]) -> Asked:
    """By the name of the role: what it asked for in an execution that ends well and one, in one
    application, that is stopped."""
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
        logged = lambda: {one.operation for one in requests if one.role == reaper}  # noqa: E731
        until(logged, lambda operations: "PutLogEvents" in operations, 30)
    translator, needs = Translator(client), Asked()
    for request in requests:
        needs.setdefault(request.role, []).extend(translator.permissions(request))
    return needs


@pytest.mark.parametrize(
    ("key", "seen"),
    [
        (
            "STEP_FUNCTIONS_ROLE_ARN",
            {"elasticmapreduce:RunJobFlow", "glue:StartCrawler", "s3:PutObject", "iam:PassRole"},
        ),
        ("GLUE_SERVICE_ROLE", {"s3:GetObject", "glue:CreateTable", "logs:PutLogEvents"}),
        ("LAMBDA_ROLE", {"elasticmapreduce:ListClusters", "elasticmapreduce:TerminateJobFlows"}),
    ],
)
def test_a_role_may_do_all_that_an_execution_asks_of_it(
    pipeline: Pipeline, asked: Asked, key: str, seen: set[str]
) -> None:
    role = rendered(pipeline.settings)[key]
    assert seen <= {need.action for need in asked[role.name]}  # else nothing was recorded
    assert denied(role, [need for need in asked[role.name] if not of_others(need)]) == set()


def of_others(need: Permission) -> bool:
    """A look at a cluster of another test: the reaper looks at all, and takes AWS's refusal for
    "not ours"."""
    environment = need.context.get("elasticmapreduce:ResourceTag/Environment")
    return need.action == "elasticmapreduce:DescribeCluster" and environment != "executions"


@pytest.mark.parametrize("key", DOCUMENTED)
def test_a_role_may_do_what_aws_documents(key: str) -> None:
    settings = Settings(
        environment="recorded",
        s3_bucket_name="recorded-car-rental-data-lake",
        glue_database_name="recorded_car_rental_db",
        athena_workgroup="recorded-car-rental",
        emr_ec2_instance_profile="recorded-EMR_EC2_DefaultRole",
    )
    role = rendered(settings)[key]
    assert denied(role, [Permission(role.name, *need) for need in DOCUMENTED[key]]) == set()
