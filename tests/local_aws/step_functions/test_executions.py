"""Step Functions against the running stand-in: definitions that really run, on real clusters and
real queries."""

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


class Workflow:
    """Makes state machines and runs them."""

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
        made = self.sfn.create_state_machine(
            **{"name": name, "definition": text, "roleArn": ROLE, **more}
        )
        return str(made["stateMachineArn"])

    def start(self, definition: dict[str, Any] | str, data: Any = None) -> str:
        machine = self.create(definition)
        return str(
            self.sfn.start_execution(stateMachineArn=machine, input=json.dumps(data or {}))[
                "executionArn"
            ]
        )

    def wait(self, execution: str, seconds: float = 30) -> dict[str, Any]:
        """The execution at its end."""
        deadline = time.monotonic() + seconds
        while (found := self.sfn.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, self.events(execution)
            time.sleep(0.02)
        return dict(found)

    def run(self, definition: dict[str, Any] | str, data: Any = None) -> dict[str, Any]:
        return self.wait(self.start(definition, data))

    def output(self, definition: dict[str, Any] | str, data: Any = None) -> Any:
        ended = self.run(definition, data)
        assert ended["status"] == "SUCCEEDED", ended
        return json.loads(ended["output"])

    def events(self, execution: str) -> list[dict[str, Any]]:
        return list(
            self.sfn.get_execution_history(executionArn=execution, maxResults=1000)["events"]
        )

    def until(self, execution: str, event: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while event not in (found["type"] for found in self.events(execution)):
            assert time.monotonic() < deadline, self.events(execution)
            time.sleep(0.02)

    def state(self, cluster: str) -> str:
        return str(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])

    def step_states(self, cluster: str, name: str) -> list[str]:
        steps = self.emr.list_steps(ClusterId=cluster)["Steps"]
        return [found["Status"]["State"] for found in steps if found["Name"] == name]

    def until_step(self, cluster: str, name: str, state: str, seconds: float = 10) -> None:
        deadline = time.monotonic() + seconds
        while self.step_states(cluster, name) != [state]:
            assert time.monotonic() < deadline, self.step_states(cluster, name)
            time.sleep(0.02)


@pytest.fixture(scope="session")
def workflow(client: Callable[[str], Any]) -> Workflow:
    return Workflow(client)


@pytest.fixture(scope="session")
def busy(workflow: Workflow) -> Iterator[str]:
    """A cluster whose one step at a time runs for a minute: all others are PENDING for as long as a
    test takes."""
    cluster_id = workflow.emr.run_job_flow(**CLUSTER)["JobFlowId"]
    workflow.emr.add_job_flow_steps(JobFlowId=cluster_id, Steps=[spark_submit("sleep")])
    yield cluster_id
    workflow.emr.terminate_job_flows(JobFlowIds=[cluster_id])


@pytest.fixture(scope="session")
def bare(workflow: Workflow) -> Iterator[str]:
    """A cluster without Spark, on which every step fails at once."""
    cluster_id = workflow.emr.run_job_flow(**CLUSTER | {"Applications": []})["JobFlowId"]
    yield cluster_id
    workflow.emr.terminate_job_flows(JobFlowIds=[cluster_id])


def chain(**states: dict[str, Any]) -> dict[str, Any]:
    """A definition of ``states`` one after the other, but for those that say otherwise."""
    names = list(states)
    follow: list[dict[str, Any]] = [*({"Next": name} for name in names[1:]), {"End": True}]
    linked = {name: _linked(states[name], way) for name, way in zip(names, follow, strict=True)}
    return {"StartAt": names[0], "States": linked}


def _linked(state: dict[str, Any], way: dict[str, Any]) -> dict[str, Any]:
    goes_already = state.keys() & {"Next", "End"} or state["Type"] in ("Succeed", "Fail", "Choice")
    return state if goes_already else state | way


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
    """``state``, and its error as the execution's output."""
    states = chain(
        Try=state
        | {"Catch": [{"ErrorEquals": list(errors), "ResultPath": "$.failure", "Next": "Caught"}]}
    )
    states["States"]["Caught"] = {"Type": "Pass", "InputPath": "$.failure", "End": True}
    return states


# EMR


def test_a_cluster_is_made_and_goes_again(workflow: Workflow) -> None:
    terminate = task(f"{EMR}terminateCluster.sync", {"ClusterId.$": "$.made.ClusterId"})
    made = workflow.output(
        chain(Make=task(f"{EMR}createCluster.sync", CLUSTER, ResultPath="$.made"), End=terminate)
    )
    assert workflow.state(made["ClusterId"]) == "TERMINATED"
    assert made["Cluster"]["Status"]["State"] == "TERMINATED"


def test_a_failed_step_is_a_failed_task_with_the_step_as_its_cause(
    workflow: Workflow, bare: str
) -> None:
    failure = workflow.output(caught(step(), "States.TaskFailed"), {"cluster": bare})
    assert failure["Error"] == "States.TaskFailed"
    found = json.loads(failure["Cause"])["Step"]
    assert (found["Name"], found["Status"]["State"]) == ("sleep", "FAILED")
    assert "spark-submit" in found["Status"]["FailureDetails"]["Message"]


def test_a_step_that_runs_well_is_described(workflow: Workflow) -> None:
    made = task(f"{EMR}createCluster", CLUSTER, ResultPath="$.made")
    work = task(
        f"{EMR}addStep.sync",
        {"ClusterId.$": "$.made.ClusterId", "Step": spark_submit("good")},
        ResultPath="$.step",
    )
    off = task(f"{EMR}terminateCluster", {"ClusterId.$": "$.made.ClusterId"}, ResultPath="$.off")
    ended = workflow.output(chain(Make=made, Work=work, Off=off))
    assert ended["step"]["Step"]["Status"]["State"] == "COMPLETED"
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT.*Z", ended["step"]["Step"]["Status"]["Timeline"]["EndDateTime"]
    )
    assert ended["off"] == {}


