"""The policies for a user allow the calls of each phase and nothing else.

Every phase runs once against the stand-in; the phases that change resources run again with other
settings. ``UNSEEN`` lists calls that the stand-in never receives. A phase's policy does not allow
the calls of another phase.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from car_rental.athena.client import Athena
from car_rental.aws import Aws
from car_rental.checks.preflight import CHECKS, preflight
from car_rental.checks.preflight_cluster import EMR_MANAGED_POLICY_TAG
from car_rental.cleanup.teardown import teardown
from car_rental.config import Settings, load_settings
from car_rental.glue.published import published_runs, require_workgroup
from car_rental.iam.person import MAX_MANAGED_CHARACTERS, PERSON_PHASES, person_policy
from car_rental.sample.generator import generate
from contract import KPI_TABLES as TABLES
from create_emr_cluster import create_emr_cluster
from deploy_step_functions import deploy_step_functions
from execute_step_functions import execute_step_functions
from run_glue_crawlers import run_glue_crawlers
from run_spark_jobs import run_spark_jobs
from setup_aws_environment import setup_aws_environment
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import main as step_1
from setup_iam_roles import setup_iam_roles
from support.cfn_linter import lint_resources
from support.deployed_pipeline import Pipeline
from support.iam_evaluator import as_list, denied, unused_grants
from support.iam_permissions import Permission
from support.person_permissions import PERSON, PersonTranslator
from support.recorded_calls import Recording
from terminate_emr_cluster import terminate_emr_cluster

from local_aws.clients import ACCOUNT_ID
from local_aws.server import LocalAws

NAME = "person"
REGION = "us-east-1"
OPTIONS = {
    "ALERT_EMAIL": "a@example.com",
    "SCHEDULE_EXPRESSION": "rate(1 day)",
    "EMR_SECURITY_CONFIGURATION": f"{NAME}-imdsv2",
}
BUCKET = f"arn:aws:s3:::{NAME}-car-rental-data-lake"
GLUE = f"arn:aws:glue:{REGION}:{ACCOUNT_ID}"
CATALOG = (
    f"{GLUE}:catalog",
    f"{GLUE}:database/{NAME}_car_rental_db",
    f"{GLUE}:table/{NAME}_car_rental_db/x",
)
CLUSTER = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT_ID}:cluster/j-1"
OURS = {
    "elasticmapreduce:ResourceTag/Project": "car-rental-data-lake",
    "elasticmapreduce:ResourceTag/Environment": NAME,
}
Need = tuple[Any, ...]


def arn(service: str, name: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT_ID}:{name}"


# the check of rights needs IAM's simulator, which no policy here allows
CHECKS_WITHOUT_RIGHTS = [check for check in CHECKS if check.name != "rights"]
NETWORK = [arn("ec2", f"{kind}/x") for kind in ("subnet", "vpc", "security-group")]


def each(
    prefix: str, actions: str, *resources: str, context: dict[str, str] | None = None
) -> list[Need]:
    return [
        (f"{prefix}:{action}", resource, context or {})
        for action in actions.split()
        for resource in resources
    ]


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT_ID}:role/{NAME}-{name}"


# changed files are uploaded, large ones in parts; encrypted files are compared by their metadata
BRING_FILES = each(
    "s3", "GetObject PutObject AbortMultipartUpload", f"{BUCKET}/raw/x", f"{BUCKET}/jobs/x"
)
FAILED_RUN = [
    *BRING_FILES,
    *each("s3", "ListAllMyBuckets", "*"),
    *each("s3", "GetObject", f"{BUCKET}/logs/emr/x", f"{BUCKET}/rejected/x"),
    # the cost of a cluster; the stand-in has no instances
    *each("elasticmapreduce", "ListInstances", CLUSTER),
    *each("elasticmapreduce", "SetTerminationProtection TerminateJobFlows", CLUSTER, context=OURS),
]
REJECTED = each(
    "glue", "CreateTable CreatePartition DeletePartition GetTables GetPartitions", *CATALOG
)
SCHEDULE = arn("scheduler", f"schedule/default/{NAME}-car-rental-pipeline")
MACHINE = f"{NAME}-CarRentalDataPipeline"
# calls that the stand-in never receives: repairs, failures, checks that AWS makes for a call
UNSEEN: dict[str, list[Need]] = {
    "check": [
        *each("ec2", "DescribeKeyPairs DescribeInstances DescribeInstanceTypes", "*"),
        *each("servicequotas", "GetServiceQuota", "*"),
        *each("pricing", "GetProducts", "*"),
        *each(
            "ec2", "CreateTags", *NETWORK, context={"aws:TagKeys": EMR_MANAGED_POLICY_TAG["Key"]}
        ),
        *each(
            "iam",
            "GetRole",
            f"arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot",
        ),
        *each("iam", "GetRole ListAttachedRolePolicies", role("CarRentalSchedulerRole")),
    ],
    "roles": [
        *each("iam", "UpdateAssumeRolePolicy", role("EMR_DefaultRole")),
        *each(
            "iam",
            "RemoveRoleFromInstanceProfile",
            role("EMR_EC2_DefaultRole").replace(":role/", ":instance-profile/"),
        ),
    ],
    "setup": [
        *BRING_FILES,
        *each("glue", "UpdateCrawler", f"{GLUE}:crawler/{NAME}-car-rental-processed"),
        *each(
            "athena",
            "UpdateWorkGroup UpdateNamedQuery",
            arn("athena", f"workgroup/{NAME}-car-rental"),
        ),
        *each("states", "TagResource", arn("states", f"stateMachine:{MACHINE}")),
        *each(
            "lambda",
            "UpdateFunctionCode UpdateFunctionConfiguration GetFunction",
            arn("lambda", f"function:{NAME}-car-rental-cluster-reaper"),
        ),
        *each("sns", "Unsubscribe", "*"),
        *each("scheduler", "UpdateSchedule", SCHEDULE),
    ],
    "process": [
        *FAILED_RUN,
        *REJECTED,
        *each("states", "DescribeExecution", arn("states", f"execution:{MACHINE}:x")),
        *each("elasticmapreduce", "PutManagedScalingPolicy", CLUSTER),
        *each("elasticmapreduce", "CancelSteps", CLUSTER, context=OURS),
        (
            "iam:CreateServiceLinkedRole",
            f"arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/elasticmapreduce.amazonaws.com/AWSServiceRoleForEMRCleanup",
            {"iam:AWSServiceName": "elasticmapreduce.amazonaws.com"},
        ),
    ],
    "orchestrate": [
        *FAILED_RUN,
        *REJECTED,
        *each("elasticmapreduce", "ListClusters", "*"),
        *each("elasticmapreduce", "DescribeCluster", CLUSTER),
        *each("elasticmapreduce", "ListSteps", CLUSTER, context=OURS),
        *each("states", "StopExecution", arn("states", f"execution:{MACHINE}:x")),
    ],
    "analyze": [
        # https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html
        # Athena uses the caller's rights for all work
        *each("athena", "StopQueryExecution", arn("athena", f"workgroup/{NAME}-car-rental")),
        *each(
            "glue",
            "GetDatabase GetTable GetTables GetPartition GetPartitions BatchGetPartition",
            *CATALOG,
        ),
        *each("s3", "ListBucket GetBucketLocation ListBucketMultipartUploads", BUCKET),
        *each("s3", "GetObject", f"{BUCKET}/processed/x", f"{BUCKET}/rejected/x"),
        *each(
            "s3",
            "GetObject PutObject AbortMultipartUpload ListMultipartUploadParts",
            f"{BUCKET}/athena-results/x",
        ),
    ],
    "teardown": [
        *each("elasticmapreduce", "DescribeCluster", CLUSTER),
        *each(
            "elasticmapreduce", "SetTerminationProtection TerminateJobFlows", CLUSTER, context=OURS
        ),
        *each("states", "StopExecution", arn("states", f"execution:{MACHINE}:x")),
        *each("glue", "StopCrawler", f"{GLUE}:crawler/{NAME}-car-rental-processed"),
        *each("athena", "GetWorkGroup", arn("athena", f"workgroup/{NAME}-car-rental")),
        *each("s3", "AbortMultipartUpload", f"{BUCKET}/x"),
    ],
}


@dataclasses.dataclass
class Person:
    """The policies of one lake, and the recorded needs of its phases."""

    aws: Aws
    seen: dict[str, list[Permission]] = dataclasses.field(default_factory=dict)

    def policy(self, phase: str) -> dict[str, Any]:
        return person_policy(self.aws, phase)

    def needs(self, phase: str) -> list[Permission]:
        return [*self.seen[phase], *(Permission(PERSON, *need) for need in UNSEEN[phase])]


@pytest.fixture(scope="module")
def person(
    stand_in: LocalAws, client: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory
) -> Person:
    folder: Path = tmp_path_factory.mktemp(NAME)
    generate(rentals=50, seed=5, folder=folder / "data")
    (folder / "empty.env").touch()
    flags = {
        "AWS_ENDPOINT_URL": stand_in.url,
        "ENVIRONMENT": NAME,
        "DATA_DIR": str(folder / "data"),
        **OPTIONS,
    }
    settings = load_settings({}, folder / "empty.env", flags)
    pipeline = Pipeline(settings, Aws(settings))
    person, translator = Person(pipeline.aws), PersonTranslator(client, REGION)

    def phase(name: str, *steps: Callable[[Aws], object]) -> None:
        recording = Recording()
        for step in steps:
            session = Aws(pipeline.settings)
            recording.listen_to(session)
            step(session)
        needs = [need for call in recording for need in translator.needs(call)]
        person.seen.setdefault(name, []).extend(needs)

    console, file = pipeline.console, folder / "iam_roles.json"
    plain = {"alert_email": "", "schedule_expression": ""}
    phase("check", lambda aws: preflight(aws, local=False, checks=CHECKS_WITHOUT_RIGHTS))
    phase("roles", *[lambda aws: setup_iam_roles(aws, console, file=file)] * 2)
    phase("roles", lambda aws: setup_iam_roles(aws, console, file=file, emr_policy="v1"))
    for step in (setup_aws_environment, setup_glue_crawlers, deploy_step_functions):
        phase("setup", *[lambda aws, step=step: step(aws, console)] * 2)
    for changes in (plain, {"emr_step_timeout_minutes": 60}):
        changed = dataclasses.replace(pipeline.settings, **changes)  # type: ignore[arg-type]
        phase(
            "setup",
            lambda aws, changed=changed: deploy_step_functions(
                with_settings(aws, changed), console
            ),
        )  # type: ignore[misc]
    pipeline.put_jobs()
    run_id = pipeline.write_run(*TABLES)
    phase(
        "process",
        lambda aws: create_emr_cluster(aws, console),
        lambda aws: run_spark_jobs(aws, console, run_id=run_id),
        lambda aws: run_glue_crawlers(aws, console),
        lambda aws: terminate_emr_cluster(aws, console),
    )
    phase("orchestrate", lambda aws: execute_step_functions(aws, console, run_id=run_id))
    phase(
        "analyze",
        lambda aws: require_workgroup(aws),
        lambda aws: published_runs(aws),
        lambda aws: Athena(aws).run("SELECT 1 AS one"),
    )
    phase("teardown", lambda aws: teardown(aws, console, delete_data=True, yes=True))
    return person


def with_settings(aws: Aws, settings: Settings) -> Aws:
    aws.settings = settings
    return aws


@pytest.mark.parametrize("phase", PERSON_PHASES)
def test_the_policy_of_a_phase_allows_every_call_of_the_phase(person: Person, phase: str) -> None:
    assert len(person.seen[phase]) > 2  # otherwise nothing was recorded
    assert denied(person.policy(phase), person.needs(phase)) == set()


@pytest.mark.parametrize("phase", PERSON_PHASES)
def test_the_policy_of_a_phase_grants_nothing_that_no_call_uses(person: Person, phase: str) -> None:
    assert list(unused_grants(person.policy(phase), person.needs(phase))) == []


@pytest.mark.parametrize("phase", ["check", "setup", "process", "orchestrate", "analyze"])
def test_only_the_policies_of_step_1_and_teardown_may_change_roles(
    person: Person, phase: str
) -> None:
    actions = {
        action
        for statement in person.policy(phase)["Statement"]
        for action in as_list(statement["Action"])
    }
    assert {
        action
        for action in actions
        if re.match(r"iam:(Put|Create|Attach|Detach|Update|Delete)", action)
    } <= {"iam:CreateServiceLinkedRole"}


@pytest.mark.parametrize("phase", PERSON_PHASES)
def test_the_policy_of_a_phase_fits_the_size_limit_of_a_managed_policy(
    person: Person, phase: str
) -> None:
    text = json.dumps(person.policy(phase), separators=(",", ":"))
    assert len(text) <= MAX_MANAGED_CHARACTERS


def test_the_linter_finds_nothing_in_the_policies_of_the_phases(person: Person) -> None:
    policies = [
        ("AWS::IAM::ManagedPolicy", {"PolicyDocument": person.policy(phase)})
        for phase in PERSON_PHASES
    ]
    assert lint_resources(*policies) == []


@pytest.mark.parametrize("phase", PERSON_PHASES)
def test_step_1_prints_the_policy_of_a_phase(
    stand_in: LocalAws,
    phase: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", stand_in.url)
    monkeypatch.setenv("ENVIRONMENT", "printed")
    assert step_1(["--show-policy", phase]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {statement["Effect"] for statement in printed["Statement"]} == {"Allow"}
