"""A plan describes what a run would do and sends only requests that read."""

import re

import pytest
from car_rental.aws import Aws
from car_rental.checks.plan import show_plan
from car_rental.errors import DataLakeError
from car_rental.sample.generator import generate
from create_emr_cluster import create_emr_cluster
from deploy_step_functions import deploy_step_functions
from setup_aws_environment import setup_aws_environment
from setup_glue_crawlers import setup_glue_crawlers
from setup_iam_roles import setup_iam_roles

SETUP = (setup_iam_roles, setup_aws_environment, setup_glue_crawlers, deploy_step_functions)


@pytest.fixture
def planned(new_project, monkeypatch, tmp_path):
    """A project with `plan()`, which returns the plan's text; `sent` lists the operations sent."""
    monkeypatch.setitem(setup_iam_roles.__kwdefaults__, "file", tmp_path / "iam_roles.json")
    project = new_project(ALERT_EMAIL="data@example.com", SCHEDULE_EXPRESSION="rate(1 day)")
    generate(rentals=50, folder=project.settings.data_dir)
    project.sent = []

    def plan(setup=SETUP, phases=("setup", "process", "analyze")):
        aws = Aws(project.settings, plan_only=True)
        aws.session.events.register(
            "before-send", lambda event_name, **_: project.sent.append(event_name.split(".")[-1])
        )
        project.out.truncate(0)
        show_plan(aws, project.console, setup, phases)
        return project.out.getvalue()

    project.plan = plan
    return project


def only_reads(operation):
    return re.match(r"(Get|List|Describe|Head|Validate)[A-Z]", operation)


def test_the_plan_of_an_empty_account_creates_everything_and_changes_nothing(planned, tmp_path):
    text = planned.plan()
    assert "leave as it is" not in text and "leave 0 as they are" in text
    created_by_step_4 = ("state machine", "function", "topic", "alarm", "rule", "schedule")
    for resource in (
        "EMR_DefaultRole",
        "car-rental-data-lake",
        "car_rental_db",
        "crawler",
        "named queries",
        *created_by_step_4,
    ):
        assert re.search(rf"{resource}.*create", text), resource
    assert re.search(r"cluster .*: 3 m5.xlarge, emr-7.13.0 +create", text)
    assert "$0.72" in text and "$0.30" in text and "what stays" in text
    assert "Step Functions accepts the definition" in text
    assert (
        planned.sent
        and [operation for operation in planned.sent if not only_reads(operation)] == []
    )
    assert not (tmp_path / "iam_roles.json").exists()
    assert "upload" not in planned.err.getvalue() and "created" not in planned.err.getvalue()


def test_the_plan_after_the_setup_leaves_everything_as_it_is(planned):
    for step in SETUP:
        step(planned.aws, planned.console)
    text = planned.plan()
    setup = text.split("process, steps 5 to 8")[0]
    assert "create" not in setup.replace("created", "") and "send 0," in setup
    resources = (
        "EMR_DefaultRole",
        "bucket",
        "car_rental_db",
        "crawler",
        "state machine",
        "function",
        "topic",
        "rule",
        "schedule",
    )
    for resource in resources:
        assert re.search(rf"{resource}.*leave as it is", setup), resource
    assert [operation for operation in planned.sent if not only_reads(operation)] == []


def test_the_plan_reports_drift_without_correcting_it(planned):
    for step in SETUP:
        step(planned.aws, planned.console)
    name, iam = planned.settings.glue_service_role, planned.aws.client("iam")
    iam.delete_role_policy(RoleName=name, PolicyName="car-rental-data-lake")
    planned.aws.client("s3").delete_bucket_policy(Bucket=planned.settings.s3_bucket_name)
    text = planned.plan()
    assert re.search(rf"{name} +restore \(permissions\)", text)
    assert re.search(r"bucket .*TLS only", text)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []


def test_the_plan_reports_an_active_cluster(planned):
    for step in SETUP:
        step(planned.aws, planned.console)
    cluster_id = create_emr_cluster(planned.aws, planned.console).cluster_id
    try:
        assert re.search(rf"cluster {cluster_id} +refuse to run beside it", planned.plan())
    finally:
        planned.aws.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


def test_the_plan_generates_no_raw_data(planned):
    for path in planned.settings.data_dir.iterdir():
        path.unlink()
    planned.plan()
    assert list(planned.settings.data_dir.iterdir()) == []
    assert "would be generated" in planned.err.getvalue()


@pytest.mark.parametrize(
    ("service", "call"),
    [
        ("s3", lambda client: client.put_object(Bucket="b", Key="k", Body=b"")),
        ("emr", lambda client: client.run_job_flow(Name="x", Instances={})),
        ("athena", lambda client: client.start_query_execution(QueryString="SELECT 1")),
    ],
)
def test_a_plan_only_session_blocks_calls_that_change_something(new_project, service, call):
    with pytest.raises(DataLakeError, match="could change something: not sent"):
        call(Aws(new_project().settings, plan_only=True).client(service))


def test_the_plan_of_one_phase_omits_the_other_phases(planned):
    text = planned.plan(setup=(), phases=["analyze"])
    assert "10 analyze" in text and "cluster" not in text and "Prices" not in text
    text = planned.plan(setup=(), phases=["process"])
    assert (
        "terminate, whatever happens before" in text
        and "setup_iam_roles" not in text
        and "analyze" not in text
    )


def test_the_plan_of_the_state_machine_differs_from_the_plan_of_the_steps(planned):
    by_hand = planned.plan((), ("process",))
    orchestrated = planned.plan((), ("orchestrate",))
    assert "process, steps 5 to 8" in by_hand and "run in one step" in by_hand
    assert "9 execute_step_functions" in orchestrated and "run in 3 stages" in orchestrated