def test_a_refused_call_has_the_integrations_one_error_name(workflow: Workflow) -> None:
    failure = workflow.output(
        caught(step(), "EMR.AmazonElasticMapReduceException"), {"cluster": "j-NONE"}
    )
    said = (
        "Specified job flow ID does not exist. (Service: AmazonElasticMapReduce; Status Code: 400; "
    )
    assert failure["Cause"].startswith(f"{said}Error Code: ValidationException; Request ID: ")


def test_a_cluster_that_does_not_start_is_refused(workflow: Workflow) -> None:
    failure = workflow.output(
        caught(
            task(f"{EMR}createCluster.sync", CLUSTER | {"ReleaseLabel": "emr-0.0.0"}), "States.ALL"
        )
    )
    assert (failure["Error"], "emr-0.0.0" in failure["Cause"]) == (
        "EMR.AmazonElasticMapReduceException",
        True,
    )


def test_steps_are_cancelled_and_clusters_protected(workflow: Workflow, busy: str) -> None:
    cluster = {"ClusterId.$": "$.cluster"}
    add = task(f"{EMR}addStep", {**cluster, "Step": spark_submit("sleep")}, ResultPath="$.added")
    cancel = task(
        f"{EMR}cancelStep", {**cluster, "StepId.$": "$.added.StepId"}, ResultPath="$.cancelled"
    )
    protect = task(
        f"{EMR}setClusterTerminationProtection",
        {**cluster, "TerminationProtected": True},
        ResultPath=None,
    )
    release = task(
        f"{EMR}setClusterTerminationProtection",
        {**cluster, "TerminationProtected": False},
        ResultPath=None,
    )
    terminate = caught(
        task(f"{EMR}terminateCluster", cluster), "EMR.AmazonElasticMapReduceException"
    )
    guarded = {"Type": "Parallel", "Branches": [terminate], "ResultPath": "$.refused"}
    ended = workflow.output(
        chain(Add=add, Cancel=cancel, Protect=protect, Off=guarded, Release=release),
        {"cluster": busy},
    )
    assert ended["cancelled"]["CancelStepsInfo"]["Status"] == "SUBMITTED"
    assert "termination protected" in ended["refused"][0]["Cause"]


# stopping and timing out


