"""Every setting takes effect: its value is in a request to AWS, or another test shows it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from car_rental.aws import Aws
from car_rental.config import ROOT, Settings, load_settings, setting_fields
from car_rental.display.console import Console
from car_rental.emr.cluster_request import cluster_request
from car_rental.emr.spark_steps import JOBS, spark_step
from car_rental.glue.crawlers import crawler_request, crawlers
from car_rental.iam.roles import roles
from car_rental.state_machine.definition import definition
from deploy_step_functions import ensure_state_machine

BuildRequest = Callable[[Settings], Any]


def cluster_request_of(settings: Settings) -> Any:
    """Step 5's request, which the state machine contains too."""
    machine = definition(settings, [], "aws")["States"]
    (creation,) = (
        state for state in machine.values() if "createCluster" in state.get("Resource", "")
    )
    request = cluster_request(settings, [])
    assert (
        creation["Parameters"].items()
        >= {**request, "Tags": creation["Parameters"]["Tags"]}.items()
    )
    return request


def machine(settings: Settings) -> Any:
    return definition(settings, [], "aws")


def steps(settings: Settings) -> Any:
    return [spark_step(settings, job, "run-1") for job in JOBS]


def crawler(settings: Settings) -> Any:
    return [crawler_request(settings, crawler_of_lake) for crawler_of_lake in crawlers(settings)]


def policies(settings: Settings) -> Any:
    return [(role.name, role.policy) for role in roles(settings, "123456789012", "aws")]


def session(settings: Settings) -> Any:
    aws = Aws(settings)
    meta = aws.client("emr").meta
    return [
        *aws.session.get_credentials().get_frozen_credentials(),
        meta.region_name,
        meta.endpoint_url,
    ]


def deployed(settings: Settings) -> Any:
    """Step 4's request to create a state machine."""
    aws, request = Aws(settings), dict[str, Any]()
    aws.client("sts").get_caller_identity = lambda: {"Account": "123456789012"}

    def unknown(**_: Any) -> Any:
        raise ClientError({"Error": {"Code": "StateMachineDoesNotExist"}}, "DescribeStateMachine")

    sfn = aws.client("stepfunctions")
    sfn.validate_state_machine_definition = lambda **_: {"result": "OK"}
    sfn.describe_state_machine, sfn.create_state_machine = (
        unknown,
        lambda **arguments: request.update(arguments),
    )
    ensure_state_machine(aws, Console(io.StringIO(), io.StringIO()))
    return request


