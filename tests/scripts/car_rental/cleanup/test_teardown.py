"""The teardown removes all resources of the project in a working order, and no others."""

import io
import json
import zipfile

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from car_rental.cleanup.leftovers import Kept, Resource, find_leftovers, tagged_arns
from car_rental.cleanup.teardown import teardown
from car_rental.errors import ConfigError, DataLakeError, Declined
from car_rental.iam.roles import scheduler_role_name
from car_rental.s3.lake_bucket import ensure_bucket
from car_rental.sample.generator import generate
from car_rental.state_machine.definition import state_machine_arn
from create_emr_cluster import create_emr_cluster
from deploy_step_functions import deploy_step_functions
from setup_aws_environment import setup_aws_environment
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import setup_iam_roles

DEFINITION = json.dumps(
    {"StartAt": "Wait", "States": {"Wait": {"Type": "Wait", "Seconds": 60, "End": True}}}
)


@pytest.fixture
def account(new_project, tmp_path):
    """A project after its setup."""
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)", ALERT_EMAIL="data@example.com")
    generate(rentals=50, folder=project.settings.data_dir)
    setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    setup_aws_environment(project.aws, project.console)
    setup_glue_crawlers(project.aws, project.console)
    deploy_step_functions(project.aws, project.console)
    return project


def create_foreign_resources(project, prefix):
    """Creates resources without the project's tags; returns the state machine's ARN."""
    role = project.aws.client("iam").get_role(RoleName=project.settings.step_functions_role_name)[
        "Role"
    ]["Arn"]
    create = project.aws.client("stepfunctions").create_state_machine
    machine = create(name=f"{prefix}-machine", definition=DEFINITION, roleArn=role)[
        "stateMachineArn"
    ]
    project.aws.client("events").put_rule(
        Name=f"{prefix}-rule", EventPattern=json.dumps({"source": ["x"]})
    )
    topic = project.aws.client("sns").create_topic(Name=f"{prefix}-topic")["TopicArn"]
    project.aws.client("events").put_targets(
        Rule=f"{prefix}-rule", Targets=[{"Id": "1", "Arn": topic}]
    )
    project.aws.client("logs").create_log_group(logGroupName=f"/{prefix}/log")
    project.aws.client("cloudwatch").put_metric_alarm(
        AlarmName=f"{prefix}-alarm", ComparisonOperator="GreaterThanThreshold",
        EvaluationPeriods=1, MetricName="x",
        Namespace="AWS/States", Period=60, Statistic="Sum", Threshold=1.0,
    )  # fmt: skip
    project.aws.client("lambda").create_function(
        FunctionName=f"{prefix}-function",
        Runtime="python3.11",
        Role=role,
        Handler="x.y",
        Code={"ZipFile": function_archive()},
    )
    scheduler = project.aws.client("iam").get_role(RoleName=scheduler_role_name(project.settings))[
        "Role"
    ]["Arn"]
    target = {"Arn": machine, "RoleArn": scheduler}
    project.aws.client("scheduler").create_schedule(
        Name=f"{prefix}-schedule",
        ScheduleExpression="rate(1 day)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target=target,
    )
    return machine


def function_archive():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.py", "def y(*_): pass")
    return stream.getvalue()


def tear_down(project, **flags):
    return teardown(project.aws, project.console, **{"yes": True, **flags})


def kinds_left(project, **flags):
    """The kinds of resources that a teardown would still remove, in its order."""
    resources, _ = find_leftovers(
        project.aws, project.console, delete_data=flags.get("delete_data", False)
    )
    return list(dict.fromkeys(resource.kind for resource in resources))


def test_everything_but_the_bucket_is_removed_in_order(account):
    create_emr_cluster(account.aws, account.console)
    assert kinds_left(account) == [
        *(
            "schedule",
            "rule",
            "Lambda function",
            "topic",
            "alarm",
            "state machine",
            "log group",
            "cluster",
            "crawler",
        ),
        *("database", "workgroup", "role"),
    ]
    result = tear_down(account)
    assert result.failed == [] and kinds_left(account) == []
    assert [(item.kind, item.name) for item in result.kept] == [
        ("bucket", account.settings.s3_bucket_name)
    ]
    assert (
        account.aws.client("s3").list_objects_v2(Bucket=account.settings.s3_bucket_name)["KeyCount"]
        > 0
    )
    # moto keeps the tags of deleted Glue resources
    assert [
        arn for arn in tagged_arns(account.aws) if ":s3:::" not in arn and ":glue:" not in arn
    ] == []


def test_a_second_teardown_finds_nothing_to_remove(account):
    tear_down(account)
    result = tear_down(account)
    assert result.removed == [] and "nothing to remove" in account.err.getvalue()


