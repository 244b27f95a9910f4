"""Invalid definitions are rejected like on AWS; each mistake is made in a copy of a good one."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from local_aws.step_functions.definition import definition_problems

EMR = "arn:aws:states:::elasticmapreduce:"
SDK = "arn:aws:states:::aws-sdk:"

GOOD: dict[str, Any] = {
    "Comment": "a bit of everything",
    "StartAt": "Create",
    "TimeoutSeconds": 3600,
    "States": {
        "Create": {
            "Type": "Task",
            "Resource": f"{EMR}createCluster",
            "Parameters": {
                "Name.$": "States.Format('lake-{}', $$.Execution.Name)",
                "ReleaseLabel": "emr-7.13.0",
                "Instances": {"KeepJobFlowAliveWhenNoSteps": True, "InstanceGroups": []},
                "Tags": [{"Key": "execution", "Value.$": "$$.Execution.Id"}],
            },
            "ResultSelector": {"Id.$": "$.ClusterId"},
            "ResultPath": "$.cluster",
            "Retry": [{"ErrorEquals": ["EMR.AmazonElasticMapReduceException"], "MaxAttempts": 2}],
            "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failure", "Next": "Failed"}],
            "Next": "Work",
        },
        "Work": {
            "Type": "Parallel",
            "ResultPath": None,
            "Next": "Judge",
            "Branches": [
                {
                    "StartAt": "Step",
                    "States": {
                        "Step": {
                            "Type": "Task",
                            "Resource": f"{EMR}addStep.sync",
                            "Parameters": {
                                "ClusterId.$": "$.cluster.Id",
                                "Step": {
                                    "Name.$": "$.name",
                                    "ActionOnFailure": "CONTINUE",
                                    "HadoopJarStep": {
                                        "Jar": "command-runner.jar",
                                        "Args.$": "$.args",
                                    },
                                },
                            },
                            "End": True,
                        }
                    },
                },
                {
                    "StartAt": "Crawl",
                    "States": {
                        "Crawl": {
                            "Type": "Task",
                            "Resource": f"{SDK}glue:startCrawler",
                            "Parameters": {"Name": "crawler"},
                            "Next": "Others",
                        },
                        "Others": {
                            "Type": "Task",
                            "Resource": f"{SDK}sfn:listExecutions",
                            "Parameters": {
                                "StateMachineArn.$": "$$.StateMachine.Id",
                                "MaxResults": 2,
                            },
                            "End": True,
                        },
                    },
                },
            ],
        },
        "Judge": {
            "Type": "Choice",
            "Choices": [
                {
                    "And": [
                        {"Variable": "$.rows", "IsPresent": True},
                        {"Variable": "$.rows", "NumericGreaterThan": 0},
                    ],
                    "Next": "Each",
                }
            ],
            "Default": "Failed",
        },
        "Each": {
            "Type": "Map",
            "ItemsPath": "$.tables",
            "ItemSelector": {"table.$": "$$.Map.Item.Value"},
            "ItemProcessor": {
                "StartAt": "Check",
                "States": {
                    "Check": {
                        "Type": "Task",
                        "Resource": "arn:aws:states:::athena:startQueryExecution.sync",
                        "Parameters": {"QueryString.$": "$.sql", "WorkGroup": "primary"},
                        "End": True,
                    }
                },
            },
            "Next": "Pause",
        },
        "Pause": {"Type": "Wait", "SecondsPath": "$.seconds", "Next": "Done"},
        "Done": {"Type": "Succeed"},
        "Failed": {
            "Type": "Fail",
            "ErrorPath": "$.failure.Error",
            "CausePath": "States.Format('{}', $.failure.Cause)",
        },
    },
}

Break = Callable[[dict[str, Any]], Any]


def problems(definition: dict[str, Any]) -> list[str]:
    return [str(problem) for problem in definition_problems(json.dumps(definition))]


def branch(states: dict[str, Any], number: int) -> dict[str, Any]:
    inner: dict[str, Any] = states["Work"]["Branches"][number]["States"]
    return inner


def test_a_good_definition_has_no_problems() -> None:
    assert problems(GOOD) == []


# change to the states of a copy, and the expected problem
BREAKS: dict[str, tuple[Break, str]] = {
    "next to nowhere": (
        lambda s: s["Pause"].update(Next="Gone"),
        "Missing 'Next' target: Gone at /States/Pause/Next",
    ),
    "default to nowhere": (
        lambda s: s["Judge"].update(Default="Gone"),
        "Missing 'Default' target: Gone at /States/Judge/Default",
    ),
    "choice to nowhere": (
        lambda s: s["Judge"]["Choices"][0].update(Next="Gone"),
        "Missing 'Next' target: Gone at /States/Judge/Choices[0]/Next",
    ),
    "catch to nowhere": (
        lambda s: s["Create"]["Catch"][0].update(Next="Gone"),
        "Missing 'Next' target: Gone at /States/Create/Catch[0]/Next",
    ),
    "out of a branch": (
        lambda s: branch(s, 1)["Crawl"].update(Next="Done"),
        "Missing 'Next' target: Done at /States/Work/Branches[1]/States/Crawl/Next",
    ),
    "a branch that starts nowhere": (
        lambda s: s["Work"]["Branches"][0].update(StartAt="Gone"),
        "Missing 'StartAt' target: Gone at /States/Work/Branches[0]/StartAt",
    ),
    "unreachable": (
        lambda s: s["Each"].update(Next="Done"),
        'State "Pause" is not reachable. at /States/Pause',
    ),
    "neither next nor end": (
        lambda s: s["Pause"].pop("Next"),
        "exactly one of the fields 'Next' and 'End'",
    ),
    "next and end": (
        lambda s: s["Pause"].update(End=True),
        "exactly one of the fields 'Next' and 'End'",
    ),
    "end is false": (lambda s: branch(s, 0)["Step"].update(End=False), "'End' must be true"),
    "same name in two branches": (
        lambda s: branch(s, 1).update(
            Others={"Type": "Pass", "Next": "Done"}, Done={"Type": "Succeed"}
        ),
        "Duplicate State name: Done at /States/Work/Branches[1]/States/Done",
    ),
    "all errors with another": (
        lambda s: s["Create"]["Catch"][0].update(ErrorEquals=["States.ALL", "States.Timeout"]),
        "States.ALL must appear alone",
    ),
    "all errors before others": (
        lambda s: s["Create"]["Retry"].insert(0, {"ErrorEquals": ["States.ALL"]}),
        "in the last of the rules at /States/Create/Retry[0]",
    ),
    "an unknown field": (lambda s: s["Pause"].update(Wibble=1), "SCHEMA_VALIDATION_FAILED"),
    "an unknown service": (
        lambda s: branch(s, 1)["Crawl"].update(Resource=f"{SDK}glu:startCrawler"),
        "is not recognized",
    ),
    "botocore's name of a service": (
        lambda s: branch(s, 1)["Others"].update(Resource=f"{SDK}stepfunctions:listExecutions"),
        "is not recognized",
    ),
    "an unknown action": (
        lambda s: branch(s, 1)["Crawl"].update(Resource=f"{SDK}glue:startCrawlers"),
        "is not recognized",
    ),
    "an action with a capital": (
        lambda s: branch(s, 1)["Crawl"].update(Resource=f"{SDK}glue:StartCrawler"),
        "is not recognized",
    ),
    "sync of the SDK": (
        lambda s: branch(s, 1)["Crawl"].update(Resource=f"{SDK}glue:startCrawler.sync"),
        "is not recognized",
    ),
    "an unknown integration": (
        lambda s: s["Create"].update(Resource=f"{EMR}makeCluster"),
        "is not recognized",
    ),
    "sync of what ends at once": (
        lambda s: s["Create"].update(Resource="arn:aws:states:::athena:getQueryResults.sync"),
        "is not recognized",
    ),
    "no ARN": (lambda s: s["Create"].update(Resource="createCluster"), "SCHEMA_VALIDATION_FAILED"),
    "no parameters": (
        lambda s: branch(s, 1)["Crawl"].pop("Parameters"),
        'The field "Parameters" is required but was missing',
    ),
    "an unknown parameter": (
        lambda s: branch(s, 1)["Crawl"]["Parameters"].update(Crawler="x"),
        (
            'The field "Crawler" is not supported by Step Functions at'
            " /States/Work/Branches[1]/States/Crawl/Parameters/Crawler"
        ),
    ),
    "the API's own spelling": (
        lambda s: branch(s, 1)["Others"].update(
            Parameters={"stateMachineArn.$": "$$.StateMachine.Id"}
        ),
        'The field "stateMachineArn" is not supported',
    ),
    "a missing parameter": (
        lambda s: branch(s, 1)["Crawl"].update(Parameters={}),
        'The field "Name" is required but was missing',
    ),
    "an unknown parameter deep inside": (
        lambda s: s["Create"]["Parameters"]["Instances"].update(Flavour="x"),
        (
            'The field "Flavour" is not supported by Step Functions at'
            " /States/Create/Parameters/Instances/Flavour"
        ),
    ),
    "steps in the plural": (
        lambda s: branch(s, 0)["Step"].update(Parameters={"ClusterId": "j", "Steps": []}),
        'The field "Steps" is not supported',
    ),
    "a step without a jar": (
        lambda s: branch(s, 0)["Step"]["Parameters"]["Step"]["HadoopJarStep"].pop("Jar"),
        'The field "Jar" is required but was missing',
    ),
    "a name of 81 characters": (
        lambda s: s.update(
            {"x" * 81: {"Type": "Succeed"}, "Each": {**s["Each"], "Next": "x" * 81}}
        ),
        "80 characters",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_mistake_is_reported_with_its_location(name: str) -> None:
    change, expected = BREAKS[name]
    broken = copy.deepcopy(GOOD)
    change(broken["States"])
    found_problems = problems(broken)
    assert any(expected in problem for problem in found_problems), found_problems


def test_a_missing_start_state_is_reported() -> None:
    assert "MISSING_TRANSITION_TARGET: Missing 'StartAt' target: Gone at /StartAt" in problems(
        GOOD | {"StartAt": "Gone"}
    )


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"StartAt": "A", "StartAt": "B", "States": {}}']
)
def test_text_that_is_not_a_definition_has_problems(text: str) -> None:
    assert definition_problems(text)


@pytest.mark.parametrize(
    "resource",
    [
        "arn:aws:states:::lambda:invoke",
        f"{EMR}cancelStep",
        "arn:aws:lambda:us-east-1:123456789012:function:f",
        "arn:aws:states:us-east-1:123456789012:activity:a",
        "arn:aws:states:::glue:startJobRun.sync",
        "arn:aws:states:::batch:submitJob.sync",
        "arn:aws:states:::ecs:runTask.sync",
        "arn:aws:states:::states:startExecution.sync:2",
        "arn:aws:states:::emr-serverless:startJobRun",
        f"{EMR}modifyInstanceGroupByName",
        f"{EMR}addStep.waitForTaskToken",
        f"{SDK}glue:startJobRun",
        f"{SDK}glue:startCrawler.waitForTaskToken",
    ],
)
def test_an_unsupported_integration_is_rejected_by_name(resource: str) -> None:
    state = {"Type": "Task", "Resource": resource, "Parameters": {}, "End": True}
    (problem,) = definition_problems(json.dumps({"StartAt": "A", "States": {"A": state}}))
    assert (problem.code, problem.message) == (
        "LocalAwsNotSupported",
        f"Task states with {resource}",
    )


def test_jsonata_is_rejected_by_name() -> None:
    (problem,) = definition_problems(json.dumps(GOOD | {"QueryLanguage": "JSONata"}))
    assert (problem.code, "JSONata" in problem.message, problem.location) == (
        "LocalAwsNotSupported",
        True,
        "/QueryLanguage",
    )


def test_distributed_maps_are_rejected_by_name() -> None:
    changed = copy.deepcopy(GOOD)
    changed["States"]["Each"]["ItemProcessor"]["ProcessorConfig"] = {
        "Mode": "DISTRIBUTED",
        "ExecutionType": "STANDARD",
    }
    assert problems(changed) == [
        "LocalAwsNotSupported: Map states in distributed mode at /States/Each"
    ]
