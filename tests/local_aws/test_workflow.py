"""Step Functions against the running stand-in: definitions that really run, on real clusters and real queries."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

ROLE = "arn:aws:iam::123456789012:role/WorkflowTest"
BUCKET = "workflow-test-lake"
TRUST = {"Effect": "Allow", "Principal": {"Service": "states.amazonaws.com"}, "Action": "sts:AssumeRole"}
EMR = "arn:aws:states:::elasticmapreduce:"
SDK = "arn:aws:states:::aws-sdk:"

CLUSTER = {
    "Name": "workflow-test",
    "ReleaseLabel": "emr-7.13.0",
    "ServiceRole": "WorkflowTestNodes",
    "JobFlowRole": "WorkflowTestNodes",
    "Applications": [{"Name": "Spark"}],
    "StepConcurrencyLevel": 2,
    "Instances": {
        "KeepJobFlowAliveWhenNoSteps": True,
        "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}],
    },
}
SLEEPER = f"s3://{BUCKET}/jobs/sleep.py"  # a job that needs no Spark and takes a minute


class Workflow:
    """Makes state machines and runs them."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        self.sfn, self.emr = client("stepfunctions"), client("emr")
        self._numbers = itertools.count(1)
        self._prepare(client("iam"), client("s3"))

    def _prepare(self, iam: Any, s3: Any) -> None:
        for role, statements in (("WorkflowTest", [TRUST]), ("WorkflowTestNodes", []), ("WorkflowTestUntrusted", [])):
            document = json.dumps({"Version": "2012-10-17", "Statement": statements})
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
        iam.create_instance_profile(InstanceProfileName="WorkflowTestNodes")
        iam.add_role_to_instance_profile(InstanceProfileName="WorkflowTestNodes", RoleName="WorkflowTestNodes")
        s3.create_bucket(Bucket=BUCKET)
        s3.put_object(Bucket=BUCKET, Key="jobs/sleep.py", Body=b"import time\ntime.sleep(60)\n")
        s3.put_object(Bucket=BUCKET, Key="jobs/fail.py", Body=b"raise ValueError('no rentals')\n")

    def create(self, definition: dict[str, Any], **more: Any) -> str:
        name = f"workflow-{next(self._numbers)}"
        made = self.sfn.create_state_machine(**{"name": name, "definition": json.dumps(definition), "roleArn": ROLE, **more})
        return str(made["stateMachineArn"])

    def start(self, definition: dict[str, Any], data: Any = None) -> str:
        machine = self.create(definition)
        return str(self.sfn.start_execution(stateMachineArn=machine, input=json.dumps(data or {}))["executionArn"])

    def wait(self, execution: str, seconds: float = 30) -> dict[str, Any]:
        """The execution at its end."""
        deadline = time.monotonic() + seconds
        while (found := self.sfn.describe_execution(executionArn=execution))["status"] == "RUNNING":
            assert time.monotonic() < deadline, self.events(execution)
            time.sleep(0.02)
        return dict(found)

    def run(self, definition: dict[str, Any], data: Any = None) -> dict[str, Any]:
        return self.wait(self.start(definition, data))

    def output(self, definition: dict[str, Any], data: Any = None) -> Any:
        ended = self.run(definition, data)
        assert ended["status"] == "SUCCEEDED", ended
        return json.loads(ended["output"])

    def events(self, execution: str) -> list[dict[str, Any]]:
        return list(self.sfn.get_execution_history(executionArn=execution, maxResults=1000)["events"])

    def until(self, execution: str, event: str, seconds: float = 20) -> None:
        deadline = time.monotonic() + seconds
        while event not in (found["type"] for found in self.events(execution)):
            assert time.monotonic() < deadline, self.events(execution)
            time.sleep(0.02)

    def state(self, cluster: str) -> str:
        return str(self.emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])


@pytest.fixture(scope="session")
def workflow(client: Callable[[str], Any]) -> Workflow:
    return Workflow(client)