def test_delete_data_removes_the_bucket_with_all_versions_and_unfinished_uploads(account):
    s3, bucket = account.aws.client("s3"), account.settings.s3_bucket_name
    s3.put_object(Bucket=bucket, Key="jobs/publish_run.py", Body=b"second version")
    s3.delete_object(Bucket=bucket, Key="jobs/publish_run.py")
    s3.create_multipart_upload(Bucket=bucket, Key="raw/users/half.csv")
    result = tear_down(account, delete_data=True)
    assert result.kept == [] and f"bucket {bucket}" in result.removed
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)


def test_resources_without_the_environment_s_tags_are_not_touched(account, new_project):
    # another environment of the same account
    foreign = new_project(SCHEDULE_EXPRESSION="rate(1 day)")
    setup_iam_roles(
        foreign.aws, foreign.console, file=foreign.settings.data_dir.parent / "other.json"
    )
    create_database(foreign)
    machine = create_foreign_resources(foreign, "foreign")
    tear_down(account, delete_data=True)
    aws, function = foreign.aws, "foreign-function"
    assert (
        aws.client("stepfunctions").describe_state_machine(stateMachineArn=machine)["status"]
        == "ACTIVE"
    )
    assert aws.client("events").describe_rule(Name="foreign-rule") and aws.client(
        "lambda"
    ).get_function(FunctionName=function)
    assert aws.client("scheduler").get_schedule(Name="foreign-schedule")
    assert aws.client("cloudwatch").describe_alarms(AlarmNames=["foreign-alarm"])["MetricAlarms"]
    assert aws.client("logs").describe_log_groups(logGroupNamePrefix="/foreign/log")["logGroups"]
    assert aws.client("iam").get_role(RoleName=foreign.settings.emr_service_role)
    assert aws.client("glue").get_database(Name=foreign.settings.glue_database_name)
    aws.client("scheduler").delete_schedule(Name="foreign-schedule")


def test_roles_of_another_region_are_kept(new_project):
    project = new_project()
    setup_iam_roles(
        project.aws, project.console, file=project.settings.data_dir.parent / "roles.json"
    )
    elsewhere = new_project(ENVIRONMENT=project.settings.environment, AWS_REGION="eu-west-1")
    resources, kept = find_leftovers(elsewhere.aws, elsewhere.console, delete_data=True)
    assert [resource for resource in resources if resource.kind == "role"] == []
    assert {item.reason for item in kept if item.kind == "role"} == {
        "it serves this environment in us-east-1"
    }


def create_database(project):
    project.aws.client("glue").create_database(
        DatabaseInput={"Name": project.settings.glue_database_name}, Tags=project.aws.tags
    )


def test_untagged_resources_with_the_project_s_names_are_kept_and_named(new_project):
    project = new_project()
    project.aws.client("iam").create_role(
        RoleName=project.settings.emr_service_role, AssumeRolePolicyDocument="{}"
    )
    project.aws.client("s3").create_bucket(Bucket=project.settings.s3_bucket_name)
    project.aws.client("glue").create_database(
        DatabaseInput={"Name": project.settings.glue_database_name}
    )
    project.aws.client("athena").create_work_group(Name=project.settings.athena_workgroup)
    resources, kept = find_leftovers(project.aws, project.console, delete_data=True)
    assert resources == []
    assert {item.kind for item in kept} == {"role", "bucket", "database", "workgroup"}
    assert {item.reason for item in kept} == {
        "it lacks the project's tags: something else created it"
    }


def test_a_database_with_a_foreign_table_is_kept_without_the_project_s_tables(account):
    glue, database = account.aws.client("glue"), account.settings.glue_database_name
    for table in ("user_metrics", "my_own_table"):
        glue.create_table(DatabaseName=database, TableInput={"Name": table})
    result = tear_down(account)
    assert f"table {database}.user_metrics" in result.removed
    assert [table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]] == [
        "my_own_table"
    ]
    assert {item.kind for item in result.kept} == {"table", "database", "bucket"}


def test_running_executions_are_stopped_first(account):
    with Stubber(account.aws.client("stepfunctions")) as stub:
        arn = f"{state_machine_arn(account.aws).replace('stateMachine', 'execution')}:run-1"
        execution = {
            "executionArn": arn,
            "stateMachineArn": arn,
            "name": "run-1",
            "status": "RUNNING",
            "startDate": 0,
        }
        stub.add_response("list_executions", {"executions": [execution]})
        resources, _ = find_leftovers(account.aws, account.console, delete_data=False)
        assert (resources[0].kind, resources[0].name) == ("execution", "run-1")
        stub.add_response(
            "stop_execution", {"stopDate": 0}, {"executionArn": arn, "cause": "teardown"}
        )
        resources[0].remove()