KEYS = {"AWS_ACCESS_KEY_ID": "AKIA4", "AWS_SECRET_ACCESS_KEY": "s3cr3t"}
SPOT = {"EMR_CORE_MARKET": "spot"}
SCALED = {"EMR_MAX_CORE_INSTANCE_COUNT": "973"}
KEY_ID = "01234567-89ab-cdef-0123-456789abcdef"
# setting, value, request that contains the value, other settings that it needs
IN_REQUESTS: list[tuple[str, str, BuildRequest, dict[str, str]]] = [
    ("AWS_ACCESS_KEY_ID", "AKIA5", session, KEYS),
    ("AWS_SECRET_ACCESS_KEY", "0ther", session, KEYS),
    ("AWS_SESSION_TOKEN", "t0ken", session, KEYS),
    ("AWS_REGION", "eu-west-3", session, KEYS),
    ("AWS_ENDPOINT_URL", "http://127.0.0.1:4999", session, KEYS),
    ("S3_BUCKET_NAME", "other-lake", steps, {}),
    ("S3_BUCKET_NAME", "other-lake", machine, {}),
    ("S3_BUCKET_NAME", "other-lake", crawler, {}),
    ("S3_BUCKET_NAME", "other-lake", policies, {}),
    ("KMS_KEY_ID", KEY_ID, policies, {}),
    ("EMR_CLUSTER_NAME", "other-cluster", cluster_request_of, {}),
    ("EMR_RELEASE_LABEL", "emr-6.11.1", cluster_request_of, {}),
    ("EMR_EC2_KEY_NAME", "other-key", cluster_request_of, {}),
    ("EMR_EC2_KEY_NAME", "other-key", cluster_request_of, SPOT),
    ("EMR_MASTER_INSTANCE_TYPE", "m7g.4xlarge", cluster_request_of, {}),
    ("EMR_MASTER_INSTANCE_TYPE", "m7g.4xlarge", cluster_request_of, SPOT),
    ("EMR_CORE_INSTANCE_TYPE", "r6i.8xlarge", cluster_request_of, {}),
    ("EMR_CORE_INSTANCE_TYPE", "r6i.8xlarge", cluster_request_of, SPOT),
    ("EMR_CORE_INSTANCE_COUNT", "971", cluster_request_of, {}),
    ("EMR_CORE_INSTANCE_COUNT", "971", cluster_request_of, SPOT),
    ("EMR_SUBNET_ID", "subnet-0123456789abcdef0", cluster_request_of, {}),
    ("EMR_SUBNET_ID", "subnet-0123456789abcdef0", cluster_request_of, SPOT),
    ("EMR_MAX_CORE_INSTANCE_COUNT", "972", cluster_request_of, {}),
    ("EMR_CORE_INSTANCE_COUNT", "971", cluster_request_of, {**SPOT, **SCALED}),
    ("EMR_SPARK_CONF", "spark.executor.memory=7g", cluster_request_of, {}),
    ("EMR_SECURITY_CONFIGURATION", "imdsv2", cluster_request_of, {}),
    ("EMR_IDLE_TIMEOUT_SECONDS", "1234", cluster_request_of, {}),
    ("EMR_SERVICE_ROLE", "OtherServiceRole", cluster_request_of, {}),
    ("EMR_EC2_INSTANCE_PROFILE", "OtherNodes", cluster_request_of, {}),
    ("EMR_DEPLOY_MODE", "cluster", steps, {}),
    ("MAX_REJECT_RATE", "0.37", steps, {}),
    ("MAX_REJECT_RATE", "0.37", machine, {}),
    ("KEEP_RUNS", "731", steps, {}),
    ("KEEP_RUNS", "731", machine, {}),
    ("EMR_STEP_TIMEOUT_MINUTES", "17", machine, {}),
    ("EMR_ONE_APPLICATION", "yes", machine, {}),
    ("GLUE_SERVICE_ROLE", "OtherCrawlerRole", crawler, {}),
    ("GLUE_DATABASE_NAME", "other_db", crawler, {}),
    ("GLUE_DATABASE_NAME", "other_db", machine, {}),
    ("ATHENA_WORKGROUP", "other-group", machine, {}),
    ("STEP_FUNCTIONS_STATE_MACHINE_NAME", "OtherMachine", policies, {}),
    ("STEP_FUNCTIONS_STATE_MACHINE_NAME", "OtherMachine", deployed, KEYS),
    ("STEP_FUNCTIONS_ROLE_ARN", "arn:aws:iam::000000000000:role/Own", deployed, KEYS),
    ("ENVIRONMENT", "prod", policies, {}),
]
# values that have another form in the request
VALUES = {
    "EMR_SPARK_CONF": ('"spark.executor.memory": "7g"',),
    "EMR_STEP_TIMEOUT_MINUTES": (f'"TimeoutSeconds": {17 * 60}',),
    "EMR_ONE_APPLICATION": ('"Name": "all_jobs"',),
    "EMR_DEPLOY_MODE": ('"--deploy-mode", "cluster"',),
    "ENVIRONMENT": ("prod-CarRentalDataPipeline", "prod-EMR_EC2_DefaultRole"),
}
# settings that are not in a request, and the test of each
SHOWN_BY = {
    "AWS_PROFILE": "tests/scripts/car_rental/test_aws.py",
    "DATA_DIR": "tests/test_main.py",
    "EMR_CORE_MARKET": "tests/scripts/car_rental/emr/test_cluster_request.py",
    "SCHEDULE_EXPRESSION": "tests/scripts/test_deploy_step_functions.py",
    "ALERT_EMAIL": "tests/scripts/test_deploy_step_functions.py",
    "LOCAL_AWS_DIR": "tests/test_pipeline.py",
    "REPORTS_DIR": "tests/notebooks/test_report.py",
    "RUNS_DIR": "tests/test_main.py",
    "REPORT_CUSTOMER_NAMES": "tests/notebooks/test_report.py",
}


@pytest.fixture
def settings_with(tmp_path: Path) -> Callable[..., Settings]:
    """`settings_with(KEEP_RUNS="3")`: the defaults with these values."""
    empty = tmp_path / "empty.env"
    empty.touch()
    return lambda **values: load_settings({}, empty, values)


@pytest.mark.parametrize(
    ("setting", "value", "build_request", "others"),
    [
        pytest.param(*case, id=f"{case[0]}-{case[2].__name__}{'-with' if case[3] else ''}")
        for case in IN_REQUESTS
    ],
)
def test_a_setting_is_in_the_request_that_needs_it(
    settings_with: Callable[..., Settings],
    setting: str,
    value: str,
    build_request: BuildRequest,
    others: dict[str, str],
) -> None:
    with_setting = json.dumps(build_request(settings_with(**{**others, setting: value})))
    without_setting = json.dumps(build_request(settings_with(**others)))
    for part in VALUES.get(setting, (value,)):
        assert part in with_setting and part not in without_setting


@pytest.mark.parametrize("build_request", [cluster_request_of, steps, crawler, machine])
def test_every_request_uses_the_bucket_in_the_settings(
    settings_with: Callable[..., Settings], build_request: BuildRequest
) -> None:
    text = json.dumps(build_request(settings_with(S3_BUCKET_NAME="other-lake")))
    assert "s3://other-lake/" in text and settings_with().s3_bucket_name not in text


def test_every_setting_has_a_test() -> None:
    assert {case[0] for case in IN_REQUESTS} | SHOWN_BY.keys() == setting_fields().keys()


@pytest.mark.parametrize(("setting", "file"), SHOWN_BY.items())
def test_the_test_of_a_setting_names_the_setting(setting: str, file: str) -> None:
    assert setting.lower() in (ROOT / file).read_text(encoding="utf-8").lower()
