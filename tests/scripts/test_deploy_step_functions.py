"""Step 4 converges from any settings to any others and reports each change."""

from __future__ import annotations

import functools
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import deploy_step_functions as step
import pytest
from botocore.stub import Stubber
from car_rental.aws import Aws
from car_rental.config import Settings
from car_rental.errors import DataLakeError
from car_rental.iam.roles import scheduler_role_name
from car_rental.state_machine.definition import state_machine_arn
from car_rental.state_machine.reaper_function import archive
from car_rental.timing import ON_THIS_MACHINE
from deploy_step_functions import deploy_step_functions
from setup_iam_roles import setup_iam_roles
from support.call_trail import CallTrail

from local_aws.overlay import AwsError, Call

NOW = datetime(2026, 11, 27, tzinfo=UTC)
ACCEPTED: dict[str, Any] = {"result": "OK", "diagnostics": []}
ALERTED = {"alert_email": "a@example.com", "schedule_expression": "rate(1 day)"}


@pytest.fixture
def lake(new_project: Callable[..., Any], tmp_path: Any) -> Iterator[Any]:
    """A project with its roles."""
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)")
    setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    project.settings = replace(project.settings, schedule_expression="")
    yield project


def deploy(lake: Any, *, plan_only: bool = False, **settings: Any) -> dict[str, str]:
    """Runs step 4 with these settings added; returns the change of each resource."""
    lake.aws = Aws(replace(lake.settings, **settings), plan_only=plan_only)
    changes = deploy_step_functions(lake.aws, lake.console).changes
    return {change.resource: change.done for change in changes}


def changes_by_kind(changes: dict[str, str]) -> dict[str, set[str]]:
    """The changes by kind of resource: ``{"rule": {"created"}}``."""
    by_kind: dict[str, set[str]] = {}
    for name, change in changes.items():
        by_kind.setdefault(name.rsplit(" ", 1)[0], set()).add(change)
    return by_kind


def machine(lake: Any) -> dict[str, Any]:
    described: dict[str, Any] = lake.aws.client("stepfunctions").describe_state_machine(
        stateMachineArn=state_machine_arn(lake.aws)
    )
    return described


def test_a_second_deployment_changes_nothing(lake: Any) -> None:
    first = changes_by_kind(deploy(lake))
    assert first == dict.fromkeys(("log group", "state machine", "function", "rule"), {"created"})
    assert changes_by_kind(deploy(lake)) == dict.fromkeys(first, {"unchanged"})


def test_a_step_functions_without_if_match_gets_a_definition_without_it(
    lake: Any, step_functions_without_if_match: None
) -> None:
    assert changes_by_kind(deploy(lake))["state machine"] == {"created"}
    assert "IfMatch" not in machine(lake)["definition"]
    assert changes_by_kind(deploy(lake))["state machine"] == {"unchanged"}


