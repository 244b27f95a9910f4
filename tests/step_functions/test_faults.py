"""Faults during an execution: its end, its published tables, and no cluster left running."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from car_rental.s3.lake_lock import LOCK_KEY, lake_lock
from car_rental.state_machine.definition import state_machine_arn, without_if_match
from contract import KPI_TABLES as TABLES
from support.call_trail import CallTrail
from support.deployed_pipeline import BAD, SLOW, Pipeline, deployed, without_spark

from local_aws.overlay import AwsError, Call
from local_aws.server import LocalAws

Handler = Callable[[Call], dict[str, Any]]
Change = Callable[[dict[str, Any]], object]
THROTTLED = AwsError("ThrottlingException", "Rate exceeded")


@pytest.fixture(scope="module")
def shared(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return deployed(stand_in.url, "faults", tmp_path_factory.mktemp("faults"))


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    """The deployed project with its own definition and good jobs."""
    shared.put_jobs()
    shared.deploy_definition()
    yield shared


@pytest.fixture
def replace(
    trail: CallTrail, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, Callable[[Handler], Handler]], None]:
    """`replace("ElasticMapReduce.RunJobFlow", wrap)` replaces a handler by ``wrap(handler)``."""
    handlers: dict[str, Handler] = trail.app.handlers

    def replace_handler(operation: str, wrap: Callable[[Handler], Handler]) -> None:
        monkeypatch.setitem(handlers, operation, wrap(handlers[operation]))

    return replace_handler


def failing(times: int, error: AwsError) -> Callable[[Handler], Handler]:
    """Makes an operation answer its first ``times`` calls with ``error``."""
    remaining_errors = [error] * times

    def wrap(handler: Handler) -> Handler:
        def handle(call: Call) -> dict[str, Any]:
            if remaining_errors:
                raise remaining_errors.pop()
            return handler(call)

        return handle

    return wrap


def test_a_good_execution_publishes_all_tables_and_leaves_no_cluster(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    execution = pipeline.start(run_id)
    ended = pipeline.finish(execution)
    assert ended["status"] == "SUCCEEDED", ended
    assert pipeline.published(run_id) == set(TABLES)
    assert [cluster["Status"]["State"] for cluster in pipeline.clusters(execution)] == [
        "TERMINATED"
    ]


def test_a_rejected_cluster_request_fails_the_execution_without_a_retry(
    pipeline: Pipeline, replace: Any
) -> None:
    replace(
        "ElasticMapReduce.RunJobFlow",
        failing(1, AwsError("ValidationException", "The subnet is unknown.")),
    )
    execution = pipeline.start()
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "EMR.AmazonElasticMapReduceException")
    assert ended["cause"].startswith("EMR made no cluster: The subnet is unknown.")
    assert pipeline.clusters(execution) == []


def test_a_throttled_creation_is_retried(pipeline: Pipeline, replace: Any) -> None:
    pipeline.deploy_definition(without_spark)
    replace("ElasticMapReduce.RunJobFlow", failing(1, THROTTLED))
    execution = pipeline.start(pipeline.write_run(*TABLES))
    assert pipeline.finish(execution)["status"] == "SUCCEEDED"
    assert len(pipeline.clusters(execution)) == 1


def test_a_throttled_step_is_submitted_again_but_a_rejected_one_is_not(
    pipeline: Pipeline, replace: Any
) -> None:
    errors = [THROTTLED, AwsError("ValidationException", "The step is odd.")]
    replace(
        "ElasticMapReduce.AddJobFlowSteps",
        lambda handler: lambda call: in_turn(errors, handler, call),
    )
    execution = pipeline.start("refused")
    ended = pipeline.finish(execution)
    assert errors == []
    assert (ended["status"], ended["error"]) == ("FAILED", "EMR.AmazonElasticMapReduceException")
    assert ended["cause"].startswith(
        "EMR did not take the Spark job clean_rentals: The step is odd."
    )
    assert pipeline.steps(execution) == {}
    assert pipeline.clusters_left_running(execution) == []


def in_turn(errors: list[AwsError], handler: Handler, call: Call) -> dict[str, Any]:
    """Raises the next of ``errors``, or calls the handler if there is none."""
    if errors:
        raise errors.pop(0)
    return handler(call)


def test_the_crawl_begins_after_the_cluster_has_ended(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    execution = pipeline.start(pipeline.write_run(*TABLES))
    assert pipeline.finish(execution)["status"] == "SUCCEEDED"
    (cluster,) = pipeline.clusters(execution)
    events = pipeline.aws.client("stepfunctions").get_execution_history(
        executionArn=execution, maxResults=1000
    )["events"]
    (crawl,) = [
        item
        for item in events
        if item.get("stateEnteredEventDetails", {}).get("name") == "StartCrawler"
    ]
    assert cluster["Status"]["Timeline"]["EndDateTime"] <= crawl["timestamp"]


def test_a_cluster_that_does_not_start_fails_the_execution_with_the_cause(
    pipeline: Pipeline, replace: Any
) -> None:
    def ended_by_others(handler: Handler) -> Handler:
        def handle(call: Call) -> dict[str, Any]:
            created = handler(call)
            pipeline.aws.client("emr").terminate_job_flows(JobFlowIds=[created["JobFlowId"]])
            return created

        return handle

    replace("ElasticMapReduce.RunJobFlow", ended_by_others)
    execution = pipeline.start()
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "ClusterDidNotStart")
    assert "did not start" in ended["cause"] and "TERMINAT" in ended["cause"]
    assert pipeline.clusters_left_running(execution) == []


def test_a_failed_job_is_named_with_its_log_and_its_sibling_cancelled(pipeline: Pipeline) -> None:
    pipeline.put_jobs(vehicle_location_metrics=BAD, user_transaction_metrics=SLOW)
    execution = pipeline.start("job-fails")
    ended = pipeline.finish(execution)
    (cluster,) = pipeline.clusters(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert ended["cause"].startswith("Spark job vehicle_location_metrics (step s-")
    assert (
        f" ended FAILED. Its log: {pipeline.settings.s3('logs/emr', cluster['Id'], 'steps', 's-')}"
        in ended["cause"]
    )
    assert pipeline.steps(execution) == {
        "clean_rentals": "COMPLETED",
        "vehicle_location_metrics": "FAILED",
        "user_transaction_metrics": "CANCELLED",
    }
    assert pipeline.published("job-fails") == set()
    assert pipeline.clusters_left_running(execution) == []


def test_a_failed_crawl_fails_the_execution(pipeline: Pipeline, replace: Any) -> None:
    def failed_crawls(handler: Handler) -> Handler:
        def handle(call: Call) -> dict[str, Any]:
            response = handler(call)
            last = response["Crawler"].get("LastCrawl")
            return {
                "Crawler": (
                    response["Crawler"]
                    | ({"LastCrawl": last | {"Status": "FAILED"}} if last else {})
                )
            }

        return handle

    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    replace("AWSGlue.GetCrawler", failed_crawls)
    execution = pipeline.start(run_id)
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "CrawlFailed")
    assert "Its log: CloudWatch /aws-glue/crawlers" in ended["cause"]
    assert pipeline.clusters_left_running(execution) == []


def test_a_crawl_that_is_already_running_is_followed_by_another(
    pipeline: Pipeline, replace: Any
) -> None:
    running = AwsError("CrawlerRunningException", "Crawler has already started")
    pipeline.deploy_definition(without_spark)
    replace("AWSGlue.StartCrawler", failing(1, running))
    run_id = pipeline.write_run(*TABLES)
    assert pipeline.finish(pipeline.start(run_id))["status"] == "SUCCEEDED"
    assert pipeline.published(run_id) == set(TABLES)


def test_a_table_without_rows_of_the_run_fails_the_execution(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))  # creates every table
    run_id = pipeline.write_run(*TABLES[1:])
    execution = pipeline.start(run_id)
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "TableNotPublished")
    assert f".{TABLES[0]} shows no row of run {run_id}" in ended["cause"]
    assert pipeline.published(run_id) == set(TABLES[1:])
    assert pipeline.clusters_left_running(execution) == []


def test_an_execution_stopped_during_a_step_leaves_no_cluster(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    execution = pipeline.start("stopped")
    pipeline.wait_for_step(execution, "clean_rentals")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=execution)
    assert pipeline.finish(execution)["status"] == "ABORTED"
    assert pipeline.clusters_left_running(execution) == []
    assert pipeline.published("stopped") == set()


def test_an_execution_timed_out_during_a_step_leaves_no_cluster(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    pipeline.deploy_definition(lambda machine: machine.update(TimeoutSeconds=5))
    execution = pipeline.start("timed-out")
    pipeline.wait_for_step(execution, "clean_rentals")
    assert pipeline.finish(execution)["status"] == "TIMED_OUT"
    assert pipeline.clusters_left_running(execution) == []
    assert pipeline.published("timed-out") == set()


def test_a_job_past_its_timeout_is_named(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    pipeline.deploy_definition(
        lambda machine: work(machine)["CleanRentals"].update(TimeoutSeconds=1)
    )
    execution = pipeline.start("too-long")
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "SparkJobTookTooLong")
    assert ended["cause"].startswith("Spark job clean_rentals ran longer than")
    assert pipeline.clusters_left_running(execution) == []


def work(machine: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The states of the Work state's branch."""
    states: dict[str, dict[str, Any]] = machine["States"]["Work"]["Branches"][0]["States"]
    return states