def test_stopping_cancels_the_step_and_leaves_the_cluster(workflow: Workflow, busy: str) -> None:
    execution = workflow.start(chain(Work=step("stopped")), {"cluster": busy})
    workflow.until(execution, "TaskSubmitted")
    answer = workflow.sfn.stop_execution(
        executionArn=execution, error="Enough", cause="seen it all"
    )
    ended = workflow.sfn.describe_execution(executionArn=execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Enough", "seen it all")
    assert ended["stopDate"] == answer["stopDate"]
    last = workflow.events(execution)[-1]
    assert (last["type"], last["executionAbortedEventDetails"]) == (
        "ExecutionAborted",
        {"error": "Enough", "cause": "seen it all"},
    )
    assert workflow.step_states(busy, "stopped") == ["CANCELLED"]
    assert workflow.state(busy) == "RUNNING"


def test_an_execution_can_be_stopped_at_once(workflow: Workflow) -> None:
    execution = workflow.start(chain(Wait={"Type": "Wait", "Seconds": 60}))
    workflow.sfn.stop_execution(executionArn=execution)
    assert workflow.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_an_execution_can_be_stopped_while_it_waits_to_retry(workflow: Workflow) -> None:
    again = {"ErrorEquals": ["States.ALL"], "IntervalSeconds": 60}
    execution = workflow.start(chain(Try=step(Retry=[again])), {"cluster": "j-NONE"})
    workflow.until(execution, "TaskFailed")
    workflow.sfn.stop_execution(executionArn=execution)
    assert workflow.sfn.describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_an_execution_that_takes_too_long_times_out(workflow: Workflow, busy: str) -> None:
    slow = {"Type": "Parallel", "Branches": [chain(Work=step("late"))]}
    execution = workflow.start({**chain(All=slow), "TimeoutSeconds": 1}, {"cluster": busy})
    ended = workflow.wait(execution)
    assert (ended["status"], "stopDate" in ended) == ("TIMED_OUT", True)
    workflow.until(execution, "ExecutionTimedOut")
    assert workflow.events(execution)[-1]["type"] == "ExecutionTimedOut"
    assert workflow.step_states(busy, "late") == ["CANCELLED"]
    (listed,) = workflow.sfn.list_executions(
        stateMachineArn=ended["stateMachineArn"], statusFilter="TIMED_OUT"
    )["executions"]
    assert listed["stopDate"] == ended["stopDate"]


def test_a_task_that_takes_too_long_fails_with_its_own_error(workflow: Workflow, busy: str) -> None:
    failure = workflow.output(
        caught(step("too-long", TimeoutSeconds=1), "States.Timeout"), {"cluster": busy}
    )
    assert failure["Error"] == "States.Timeout"
    workflow.until_step(busy, "too-long", "CANCELLED")


def test_a_branch_that_fails_ends_its_siblings(workflow: Workflow, busy: str, bare: str) -> None:
    sibling = chain(Slow=step("sibling"))
    failing = chain(
        Pause={"Type": "Wait", "Seconds": 1},
        Bad=task(f"{EMR}addStep.sync", {"ClusterId": bare, "Step": spark_submit("bad")}),
    )
    ended = workflow.output(
        caught({"Type": "Parallel", "Branches": [sibling, failing]}, "States.TaskFailed"),
        {"cluster": busy},
    )
    assert json.loads(ended["Cause"])["Step"]["Name"] == "bad"
    workflow.until_step(busy, "sibling", "CANCELLED")


# Athena


def test_a_query_runs(workflow: Workflow) -> None:
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
    assert workflow.output(chain(Query=query, Rows=rows)) == {"one": "1"}


def test_a_query_that_fails_is_a_failed_task(workflow: Workflow) -> None:
    query = task(
        "arn:aws:states:::athena:startQueryExecution.sync", athena("SELECT * FROM nothing_like_it")
    )
    failure = workflow.output(caught(query, "States.TaskFailed"))
    assert json.loads(failure["Cause"])["QueryExecution"]["Status"]["State"] == "FAILED"


def test_a_query_that_is_refused_has_athenas_error(workflow: Workflow) -> None:
    query = task(
        "arn:aws:states:::athena:startQueryExecution.sync",
        athena("SELECT 1") | {"WorkGroup": "no-such-group"},
    )
    assert workflow.output(caught(query, "States.ALL"))["Error"] == "Athena.InvalidRequestException"


# the AWS SDK


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
def test_errors_of_the_sdk_have_their_services_name(
    workflow: Workflow, action: str, parameters: dict[str, Any], error: str
) -> None:
    failure = workflow.output(caught(task(f"{SDK}{action}", parameters), error))
    assert (failure["Error"], "Status Code: 4" in failure["Cause"]) == (error, True)


def test_the_sdk_answers_in_step_functions_spelling(workflow: Workflow) -> None:
    running = task(
        f"{SDK}sfn:listExecutions",
        {"StateMachineArn.$": "$$.StateMachine.Id", "StatusFilter": "RUNNING", "MaxResults": 2},
    )
    (execution,) = workflow.output(chain(List=running))["Executions"]
    assert execution["Status"] == "RUNNING"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", execution["StartDate"])


def test_objects_are_read(workflow: Workflow) -> None:
    got = workflow.output(
        chain(Get=task(f"{SDK}s3:getObject", {"Bucket": BUCKET, "Key": "jobs/good.py"}))
    )
    assert got["Body"] == "print('fine')\n"


# the language


def test_a_choice_that_matches_nothing_says_so(workflow: Workflow) -> None:
    choose = {
        "Type": "Choice",
        "Choices": [{"Variable": "$.a", "StringEquals": "x", "Next": "End"}],
    }
    ended = workflow.run(chain(Choose=choose, End={"Type": "Succeed"}), {"a": "y"})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.NoChoiceMatched")
    assert "'Choose'" in ended["cause"]


def test_retries_are_counted_and_the_rest_of_the_input_is_kept(workflow: Workflow) -> None:
    again = [
        {
            "ErrorEquals": ["EMR.AmazonElasticMapReduceException"],
            "MaxAttempts": 2,
            "IntervalSeconds": 1,
            "BackoffRate": 1,
        }
    ]
    states = chain(
        Try=step(
            Retry=again,
            Catch=[{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Caught"}],
        )
    )
    states["States"]["Caught"] = {"Type": "Pass", "End": True}
    execution = workflow.start(states, {"cluster": "j-NONE"})
    kept = json.loads(workflow.wait(execution)["output"])
    assert kept.keys() == {"cluster", "failure"}
    assert [event["type"] for event in workflow.events(execution)].count("TaskFailed") == 3


def test_the_first_error_ends_the_execution_as_a_fail_state_passes_it_on(
    workflow: Workflow, bare: str
) -> None:
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
    ended = workflow.run(states, {"cluster": bare})
    assert (ended["status"], ended["error"]) == ("FAILED", "States.TaskFailed")
    assert json.loads(ended["cause"])["Step"]["Status"]["State"] == "FAILED"


def test_the_start_time_is_text_that_intrinsic_functions_take(workflow: Workflow) -> None:
    day = {
        "day.$": "States.ArrayGetItem(States.StringSplit($$.Execution.StartTime, 'T'), 0)",
        "id.$": "$$.Execution.StartTime",
    }
    output = workflow.output(chain(Day={"Type": "Pass", "Parameters": day}))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", output["id"])
    assert output["id"].startswith(output["day"] + "T")


def test_intrinsic_functions_take_text_as_it_is_written(workflow: Workflow) -> None:
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
    assert workflow.output(definition, {"t": "日本"}) == {
        name: value for name, (_, value) in calls.items()
    }


def test_a_parameter_of_a_wrong_type_fails_its_state_and_is_named(workflow: Workflow) -> None:
    ended = workflow.run(
        chain(List=task(f"{SDK}emr:listSteps", {"ClusterId": "j-1", "StepIds": "s-1"}))
    )
    assert (ended["status"], ended["error"]) == ("FAILED", "States.Runtime")
    assert "StepIds" in ended["cause"]


def test_a_machine_runs_again_and_again(workflow: Workflow) -> None:
    machine = workflow.create(chain(Pass={"Type": "Pass"}))
    runs = [workflow.sfn.start_execution(stateMachineArn=machine)["executionArn"] for _ in range(3)]
    assert [workflow.wait(run)["status"] for run in runs] == ["SUCCEEDED"] * 3


def test_the_history_comes_in_pages_and_backwards(workflow: Workflow) -> None:
    execution = workflow.start(chain(A={"Type": "Pass"}, B={"Type": "Pass"}))
    workflow.wait(execution)
    pages = workflow.sfn.get_paginator("get_execution_history").paginate(
        executionArn=execution, reverseOrder=True, PaginationConfig={"PageSize": 4}
    )
    ids = [[event["id"] for event in page["events"]] for page in pages]
    assert ids == [[6, 5, 4, 3], [2, 1]]


# making and changing


@pytest.mark.parametrize("role", ["NoSuchRole", "WorkflowTestUntrusted"])
def test_a_role_that_step_functions_cannot_assume_is_refused(workflow: Workflow, role: str) -> None:
    with pytest.raises(
        ClientError, match="nor the regional one is authorized to assume the provided role"
    ) as caught_error:
        workflow.create(chain(A={"Type": "Pass"}), roleArn=f"arn:aws:iam::123456789012:role/{role}")
    assert caught_error.value.response["Error"]["Code"] == "AccessDeniedException"


def test_a_broken_definition_is_neither_made_nor_taken_over(workflow: Workflow) -> None:
    good, broken = chain(A={"Type": "Pass"}), chain(A={"Type": "Pass", "Next": "Gone"})
    with pytest.raises(
        workflow.sfn.exceptions.InvalidDefinition,
        match="Missing 'Next' target: Gone at /States/A/Next",
    ):
        workflow.create(broken, name="broken")
    assert "broken" not in {
        machine["name"] for machine in workflow.sfn.list_state_machines()["stateMachines"]
    }
    machine = workflow.create(good)
    with pytest.raises(workflow.sfn.exceptions.InvalidDefinition):
        workflow.sfn.update_state_machine(stateMachineArn=machine, definition=json.dumps(broken))
    assert (
        json.loads(workflow.sfn.describe_state_machine(stateMachineArn=machine)["definition"])
        == good
    )


def test_work_that_cannot_run_here_is_refused_by_name(workflow: Workflow) -> None:
    state = task("arn:aws:states:::batch:submitJob.sync", {})
    with pytest.raises(
        ClientError, match="LocalAwsNotSupported.*batch:submitJob.sync at /States/A"
    ):
        workflow.create(chain(A=state))
    with pytest.raises(ClientError, match="LocalAwsNotSupported.*EXPRESS"):
        workflow.create(chain(A={"Type": "Pass"}), type="EXPRESS")


def test_a_definition_is_validated_without_being_made(workflow: Workflow) -> None:
    assert (
        workflow.sfn.validate_state_machine_definition(
            definition=json.dumps(chain(A={"Type": "Pass"}))
        )["result"]
        == "OK"
    )
    answer = workflow.sfn.validate_state_machine_definition(
        definition=json.dumps(chain(A={"Type": "Pass", "Next": "Gone"}))
    )
    assert answer["result"] == "FAIL"
    assert answer["diagnostics"] == [
        {
            "severity": "ERROR",
            "code": "MISSING_TRANSITION_TARGET",
            "message": "Missing 'Next' target: Gone",
            "location": "/States/A/Next",
        }
    ]


def test_making_the_same_machine_again_gives_the_same_answer(workflow: Workflow) -> None:
    one = {"name": "twice", "definition": json.dumps(chain(A={"Type": "Pass"})), "roleArn": ROLE}
    made = workflow.sfn.create_state_machine(**one)
    again = workflow.sfn.create_state_machine(
        **one | {"roleArn": f"{ROLE}Other"}, tags=[{"key": "k", "value": "v"}]
    )
    assert (again["stateMachineArn"], again["creationDate"]) == (
        made["stateMachineArn"],
        made["creationDate"],
    )
    assert (
        workflow.sfn.describe_state_machine(stateMachineArn=made["stateMachineArn"])["roleArn"]
        == ROLE
    )


@pytest.mark.parametrize(
    "other",
    [
        {"definition": json.dumps({"StartAt": "B", "States": {"B": {"Type": "Succeed"}}})},
        {"tracingConfiguration": {"enabled": True}},
    ],
)
def test_another_machine_of_the_same_name_is_refused(
    workflow: Workflow, other: dict[str, Any]
) -> None:
    one = {"name": "taken", "definition": json.dumps(chain(A={"Type": "Pass"})), "roleArn": ROLE}
    workflow.sfn.create_state_machine(**one)
    with pytest.raises(workflow.sfn.exceptions.StateMachineAlreadyExists):
        workflow.sfn.create_state_machine(**one | other)


def test_the_log_group_has_to_be_there(workflow: Workflow, client: Callable[[str], Any]) -> None:
    arn = "arn:aws:logs:us-east-1:123456789012:log-group:/aws/vendedlogs/states/workflow-test"
    client("logs").create_log_group(logGroupName="/aws/vendedlogs/states/workflow-test")

    def logging(arn: str) -> dict[str, Any]:
        return {
            "level": "ERROR",
            "destinations": [{"cloudWatchLogsLogGroup": {"logGroupArn": arn}}],
        }

    for wrong in (arn, f"{arn}-2:*"):
        with pytest.raises(workflow.sfn.exceptions.InvalidLoggingConfiguration):
            workflow.create(chain(A={"Type": "Pass"}), loggingConfiguration=logging(wrong))
    assert workflow.create(chain(A={"Type": "Pass"}), loggingConfiguration=logging(f"{arn}:*"))


def test_a_server_that_ends_stops_its_executions_and_leaves_those_of_others_alone(
    workflow: Workflow, tmp_path: Path
) -> None:
    wait = chain(Wait={"Type": "Wait", "Seconds": 60})
    ours = workflow.start(wait)
    other = LocalAws(tmp_path)
    other.start()
    machine = workflow.create(wait)
    theirs = (
        Clients(other.url)
        .client("stepfunctions")
        .start_execution(stateMachineArn=machine)["executionArn"]
    )
    other.stop()
    assert workflow.sfn.describe_execution(executionArn=theirs)["status"] == "ABORTED"
    assert workflow.sfn.describe_execution(executionArn=ours)["status"] == "RUNNING"
    workflow.sfn.stop_execution(executionArn=ours)
    assert workflow.output(chain(List=task(f"{SDK}s3:listBuckets", {})))["Buckets"]
