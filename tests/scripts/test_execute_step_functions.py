"""Step 9 on the stand-in: start, progress, result, causes of failures, and Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import execute_step_functions as script
import pytest
from botocore.exceptions import ClientError
from car_rental.display.console import Console
from car_rental.errors import ConfigError, DataLakeError, ExitStatus, Interrupted, StillRunning
from contract import KPI_TABLES as TABLES
from execute_step_functions import execute_step_functions, execution_name
from support.deployed_pipeline import BAD, SLOW, Pipeline, deployed, without_spark

from local_aws.server import LocalAws


@pytest.fixture(scope="module")
def shared(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Pipeline:
    return deployed(stand_in.url, "execute", tmp_path_factory.mktemp("execute"))


@pytest.fixture
def pipeline(shared: Pipeline) -> Iterator[Pipeline]:
    """The deployed project with its definition and good jobs; executions end after the test."""
    shared.put_jobs()
    shared.deploy_definition()
    for stream in (shared.out, shared.err):
        stream.truncate(0)
    yield shared
    for execution in running(shared):
        shared.aws.client("stepfunctions").stop_execution(executionArn=execution)
        shared.clusters_left_running(execution)


def running(pipeline: Pipeline) -> list[str]:
    machine = script.state_machine_arn(pipeline.aws)
    listed = pipeline.aws.client("stepfunctions").list_executions(
        stateMachineArn=machine, statusFilter="RUNNING"
    )
    return [execution["executionArn"] for execution in listed["executions"]]


def execute(pipeline: Pipeline, **arguments: Any) -> script.ExecutionResult:
    all_arguments = {"deadline_minutes": 2, **arguments}
    return execute_step_functions(pipeline.aws, pipeline.console, **all_arguments)


def test_an_execution_is_followed_to_its_end_and_summarised(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    result = execute(pipeline, run_id=run_id)
    assert result.summary() == f"run {run_id}: 3 rentals read, 2 kept, 1 rejected"
    assert result.counts["tables"] == {"user_metrics": {"rows": 2}}
    assert result.cluster_id == pipeline.clusters(result.execution_arn)[0]["Id"]
    printed = pipeline.err.getvalue()
    order = [
        printed.index(event)
        for event in ("create cluster", "terminate cluster", "start crawler", "count rows")
    ]
    assert order == sorted(order)


def test_an_execution_is_named_after_its_run_and_started_once(pipeline: Pipeline) -> None:
    assert execution_name("2026-11-23T03-20-06.123Z") == "run-2026-11-23T03-20-06-123Z"
    pipeline.put_jobs(clean_rentals=SLOW)
    result = execute(pipeline, run_id="named", wait=False)
    assert result.execution_arn.endswith(":run-named")
    assert (result.state, result.summary()) == ("RUNNING", "run named: RUNNING")
    second = execute(pipeline, run_id="named", wait=False)
    assert second.execution_arn == result.execution_arn
    assert running(pipeline) == [result.execution_arn]


def test_a_foreign_execution_can_be_followed_by_its_arn(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    started = pipeline.start(run_id)
    result = execute(pipeline, execution_arn=started)
    assert (result.execution_arn, result.run_id, result.state) == (started, run_id, "SUCCEEDED")


def test_the_rejected_rentals_of_the_run_are_registered(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    execute(pipeline, run_id=run_id)
    listed = pipeline.aws.client("glue").get_partitions(
        DatabaseName=pipeline.settings.glue_database_name, TableName="rejected_rentals"
    )
    assert [run_id] in [partition["Values"] for partition in listed["Partitions"]]


def test_a_failed_job_is_explained_by_its_step_log(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=BAD)
    with pytest.raises(DataLakeError) as caught:
        execute(pipeline)
    assert caught.value.where == "Spark job clean_rentals"
    assert "RuntimeError: the job fails on purpose" in caught.value.what
    assert caught.value.log.startswith(pipeline.settings.s3("logs/emr/j-"))


def test_any_other_failure_shows_the_error_of_the_execution(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    first = pipeline.start("first")
    pipeline.wait_for_step(first, "clean_rentals")
    with pytest.raises(
        DataLakeError, match=f"AnotherExecutionRuns: {first} runs over the same data"
    ) as caught:
        execute(pipeline)
    assert "--execution-arn" in caught.value.fix


def test_without_permission_to_list_clusters_the_error_of_the_execution_is_shown(
    pipeline: Pipeline, monkeypatch: Any
) -> None:
    def deny(*_: Any, **__: Any) -> None:
        raise ClientError(
            {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListClusters"
        )

    pipeline.put_jobs(clean_rentals=BAD)
    monkeypatch.setattr(script, "clusters_of", deny)
    with pytest.raises(DataLakeError, match="FAILED States.TaskFailed: Spark job clean_rentals"):
        execute(pipeline)
    assert (
        "It is unknown whether a Spark job failed: AWS answered AccessDeniedException"
        in pipeline.err.getvalue()
    )


def test_a_passed_deadline_leaves_the_execution_running(pipeline: Pipeline) -> None:
    pipeline.put_jobs(clean_rentals=SLOW)
    with pytest.raises(StillRunning, match="--execution-arn arn:aws:states"):
        execute(pipeline, deadline_minutes=0.02)
    assert len(running(pipeline)) == 1


class ConsoleWithCtrlC(Console):
    """A console whose user presses Ctrl-C when the first Spark job begins."""

    def progress(self, what: str, state: str, elapsed: float) -> None:
        super().progress(what, state, elapsed)
        if state == "clean rentals":
            raise KeyboardInterrupt


def interrupted_execution(pipeline: Pipeline, run_id: str) -> Interrupted:
    console = ConsoleWithCtrlC(pipeline.out, pipeline.err)
    pipeline.put_jobs(clean_rentals=SLOW)
    with pytest.raises(Interrupted) as caught:
        execute_step_functions(pipeline.aws, console, run_id=run_id)
    return caught.value


def test_ctrl_c_stops_the_execution_and_terminates_its_cluster(pipeline: Pipeline) -> None:
    error = interrupted_execution(pipeline, "once")
    execution = error.what.split()[0]
    (cluster,) = pipeline.clusters(execution)
    assert f"has been stopped; cluster {cluster['Id']} is being terminated" in error.what
    assert error.exit_status == ExitStatus.INTERRUPTED == 130
    assert pipeline.describe(execution)["status"] == "ABORTED"
    assert pipeline.clusters_left_running(execution) == []


def test_a_second_ctrl_c_exits_at_once_and_names_the_execution(
    pipeline: Pipeline, monkeypatch: Any
) -> None:
    def second_ctrl_c(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(script, "stop", second_ctrl_c)
    error = interrupted_execution(pipeline, "twice")
    (execution,) = running(pipeline)
    assert error.what.startswith(f"{execution} may still run")
    assert error.fix == f"Stop it: aws stepfunctions stop-execution --execution-arn {execution}"


def test_a_missing_bucket_or_state_machine_names_its_step(
    pipeline: Pipeline, new_project: Callable[..., Any]
) -> None:
    without_bucket = new_project()
    with pytest.raises(DataLakeError, match="bucket .* does not exist.*setup_aws_environment.py"):
        execute_step_functions(without_bucket.aws, without_bucket.console)
    without_machine = new_project(S3_BUCKET_NAME="execute-other-lake")
    without_machine.aws.client("s3").create_bucket(Bucket=without_machine.settings.s3_bucket_name)
    with pytest.raises(
        DataLakeError, match="state machine .* does not exist.*deploy_step_functions.py"
    ):
        execute_step_functions(without_machine.aws, without_machine.console)
    with pytest.raises(ConfigError, match="there is no execution"):
        execute(
            pipeline,
            execution_arn=script.state_machine_arn(pipeline.aws).replace(
                "stateMachine", "execution"
            )
            + ":none",
        )


def test_a_run_id_of_an_ended_execution_cannot_be_used_again(pipeline: Pipeline) -> None:
    pipeline.deploy_definition(without_spark)
    run_id = pipeline.write_run(*TABLES)
    execute(pipeline, run_id=run_id)
    with pytest.raises(ConfigError, match=f"the execution run-{run_id} of"):
        execute(pipeline, run_id=run_id)


@pytest.mark.parametrize("flags", [["--dry-run"], ["--dry-run", "--run-id", "x"]])
def test_a_dry_run_starts_nothing(
    pipeline: Pipeline, capsys: Any, monkeypatch: Any, tmp_path: Any, flags: list[str]
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", pipeline.settings.aws_endpoint_url)
    monkeypatch.setenv("ENVIRONMENT", pipeline.settings.environment)
    (tmp_path / "empty.env").touch()
    assert script.main([*flags, "--env", str(tmp_path / "empty.env")]) == 0
    assert capsys.readouterr().out.startswith(f"would start run-{'x' if 'x' in flags else '2'}")
    assert running(pipeline) == []


def test_no_wait_prints_only_the_arn(
    pipeline: Pipeline, capsys: Any, monkeypatch: Any, tmp_path: Any
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", pipeline.settings.aws_endpoint_url)
    monkeypatch.setenv("ENVIRONMENT", pipeline.settings.environment)
    (tmp_path / "empty.env").touch()
    pipeline.put_jobs(clean_rentals=SLOW)
    assert script.main(["--no-wait", "--env", str(tmp_path / "empty.env")]) == 0
    assert capsys.readouterr().out.split() == running(pipeline)
