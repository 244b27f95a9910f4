"""Cluster request and Spark steps fit EMR's service model and the rules beyond it."""

import itertools
from datetime import UTC, datetime

import botocore.session
import pytest
from botocore.validate import ParamValidator
from car_rental.config import load_settings
from car_rental.data_contract import job_files
from car_rental.emr.cluster_request import STEP_CONCURRENCY, cluster_request
from car_rental.emr.spark_steps import (
    JOBS,
    ONE_APPLICATION,
    STAGES,
    WITHOUT_SPARK_CONTEXT,
    new_run_id,
    spark_step,
)

EMR = botocore.session.get_session().get_service_model("emr")


@pytest.fixture
def settings(tmp_path):
    (tmp_path / "x.env").touch()

    def make(**values):
        return load_settings({}, tmp_path / "x.env", values)

    return make


def validation_errors(operation, parameters):
    """The errors of botocore's validation of an operation's parameters."""
    return (
        ParamValidator()
        .validate(parameters, EMR.operation_model(operation).input_shape)
        .generate_report()
    )


def test_the_default_request_fits_emr_s_model(settings):
    full_settings = settings(
        EMR_EC2_KEY_NAME="key",
        EMR_SUBNET_ID="subnet-0123456789abcdef0",
        EMR_RELEASE_LABEL="emr-6.10.0",
    )
    assert (
        validation_errors(
            "RunJobFlow", cluster_request(full_settings, [{"Key": "Project", "Value": "x"}])
        )
        == ""
    )


@pytest.fixture
def every_option(settings):
    return settings(
        EMR_CORE_MARKET="spot",
        EMR_CORE_INSTANCE_COUNT="2",
        EMR_MAX_CORE_INSTANCE_COUNT="5",
        EMR_SPARK_CONF="spark.executor.memory=8g spark.sql.shuffle.partitions=64",
        EMR_SECURITY_CONFIGURATION="imdsv2",
        EMR_SUBNET_ID="subnet-0123456789abcdef0",
        EMR_EC2_KEY_NAME="key",
    )


def test_a_request_with_every_option_fits_emr_s_model_and_contains_each(every_option):
    request = cluster_request(every_option, [{"Key": "Project", "Value": "x"}])
    assert validation_errors("RunJobFlow", request) == ""
    assert request["SecurityConfiguration"] == "imdsv2"
    assert request["Configurations"] == [
        {
            "Classification": "spark-defaults",
            "Properties": {"spark.executor.memory": "8g", "spark.sql.shuffle.partitions": "64"},
        }
    ]
    limits = {
        "UnitType": "InstanceFleetUnits",
        "MinimumCapacityUnits": 2,
        "MaximumCapacityUnits": 5,
    }
    limits["MaximumOnDemandCapacityUnits"] = (
        0  # otherwise scaling would add on-demand instances first
    )
    assert request["ManagedScalingPolicy"] == {"ComputeLimits": limits}


def test_spot_is_used_for_core_nodes_only_and_falls_back_to_on_demand(every_option):
    instances = cluster_request(every_option, [])["Instances"]
    primary, core = instances["InstanceFleets"]
    assert (primary["TargetOnDemandCapacity"], "TargetSpotCapacity" in primary) == (1, False)
    assert core["TargetSpotCapacity"] == 2
    assert (
        core["LaunchSpecifications"]["SpotSpecification"]["TimeoutAction"] == "SWITCH_TO_ON_DEMAND"
    )
    # EMR rejects groups beside fleets and takes a list of subnets for fleets
    assert not {"InstanceGroups", "Ec2SubnetId"} & instances.keys()
    assert instances["Ec2SubnetIds"] == ["subnet-0123456789abcdef0"]


def test_managed_scaling_counts_instances_in_groups_and_is_off_by_default(settings):
    scaled = cluster_request(settings(EMR_MAX_CORE_INSTANCE_COUNT="4"), [])
    limits = scaled["ManagedScalingPolicy"]["ComputeLimits"]
    assert limits == {"UnitType": "Instances", "MinimumCapacityUnits": 2, "MaximumCapacityUnits": 4}
    assert "ManagedScalingPolicy" not in cluster_request(
        settings(EMR_MAX_CORE_INSTANCE_COUNT="0"), []
    )


def test_the_model_check_finds_an_unknown_parameter(settings):
    broken = {**cluster_request(settings(), []), "StepConcurrency": 2, "Name": 7}
    assert "StepConcurrency" in validation_errors("RunJobFlow", broken)


def test_an_idle_cluster_terminates_after_the_timeout(settings):
    request = cluster_request(settings(EMR_IDLE_TIMEOUT_SECONDS="600"), [])
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 600}
    assert request["Instances"]["TerminationProtected"] is False