def test_a_throttled_termination_is_retried(pipeline: Pipeline, replace: Any) -> None:
    pipeline.deploy_definition(without_spark)
    replace("ElasticMapReduce.TerminateJobFlows", failing(2, THROTTLED))
    execution = pipeline.start(pipeline.write_run(*TABLES))
    assert pipeline.finish(execution)["status"] == "SUCCEEDED"
    assert [cluster["Status"]["State"] for cluster in pipeline.clusters(execution)] == [
        "TERMINATED"
    ]


def test_a_failed_termination_fails_the_execution_and_the_reaper_terminates_the_cluster(
    pipeline: Pipeline, replace: Any
) -> None:
    pipeline.deploy_definition(
        without_spark, lambda machine: machine["States"]["TerminateCluster"].update(Retry=[])
    )
    replace(
        "ElasticMapReduce.TerminateJobFlows",
        failing(1, AwsError("InternalServerError", "Oh.", 500)),
    )
    run_id = pipeline.write_run(*TABLES)
    execution = pipeline.start(run_id)
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "ClusterNotTerminated")
    assert f"Run {run_id} is published, but cluster j-" in ended["cause"]
    assert pipeline.clusters_left_running(execution) == []


def test_a_failed_termination_does_not_hide_the_first_failure(
    pipeline: Pipeline, replace: Any
) -> None:
    pipeline.put_jobs(clean_rentals=BAD)
    pipeline.deploy_definition(
        lambda machine: machine["States"]["TerminateAfterFailure"].update(Retry=[])
    )
    replace(
        "ElasticMapReduce.TerminateJobFlows",
        failing(1, AwsError("InternalServerError", "Oh.", 500)),
    )
    execution = pipeline.start("both-fail")
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert (
        "clean_rentals" in ended["cause"]
        and "could not be terminated and may still cost money" in ended["cause"]
    )
    assert pipeline.clusters_left_running(execution) == []