@pytest.fixture
def cluster(workflow: Workflow) -> Any:
    cluster_id = workflow.emr.run_job_flow(**CLUSTER)["JobFlowId"]
    yield cluster_id
    workflow.emr.terminate_job_flows(JobFlowIds=[cluster_id])


def chain(**states: dict[str, Any]) -> dict[str, Any]:
    """A definition of ``states`` one after the other, but for those that say otherwise."""
    names = list(states)
    linked = {
        name: state if state.keys() & {"Next", "End"} or state["Type"] in ("Succeed", "Fail", "Choice") else state | follow
        for (name, state), follow in zip(states.items(), [*({"Next": name} for name in names[1:]), {"End": True}], strict=True)
    }
    return {"StartAt": names[0], "States": linked}


def task(resource: str, parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": resource, "Parameters": parameters, **more}


def step(job: str, **more: Any) -> dict[str, Any]:
    args = ["spark-submit", f"s3://{BUCKET}/jobs/{job}.py"]
    config = {"Name": job, "ActionOnFailure": "CONTINUE", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": args}}
    return task(f"{EMR}addStep.sync", {"ClusterId.$": "$.cluster", "Step": config}, **more)


def caught(state: dict[str, Any], *errors: str) -> dict[str, Any]:
    """``state``, and its error as the execution's output."""
    states = chain(Try=state | {"Catch": [{"ErrorEquals": list(errors), "ResultPath": "$.failure", "Next": "Caught"}]})
    states["States"]["Caught"] = {"Type": "Pass", "InputPath": "$.failure", "End": True}
    return states


# EMR


def test_a_cluster_is_made_and_goes_again(workflow: Workflow) -> None:
    terminate = task(f"{EMR}terminateCluster.sync", {"ClusterId.$": "$.made.ClusterId"})
    made = workflow.output(chain(Make=task(f"{EMR}createCluster.sync", CLUSTER, ResultPath="$.made"), End=terminate))
    assert workflow.state(made["ClusterId"]) == "TERMINATED"
    assert made["Cluster"]["Status"]["State"] == "TERMINATED"


def test_a_failed_step_is_a_failed_task_with_the_step_as_its_cause(workflow: Workflow, cluster: str) -> None:
    failure = workflow.output(caught(step("fail"), "States.TaskFailed"), {"cluster": cluster})
    assert failure["Error"] == "States.TaskFailed"
    status = json.loads(failure["Cause"])["Step"]["Status"]
    assert (status["State"], "no rentals" in status["FailureDetails"]["Message"]) == ("FAILED", True)


def test_a_refused_call_has_the_integrations_one_error_name(workflow: Workflow) -> None:
    failure = workflow.output(caught(step("fail"), "EMR.AmazonElasticMapReduceException"), {"cluster": "j-NONE"})
    assert failure["Cause"].startswith("Specified job flow ID does not exist. (Service: AmazonElasticMapReduce; Status Code: 400;")


def test_stopping_cancels_the_step_and_leaves_the_cluster(workflow: Workflow, cluster: str) -> None:
    execution = workflow.start(chain(Work=step("sleep")), {"cluster": cluster})
    workflow.until(execution, "TaskSubmitted")
    answer = workflow.sfn.stop_execution(executionArn=execution, error="Enough", cause="seen it all")
    ended = workflow.sfn.describe_execution(executionArn=execution)
    assert (ended["status"], ended["error"], ended["cause"]) == ("ABORTED", "Enough", "seen it all")
    assert ended["stopDate"] == answer["stopDate"]
    assert workflow.events(execution)[-1]["executionAbortedEventDetails"] == {"error": "Enough", "cause": "seen it all"}
    steps = workflow.emr.list_steps(ClusterId=cluster)["Steps"]
    assert [found["Status"]["State"] for found in steps] in (["CANCELLED"], ["CANCEL_PENDING"])
    assert workflow.state(cluster) in ("WAITING", "RUNNING", "STARTING")
