"""The state machine's definition without a run: its graph, parameters, cluster and steps."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from car_rental.config import Settings
from car_rental.emr.cluster_request import cluster_request
from car_rental.emr.spark_steps import JOBS, spark_step
from car_rental.s3.lake_lock import LOCK_KEY
from car_rental.state_machine.definition import (
    DEFINITION,
    EXECUTION_TAG,
    definition,
    fill,
    quoted,
    without_if_match,
)
from contract import KPI_TABLES as TABLES
from support.asl_checks import (
    Definition,
    all_states,
    clusters_left,
    dangling,
    invalid_parameters,
    lint,
    uncaught,
    unreachable,
    unsafe_retries,
    without_timeout,
)

TAGS = [{"Key": "Project", "Value": "car-rental-data-lake"}, {"Key": "Environment", "Value": "dev"}]
ARN = "arn:aws:iam::123456789012:role/service-role/Mine"
CHECKS = (
    dangling,
    unreachable,
    clusters_left,
    uncaught,
    without_timeout,
    unsafe_retries,
    invalid_parameters,
    lint,
)


@pytest.fixture
def machine() -> Definition:
    return definition(Settings(), TAGS, "aws")


@pytest.mark.parametrize("check", CHECKS)
def test_the_definition_passes_every_check(
    machine: Definition, check: Callable[[Definition], list[str]]
) -> None:
    assert check(machine) == []


def changed_copy(
    machine: Definition, change: Callable[[dict[str, dict[str, Any]]], object]
) -> Definition:
    """A copy of the definition after ``change`` has modified its states by name."""
    damaged = copy.deepcopy(machine)
    change(all_states(damaged))
    return damaged


def set_to(name: str, **fields: Any) -> Callable[[dict[str, dict[str, Any]]], object]:
    return lambda states: states[name].update(fields)


@pytest.mark.parametrize(
    ("check", "change", "problem"),
    [
        (dangling, set_to("ReadLock", Next="Nowhere"), "ReadLock -> Nowhere"),
        (dangling, set_to("RunIdIsGiven", Default="Nowhere"), "RunIdIsGiven -> Nowhere"),
        (
            dangling,
            set_to("CleanRentals", Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "Failed"}]),
            "CleanRentals -> Failed",
        ),
        (
            dangling,
            set_to("CleanRentals", Next="TerminateCluster"),
            "CleanRentals -> TerminateCluster",
        ),
        (unreachable, set_to("ClusterIsTerminated", Default="Published"), "TellResult"),
        (unreachable, set_to("CleanRentals", Next="PublishRun"), "Metrics"),
        (clusters_left, set_to("Work", Next="TellResult"), "Published is an end"),
        (clusters_left, set_to("Work", Catch=[]), "Work can fail uncaught"),
        (
            clusters_left,
            set_to(
                "Work",
                Catch=[
                    {
                        "ErrorEquals": ["States.ALL"],
                        "ResultPath": "$.Failure",
                        "Next": "PipelineFailed",
                    }
                ],
            ),
            "PipelineFailed is an end",
        ),
        (
            clusters_left,
            set_to(
                "Work", Catch=[{"ErrorEquals": ["States.ALL"], "Next": "TerminateAfterFailure"}]
            ),
            "Work overwrites the cluster's id",
        ),
        (clusters_left, set_to("Work", ResultPath="$.Cluster"), "Work overwrites the cluster's id"),
        (
            clusters_left,
            set_to("CreateCluster", Next="ExplainRefusal"),
            "ClusterNotCreated is an end",
        ),
        (uncaught, lambda states: states["CreateCluster"].pop("Catch"), "CreateCluster"),
        (uncaught, set_to("Work", Catch=[]), "Work"),
        (uncaught, set_to("StartCrawler", Catch=[]), "StartCrawler"),
        (
            uncaught,
            lambda states: states["UserTransactionMetrics"].pop("Catch"),
            "UserTransactionMetrics",
        ),
        (
            uncaught,
            set_to(
                "PublishRun",
                Catch=[{"ErrorEquals": ["States.Timeout"], "Next": "CleanRentalsTookTooLong"}],
            ),
            "PublishRun",
        ),
        (without_timeout, lambda states: states["PublishRun"].pop("TimeoutSeconds"), "PublishRun"),
        (
            unsafe_retries,
            set_to("CreateCluster", Retry=[{"ErrorEquals": ["States.ALL"]}]),
            "CreateCluster",
        ),
        (
            unsafe_retries,
            set_to("CleanRentals", Retry=[{"ErrorEquals": ["EMR.AnyError"]}]),
            "CleanRentals",
        ),
        (
            unsafe_retries,
            set_to("StartCrawler", Retry=[{"ErrorEquals": ["States.TaskFailed"]}]),
            "StartCrawler",
        ),
        (
            invalid_parameters,
            lambda states: states["LookAtCrawl"]["Parameters"].update(Crawler="x"),
            "Unknown parameter in input: ",
        ),
        (
            invalid_parameters,
            lambda states: states["CreateCluster"]["Parameters"].pop("Instances"),
            "Missing required parameter",
        ),
        (
            invalid_parameters,
            lambda states: states["CleanRentals"]["Parameters"]["Step"].update(Jar="x"),
            "Unknown parameter in Steps[0]",
        ),
        (lint, set_to("WaitForCrawl", Secondz=3), "Secondz"),
        (lint, set_to("StartCrawler", Type="Taks"), "Taks"),
    ],
)
def test_each_check_finds_its_kind_of_mistake(
    machine: Definition,
    check: Callable[[Definition], list[str]],
    change: Callable[..., object],
    problem: str,
) -> None:
    assert problem in "\n".join(check(changed_copy(machine, change)))


def test_the_cluster_request_is_step_5_s_with_the_execution_as_a_tag(machine: Definition) -> None:
    parameters = machine["States"]["CreateCluster"]["Parameters"]
    expected = cluster_request(
        Settings(), [*TAGS, {"Key": EXECUTION_TAG, "Value.$": "$$.Execution.Id"}]
    )
    assert parameters == expected
    assert {"Key": "Execution", "Value.$": "$$.Execution.Id"} in parameters["Tags"]


@pytest.mark.parametrize("job", JOBS)
def test_the_steps_are_step_6_s_with_the_run_id_as_a_reference(
    machine: Definition, job: str
) -> None:
    state = all_states(machine)["".join(word.capitalize() for word in job.split("_"))]
    step = state["Parameters"]["Step"]
    expression = step["HadoopJarStep"].pop("Args.$")
    arguments = [
        literal or reference
        for literal, reference in re.findall(r"'([^']*)'|(\$[\w.]+)", expression)
    ]
    expected = spark_step(Settings(), job, "$.Run.id", "$.Execution")
    assert arguments == expected["HadoopJarStep"].pop("Args")
    assert step == expected


def test_special_characters_in_a_literal_are_escaped() -> None:
    assert quoted(r"it's {a} \ b") == r"'it\'s \{a\} \\ b'"


def test_the_checks_query_the_lake_s_database(machine: Definition) -> None:
    parameters = all_states(machine)["CountRows"]["Parameters"]
    assert parameters["QueryExecutionContext"] == {"Database": Settings().glue_database_name}


def test_every_published_table_is_checked(machine: Definition) -> None:
    assert machine["States"]["Begin"]["Parameters"]["Tables"] == list(TABLES)


def test_every_placeholder_is_filled_and_an_unknown_one_is_an_error(machine: Definition) -> None:
    assert "${" not in json.dumps(machine)
    with pytest.raises(KeyError, match="unheard_of"):
        fill({"a": ["${unheard_of}"]}, {})


def test_a_text_of_one_placeholder_gets_the_value_with_its_type() -> None:
    assert fill({"a": "${n}", "b": ["${n} s", 2]}, {"n": 3}) == {"a": 3, "b": ["3 s", 2]}


def test_the_timeouts_of_all_tasks_fit_the_execution_s_timeout(machine: Definition) -> None:
    states = all_states(machine)
    sequential = ("CleanRentals", "UserTransactionMetrics", "PublishRun", "TerminateCluster")
    polls = states["LookAtCrawl"], states["WaitForCrawl"], states["ClusterIsReady"]
    waiting = 2 * 121 * polls[1]["Seconds"]
    assert (
        sum(states[name]["TimeoutSeconds"] for name in sequential) + waiting
        < machine["TimeoutSeconds"]
    )


def test_polls_wait_one_second_locally_and_thirty_on_aws(machine: Definition) -> None:
    local = all_states(definition(Settings(aws_endpoint_url="http://127.0.0.1:5000"), TAGS, "aws"))
    assert all_states(machine)["WaitForCrawl"]["Seconds"] == 30
    assert local["WaitForCrawl"]["Seconds"] == 1


def test_resource_arns_contain_the_partition() -> None:
    govcloud = definition(Settings(aws_region="us-gov-west-1"), TAGS, "aws-us-gov")
    resources = [
        state["Resource"] for state in all_states(govcloud).values() if state["Type"] == "Task"
    ]
    assert resources and all(
        resource.startswith("arn:aws-us-gov:states:::") for resource in resources
    )


VARIANTS = [
    {
        "emr_core_market": "spot",
        "emr_max_core_instance_count": 5,
        "emr_subnet_id": "subnet-0123456789abcdef0",
    },
    {
        "emr_deploy_mode": "cluster",
        "emr_spark_conf": "spark.a='{b}",
        "emr_security_configuration": "imdsv2",
    },
    {
        "glue_service_role": ARN,
        "emr_service_role": ARN,
        "emr_ec2_instance_profile": ARN,
        "emr_ec2_key_name": "key",
    },
    {"emr_one_application": True, "emr_deploy_mode": "cluster"},
]


@pytest.mark.parametrize("variant", VARIANTS, ids=lambda variant: "-".join(variant)[:40])
@pytest.mark.parametrize("check", CHECKS)
def test_the_definition_passes_every_check_with_other_settings(
    variant: dict[str, Any], check: Callable[[Definition], list[str]]
) -> None:
    assert check(definition(Settings(**variant), TAGS, "aws")) == []


def test_one_application_replaces_the_stages_by_one_state(machine: Definition) -> None:
    single = definition(Settings(emr_one_application=True), TAGS, "aws")
    states, other_states = all_states(single), all_states(machine)
    steps = [state for state in states.values() if "addStep" in state.get("Resource", "")]
    assert steps == [states["AllJobs"]]
    assert states["AllJobs"]["Parameters"]["Step"]["Name"] == "all_jobs"
    arguments = states["AllJobs"]["Parameters"]["Step"]["HadoopJarStep"]["Args.$"]
    assert all(f"'{job}'" in arguments for job in JOBS)
    assert not [name for name in states if "CleanRentals" in name or "PublishRun" in name]
    changed = {"Work", "ClusterIsReady", *(name for name in states if "AllJobs" in name)}
    assert all(states[name] == other_states[name] for name in states.keys() - changed)
    assert states["AllJobs"]["TimeoutSeconds"] < single["TimeoutSeconds"]
    assert single["TimeoutSeconds"] < machine["TimeoutSeconds"]


@pytest.mark.parametrize("check", CHECKS)
def test_the_definition_without_if_match_passes_every_check(
    machine: Definition, check: Callable[[Definition], list[str]]
) -> None:
    without_condition = without_if_match(machine)
    assert "IfMatch" in json.dumps(machine) and "IfMatch" not in json.dumps(without_condition)
    assert check(without_condition) == []


def test_the_cluster_is_terminated_before_the_crawl(machine: Definition) -> None:
    assert machine["States"]["Work"]["Next"] == "TerminateCluster"
    assert machine["States"]["TerminateCluster"]["Next"] == "Publication"
    (publication,) = machine["States"]["Publication"]["Branches"]
    assert {"StartCrawler", "CheckTables"} <= publication["States"].keys()


def test_the_role_may_write_the_lock() -> None:
    policies = DEFINITION.parent.parent / "scripts" / "car_rental" / "iam" / "policies"
    policy = (policies / "state_machine.json").read_text(encoding="utf-8")
    assert f":s3:::${{bucket}}/{LOCK_KEY}" in policy


@pytest.mark.parametrize("name", ["TakeNewLock", "TakeOverLock"])
def test_each_owner_writes_the_lock_with_its_own_etag(machine: Definition, name: str) -> None:
    # S3 computes the ETag from the body
    assert machine["States"][name]["Parameters"]["Body.$"] == "$.Execution"