def test_one_application_is_one_step_and_is_named_on_failure(pipeline: Pipeline) -> None:
    single = pipeline.with_settings(emr_one_application=True)
    single.deploy_definition()
    run_id = single.write_run(*TABLES)
    good = single.start(run_id)
    assert single.finish(good)["status"] == "SUCCEEDED"
    assert single.steps(good) == {"all_jobs": "COMPLETED"}
    assert single.published(run_id) == set(TABLES)
    single.put_jobs(all_jobs=BAD)
    bad = single.start("one-bad")
    assert single.finish(bad)["cause"].startswith("Spark job all_jobs (step s-")
    assert single.clusters_left_running(bad) == []


def test_a_second_execution_fails_and_names_the_running_one(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    first = pipeline.start("first")
    pipeline.wait_for_step(first, "clean_rentals")
    second = pipeline.start("second")
    ended = pipeline.finish(second)
    assert (ended["status"], ended["error"]) == ("FAILED", "AnotherExecutionRuns")
    assert ended["cause"].startswith(f"{first} runs over the same data.")
    assert pipeline.clusters(second) == []
    assert pipeline.describe(first)["status"] == "RUNNING"
    assert pipeline.steps(first) == {"clean_rentals": "RUNNING"}
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=first)
    assert pipeline.clusters_left_running(first) == []


def test_only_one_of_two_simultaneous_executions_runs(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    executions = [pipeline.start(run_id), pipeline.start(run_id)]
    ended = [pipeline.finish(execution) for execution in executions]
    assert sorted((item["status"], item.get("error", "")) for item in ended) == [
        ("FAILED", "AnotherExecutionRuns"),
        ("SUCCEEDED", ""),
    ]


def keep_if_match(_: dict[str, Any]) -> None:
    """Keeps the definition with If-Match."""


def drop_if_match(machine: dict[str, Any]) -> None:
    """Changes the definition to the one without If-Match."""
    machine.update(without_if_match(machine))


CONDITIONS = pytest.mark.parametrize("conditions", [keep_if_match, drop_if_match])


@CONDITIONS
def test_a_dead_execution_does_not_block_the_next_one(
    pipeline: Pipeline, conditions: Change
) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    dead = pipeline.start("died")
    pipeline.wait_for_step(dead, "clean_rentals")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=dead)
    pipeline.deploy_definition(without_spark, conditions)
    assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"
    assert pipeline.clusters_left_running(dead) == []