def test_a_bucket_of_another_account_is_kept_and_named(new_project):
    project = new_project()
    with Stubber(project.aws.client("s3")) as stub:
        stub.add_client_error("head_bucket", "403", http_status_code=403)
        resources, kept = find_leftovers(project.aws, project.console, delete_data=True)
    assert resources == [] and [
        (item.kind, "belongs to another account" in item.reason) for item in kept
    ] == [("bucket", True)]


def test_a_security_configuration_is_kept_and_named_because_it_has_no_tags(new_project):
    name = f"imdsv2-{new_project().settings.environment}"
    project = new_project(EMR_SECURITY_CONFIGURATION=name)
    project.aws.client("emr").create_security_configuration(Name=name, SecurityConfiguration="{}")
    _, kept = find_leftovers(project.aws, project.console, delete_data=False)
    assert [(item.kind, item.name) for item in kept] == [("security configuration", name)]
    assert f"delete-security-configuration --name {name}" in kept[0].reason


# --- questions and failures


def answers_with(*answers):
    questions = []

    def ask(question):
        questions.append(question)
        return answers[len(questions) - 1]

    ask.questions = questions
    return ask


@pytest.fixture
def project_with(new_project, monkeypatch):
    """`project_with(resources...)`: a project in which the teardown finds these."""

    def make(*resources):
        monkeypatch.setattr(
            "car_rental.cleanup.teardown.find_leftovers", lambda *_, **__: (list(resources), [])
        )
        return new_project()

    return make


@pytest.fixture
def removed():
    """The names of removed resources; `removed.resource(kind, name)` creates one."""

    class Removed(list):
        def resource(self, kind, name):
            return Resource(kind, name, lambda: self.append(name))

    return Removed()


@pytest.mark.parametrize(
    ("delete_data", "answer"), [(False, "no"), (False, ""), (True, "yes"), (True, "another-bucket")]
)
def test_nothing_is_removed_without_the_expected_answer(project_with, removed, delete_data, answer):
    project = project_with(removed.resource("bucket", "b"), removed.resource("role", "r"))
    with pytest.raises(Declined, match="nothing was removed"):
        tear_down(project, yes=False, delete_data=delete_data, ask=answers_with(answer))
    assert removed == []


def test_delete_data_asks_for_the_bucket_s_name(project_with, removed):
    project = project_with(removed.resource("bucket", "b"))
    ask = answers_with(project.settings.s3_bucket_name)
    tear_down(project, yes=False, delete_data=True, ask=ask)
    assert removed == ["b"] and project.settings.s3_bucket_name in ask.questions[0]


def test_a_teardown_without_the_data_asks_for_yes(project_with, removed):
    tear_down(project_with(removed.resource("role", "r")), yes=False, ask=answers_with("yes"))
    assert removed == ["r"]


def test_without_a_terminal_nothing_is_removed_and_the_flag_yes_is_named(project_with, removed):
    def no_terminal(_):
        raise EOFError

    with pytest.raises(ConfigError, match="use --yes"):
        tear_down(project_with(removed.resource("role", "r")), yes=False, ask=no_terminal)
    assert removed == []


def fail_with(code):
    def remove():
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "DeleteTopic")

    return remove


def test_a_failed_removal_is_reported_and_the_rest_is_removed(project_with, removed):
    project = project_with(
        Resource("topic", "a", fail_with("AccessDenied")), removed.resource("role", "b")
    )
    with pytest.raises(DataLakeError, match="1 could not be removed") as caught:
        tear_down(project)
    assert removed == ["b"]
    assert "topic a: AWS answered AccessDenied: no Ask an administrator" in caught.value.details[0]


@pytest.mark.parametrize(
    "code", ["ResourceNotFoundException", "StateMachineDoesNotExist", "NotFound"]
)
def test_a_resource_that_no_longer_exists_counts_as_removed(project_with, code):
    project = project_with(Resource("topic", "a", fail_with(code)))
    assert tear_down(project).removed == ["topic a"]


def test_a_bucket_that_is_still_written_to_is_a_failure(new_project, monkeypatch):
    project = new_project()
    ensure_bucket(project.aws)
    s3 = project.aws.client("s3")
    s3.put_object(Bucket=project.settings.s3_bucket_name, Key="logs/x", Body=b"")
    monkeypatch.setattr(s3, "delete_objects", lambda **_: {})  # the bucket never becomes empty
    (bucket,), _ = find_leftovers(project.aws, project.console, delete_data=True)
    with pytest.raises(DataLakeError, match="still being written to"):
        bucket.remove()


def test_a_tagged_resource_that_no_step_creates_is_named(new_project):
    project = new_project()
    project.aws.client("sqs").create_queue(
        QueueName=f"{project.settings.environment}-queue", tags=project.aws.tags
    )
    _, kept = find_leftovers(project.aws, project.console, delete_data=False)
    assert (
        isinstance(kept[0], Kept)
        and kept[0].kind == "tagged"
        and "no step creates such a resource" in kept[0].reason
    )