def test_roles_with_a_path_are_sent_as_their_arns(settings):
    arn = "arn:aws:iam::123456789012:role/service-role/Mine"
    request = cluster_request(settings(EMR_SERVICE_ROLE=arn, EMR_EC2_INSTANCE_PROFILE=arn), [])
    assert request["ServiceRole"] == arn
    assert request["JobFlowRole"] == "arn:aws:iam::123456789012:instance-profile/service-role/Mine"


def test_empty_settings_are_left_out_of_the_request(settings):
    request = cluster_request(settings(), [])
    assert not {"Ec2KeyName", "Ec2SubnetId"} & request["Instances"].keys()
    assert not {"Configurations", "SecurityConfiguration", "ManagedScalingPolicy"} & request.keys()


def test_the_request_has_the_managed_policy_s_tag_beside_the_project_s(settings):
    tags = cluster_request(settings(), [{"Key": "Project", "Value": "x"}])["Tags"]
    assert {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"} in tags
    assert {"Key": "Project", "Value": "x"} in tags


@pytest.mark.parametrize("job", JOBS)
def test_a_spark_step_fits_emr_s_model_and_has_only_text_arguments(settings, job):
    step = spark_step(settings(), job, "2024-01-01T00-00-00.000Z")
    assert validation_errors("AddJobFlowSteps", {"JobFlowId": "j-1", "Steps": [step]}) == ""
    assert all(isinstance(argument, str) and argument for argument in step["HadoopJarStep"]["Args"])


def test_concurrent_steps_continue_on_failure_as_emr_requires(settings):
    assert max(len(stage) for stage in STAGES) <= STEP_CONCURRENCY
    assert {spark_step(settings(), job, "r")["ActionOnFailure"] for job in JOBS} == {"CONTINUE"}


def test_every_job_has_a_source_and_is_submitted_with_the_shared_modules(settings):
    stems = {path.stem for path in job_files()}
    assert set(JOBS) <= stems
    arguments = spark_step(settings(), "clean_rentals", "r")["HadoopJarStep"]["Args"]
    shared = arguments[arguments.index("--py-files") + 1].split(",")
    assert {uri.rsplit("/", 1)[1].removesuffix(".py") for uri in shared} == stems - {
        *JOBS,
        ONE_APPLICATION,
    }
    assert "s3://car-rental-data-lake/jobs/clean_rentals.py" in arguments


def test_one_application_is_submitted_with_all_jobs_and_modules(settings):
    step = spark_step(settings(), ONE_APPLICATION, "r", "me")["HadoopJarStep"]["Args"]
    shared = step[step.index("--py-files") + 1].split(",")
    modules = {path.stem for path in job_files()} - {ONE_APPLICATION}
    assert {uri.rsplit("/", 1)[1].removesuffix(".py") for uri in shared} == modules
    start = step.index(f"s3://car-rental-data-lake/jobs/{ONE_APPLICATION}.py") + 1
    commands = " ".join(step[start:]).split(" -- ")
    single_steps = [spark_step(settings(), job, "r", "me")["HadoopJarStep"]["Args"] for job in JOBS]
    assert commands == [
        " ".join([job, *args[-args[::-1].index(f"s3://car-rental-data-lake/jobs/{job}.py") :]])
        for job, args in zip(JOBS, single_steps, strict=True)
    ]


@pytest.mark.parametrize("mode", ["client", "cluster"])
def test_the_deploy_mode_applies_to_jobs_with_a_spark_context_only(settings, mode):
    for job in JOBS:
        arguments = spark_step(settings(EMR_DEPLOY_MODE=mode), job, "r")["HadoopJarStep"]["Args"]
        expected = "client" if job == "publish_run" else mode
        assert arguments[:3] == ["spark-submit", "--deploy-mode", expected]
        assert ("spark.yarn.maxAppAttempts=1" in arguments) is (expected == "cluster")


def test_jobs_without_a_spark_context_are_listed():
    for job in JOBS:
        source = next(path for path in job_files() if path.stem == job).read_text(encoding="utf-8")
        assert ("of_gateway" in source) is (job in WITHOUT_SPARK_CONTEXT), job


def test_run_ids_sort_by_time_and_contain_no_colon():
    moments = [
        datetime(2024, 2, 29, 23, 59, 59, 999000, UTC),
        datetime(2024, 3, 1, tzinfo=UTC),
        datetime(2024, 10, 1, tzinfo=UTC),
    ]
    ids = [new_run_id(moment) for moment in moments]
    assert ids[0] == "2024-02-29T23-59-59.999Z"
    assert all(before < after for before, after in itertools.pairwise(ids))
    assert not any(":" in run_id for run_id in ids)