@pytest.mark.parametrize("holder", ["{machine}:long-gone", "no ARN"])
def test_an_unknown_owner_of_the_lock_does_not_block(pipeline: Pipeline, holder: str) -> None:
    pipeline.deploy_definition(without_spark)
    machine = state_machine_arn(pipeline.aws).replace(":stateMachine:", ":execution:")
    put_lock(pipeline, execution=holder.format(machine=machine))
    assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"


def put_lock(pipeline: Pipeline, **owner: str) -> None:
    pipeline.aws.client("s3").put_object(
        Bucket=pipeline.settings.s3_bucket_name,
        Key=LOCK_KEY,
        Metadata=owner,
        Body=str(owner).encode(),
    )


@CONDITIONS
def test_a_living_run_by_hand_is_named_and_not_disturbed(
    pipeline: Pipeline, conditions: Change
) -> None:
    pipeline.deploy_definition(
        without_spark,
        lambda machine: machine["States"]["ListenToHolder"].update(Seconds=3),
        conditions,
    )
    with lake_lock(pipeline.aws, pipeline.console, "run_spark_jobs"):
        execution = pipeline.start()
        ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "AnotherRunWorks")
    assert "run_spark_jobs on " in ended["cause"]
    assert pipeline.clusters(execution) == []
    assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"


@CONDITIONS
def test_a_killed_run_by_hand_does_not_block(pipeline: Pipeline, conditions: Change) -> None:
    pipeline.deploy_definition(
        without_spark,
        lambda machine: machine["States"]["ListenToHolder"].update(Seconds=1),
        conditions,
    )
    put_lock(pipeline, owner="main on somewhere", token="main/killed", cluster="j-UNKNOWN")
    assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"
    put_lock(pipeline, owner="main on somewhere", token="main/killed")
    assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"


def test_a_stopped_execution_blocks_while_its_cluster_has_unfinished_steps(
    pipeline: Pipeline, no_reaper: None
) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    stopped = pipeline.start("stopped-with-steps")
    pipeline.wait_for_step(stopped, "clean_rentals")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=stopped)
    pipeline.deploy_definition(without_spark)
    (cluster_of_stopped,) = pipeline.clusters(stopped)
    ended = pipeline.finish(pipeline.start())
    if pipeline.steps(stopped) == {"clean_rentals": "RUNNING"}:
        assert (ended["status"], ended["error"]) == ("FAILED", "AnotherRunWorks")
        assert cluster_of_stopped["Id"] in ended["cause"]
    pipeline.aws.client("emr").terminate_job_flows(JobFlowIds=[cluster_of_stopped["Id"]])
    assert pipeline.clusters_left_running(stopped) == []
    assert pipeline.finish(pipeline.start(pipeline.write_run(*TABLES)))["status"] == "SUCCEEDED"


def test_a_run_id_that_sorts_before_a_published_run_fails_before_a_cluster_is_created(
    pipeline: Pipeline,
) -> None:
    pipeline.deploy_definition(without_spark)
    published = pipeline.write_run(*TABLES)
    assert pipeline.finish(pipeline.start(published))["status"] == "SUCCEEDED"
    execution = pipeline.start("0-0000")
    ended = pipeline.finish(execution)
    assert (ended["status"], ended["error"]) == ("FAILED", "RunIdIsOld")
    assert "run_id=0-" in ended["cause"]
    assert pipeline.clusters(execution) == []


@pytest.fixture
def no_reaper(pipeline: Pipeline) -> Iterator[None]:
    events, rule = (
        pipeline.aws.client("events"),
        pipeline.settings.shared_name("car-rental-execution-ended"),
    )
    events.disable_rule(Name=rule)
    yield
    events.enable_rule(Name=rule)


@pytest.mark.long
def test_the_idle_timeout_terminates_a_cluster_without_state_machine_and_reaper(
    pipeline: Pipeline, no_reaper: None
) -> None:
    pipeline.deploy_definition(
        lambda machine: cluster(machine)["AutoTerminationPolicy"].update(IdleTimeout=60)
    )
    pipeline.put_jobs(clean_rentals=SLOW)
    execution = pipeline.start("idle")
    pipeline.wait_for_step(execution, "clean_rentals")
    pipeline.aws.client("stepfunctions").stop_execution(executionArn=execution)
    time.sleep(20)  # longer than the reaper would need
    assert [item["Status"]["State"] for item in pipeline.clusters(execution)] == ["WAITING"]
    assert pipeline.clusters_left_running(execution) == []


def cluster(machine: dict[str, Any]) -> dict[str, Any]:
    """The request for the cluster."""
    request: dict[str, Any] = machine["States"]["CreateCluster"]["Parameters"]
    return request
