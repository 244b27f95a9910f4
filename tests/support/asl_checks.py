"""Static checks of a state machine's definition; each returns a list of problems."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from support.cfn_linter import lint_resources

Definition = dict[str, Any]
_TERMINATE = "elasticmapreduce:terminateCluster"
_CREATE = "elasticmapreduce:createCluster"
_STEP = "elasticmapreduce:addStep"
_CRAWL = "glue:startCrawler"
_WORK = ("Task", "Parallel", "Map")
# API operations behind the optimized integrations, and how their parameters map to the request
_EMR = {
    "createCluster": ("RunJobFlow", lambda given: given),
    "addStep": (
        "AddJobFlowSteps",
        lambda given: {"JobFlowId": given["ClusterId"], "Steps": [given["Step"]]},
    ),
    "terminateCluster": ("TerminateJobFlows", lambda given: {"JobFlowIds": [given["ClusterId"]]}),
}
_BOTO_NAMES = {"elasticmapreduce": "emr", "sfn": "stepfunctions"}


def machines(definition: Definition) -> Iterator[Definition]:
    """The definition and every branch and item processor inside it."""
    yield definition
    for state in definition["States"].values():
        for inner in [
            *state.get("Branches", []),
            *([state["ItemProcessor"]] if "ItemProcessor" in state else []),
        ]:
            yield from machines(inner)


def all_states(definition: Definition) -> dict[str, dict[str, Any]]:
    """Every state by name."""
    return {
        name: state for machine in machines(definition) for name, state in machine["States"].items()
    }


def next_states(state: dict[str, Any], *, caught: bool = True) -> list[str]:
    """The names of the states that can follow this one."""
    after = [state[key] for key in ("Next", "Default") if key in state]
    return [
        *after,
        *(choice["Next"] for choice in state.get("Choices", [])),
        *(catch["Next"] for catch in state.get("Catch", []) if caught),
    ]


def dangling(definition: Definition) -> list[str]:
    """Transitions to states that do not exist in the same machine."""
    return [
        f"{name} -> {target}"
        for machine in machines(definition)
        for name, state in [("StartAt", {"Next": machine["StartAt"]}), *machine["States"].items()]
        for target in next_states(state)
        if target not in machine["States"]
    ]


def unreachable(definition: Definition) -> list[str]:
    """States that no transition leads to."""
    return [
        name
        for machine in machines(definition)
        for name in machine["States"].keys() - _reached(machine["States"], [machine["StartAt"]])
    ]


def _reached(
    states: dict[str, dict[str, Any]], start: list[str], stop: frozenset[str] = frozenset()
) -> set[str]:
    seen, ahead = set(), list(start)
    while ahead:
        name = ahead.pop()
        if name in seen or name in stop or name not in states:
            continue
        seen.add(name)
        ahead += next_states(states[name])
    return seen


def clusters_left(definition: Definition) -> list[str]:
    """Paths on which a cluster could be left running.

    They lead from the creation of the cluster to an end without passing a terminate state, or they
    overwrite the cluster's id.
    """
    states = definition["States"]
    (creation,) = (name for name, state in states.items() if _CREATE in state.get("Resource", ""))
    terminations = frozenset(
        name for name, state in states.items() if _TERMINATE in state.get("Resource", "")
    )
    # a failed creation leaves no cluster, so its Catch is ignored
    exposed = _reached(states, next_states(states[creation], caught=False), terminations)
    place = states[creation]["ResultPath"]
    return [
        problem for name in sorted(exposed) for problem in _cluster_leaks(name, states[name], place)
    ]


def _cluster_leaks(name: str, state: dict[str, Any], place: str) -> Iterator[str]:
    if state.get("End") or state["Type"] in ("Succeed", "Fail"):
        yield f"{name} is an end"
    if not any(catch["ErrorEquals"] == ["States.ALL"] for catch in state.get("Catch", [])):
        yield f"{name} can fail uncaught"
    for written in [state, *state.get("Catch", [])]:
        path = written.get("ResultPath", "$")
        if path is not None and (path == "$" or path == place or path.startswith(f"{place}.")):
            yield f"{name} overwrites the cluster's id"


def uncaught(definition: Definition) -> list[str]:
    """Tasks without a Catch, and Spark steps whose timeout has no explanation.

    A failure inside the Parallel state is caught by the Parallel state itself. StartCrawler needs a
    Catch of its own, because a crawler that is already running is not a failure.
    """
    work = {name: state for name, state in definition["States"].items() if state["Type"] in _WORK}
    work |= {
        name: state
        for name, state in all_states(definition).items()
        if _CRAWL in state.get("Resource", "")
    }
    steps = {
        name: state
        for name, state in all_states(definition).items()
        if _STEP in state.get("Resource", "")
    }
    bare = [name for name, state in work.items() if not state.get("Catch")]
    return [
        *bare,
        *(name for name, step in steps.items() if not _explains_timeout(definition, step)),
    ]


def _explains_timeout(definition: Definition, step: dict[str, Any]) -> bool:
    ends = [
        catch["Next"]
        for catch in step.get("Catch", [])
        if catch["ErrorEquals"] == ["States.Timeout"]
    ]
    job = step["Parameters"]["Step"]["Name"]
    return any(job in all_states(definition)[end].get("Cause", "") for end in ends)


def without_timeout(definition: Definition) -> list[str]:
    """Tasks that could wait forever."""
    return [
        name
        for name, state in all_states(definition).items()
        if state["Type"] == "Task" and not state.get("TimeoutSeconds")
    ]


def unsafe_retries(definition: Definition) -> list[str]:
    """Retries that could repeat a request that is not idempotent.

    These are any retry of a creation or a submission, which have no client token, and retries on
    all errors anywhere but at the termination.
    """
    return [
        name
        for name, state in all_states(definition).items()
        for retry in state.get("Retry", [])
        if _CREATE in state["Resource"]
        or _STEP in state["Resource"]
        or (
            _TERMINATE not in state["Resource"]
            and {"States.ALL", "States.TaskFailed"} & set(retry["ErrorEquals"])
        )
    ]


def invalid_parameters(definition: Definition) -> list[str]:
    """Parameters that the API's service model rejects."""
    return [
        f"{name}: {report}"
        for name, state in all_states(definition).items()
        if state["Type"] == "Task"
        for report in [_model_error(state["Resource"], state["Parameters"])]
        if report
    ]


