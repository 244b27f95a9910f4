"""What Task states may call, and with which parameters: the integrations of Step Functions and the whole AWS SDK."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from local_aws.step_functions import services
from local_aws.step_functions.problems import SCHEMA, Problem, not_local
from local_aws.unsupported import UnsupportedOperations

Template = Mapping[str, Any]

# what the interpreter executes, by service; an action with the patterns in which it can be called beside plain
_EXECUTED: dict[str, dict[str, tuple[str, ...]]] = {
    "elasticmapreduce": {
        "createCluster": ("sync",),
        "addStep": ("sync",),
        "terminateCluster": ("sync",),
        "cancelStep": (),
        "setClusterTerminationProtection": (),
    },
    "athena": {
        "startQueryExecution": ("sync",),
        "stopQueryExecution": (),
        "getQueryExecution": (),
        "getQueryResults": (),
    },
    "dynamodb": dict.fromkeys(("getItem", "putItem", "updateItem", "deleteItem"), ()),
    "sns": {"publish": ()},
    "sqs": {"sendMessage": ("waitForTaskToken",)},
    "events": {"putEvents": ()},
    "lambda": {"invoke": ()},
}
# integrations of AWS that nothing here carries out
_OTHERS = frozenset(
    "apigateway batch bedrock codebuild databrew ecs eks emr-containers emr-serverless glue http mediaconvert sagemaker "
    "states".split()
)
_NOT_EXECUTED = frozenset({"modifyInstanceFleetByName", "modifyInstanceGroupByName"})
_RESOURCE = re.compile(
    r"arn:aws[\w-]*:states:::(?P<service>[\w-]+):(?P<action>[\w:-]+?)(\.(?P<pattern>sync(:2)?|waitForTaskToken))?"
)
# Python types that a literal may have, by botocore's; texts may be given as JSON objects, which become their JSON
_LITERALS: dict[str, tuple[type, ...]] = {
    "string": (str, dict, list),
    "boolean": (bool,),
    **dict.fromkeys(("integer", "long"), (int,)),
    **dict.fromkeys(("float", "double"), (int, float)),
    "list": (list,),
    **dict.fromkeys(("structure", "map"), (dict,)),
}


@dataclass(frozen=True)
class Member:
    """A parameter of an integration: its shape, whether it has to be there, and as a value that is not one expression."""

    shape: Shape
    required: bool
    literal: bool = False


def task_problems(state: Template, location: str) -> Iterator[Problem]:
    """What is wrong with a Task state's ``Resource`` and ``Parameters``."""
    resource = state.get("Resource")
    match = _RESOURCE.fullmatch(resource) if isinstance(resource, str) else None
    if match is None:
        yield _foreign(resource, f"{location}/Resource")
        return
    service, action, pattern = match["service"], match["action"], match["pattern"]
    refused = _refused(service, action, pattern, str(resource), f"{location}/Resource")
    if refused is not None:
        yield refused
    elif "Parameters" not in state:
        yield Problem(SCHEMA, 'The field "Parameters" is required but was missing', location)
    else:
        yield from _parameters(state["Parameters"], _members(service, action), f"{location}/Parameters")
        if (service, action) == ("elasticmapreduce", "createCluster"):
            yield from _keep_alive(state["Parameters"], f"{location}/Parameters/Instances")


def _foreign(resource: Any, location: str) -> Problem:
    """A resource that is no integration: functions and activities are AWS's, everything else is a mistake."""
    if isinstance(resource, str) and re.match(r"arn:aws[\w-]*:(lambda:.*:function|states:.+:activity):", resource):
        return not_local(f"Task states with {resource}", location)
    return _not_recognized(resource, location)


def _refused(service: str, action: str, pattern: str | None, resource: str, location: str) -> Problem | None:
    """Why no such task can be run."""
    if service == "aws-sdk":
        return _refused_sdk(action, pattern, resource, location)
    executed = _EXECUTED.get(service, {})
    if action in executed and (pattern is None or pattern in executed[action]):
        return None
    if service in _OTHERS or action in _NOT_EXECUTED or (action in executed and pattern == "waitForTaskToken"):
        return not_local(f"Task states with {resource}", location)
    return _not_recognized(resource, location)


def _refused_sdk(action: str, pattern: str | None, resource: str, location: str) -> Problem | None:
    service, _, name = action.partition(":")
    operation = services.operation(service, name)
    if operation is None or pattern not in (None, "waitForTaskToken"):
        return _not_recognized(resource, location)
    target = f"{operation.service_model.metadata.get('targetPrefix')}.{operation.name}"
    if pattern or target in UnsupportedOperations().handlers():
        return not_local(f"Task states with {resource}", location)
    return None


