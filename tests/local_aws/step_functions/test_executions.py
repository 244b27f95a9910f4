"""Step Functions on the running stand-in: definitions with real clusters and queries."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_aws.clients import Clients
from local_aws.server import LocalAws

ROLE = "arn:aws:iam::123456789012:role/WorkflowTest"
BUCKET = "workflow-test-lake"
TRUST = {
    "Effect": "Allow",
    "Principal": {"Service": "states.amazonaws.com"},
    "Action": "sts:AssumeRole",
}
EMR = "arn:aws:states:::elasticmapreduce:"
SDK = "arn:aws:states:::aws-sdk:"

CLUSTER: dict[str, Any] = {
    "Name": "workflow-test",
    "ReleaseLabel": "emr-7.13.0",
    "ServiceRole": "WorkflowTestNodes",
    "JobFlowRole": "WorkflowTestNodes",
    "Applications": [{"Name": "Spark"}],
    "Instances": {
        "KeepJobFlowAliveWhenNoSteps": True,
        "InstanceGroups": [
            {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
        ],
    },
}


class Machines:
    """Creates state machines and runs them."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.sfn, self.emr = client("stepfunctions"), client("emr")
        self._numbers = itertools.count(1)
        self._prepare(client("iam"), client("s3"))

    def _prepare(self, iam: Any, s3: Any) -> None:
        for role, statements in (
            ("WorkflowTest", [TRUST]),
            ("WorkflowTestNodes", []),
            ("WorkflowTestUntrusted", []),
        ):
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
        iam.create_instance_profile(InstanceProfileName="WorkflowTestNodes")
        iam.add_role_to_instance_profile(
            InstanceProfileName="WorkflowTestNodes", RoleName="WorkflowTestNodes"
        )
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="jobs/sleep.py", Body=b"import time\ntime.sleep(60)\n")
        s3.put_object(Bucket=BUCKET, Key="jobs/good.py", Body=b"print('fine')\n")

    def create(self, definition: dict[str, Any] | str, **more: Any) -> str:
        name = f"workflow-{next(self._numbers)}"
        text = definition if isinstance(definition, str) else json.dumps(definition)
        created = self.sfn.create_state_machine(
            **{"name": name, "definition": text, "roleArn": ROLE, **more}
        )
        return str(created["stateMachineArn"])

    def start(self, definition: dict[str, Any] | str, data: Any = None) -> str:
        machine = self.create(definition)
        return str(
            self.sfn.start_execution(stateMachineArn=machine, input=json.dumps(data or {}))[
                "executionArn"
            ]
        )

    def wait(self, execution: str, seconds: float = 30) -> dict[str, Any]:
        """Waits for the end of the execution and returns its description."""
        deadline = time.monotonic() + seconds
        while (described := self.sfn.describe_execution(executionArn=execution))[
            "status"
        ] == "RUNNING":
            assert time.monotonic() < deadline, self.events(execution)
            time.sleep(0.02)
        return dict(described)

    def run(self, definition: dict[str, Any] | str, data: Any = None) -> dict[str, Any]:
        return self.wait(self.start(definition, data))

    def output(self, definition: dict[str, Any] | str, data: Any = None) -> Any:
        result = self.run(definition, data)
        assert result["status"] == "SUCCEEDED", result
        return json.loads(result["output"])

    def events(self, execution: str) -> list[dict[str, Any]]:
        return list(
            self.sfn.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        )

    def wait_for_event(self, execution: str, event: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while event not in (entry["type"] for entry in self.events(execution)):
            assert time.monotonic() < deadline, self.events(execution)
            time.sleep(0.02)

    def state(self, cluster: str) -> str:
        return str(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])

    def step_states(self, cluster: str, name: str) -> list[str]:
        steps = self.emr.list_steps(ClusterId=cluster)["Steps"]
        return [step["Status"]["State"] for step in steps if step["Name"] == name]

    def wait_for_step(self, cluster: str, name: str, state: str, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.step_states(cluster, name) != [state]:
            assert time.monotonic() < deadline, self.step_states(cluster, name)
            time.sleep(0.02)


@pytest.fixture(scope="session")
def machines(client: Callable[[str], Any]) -> Machines:
    return Machines(client)


@pytest.fixture(scope="session")
def busy(machines: Machines) -> Iterator[str]:
    """A cluster whose only slot is taken by a slow step, so that other steps stay PENDING."""
    cluster_id = machines.emr.run_job_flow(**CLUSTER)["JobFlowId"]
    machines.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[spark_submit("sleep")])
    yield cluster_id
    machines.emr.terminate_job_flows(JobFlowIds=[cluster_id])