def test_the_definition_is_deployed_without_permission_to_validate_it(
    lake: Any, trail: CallTrail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(_: Call) -> dict[str, Any]:
        raise AwsError("AccessDeniedException", "not authorized")

    monkeypatch.setitem(
        trail.app.handlers, "AWSStepFunctions.ValidateStateMachineDefinition", denied
    )
    assert changes_by_kind(deploy(lake))["state machine"] == {"created"}
    assert "IfMatch" in machine(lake)["definition"]


def test_the_state_machine_is_standard_traced_tagged_and_logs_errors_without_data(
    lake: Any,
) -> None:
    deploy(lake)
    described = machine(lake)
    name = lake.settings.step_functions_state_machine_name
    (destination,) = described["loggingConfiguration"]["destinations"]
    assert (described["type"], described["tracingConfiguration"]) == ("STANDARD", {"enabled": True})
    assert (
        described["loggingConfiguration"]["level"],
        described["loggingConfiguration"]["includeExecutionData"],
    ) == ("ERROR", False)
    assert destination["cloudWatchLogsLogGroup"]["logGroupArn"].endswith(
        f":log-group:/aws/vendedlogs/states/{name}:*"
    )
    tags = lake.aws.client("stepfunctions").list_tags_for_resource(
        resourceArn=described["stateMachineArn"]
    )["tags"]
    assert {tag["key"]: tag["value"] for tag in tags} == lake.aws.tags


def test_changes_of_definition_role_and_logging_are_updated_and_named(lake: Any) -> None:
    deploy(lake)
    assert changes_by_kind(deploy(lake, max_reject_rate=lake.settings.max_reject_rate / 2))[
        "state machine"
    ] == {"updated (definition)"}
    project_role = machine(lake)["roleArn"]
    other_role = project_role.rsplit("/", 1)[0] + "/Other"
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "states.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    lake.aws.client("iam").create_role(RoleName="Other", AssumeRolePolicyDocument=document)
    lake.aws.client("stepfunctions").update_state_machine(
        stateMachineArn=state_machine_arn(lake.aws),
        roleArn=other_role,
        loggingConfiguration={"level": "OFF"},
    )
    assert changes_by_kind(deploy(lake))["state machine"] == {"updated (definition, role, logging)"}
    assert machine(lake)["roleArn"] == project_role
    assert changes_by_kind(deploy(lake))["state machine"] == {"unchanged"}


def test_missing_tags_are_restored(lake: Any) -> None:
    deploy(lake)
    lake.aws.client("stepfunctions").untag_resource(
        resourceArn=state_machine_arn(lake.aws), tagKeys=["Project"]
    )
    assert changes_by_kind(deploy(lake))["state machine"] == {"updated (tags)"}


def test_changed_code_and_configuration_of_the_reaper_are_corrected(lake: Any) -> None:
    (name,) = [name.split()[1] for name in deploy(lake) if name.startswith("function ")]
    lambdas = lake.aws.client("lambda")
    lambdas.update_function_configuration(FunctionName=name, Timeout=3)
    lambdas.update_function_code(FunctionName=name, ZipFile=archive() + b"\0")
    assert changes_by_kind(deploy(lake))["function"] == {"updated (code, configuration)"}
    assert lambdas.get_function_configuration(FunctionName=name)["Timeout"] == 120


def test_alerts_and_schedule_are_created_updated_and_removed_with_their_settings(lake: Any) -> None:
    plain = changes_by_kind(deploy(lake))
    with_all = changes_by_kind(deploy(lake, **ALERTED))
    assert with_all == plain | {
        **dict.fromkeys(("log group", "state machine", "function"), {"unchanged"}),
        **dict.fromkeys(("topic", "alarm", "schedule"), {"created"}),
        "rule": {"updated (targets)"},
    }
    assert changes_by_kind(deploy(lake, **ALERTED)) == dict.fromkeys(with_all, {"unchanged"})
    changed = changes_by_kind(
        deploy(lake, alert_email="b@example.com", schedule_expression="rate(2 days)")
    )
    assert (changed["topic"], changed["schedule"], changed["alarm"]) == (
        {"updated (subscription)"},
        {"updated"},
        {"unchanged"},
    )
    removed = changes_by_kind(deploy(lake))
    assert removed | {"function": set(), "log group": set(), "state machine": set()} == {
        **dict.fromkeys(("function", "log group", "state machine"), set()),
        **dict.fromkeys(("topic", "alarm", "schedule"), {"removed"}),
        "rule": {"updated (targets)"},
    }
    assert changes_by_kind(deploy(lake)) == dict.fromkeys(plain, {"unchanged"})


def test_no_topic_alarm_or_schedule_exists_without_their_settings(lake: Any) -> None:
    deploy(lake)
    environment = lake.settings.environment
    topics = [topic["TopicArn"] for topic in lake.aws.client("sns").list_topics()["Topics"]]
    alarms = lake.aws.client("cloudwatch").describe_alarms(AlarmNamePrefix=f"{environment}-")[
        "MetricAlarms"
    ]
    schedules = lake.aws.client("scheduler").list_schedules(NamePrefix=f"{environment}-")[
        "Schedules"
    ]
    assert ([arn for arn in topics if f":{environment}-" in arn], alarms, schedules) == ([], [], [])


def test_the_alarm_reports_long_executions_of_the_state_machine_to_the_topic(lake: Any) -> None:
    deploy(lake, **ALERTED)
    name = lake.settings.step_functions_state_machine_name
    (alarm,) = lake.aws.client("cloudwatch").describe_alarms(AlarmNamePrefix=name)["MetricAlarms"]
    assert (alarm["MetricName"], alarm["TreatMissingData"]) == ("ExecutionTime", "notBreaching")
    assert alarm["Dimensions"] == [
        {"Name": "StateMachineArn", "Value": state_machine_arn(lake.aws)}
    ]
    assert [arn.rsplit(":", 1)[1] for arn in alarm["AlarmActions"]] == [
        lake.settings.shared_name("car-rental-alerts")
    ]
    assert alarm["Threshold"] == lake.settings.emr_step_timeout_minutes * 60_000  # in milliseconds


def test_a_failed_execution_is_reported_by_the_rule_and_by_no_alarm(lake: Any) -> None:
    deploy(lake, **ALERTED)
    events, rule = (
        lake.aws.client("events"),
        lake.settings.shared_name("car-rental-execution-ended"),
    )
    notices = [
        target["Id"]
        for target in events.list_targets_by_rule(Rule=rule)["Targets"]
        if ":sns:" in target["Arn"]
    ]
    alarms = lake.aws.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{lake.settings.environment}-"
    )["MetricAlarms"]
    assert notices == ["failure-notice"]
    assert {alarm["MetricName"] for alarm in alarms} & {
        "ExecutionsFailed",
        "ExecutionsTimedOut",
        "ExecutionsAborted",
    } == set()


