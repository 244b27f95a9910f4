"""The teardown finds all that is ours, removes it in an order that works, and touches nothing
else."""

import io
import json
import zipfile

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from car_rental.cleanup.leftovers import Kept, Resource, find_leftovers, tagged_arns
from car_rental.cleanup.teardown import teardown
from car_rental.errors import ConfigError, DataLakeError
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
    """A project with all that the setup makes."""
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)", ALERT_EMAIL="data@example.com")
    generate(rentals=50, folder=project.settings.data_dir)
    setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    setup_aws_environment(project.aws, project.console)
    setup_glue_crawlers(project.aws, project.console)
    deploy_step_functions(project.aws, project.console)
    return project


def orchestration(project, prefix):
    """Somebody else's state machine, and what starts and watches it."""
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
        Code={"ZipFile": code()},
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


def code():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.py", "def y(*_): pass")
    return stream.getvalue()


def tear_down(project, **flags):
    return teardown(project.aws, project.console, **{"yes": True, **flags})


def left(project, **flags):
    """Kinds of what a teardown would still remove, in its order."""
    things, _ = find_leftovers(
        project.aws, project.console, delete_data=flags.get("delete_data", False)
    )
    return list(dict.fromkeys(thing.kind for thing in things))


def test_everything_goes_in_its_order_and_the_bucket_stays(account):
    create_emr_cluster(account.aws, account.console)
    assert left(account) == [
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
    assert result.failed == [] and left(account) == []
    assert [(one.kind, one.name) for one in result.kept] == [
        ("bucket", account.settings.s3_bucket_name)
    ]
    assert (
        account.aws.client("s3").list_objects_v2(Bucket=account.settings.s3_bucket_name)["KeyCount"]
        > 0
    )
    # moto remembers the tags of Glue's things that are gone
    assert [
        arn for arn in tagged_arns(account.aws) if ":s3:::" not in arn and ":glue:" not in arn
    ] == []


def test_twice_is_fine(account):
    tear_down(account)
    result = tear_down(account)
    assert result.removed == [] and "nothing to remove" in account.err.getvalue()


def test_with_its_data_the_bucket_goes_with_every_version_and_unfinished_upload(account):
    s3, bucket = account.aws.client("s3"), account.settings.s3_bucket_name
    s3.put_object(Bucket=bucket, Key="jobs/publish_run.py", Body=b"second version")
    s3.delete_object(Bucket=bucket, Key="jobs/publish_run.py")
    s3.create_multipart_upload(Bucket=bucket, Key="raw/users/half.csv")
    result = tear_down(account, delete_data=True)
    assert result.kept == [] and f"bucket {bucket}" in result.removed
    with pytest.raises(ClientError, match="404"):
        s3.head_bucket(Bucket=bucket)


def test_a_thing_without_our_tags_is_not_touched_whatever_its_name(account, new_project):
    other = new_project(
        SCHEDULE_EXPRESSION="rate(1 day)"
    )  # another environment of the same account
    setup_iam_roles(other.aws, other.console, file=other.settings.data_dir.parent / "other.json")
    setup_glue_parts(other)
    machine = orchestration(other, "foreign")
    tear_down(account, delete_data=True)
    aws, function = other.aws, "foreign-function"
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
    assert aws.client("iam").get_role(RoleName=other.settings.emr_service_role)
    assert aws.client("glue").get_database(Name=other.settings.glue_database_name)
    aws.client("scheduler").delete_schedule(Name="foreign-schedule")


def test_roles_that_serve_another_region_stay(new_project):
    project = new_project()
    setup_iam_roles(
        project.aws, project.console, file=project.settings.data_dir.parent / "roles.json"
    )
    elsewhere = new_project(ENVIRONMENT=project.settings.environment, AWS_REGION="eu-west-1")
    things, kept = find_leftovers(elsewhere.aws, elsewhere.console, delete_data=True)
    assert [thing for thing in things if thing.kind == "role"] == []
    assert {one.reason for one in kept if one.kind == "role"} == {
        "it serves this environment in us-east-1"
    }


def setup_glue_parts(project):
    project.aws.client("glue").create_database(
        DatabaseInput={"Name": project.settings.glue_database_name}, Tags=project.aws.tags
    )


def test_things_of_our_names_without_our_tags_are_named_with_the_reason(new_project):
    project = new_project()
    project.aws.client("iam").create_role(
        RoleName=project.settings.emr_service_role, AssumeRolePolicyDocument="{}"
    )
    project.aws.client("s3").create_bucket(Bucket=project.settings.s3_bucket_name)
    project.aws.client("glue").create_database(
        DatabaseInput={"Name": project.settings.glue_database_name}
    )
    project.aws.client("athena").create_work_group(Name=project.settings.athena_workgroup)
    things, kept = find_leftovers(project.aws, project.console, delete_data=True)
    assert things == []
    assert {one.kind for one in kept} == {"role", "bucket", "database", "workgroup"}
    assert {one.reason for one in kept} == {
        "it lacks the project's tags: something else created it"
    }


def test_our_tables_go_and_a_database_with_a_table_of_somebody_else_stays(account):
    glue, database = account.aws.client("glue"), account.settings.glue_database_name
    for table in ("user_metrics", "my_own_table"):
        glue.create_table(DatabaseName=database, TableInput={"Name": table})
    result = tear_down(account)
    assert f"table {database}.user_metrics" in result.removed
    assert [table["Name"] for table in glue.get_tables(DatabaseName=database)["TableList"]] == [
        "my_own_table"
    ]
    assert {one.kind for one in result.kept} == {"table", "database", "bucket"}


def test_running_executions_are_stopped_before_their_state_machine_goes(account):
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
        things, _ = find_leftovers(account.aws, account.console, delete_data=False)
        assert (things[0].kind, things[0].name) == ("execution", "run-1")
        stub.add_response(
            "stop_execution", {"stopDate": 0}, {"executionArn": arn, "cause": "teardown"}
        )
        things[0].remove()


def test_a_bucket_that_may_not_be_looked_at_is_named_and_not_touched(new_project):
    project = new_project()
    with Stubber(project.aws.client("s3")) as stub:
        stub.add_client_error("head_bucket", "403", http_status_code=403)
        things, kept = find_leftovers(project.aws, project.console, delete_data=True)
    assert things == [] and [
        (one.kind, "belongs to another account" in one.reason) for one in kept
    ] == [("bucket", True)]


def test_a_security_configuration_is_named_because_it_carries_no_tags(new_project):
    name = f"imdsv2-{new_project().settings.environment}"
    project = new_project(EMR_SECURITY_CONFIGURATION=name)
    project.aws.client("emr").create_security_configuration(Name=name, SecurityConfiguration="{}")
    _, kept = find_leftovers(project.aws, project.console, delete_data=False)
    assert [(one.kind, one.name) for one in kept] == [("security configuration", name)]
    assert f"delete-security-configuration --name {name}" in kept[0].reason


# --- asking, and failures


def answering(*answers):
    asked = []

    def ask(question):
        asked.append(question)
        return answers[len(asked) - 1]

    ask.asked = asked
    return ask


@pytest.fixture
def found(new_project, monkeypatch):
    """``found(things...)``: a project where the teardown finds these."""

    def make(*things):
        monkeypatch.setattr(
            "car_rental.cleanup.teardown.find_leftovers", lambda *_, **__: (list(things), [])
        )
        return new_project()

    return make


@pytest.fixture
def gone():
    """The names of removed things; ``gone.thing(kind, name)`` makes one."""

    class Gone(list):
        def thing(self, kind, name):
            return Resource(kind, name, lambda: self.append(name))

    return Gone()


@pytest.mark.parametrize(
    ("delete_data", "answer"), [(False, "no"), (False, ""), (True, "yes"), (True, "another-bucket")]
)
def test_any_other_answer_removes_nothing(found, gone, delete_data, answer):
    project = found(gone.thing("bucket", "b"), gone.thing("role", "r"))
    with pytest.raises(ConfigError, match="nothing was removed"):
        tear_down(project, yes=False, delete_data=delete_data, ask=answering(answer))
    assert gone == []


def test_for_the_data_the_bucket_s_name_is_asked_for(found, gone):
    project = found(gone.thing("bucket", "b"))
    ask = answering(project.settings.s3_bucket_name)
    tear_down(project, yes=False, delete_data=True, ask=ask)
    assert gone == ["b"] and project.settings.s3_bucket_name in ask.asked[0]


def test_without_the_data_yes_is_enough(found, gone):
    tear_down(found(gone.thing("role", "r")), yes=False, ask=answering("yes"))
    assert gone == ["r"]


def test_off_a_terminal_it_says_that_yes_answers(found, gone):
    def nobody(_):
        raise EOFError

    with pytest.raises(ConfigError, match="use --yes"):
        tear_down(found(gone.thing("role", "r")), yes=False, ask=nobody)
    assert gone == []


def refusal(code):
    def remove():
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "DeleteTopic")

    return remove


