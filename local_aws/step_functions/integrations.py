"""Validates Task states: the resources that run here, and the names of their parameters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from botocore.model import ListShape, Shape, StructureShape

from local_aws.step_functions import services
from local_aws.step_functions.problems import SCHEMA, Problem, unsupported
from local_aws.unsupported import UnsupportedOperations

# Integrations that run here: service -> action -> patterns besides request-response.
_SUPPORTED: dict[str, dict[str, tuple[str, ...]]] = {
    "elasticmapreduce": {
        "createCluster": ("sync",),
        "addStep": ("sync",),
        "terminateCluster": ("sync",),
    },
    "athena": {"startQueryExecution": ("sync",), "getQueryResults": ()},
}
# integrations of AWS that do not run here
_UNSUPPORTED_SERVICES = frozenset(
    "apigateway batch bedrock codebuild databrew dynamodb ecs eks emr-containers emr-serverless"
    " events glue http lambda mediaconvert sagemaker sns sqs states".split()
)
_UNSUPPORTED_ACTIONS = frozenset(
    "cancelStep getQueryExecution modifyInstanceFleetByName modifyInstanceGroupByName"
    " setClusterTerminationProtection stopQueryExecution".split()
)
_RESOURCE = re.compile(
    r"arn:aws[\w-]*:states:::(?P<service>[\w-]+):(?P<action>[\w:-]+?)(\.(?P<pattern>sync(:2)?|waitForTaskToken))?"
)
_EMR_PARAMETERS = {"addStep": ("ClusterId", "Step"), "terminateCluster": ("ClusterId",)}
_FUNCTION_OR_ACTIVITY = re.compile(r"arn:aws[\w-]*:(lambda:.*:function|states:.+:activity):")


def task_problems(state: dict[str, Any], location: str) -> Iterator[Problem]:
    """Yields invalid and unsupported parts of ``Resource`` and ``Parameters``."""
    resource = str(state.get("Resource"))
    match = _RESOURCE.fullmatch(resource)
    problem = _resource_problem(match, resource, f"{location}/Resource")
    if problem or match is None:
        yield from [problem] if problem else []
    elif "Parameters" not in state:
        yield Problem(SCHEMA, 'The field "Parameters" is required but was missing', location)
    elif match["service"] == "elasticmapreduce":
        yield from _emr_problems(state["Parameters"], match["action"], f"{location}/Parameters")
    else:
        shape = _request(*_operation(match["service"], match["action"]))
        yield from _problems(state["Parameters"], shape, f"{location}/Parameters")


def _resource_problem(match: re.Match[str] | None, resource: str, location: str) -> Problem | None:
    if match is None:
        known = bool(_FUNCTION_OR_ACTIVITY.match(resource))
    else:
        service, action, pattern = match["service"], match["action"], match["pattern"]
        if service == "aws-sdk":
            return _sdk_problem(action, pattern, resource, location)
        patterns = _SUPPORTED.get(service, {}).get(action)
        if patterns is not None and (pattern is None or pattern in patterns):
            return None
        token = patterns is not None and pattern == "waitForTaskToken"
        known = token or service in _UNSUPPORTED_SERVICES or action in _UNSUPPORTED_ACTIONS
    return (
        unsupported(f"Task states with {resource}", location)
        if known
        else _not_recognized(resource, location)
    )


def _sdk_problem(action: str, pattern: str | None, resource: str, location: str) -> Problem | None:
    service, _, name = action.partition(":")
    operation = services.operation(service, name)
    if operation is None or pattern not in (None, "waitForTaskToken"):
        return _not_recognized(resource, location)
    target = f"{operation.service_model.metadata.get('targetPrefix')}.{operation.name}"
    if pattern or target in UnsupportedOperations().handlers():
        return unsupported(f"Task states with {resource}", location)
    return None


def _not_recognized(resource: str, location: str) -> Problem:
    message = (
        f"The resource provided {resource} is not recognized. The value is not a valid resource"
        " ARN, or the resource is not available in this region."
    )
    return Problem(SCHEMA, message, location)


# parameters


def _operation(service: str, action: str) -> tuple[str, str]:
    """Service and operation of an integration, in the spelling of AWS SDK integrations."""
    if service == "aws-sdk":
        service, _, action = action.partition(":")
    return service, action


def _request(service: str, action: str) -> StructureShape:
    operation = services.operation(service, action)
    assert operation, f"{service}:{action} is not an operation of botocore"
    return operation.input_shape or StructureShape("Empty", {"type": "structure", "members": {}})


def _problems(template: dict[str, Any], shape: StructureShape, location: str) -> Iterator[Problem]:
    """Yields fields that ``shape`` lacks, and required fields that are missing."""
    members = {_pascal(name): member for name, member in shape.members.items()}
    required = [
        _pascal(name)
        for name in shape.required_members
        if "idempotencyToken" not in shape.members[name].metadata
    ]
    yield from _wrong_names(template, members, required, location)
    for key, value in template.items():
        if key in members:
            yield from _inner_problems(value, members[key], f"{location}/{key}")


def _inner_problems(value: Any, shape: Shape, location: str) -> Iterator[Problem]:
    if isinstance(shape, StructureShape) and isinstance(value, dict):
        yield from _problems(value, shape, location)
    elif isinstance(shape, ListShape) and isinstance(value, list):
        for number, item in enumerate(value):
            yield from _inner_problems(item, shape.member, f"{location}[{number}]")


def _emr_problems(template: dict[str, Any], action: str, location: str) -> Iterator[Problem]:
    """EMR's integration has its own parameters.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr.html
    """
    if action == "createCluster":
        yield from _problems(template, _request("emr", "runJobFlow"), location)
        return
    yield from _wrong_names(template, _EMR_PARAMETERS[action], _EMR_PARAMETERS[action], location)
    if "Step" in template:
        steps = _request("emr", "addJobFlowSteps").members["Steps"]
        yield from _inner_problems([template["Step"]], steps, f"{location}/Step")


def _wrong_names(
    template: dict[str, Any], known: Collection[str], required: Iterable[str], location: str
) -> Iterator[Problem]:
    given = {key.removesuffix(".$"): key for key in template}
    for name in given.keys() - set(known):
        yield Problem(
            SCHEMA,
            f'The field "{name}" is not supported by Step Functions',
            f"{location}/{given[name]}",
        )
    for name in required:
        if name not in given:
            yield Problem(SCHEMA, f'The field "{name}" is required but was missing', location)


def _pascal(name: str) -> str:
    """``stateMachineArn`` as ``StateMachineArn``, Step Functions' spelling."""
    return name[:1].upper() + name[1:]