@pytest.fixture(scope="session")
def bare(machines: Machines) -> Iterator[str]:
    """A cluster without Spark, on which every step fails at once."""
    cluster_id = machines.emr.run_job_flow(**CLUSTER | {"Applications": []})["JobFlowId"]
    yield cluster_id
    machines.emr.terminate_job_flows(JobFlowIds=[cluster_id])


def chain(**states: dict[str, Any]) -> dict[str, Any]:
    """A definition of ``states`` in sequence, except those with a transition of their own."""
    names = list(states)
    follow: list[dict[str, Any]] = [*({"Next": name} for name in names[1:]), {"End": True}]
    linked = {
        name: _linked(states[name], transition)
        for name, transition in zip(names, follow, strict=True)
    }
    return {"StartAt": names[0], "States": linked}


def _linked(state: dict[str, Any], transition: dict[str, Any]) -> dict[str, Any]:
    has_transition = state.keys() & {"Next", "End"} or state["Type"] in (
        "Succeed",
        "Fail",
        "Choice",
    )
    return state if has_transition else state | transition


def task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, **more}


def spark_submit(job: str) -> dict[str, Any]:
    args = ["spark-submit", f"s3://{BUCKET}/jobs/{job}.py"]
    return {
        "Name": job,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": args},
    }


def step(name: str = "sleep", **more: Any) -> dict[str, Any]:
    return task(
        f"{EMR}addStep.sync", {"ClusterId.$": "$.cluster", "Step": spark_submit(name)}, **more
    )


def athena(sql: str) -> dict[str, Any]:
    return {
        "QueryString": sql,
        "ResultConfiguration": {"OutputLocation": f"s3://{BUCKET}/results/"},
    }


def caught(state: dict[str, Any], *errors: str) -> dict[str, Any]:
    """A definition of ``state`` whose error becomes the execution's output."""
    states = chain(
        Try=state
        | {"Catch": [{"ErrorEquals": list(errors), "ResultPath": "$.failure", "Next": "Caught"}]}
    )
    states["States"]["Caught"] = {"Type": "Pass", "InputPath": "$.failure", "End": True}
    return states


# --- EMR


def test_a_cluster_is_created_and_terminated(machines: Machines) -> None:
    terminate = task(f"{EMR}terminateCluster.sync", {"ClusterId.$": "$.made.ClusterId"})
    created = machines.output(
        chain(Make=task(f"{EMR}createCluster.sync", CLUSTER, ResultPath="$.made"), End=terminate)
    )
    assert machines.state(created["ClusterId"]) == "TERMINATED"
    assert created["Cluster"]["Status"]["State"] == "TERMINATED"


def test_a_failed_step_fails_its_task_with_the_step_as_cause(machines: Machines, bare: str) -> None:
    failure = machines.output(caught(step(), "States.TaskFailed"), {"cluster": bare})
    assert failure["Error"] == "States.TaskFailed"
    failed_step = json.loads(failure["Cause"])["Step"]
    assert (failed_step["Name"], failed_step["Status"]["State"]) == ("sleep", "FAILED")
    assert "spark-submit" in failed_step["Status"]["FailureDetails"]["Message"]


def test_a_completed_step_is_the_task_s_result(machines: Machines) -> None:
    create = task(f"{EMR}createCluster", CLUSTER, ResultPath="$.made")
    work = task(
        f"{EMR}addStep.sync",
        {"ClusterId.$": "$.made.ClusterId", "Step": spark_submit("good")},
        ResultPath="$.step",
    )
    off = task(f"{EMR}terminateCluster", {"ClusterId.$": "$.made.ClusterId"}, ResultPath="$.off")
    result = machines.output(chain(Make=create, Work=work, Off=off))
    assert result["step"]["Step"]["Status"]["State"] == "COMPLETED"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT.*Z", result["step"]["Step"]["Status"]["Timeline"]["EndDateTime"]
    )
    assert result["off"] == {}