def test_a_thing_that_cannot_be_removed_is_named_with_its_reason_and_the_rest_goes(found, gone):
    project = found(Resource("topic", "a", refusal("AccessDenied")), gone.thing("role", "b"))
    with pytest.raises(DataLakeError, match="1 could not be removed") as caught:
        tear_down(project)
    assert gone == ["b"]
    assert "topic a: AWS answered AccessDenied: no Ask an administrator" in caught.value.details[0]


@pytest.mark.parametrize(
    "code", ["ResourceNotFoundException", "StateMachineDoesNotExist", "NotFound"]
)
def test_a_thing_that_went_in_the_meantime_counts_as_removed(found, code):
    project = found(Resource("topic", "a", refusal(code)))
    assert tear_down(project).removed == ["topic a"]


def test_a_bucket_that_is_still_written_to_is_told_of(new_project, monkeypatch):
    project = new_project()
    ensure_bucket(project.aws)
    s3 = project.aws.client("s3")
    s3.put_object(Bucket=project.settings.s3_bucket_name, Key="logs/x", Body=b"")
    monkeypatch.setattr(s3, "delete_objects", lambda **_: {})  # a new object is there each time
    (bucket,), _ = find_leftovers(project.aws, project.console, delete_data=True)
    with pytest.raises(DataLakeError, match="still being written to"):
        bucket.remove()


def test_something_of_ours_that_no_step_makes_is_named(new_project):
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