def test_the_topic_accepts_only_the_rule_and_the_alarm_and_has_one_subscription(lake: Any) -> None:
    deploy(lake, **ALERTED)
    sns, environment = lake.aws.client("sns"), lake.settings.environment
    (arn,) = [
        topic["TopicArn"]
        for topic in sns.list_topics()["Topics"]
        if f":{environment}-" in topic["TopicArn"]
    ]
    policy = json.loads(sns.get_topic_attributes(TopicArn=arn)["Attributes"]["Policy"])
    conditions = {
        statement["Principal"]["Service"]: statement["Condition"]
        for statement in policy["Statement"]
    }
    region_and_account = f"us-east-1:{lake.aws.account_id}"
    rule = f"arn:aws:events:{region_and_account}:rule/{environment}-car-rental-execution-ended"
    name = lake.settings.step_functions_state_machine_name
    alarm = f"arn:aws:cloudwatch:{region_and_account}:alarm:{name}-overlong"
    assert conditions == {
        "events.amazonaws.com": {"ArnEquals": {"aws:SourceArn": rule}},
        "cloudwatch.amazonaws.com": {
            "StringEquals": {"aws:SourceAccount": lake.aws.account_id},
            "ArnEquals": {"aws:SourceArn": alarm},
        },
    }
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "a@example.com")


def test_the_schedule_starts_the_state_machine_with_the_scheduler_s_role(lake: Any) -> None:
    deploy(lake, **ALERTED)
    schedule = lake.aws.client("scheduler").get_schedule(
        Name=lake.settings.shared_name("car-rental-pipeline")
    )
    assert (schedule["ScheduleExpression"], schedule["FlexibleTimeWindow"]) == (
        "rate(1 day)",
        {"Mode": "OFF"},
    )
    assert schedule["Target"]["Arn"] == state_machine_arn(lake.aws)
    assert schedule["Target"]["RoleArn"].endswith(f":role/{scheduler_role_name(lake.settings)}")


def test_the_rule_sends_every_failed_end_of_an_execution_to_the_reaper(lake: Any) -> None:
    deploy(lake)
    events, name = (
        lake.aws.client("events"),
        lake.settings.shared_name("car-rental-execution-ended"),
    )
    assert json.loads(events.describe_rule(Name=name)["EventPattern"]) == {
        "source": ["aws.states"],
        "detail-type": ["Step Functions Execution Status Change"],
        "detail": {
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            "stateMachineArn": [state_machine_arn(lake.aws)],
        },
    }
    (target,) = events.list_targets_by_rule(Rule=name)["Targets"]
    assert target["Arn"].endswith(
        f":function:{lake.settings.shared_name('car-rental-cluster-reaper')}"
    )


