"""A plan says what a run would do, and sends nothing that could change anything."""

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
    """A project and ``plan()``: the plan's text, while every operation that is really sent is
    written down in ``sent``."""
    monkeypatch.setitem(setup_iam_roles.__kwdefaults__, "file", tmp_path / "iam_roles.json")
    it = new_project(ALERT_EMAIL="data@example.com", SCHEDULE_EXPRESSION="rate(1 day)")
    generate(rentals=50, folder=it.settings.data_dir)
    it.sent = []

    def plan(setup=SETUP, phases=("setup", "process", "analyze")):
        aws = Aws(it.settings, plan_only=True)
        aws.session.events.register(
            "before-send", lambda event_name, **_: it.sent.append(event_name.split(".")[-1])
        )
        it.out.truncate(0)
        show_plan(aws, it.console, setup, phases)
        return it.out.getvalue()

    it.plan = plan
    return it


def only_looks(operation):
    return re.match(r"(Get|List|Describe|Head|Validate)[A-Z]", operation)


def test_in_an_empty_account_everything_would_be_created_and_nothing_is(planned, tmp_path):
    text = planned.plan()
    assert "leave as it is" not in text and "leave 0 as they are" in text
    made_by_step_4 = ("state machine", "function", "topic", "alarm", "rule", "schedule")
    for what in (
        "EMR_DefaultRole",
        "car-rental-data-lake",
        "car_rental_db",
        "crawler",
        "named queries",
        *made_by_step_4,
    ):
        assert re.search(rf"{what}.*create", text), what
    assert re.search(r"cluster .*: 3 m5.xlarge, emr-7.13.0 +create", text)
    assert "$0.72" in text and "$0.30" in text and "what stays" in text
    assert "Step Functions accepts the definition" in text
    assert (
        planned.sent
        and [operation for operation in planned.sent if not only_looks(operation)] == []
    )
    assert not (tmp_path / "iam_roles.json").exists()
    assert "upload" not in planned.err.getvalue() and "created" not in planned.err.getvalue()


def test_after_the_setup_everything_would_be_left_alone(planned):
    for step in SETUP:
        step(planned.aws, planned.console)
    text = planned.plan()
    setup = text.split("process, steps 5 to 8")[0]
    assert "create" not in setup.replace("created", "") and "send 0," in setup
    things = (
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
    for what in things:
        assert re.search(rf"{what}.*leave as it is", setup), what
    assert [operation for operation in planned.sent if not only_looks(operation)] == []


def test_drift_would_be_changed_and_stays_as_it_is(planned):
    for step in SETUP:
        step(planned.aws, planned.console)
    name, iam = planned.settings.glue_service_role, planned.aws.client("iam")
    iam.delete_role_policy(RoleName=name, PolicyName="car-rental-data-lake")
    planned.aws.client("s3").delete_bucket_policy(Bucket=planned.settings.s3_bucket_name)
    text = planned.plan()
    assert re.search(rf"{name} +restore \(permissions\)", text)
    assert re.search(r"bucket .*TLS only", text)
    assert iam.list_role_policies(RoleName=name)["PolicyNames"] == []


def test_an_active_cluster_is_told_of(planned):
    for step in SETUP:
        step(planned.aws, planned.console)
    cluster_id = create_emr_cluster(planned.aws, planned.console).cluster_id
    try:
        assert re.search(rf"cluster {cluster_id} +refuse to run beside it", planned.plan())
    finally:
        planned.aws.client("emr").terminate_job_flows(JobFlowIds=[cluster_id])


def test_without_raw_data_none_is_generated(planned):
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
def test_a_call_that_changes_something_is_refused_before_it_is_sent(new_project, service, call):
    with pytest.raises(DataLakeError, match="could change something: not sent"):
        call(Aws(new_project().settings, plan_only=True).client(service))


def test_the_plan_of_a_phase_is_about_that_phase_alone(planned):
    text = planned.plan(setup=(), phases=["analyze"])
    assert "10 analyze" in text and "cluster" not in text and "Prices" not in text
    text = planned.plan(setup=(), phases=["process"])
    assert (
        "terminate, whatever happens before" in text
        and "setup_iam_roles" not in text
        and "analyze" not in text
    )


def test_the_plan_of_the_state_machine_is_not_that_of_a_run_by_hand(planned):
    by_hand = planned.plan((), ("process",))
    orchestrated = planned.plan((), ("orchestrate",))
    assert "process, steps 5 to 8" in by_hand and "run in one step" in by_hand
    assert "9 execute_step_functions" in orchestrated and "run in 3 stages" in orchestrated