def test_a_rejected_emr_call_has_the_integration_s_error_name(machines: Machines) -> None:
    failure = machines.output(
        caught(step(), "EMR.AmazonElasticMapReduceException"), {"cluster": "j-NONE"}
    )
    message = (
        "Specified job flow ID does not exist. (Service: AmazonElasticMapReduce; Status Code: 400; "
    )
    assert failure["Cause"].startswith(f"{message}Error Code: ValidationException; Request ID: ")


def test_an_invalid_cluster_request_fails_its_task(machines: Machines) -> None:
    failure = machines.output(
        caught(
            task(f"{EMR}createCluster.sync", CLUSTER | {"ReleaseLabel": "emr-0.0.0"}), "States.ALL"
        )
    )
    assert (failure["Error"], "emr-0.0.0" in failure["Cause"]) == (
        "EMR.AmazonElasticMapReduceException",
        True,
    )


# --- stops and timeouts


def test_stopping_an_execution_cancels_its_step_and_keeps_the_cluster(
    machines: Machines, busy: str
) -> None:
    execution = machines.start(chain(Work=step("stopped")), {"cluster": busy})
    machines.wait_for_event(execution, "TaskSubmitted")
    response = machines.sfn.stop_execution(
        executionArn=execution, error="Enough", cause="seen it all"
    )
    result = machines.sfn.describe_execution(executionArn=execution)
    assert (result["status"], result["error"], result["cause"]) == (
        "ABORTED",
        "Enough",
        "seen it all",
    )
    assert result["stopDate"] == response["stopDate"]
    last = machines.events(execution)[-1]
    assert (last["type"], last["executionAbortedEventDetails"]) == (
        "ExecutionAborted",
        {"error": "Enough", "cause": "seen it all"},
    )
    assert machines.step_states(busy, "stopped") == ["CANCELLED"]
    assert machines.state(busy) == "RUNNING"


def test_a_waiting_execution_can_be_stopped(machines: Machines) -> None:
    execution = machines.start(chain(Wait={"Type": "Wait", "Seconds": 60}))
    machines.sfn.stop_execution(executionArn=execution)
    assert machines.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_an_execution_can_be_stopped_between_retries(machines: Machines) -> None:
    retry = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}
    execution = machines.start(chain(Try=step(Retry=[retry])), {"cluster": "j-NONE"})
    machines.wait_for_event(execution, "TaskFailed")
    machines.sfn.stop_execution(executionArn=execution)
    assert machines.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_an_execution_ends_after_its_timeout(machines: Machines, busy: str) -> None:
    slow = {"Type": "Parallel", "Branches": [chain(Work=step("late"))]}
    execution = machines.start({**chain(All=slow), "TimeoutSeconds": 1}, {"cluster": busy})
    result = machines.wait(execution)
    assert (result["status"], "stopDate" in result) == ("TIMED_OUT", True)
    machines.wait_for_event(execution, "ExecutionTimedOut")
    assert machines.events(execution)[-1]["type"] == "ExecutionTimedOut"
    assert machines.step_states(busy, "late") == ["CANCELLED"]
    (listed,) = machines.sfn.list_executions(
        stateMachineArn=result["stateMachineArn"], statusFilter="TIMED_OUT"
    )["executions"]
    assert listed["stopDate"] == result["stopDate"]


def test_a_task_fails_with_states_timeout_after_its_timeout(machines: Machines, busy: str) -> None:
    failure = machines.output(
        caught(step("too-long", TimeoutSeconds=1), "States.Timeout"), {"cluster": busy}
    )
    assert failure["Error"] == "States.Timeout"
    machines.wait_for_step(busy, "too-long", "CANCELLED")


def test_a_failed_branch_ends_its_siblings(machines: Machines, busy: str, bare: str) -> None:
    sibling = chain(Slow=step("sibling"))
    failing = chain(
        Pause={"Type": "Wait", "Seconds": 1},
        Bad=task(f"{EMR}addStep.sync", {"ClusterId": bare, "Step": spark_submit("bad")}),
    )
    result = machines.output(
        caught({"Type": "Parallel", "Branches": [sibling, failing]}, "States.TaskFailed"),
        {"cluster": busy},
    )
    assert json.loads(result["Cause"])["Step"]["Name"] == "bad"
    machines.wait_for_step(busy, "sibling", "CANCELLED")


# --- Athena