def _model_error(resource: str, parameters: dict[str, Any]) -> str:
    service, action = (
        resource.split(":::", 1)[1].removeprefix("aws-sdk:").removesuffix(".sync").split(":")
    )
    operation, to_request = (
        _EMR[action] if service == "elasticmapreduce" else (action[0].upper() + action[1:], dict)
    )
    model = (
        botocore.session.get_session()
        .get_service_model(_BOTO_NAMES.get(service, service))
        .operation_model(operation)
    )
    request = _as_api_members(to_request(_with_sample_values(parameters)), model.input_shape)
    return str(ParamValidator().validate(request, model.input_shape).generate_report())


def _with_sample_values(value: Any) -> Any:
    """Replaces each expression by a sample: a list for ``States.Array``, else a string."""
    if isinstance(value, list):
        return [_with_sample_values(item) for item in value]
    if not isinstance(value, dict):
        return value
    plain = {
        key: _with_sample_values(item) for key, item in value.items() if not key.endswith(".$")
    }
    sampled = {
        key.removesuffix(".$"): ["sample"] if item.startswith("States.Array(") else "sample"
        for key, item in value.items()
        if key.endswith(".$")
    }
    return plain | sampled


def _as_api_members(request: dict[str, Any], shape: Any) -> dict[str, Any]:
    """Maps Step Functions' PascalCase parameter names to the API's own spelling."""
    spelling = {member[0].upper() + member[1:]: member for member in shape.members}
    return {spelling.get(key, key): value for key, value in request.items()}


def lint(definition: Definition) -> list[str]:
    """The findings of cfn-lint in this state machine."""
    role = "arn:aws:iam::123456789012:role/Role"
    return lint_resources(
        ("AWS::StepFunctions::StateMachine", {"RoleArn": role, "Definition": definition})
    )