def test_a_plan_names_the_same_changes_and_makes_none(lake: Any) -> None:
    planned = deploy(lake, plan_only=True, **ALERTED)
    assert changes_by_kind(planned)["state machine"] == {"created"}
    assert planned == deploy(lake, **ALERTED)
    assert changes_by_kind(deploy(lake, plan_only=True))["topic"] == {"removed"}
    assert changes_by_kind(deploy(lake, **ALERTED)) == dict.fromkeys(
        changes_by_kind(planned), {"unchanged"}
    )


@pytest.fixture
def long_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sets two minutes of patience for IAM, in which no time passes."""
    monkeypatch.setattr(Settings, "timing", replace(ON_THIS_MACHINE, iam_patience_seconds=120.0))
    without_sleep = functools.partial(step.retry_while_iam_spreads, sleep=lambda _: None)
    monkeypatch.setattr(step, "retry_while_iam_spreads", without_sleep)


@pytest.mark.parametrize(
    "message",
    [
        (
            "Neither the global service principal states.amazonaws.com, nor the regional one is"
            " authorized to assume the provided role."
        ),
        "'arn:aws:iam::1:role/r' is not authorized to create managed-rule.",
        "The state machine IAM Role is not authorized to access the Log Destination",
    ],
)
def test_the_creation_is_repeated_while_iam_spreads_a_new_role(
    lake: Any, long_patience: None, message: str
) -> None:
    sfn = lake.aws.client("stepfunctions")
    with Stubber(sfn) as stub:
        stub.add_response("validate_state_machine_definition", ACCEPTED)
        stub.add_client_error("describe_state_machine", "StateMachineDoesNotExist")
        stub.add_client_error("create_state_machine", "AccessDeniedException", message)
        stub.add_response("create_state_machine", {"stateMachineArn": "arn", "creationDate": NOW})
        assert step.ensure_state_machine(lake.aws, lake.console).verb == "created"
        stub.assert_no_pending_responses()


def test_a_state_machine_that_is_being_deleted_is_waited_for_and_created_again(
    lake: Any, long_patience: None
) -> None:
    description = {
        "name": "m",
        "definition": "{}",
        "roleArn": "r",
        "type": "STANDARD",
        "creationDate": NOW,
    }
    being_deleted = {
        "stateMachineArn": state_machine_arn(lake.aws),
        "status": "DELETING",
        **description,
    }
    with Stubber(lake.aws.client("stepfunctions")) as stub:
        stub.add_response("validate_state_machine_definition", ACCEPTED)
        stub.add_response("describe_state_machine", being_deleted)
        stub.add_client_error(
            "create_state_machine", "StateMachineDeleting", "State Machine is being deleted: 'arn'"
        )
        stub.add_response("create_state_machine", {"stateMachineArn": "arn", "creationDate": NOW})
        assert step.ensure_state_machine(lake.aws, lake.console).verb == "created"
        stub.assert_no_pending_responses()
    assert "the old state machine: being deleted" in lake.err.getvalue()


def test_a_deletion_that_takes_too_long_is_reported_with_its_remedy(lake: Any) -> None:
    with Stubber(lake.aws.client("stepfunctions")) as stub:
        stub.add_response("validate_state_machine_definition", ACCEPTED)
        stub.add_client_error("describe_state_machine", "StateMachineDoesNotExist")
        stub.add_client_error(
            "create_state_machine", "StateMachineDeleting", "State Machine is being deleted: 'arn'"
        )
        with pytest.raises(DataLakeError, match="still being deleted.*Stop its executions"):
            step.ensure_state_machine(lake.aws, lake.console)


def test_a_missing_role_names_step_1(new_project: Callable[..., Any]) -> None:
    project = new_project()
    with pytest.raises(DataLakeError, match="does not accept the role.*setup_iam_roles.py"):
        deploy_step_functions(project.aws, project.console)


def test_the_reaper_s_archive_contains_no_time_of_its_creation() -> None:
    with zipfile.ZipFile(io.BytesIO(archive())) as contents:
        assert [file.date_time for file in contents.infolist()] == [(1980, 1, 1, 0, 0, 0)]