def test_a_query_is_run_and_its_results_read(machines: Machines) -> None:
    query = task(
        "arn:aws:states:::athena:startQueryExecution.sync",
        athena("SELECT 1 AS one"),
        ResultPath="$.query",
    )
    rows = task(
        "arn:aws:states:::athena:getQueryResults",
        {"QueryExecutionId.$": "$.query.QueryExecution.QueryExecutionId"},
        ResultSelector={"one.$": "$.ResultSet.Rows[1].Data[0].VarCharValue"},
    )
    assert machines.output(chain(Query=query, Rows=rows)) == {"one": "1"}


def test_a_failed_query_fails_its_task(machines: Machines) -> None:
    query = task(
        "arn:aws:states:::athena:startQueryExecution.sync", athena("SELECT * FROM nothing_like_it")
    )
    failure = machines.output(caught(query, "States.TaskFailed"))
    assert json.loads(failure["Cause"])["QueryExecution"]["Status"]["State"] == "FAILED"


def test_a_rejected_query_has_athena_s_error_name(machines: Machines) -> None:
    query = task(
        "arn:aws:states:::athena:startQueryExecution.sync",
        athena("SELECT 1") | {"WorkGroup": "no-such-group"},
    )
    assert machines.output(caught(query, "States.ALL"))["Error"] == "Athena.InvalidRequestException"


# --- AWS SDK integrations


@pytest.mark.parametrize(
    ("action", "parameters", "error"),
    [
        ("glue:startCrawler", {"Name": "no-such-crawler"}, "Glue.EntityNotFoundException"),
        ("emr:describeCluster", {"ClusterId": "j-NONE"}, "Emr.InvalidRequestException"),
        (
            "athena:getQueryExecution",
            {"QueryExecutionId": "none"},
            "Athena.InvalidRequestException",
        ),
        (
            "dynamodb:getItem",
            {"TableName": "none", "Key": {"k": {"S": "v"}}},
            "DynamoDb.ResourceNotFoundException",
        ),
        ("sfn:describeExecution", {"ExecutionArn": "none"}, "Sfn.InvalidArnException"),
        ("s3:listObjectsV2", {"Bucket": "no-such-bucket"}, "S3.NoSuchBucketException"),
    ],
)
def test_sdk_errors_begin_with_the_service_s_name(
    machines: Machines, action: str, parameters: dict[str, Any], error: str
) -> None:
    failure = machines.output(caught(task(f"{SDK}{action}", parameters), error))
    assert (failure["Error"], "Status Code: 4" in failure["Cause"]) == (error, True)


def test_sdk_results_are_spelled_in_pascal_case(machines: Machines) -> None:
    running = task(
        f"{SDK}sfn:listExecutions",
        {"StateMachineArn.$": "$$.StateMachine.Id", "StatusFilter": "RUNNING", "MaxResults": 2},
    )
    (execution,) = machines.output(chain(List=running))["Executions"]
    assert execution["Status"] == "RUNNING"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", execution["StartDate"])


def test_an_s3_object_is_read_as_text(machines: Machines) -> None:
    output = machines.output(
        chain(Get=task(f"{SDK}s3:getObject", {"Bucket": BUCKET, "Key": "jobs/good.py"}))
    )
    assert output["Body"] == "print('fine')\n"


# --- the language


def test_a_choice_without_a_match_names_its_state(machines: Machines) -> None:
    choose = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.a", "StringEquals": "x", "Next": "End"}],
    }
    result = machines.run(chain(Choose=choose, End={"Type": "Succeed"}), {"a": "y"})
    assert (result["status"], result["error"]) == ("FAILED", "States.NoChoiceMatched")
    assert "'Choose'" in result["cause"]


def test_retries_are_limited_and_the_input_is_kept(machines: Machines) -> None:
    retry = [
        {
            "ErrorEquals": ["EMR.AmazonElasticMapReduceException"],
            "MaxAttempts": 2,
            "IntervalSeconds": 1,
            "BackoffRate": 1,
        }
    ]
    states = chain(
        Try=step(
            Retry=retry,
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Caught"}],
        )
    )
    states["States"]["Caught"] = {"Type": "Pass", "End": True}
    execution = machines.start(states, {"cluster": "j-NONE"})
    output = json.loads(machines.wait(execution)["output"])
    assert output.keys() == {"cluster", "failure"}
    assert [event["type"] for event in machines.events(execution)].count("TaskFailed") == 3