def _not_recognized(resource: Any, location: str) -> Problem:
    message = (
        f"The resource provided {resource} is not recognized. The value is not a valid resource ARN, or the resource is not "
        "available in this region."
    )
    return Problem(SCHEMA, message, location)


# parameters


def _members(service: str, action: str) -> dict[str, Member]:
    """The parameters of an integration by their names in Step Functions."""
    if service == "elasticmapreduce":
        return _EMR[action]()
    if service == "aws-sdk":
        service, _, action = action.partition(":")
    else:
        service = {"events": "eventbridge"}.get(service, service)
    return _request(service, action)


def _request(service: str, action: str) -> dict[str, Member]:
    operation = services.operation(service, action)
    assert operation, f"{service}:{action} is an operation of botocore's"
    return _of_shape(operation.input_shape) if operation.input_shape else {}


def _of_shape(shape: StructureShape) -> dict[str, Member]:
    required = {name for name in shape.required_members if "idempotencyToken" not in shape.members[name].metadata}
    return {pascal(name): Member(member, name in required) for name, member in shape.members.items()}


def _create_cluster() -> dict[str, Member]:
    return {name: member for name, member in _request("emr", "runJobFlow").items() if name != "Steps"}


def _add_step() -> dict[str, Member]:
    request = _request("emr", "addJobFlowSteps")
    steps = request["Steps"].shape
    assert isinstance(steps, ListShape)
    return {
        "ClusterId": Member(request["JobFlowId"].shape, required=True),
        "Step": Member(steps.member, required=True, literal=True),
        "ExecutionRoleArn": request["ExecutionRoleArn"],
    }


def _one_cluster(**others: Member) -> dict[str, Member]:
    return {"ClusterId": Member(_request("emr", "describeCluster")["ClusterId"].shape, required=True), **others}


_EMR: dict[str, Callable[[], dict[str, Member]]] = {
    "createCluster": _create_cluster,
    "addStep": _add_step,
    "terminateCluster": _one_cluster,
    "cancelStep": lambda: _one_cluster(StepId=_request("emr", "describeStep")["StepId"]),
    "setClusterTerminationProtection": lambda: _one_cluster(
        TerminationProtected=_request("emr", "setTerminationProtection")["TerminationProtected"]
    ),
}


def _parameters(template: Any, members: Mapping[str, Member], location: str, literal: bool = False) -> Iterator[Problem]:
    """What is wrong with ``template`` as the structure of ``members``; ``literal``: none of it is left to an expression."""
    given = {key.removesuffix(".$"): key for key in template}
    for name, key in given.items():
        member = members.get(name)
        if member is None:
            yield Problem(SCHEMA, f'The field "{name}" is not supported by Step Functions', f"{location}/{key}")
        elif not key.endswith(".$"):
            yield from _value(template[key], member.shape, f"{location}/{key}", literal or member.literal)
    for name, member in members.items():
        present = name in given and not (given[name].endswith(".$") and _must_be_literal(member, literal))
        if member.required and not present:
            yield Problem(SCHEMA, f'The field "{name}" is required but was missing', location)


def _must_be_literal(member: Member, literal: bool) -> bool:
    """Step Functions wants to see the required fields inside a structure when the state machine is made."""
    return (literal or member.literal) and isinstance(member.shape, StructureShape)


def _value(value: Any, shape: Shape, location: str, literal: bool = False) -> Iterator[Problem]:
    if value is None:
        return
    expected = _LITERALS.get(shape.type_name)
    if expected and (not isinstance(value, expected) or (isinstance(value, bool) and bool not in expected)):
        yield Problem(SCHEMA, f"The value has to be of type {shape.type_name.upper()}", location)
    elif isinstance(shape, StructureShape):
        yield from _parameters(value, _of_shape(shape), location, literal)
    elif isinstance(shape, ListShape):
        for number, item in enumerate(value):
            yield from _value(item, shape.member, f"{location}[{number}]", literal)
    elif isinstance(shape, MapShape):
        for key, item in value.items():
            if not key.endswith(".$"):
                yield from _value(item, shape.value, f"{location}/{key}", literal)


def _keep_alive(parameters: Template, location: str) -> Iterator[Problem]:
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr.html: it must be there, and true."""
    instances = parameters.get("Instances")
    if not isinstance(instances, dict) or "KeepJobFlowAliveWhenNoSteps.$" in instances:
        return
    if instances.get("KeepJobFlowAliveWhenNoSteps") is not True:
        yield Problem(SCHEMA, 'The field "KeepJobFlowAliveWhenNoSteps" is required and must be true', location)


def pascal(name: str) -> str:
    """``StateMachineArn`` of ``stateMachineArn``: Step Functions' parameters begin with a capital."""
    return name[:1].upper() + name[1:]
