"""Operations that the stand-in does not execute are rejected by name instead of acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

Client = Callable[[str], Any]


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "unsupported"),
    [
        ("glue", "start_job_run", {"JobName": "j"}, "AWSGlue:StartJobRun"),
        ("glue", "start_workflow_run", {"Name": "w"}, "AWSGlue:StartWorkflowRun"),
        ("ecs", "run_task", {"taskDefinition": "t"}, "RunTask"),
        (
            "athena",
            "create_prepared_statement",
            {"StatementName": "s", "WorkGroup": "primary", "QueryStatement": "SELECT 1"},
            "AmazonAthena:CreatePreparedStatement",
        ),
        (
            "emr-serverless",
            "start_job_run",
            {
                "applicationId": "a",
                "executionRoleArn": "arn:aws:iam::123456789012:role/r",
                "clientToken": "t",
            },
            "emr-serverless:StartJobRun",
        ),
        (
            "emr-containers",
            "start_job_run",
            {"virtualClusterId": "v", "clientToken": "t"},
            "emr-containers:StartJobRun",
        ),
        (
            "lambda",
            "invoke_async",
            {"FunctionName": "f", "InvokeArgs": b"{}"},
            "lambda:InvokeAsync",
        ),
        (
            "events",
            "put_rule",
            {"Name": "r", "ScheduleExpression": "rate(1 hour)"},
            "events:PutRule with a ScheduleExpression",
        ),
        (
            "batch",
            "submit_job",
            {"jobName": "j", "jobQueue": "q", "jobDefinition": "d"},
            "batch:SubmitJob",
        ),
    ],
)
def test_operations_that_are_not_executed_are_rejected_by_name(
    client: Client, service: str, operation: str, arguments: dict[str, str], unsupported: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)(**arguments)
    error = caught.value.response
    assert error["Error"]["Code"] == "LocalAwsNotSupported"
    assert unsupported in error["Error"]["Message"]
    assert error["ResponseMetadata"]["RetryAttempts"] == 0


@pytest.mark.parametrize(
    ("service", "operation", "arguments", "unsupported"),
    [
        (
            "iam",
            "simulate_principal_policy",
            {
                "PolicySourceArn": "arn:aws:iam::123456789012:user/u",
                "ActionNames": ["s3:GetObject"],
            },
            "simulate_principal_policy",
        ),
        ("ec2", "describe_placement_groups", {}, "describe_placement_groups"),
        ("athena", "list_engine_versions", {}, "ListEngineVersions"),
    ],
)
def test_operations_unknown_to_moto_are_rejected_in_each_service_s_protocol(
    client: Client, service: str, operation: str, arguments: dict[str, Any], unsupported: str
) -> None:
    with pytest.raises(ClientError) as caught:
        getattr(client(service), operation)(**arguments)
    error = caught.value.response["Error"]
    assert error["Code"] == "LocalAwsNotSupported"
    assert unsupported in error["Message"]


def test_other_operations_of_these_services_are_answered(client: Client) -> None:
    assert client("batch").describe_job_queues()["jobQueues"] == []
    assert client("emr-serverless").list_applications()["applications"] == []