def test_a_fail_state_passes_on_error_and_cause(machines: Machines, bare: str) -> None:
    states = chain(
        Try=step(
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Failed"}]
        )
    )
    states["States"]["Failed"] = {
        "Type": "Fail",
        "ErrorPath": "$.failure.Error",
        "CausePath": "$.failure.Cause",
    }
    result = machines.run(states, {"cluster": bare})
    assert (result["status"], result["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(result["cause"])["Step"]["Status"]["State"] == "FAILED"


def test_intrinsic_functions_accept_the_start_time(machines: Machines) -> None:
    day = {
        "day.$": "States.ArrayGetItem(States.StringSplit($$.Execution.StartTime, 'T'), 0)",
        "id.$": "$$.Execution.StartTime",
    }
    output = machines.output(chain(Day={"Type": "Pass", "Parameters": day}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", output["id"])
    assert output["id"].startswith(output["day"] + "T")


def test_intrinsic_functions_accept_unicode_text(machines: Machines) -> None:
    calls = {
        "format": ("States.Format('ü {}', $.t)", "ü 日本"),
        "array": ("States.Array('ß', $.t)", ["ß", "日本"]),
        "json": ("States.StringToJson(States.Format('\\{\"ä\": 1\\}'))", {"ä": 1}),
        "hash": ("States.Hash('ü', 'SHA-1')", "94a759fd37735430753c7b6b80684306d80ea16e"),
        "split": ("States.StringSplit('aöb', 'ö')", ["a", "b"]),
    }
    state = {
        "Type": "Pass",
        "Parameters": {f"{name}.$": call for name, (call, _) in calls.items()},
        "End": True,
    }
    definition = json.dumps({"StartAt": "Ü", "States": {"Ü": state}}, ensure_ascii=False)
    assert machines.output(definition, {"t": "日本"}) == {
        name: value for name, (_, value) in calls.items()
    }


def test_a_parameter_of_a_wrong_type_is_a_runtime_error(machines: Machines) -> None:
    result = machines.run(
        chain(List=task(f"{SDK}emr:listSteps", {"ClusterId": "j-1", "StepIds": "s-1"}))
    )
    assert (result["status"], result["error"]) == ("FAILED", "States.Runtime")
    assert "StepIds" in result["cause"]


def test_a_state_machine_can_run_several_times(machines: Machines) -> None:
    machine = machines.create(chain(Pass={"Type": "Pass"}))
    runs = [machines.sfn.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)]
    assert [machines.wait(run)["status"] for run in runs] == ["SUCCEEDED"] * 3


def test_the_history_is_paged_and_reversible(machines: Machines) -> None:
    execution = machines.start(chain(A={"Type": "Pass"}, B={"Type": "Pass"}))
    machines.wait(execution)
    pages = machines.sfn.get_paginator("get_execution_history").paginate(
        executionArn=execution, reverseOrder=True, PaginationConfig={"PageSize": 4}
    )
    ids = [[event["id"] for event in page["events"]] for page in pages]
    assert ids == [[6, 5, 4, 3], [2, 1]]


# --- creation and updates


@pytest.mark.parametrize("role", ["NoSuchRole", "WorkflowTestUntrusted"])
def test_a_state_machine_needs_a_role_that_step_functions_may_assume(
    machines: Machines, role: str
) -> None:
    with pytest.raises(
        ClientError, match="nor the regional one is authorized to assume the provided role"
    ) as caught_error:
        machines.create(chain(A={"Type": "Pass"}), roleArn=f"arn:aws:iam::123456789012:role/{role}")
    assert caught_error.value.response["Error"]["Code"] == "AccessDeniedException"


def test_an_invalid_definition_is_rejected_on_creation_and_update(machines: Machines) -> None:
    good, broken = chain(A={"Type": "Pass"}), chain(A={"Type": "Pass", "Next": "Gone"})
    with pytest.raises(
        machines.sfn.exceptions.InvalidDefinition,
        match="Missing 'Next' target: Gone at /States/A/Next",
    ):
        machines.create(broken, name="broken")
    assert "broken" not in {
        machine["name"] for machine in machines.sfn.list_state_machines()["stateMachines"]
    }
    machine = machines.create(good)
    with pytest.raises(machines.sfn.exceptions.InvalidDefinition):
        machines.sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(broken))
    assert (
        json.loads(machines.sfn.describe_state_machine(stateMachineArn=machine)["definition"])
        == good
    )


def test_unsupported_state_machines_are_rejected_by_name(machines: Machines) -> None:
    state = task("arn:aws:states:::batch:submitJob.sync", {})
    with pytest.raises(
        ClientError, match="LocalAwsNotSupported.*batch:submitJob.sync at /States/A"
    ):
        machines.create(chain(A=state))
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*EXPRESS"):
        machines.create(chain(A={"Type": "Pass"}), type="EXPRESS")


def test_a_definition_can_be_validated(machines: Machines) -> None:
    assert (
        machines.sfn.validate_state_machine_definition(
            definition=json.dumps(chain(A={"Type": "Pass"}))
        )["result"]
        == "OK"
    )
    response = machines.sfn.validate_state_machine_definition(
        definition=json.dumps(chain(A={"Type": "Pass", "Next": "Gone"}))
    )
    assert response["result"] == "FAIL"
    assert response["diagnostics"] == [
        {
            "severity": "ERROR",
            "code": "MISSING_TRANSITION_TARGET",
            "message": "Missing 'Next' target: Gone",
            "location": "/States/A/Next",
        }
    ]


def test_creating_the_same_state_machine_again_returns_the_first(machines: Machines) -> None:
    request = {
        "name": "twice",
        "definition": json.dumps(chain(A={"Type": "Pass"})),
        "roleArn": ROLE,
    }
    created = machines.sfn.create_state_machine(**request)
    retry = machines.sfn.create_state_machine(
        **request | {"roleArn": f"{ROLE}Other"}, tags=[{"key": "k", "value": "v"}]
    )
    assert (retry["stateMachineArn"], retry["creationDate"]) == (
        created["stateMachineArn"],
        created["creationDate"],
    )
    assert (
        machines.sfn.describe_state_machine(stateMachineArn=created["stateMachineArn"])["roleArn"]
        == ROLE
    )


@pytest.mark.parametrize(
    "difference",
    [
        {"definition": json.dumps({"StartAt": "B", "States": {"B": {"Type": "Succeed"}}})},
        {"tracingConfiguration": {"enabled": True}},
    ],
)
def test_another_state_machine_of_the_same_name_is_rejected(
    machines: Machines, difference: dict[str, Any]
) -> None:
    request = {
        "name": "taken",
        "definition": json.dumps(chain(A={"Type": "Pass"})),
        "roleArn": ROLE,
    }
    machines.sfn.create_state_machine(**request)
    with pytest.raises(machines.sfn.exceptions.StateMachineAlreadyExists):
        machines.sfn.create_state_machine(**request | difference)


def test_the_log_group_has_to_exist(machines: Machines, client: Callable[[str], Any]) -> None:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/states/workflow-test"
    client("logs").create_log_group(logGroupName="/aws/vendedlogs/states/workflow-test")

    def logging(arn: str) -> dict[str, Any]:
        return {
            "level": "ERROR",
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
        }

    for wrong in (arn, f"{arn}-2:*"):
        with pytest.raises(machines.sfn.exceptions.InvalidLoggingConfiguration):
            machines.create(chain(A={"Type": "Pass"}), loggingConfiguration=logging(wrong))
    assert machines.create(chain(A={"Type": "Pass"}), loggingConfiguration=logging(f"{arn}:*"))


def test_a_stopped_server_stops_its_own_executions_only(machines: Machines, tmp_path: Path) -> None:
    wait = chain(Wait={"Type": "Wait", "Seconds": 60})
    running_here = machines.start(wait)
    other_server = LocalAws(tmp_path)
    other_server.start()
    machine = machines.create(wait)
    running_there = (
        Clients(other_server.url)
        .client("stepfunctions")
        .start_execution(stateMachineArn=machine)["executionArn"]
    )
    other_server.stop()
    assert machines.sfn.describe_execution(executionArn=running_there)["status"] == "ABORTED"
    assert machines.sfn.describe_execution(executionArn=running_here)["status"] == "RUNNING"
    machines.sfn.stop_execution(executionArn=running_here)
    assert machines.output(chain(List=task(f"{SDK}s3:listBuckets", {})))["Buckets"]
