"""Integrations that moto lacks: EMR and Athena with `.sync`, and the AWS SDK's spelling."""

from __future__ import annotations

import json
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.error_name import ErrorName
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.state.exec.state_task import state_task_factory
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.resource import (
    ResourceCondition,
    ResourceRuntimePart,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service import (  # noqa: E501
    StateTaskService,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_aws_sdk import (  # noqa: E501
    StateTaskServiceAwsSdk,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_callback import (  # noqa: E501
    StateTaskServiceCallback,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_factory import (  # noqa: E501
    state_task_service_for as stock_task_for,
)
from moto.stepfunctions.parser.asl.eval.environment import Environment

from local_aws.keys import access_key_of
from local_aws.step_functions.interpreter_clients import InterpreterClients
from local_aws.step_functions.moto_patches import event_details
from local_aws.step_functions.services import boto_name
from local_aws.step_functions.syntax import parse

SYNC_POLL_SECONDS = 0.2  # AWS polls every 60 s, later every 300 s; a poll takes milliseconds here

Answer = dict[str, Any]
# Polls once: returns the result, or None while the work runs; raises _Failed on failure.
Poll = Callable[[], Answer | None]


class _Failed(Exception):
    """The awaited work failed; ``described`` becomes the Cause of ``States.TaskFailed``."""

    def __init__(self, described: Answer) -> None:
        super().__init__(json.dumps(described))


class _Stopped(Exception):
    """The execution was stopped or the task timed out while a ``.sync`` task waited."""


@dataclass(frozen=True)
class SyncJob:
    """The work that a ``.sync`` task started: how to poll it, and how to cancel it."""

    poll: Poll
    cancel: Callable[[], object]


def _access_key(env: Environment) -> str:
    """The access key id of the state machine's role, which signs a task's calls."""
    return access_key_of(env.aws_execution_details.role_arn)


class JobTask(StateTaskServiceCallback):
    """A task that starts work with one call; as ``.sync`` it waits until the work has ended."""

    boto_service: str
    sdk_name: str  # in the causes of errors

    def __init__(self, clients: InterpreterClients) -> None:
        # moto's base class always closes a token's callback, so the task must declare that pattern.
        super().__init__({ResourceCondition("sync"), ResourceCondition("waitForTaskToken")})
        self._clients = clients

    @abstractmethod
    def error_name(self, code: str) -> str:
        """The integration's error name for the API's error ``code``."""

    @abstractmethod
    def start(self, client: Any, action: str, parameters: Answer) -> Answer:
        """Calls the API; returns the state's result."""

    @abstractmethod
    def job(self, client: Any, action: str, parameters: Answer, started: Answer) -> SyncJob:
        """The work that ``.sync`` waits for, after ``start`` has returned ``started``."""

    def _validate_service_integration_is_supported(self) -> None:
        """Does nothing, because definitions are validated when they are created."""

    def _client(self, env: Environment, where: ResourceRuntimePart) -> Any:
        return self._clients.client(self.boto_service, where.region, access_key_id=_access_key(env))

    def _eval_service_task(
        self,
        env: Environment,
        resource_runtime_part: ResourceRuntimePart,
        normalised_parameters: Answer,
        *_: Any,
        **__: Any,
    ) -> None:
        client = self._client(env, resource_runtime_part)
        env.stack.append(self.start(client, self.resource.api_action, normalised_parameters))

    def _build_sync_resolver(  # type: ignore[override]
        self,
        env: Environment,
        resource_runtime_part: ResourceRuntimePart,
        normalised_parameters: Answer,
        *_: Any,
        **__: Any,
    ) -> SyncJob:
        client = self._client(env, resource_runtime_part)
        return self.job(client, self.resource.api_action, normalised_parameters, env.stack.pop())

    def _eval_sync(self, env: Environment, sync_resolver: SyncJob, **_: Any) -> Answer:  # type: ignore[override]
        while env.is_running():
            outcome = sync_resolver.poll()
            if outcome is not None:
                return outcome
            time.sleep(SYNC_POLL_SECONDS)
        sync_resolver.cancel()
        raise _Stopped

    def _from_error(self, env: Environment, ex: Exception) -> FailureEvent:
        if isinstance(ex, _Stopped):
            raise ex
        if isinstance(ex, _Failed):
            return self._failure(env, "States.TaskFailed", str(ex))
        if isinstance(ex, ClientError):
            return self._failure(
                env, self.error_name(ex.response["Error"]["Code"]), _cause(ex, self.sdk_name)
            )
        if isinstance(ex, ParamValidationError):
            return self._failure(env, "States.Runtime", str(ex))
        return super()._from_error(env=env, ex=ex)

    def _failure(self, env: Environment, error: str, cause: str) -> FailureEvent:
        kind, resource = self._get_sfn_resource_type(), self._get_sfn_resource()
        return FailureEvent(
            env=env,
            error_name=ErrorName(error),
            event_type=HistoryEventType.TaskFailed,
            event_details=event_details(
                "taskFailed", resourceType=kind, resource=resource, error=error, cause=cause
            ),
        )


def _cause(error: ClientError, sdk_name: str) -> str:
    """The cause of a rejected API call, in the integrations' words."""
    meta, said = error.response["ResponseMetadata"], error.response["Error"]
    return (
        f"{said['Message']} (Service: {sdk_name}; Status Code: {meta['HTTPStatusCode']}; "
        f"Error Code: {said['Code']}; Request ID: {meta['RequestId']}; Proxy: null)"
    )


class EmrTask(JobTask):
    """https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr.html"""

    boto_service = "emr"
    sdk_name = "AmazonElasticMapReduce"

    def error_name(self, code: str) -> str:
        """The same name for every error, including throttling."""
        return "EMR.AmazonElasticMapReduceException"

    def start(self, client: Any, action: str, parameters: Answer) -> Answer:
        match action:
            case "createCluster":
                created = client.run_job_flow(**parameters)
                return {"ClusterId": created["JobFlowId"], "ClusterArn": created["ClusterArn"]}
            case "addStep":
                return {"StepId": _add_step(client, **parameters)}
            case "terminateCluster":
                client.terminate_job_flows(JobFlowIds=[parameters["ClusterId"]])
        return {}

    def job(self, client: Any, action: str, parameters: Answer, started: Answer) -> SyncJob:
        if action == "addStep":
            cluster, step = parameters["ClusterId"], started["StepId"]
            return SyncJob(
                poll=lambda: _outcome(
                    _step(client, cluster, step), "Step", good={"COMPLETED"}, bad=_BAD_STEPS
                ),
                cancel=lambda: client.cancel_steps(ClusterId=cluster, StepIds=[step]),
            )
        cluster = started.get("ClusterId") or parameters["ClusterId"]
        good, bad = ({"WAITING"}, _GONE) if action == "createCluster" else (_GONE, set())
        return SyncJob(
            poll=lambda: _outcome(_cluster(client, cluster), "Cluster", good, bad),
            # "Step Functions does not terminate the cluster when the execution is stopped"
            cancel=lambda: None,
        )


_BAD_STEPS = {"FAILED", "CANCELLED", "INTERRUPTED"}
_GONE = {"TERMINATED", "TERMINATED_WITH_ERRORS"}


# the integration's parameters
def _add_step(client: Any, ClusterId: str, Step: Answer, **rest: Any) -> str:
    return str(client.add_job_flow_steps(JobFlowId=ClusterId, Steps=[Step], **rest)["StepIds"][0])


def _step(client: Any, cluster: str, step: str) -> Answer:
    return {"Step": client.describe_step(ClusterId=cluster, StepId=step)["Step"]}


def _cluster(client: Any, cluster: str) -> Answer:
    return {"Cluster": client.describe_cluster(ClusterId=cluster)["Cluster"], "ClusterId": cluster}


def _outcome(described: Answer, kind: str, good: set[str], bad: set[str]) -> Answer | None:
    state = described[kind]["Status"]["State"]
    if state in bad:
        raise _Failed(described)
    return described if state in good else None


class AthenaTask(JobTask):
    """``athena:*`` (https://docs.aws.amazon.com/step-functions/latest/dg/connect-athena.html)."""

    boto_service = "athena"
    sdk_name = "AmazonAthena"

    def error_name(self, code: str) -> str:
        """The service's name and the code: ``Athena.InvalidRequestException``."""
        return f"Athena.{code}"

    def start(self, client: Any, action: str, parameters: Answer) -> Answer:
        call = {
            "startQueryExecution": client.start_query_execution,
            "getQueryResults": client.get_query_results,
        }[action]
        return _without_metadata(call(**parameters))

    def job(self, client: Any, action: str, parameters: Answer, started: Answer) -> SyncJob:
        query = started["QueryExecutionId"]

        def poll() -> Answer | None:
            described = _without_metadata(client.get_query_execution(QueryExecutionId=query))
            return _outcome(
                described, "QueryExecution", good={"SUCCEEDED"}, bad={"FAILED", "CANCELLED"}
            )

        return SyncJob(poll, cancel=lambda: client.stop_query_execution(QueryExecutionId=query))


def _without_metadata(answer: Mapping[str, Any]) -> Answer:
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


class AwsSdkTask(StateTaskServiceAwsSdk):
    """``aws-sdk:*`` with names in PascalCase; moto keeps the API's spelling."""

    def _get_boto_service_name(self, boto_service_name: str | None = None) -> str:
        service = boto_service_name or self.resource.api_name
        return boto_name(service) or service

    def _eval_service_task(
        self,
        env: Environment,
        resource_runtime_part: ResourceRuntimePart,
        normalised_parameters: Answer,
        *_: Any,
        **__: Any,
    ) -> None:
        service, region = self._get_boto_service_name(), resource_runtime_part.region
        client = _clients[0].client(service, region, access_key_id=_access_key(env))
        operation = client.meta.service_model.operation_model(_operation(self.resource.api_action))
        if operation.input_shape is not None:
            self._to_boto_request(normalised_parameters, operation.input_shape)
        answer = _without_metadata(
            getattr(client, self._get_boto_service_action())(**normalised_parameters)
        )
        if operation.output_shape is not None:
            self._from_boto_response(answer, operation.output_shape)
        env.stack.append(answer)


def _operation(action: str) -> str:
    return action[0].upper() + action[1:]


_clients: list[InterpreterClients] = []  # of the server that started last


def install(clients: InterpreterClients) -> None:
    """Adds these integrations to the interpreter's task factory."""
    _clients[:] = [clients]
    parse.cache_clear()
    # The factory imported the function by name, so it is replaced there and not where it is
    # defined.
    assert hasattr(state_task_factory, "state_task_service_for"), "moto's task factory has changed"
    state_task_factory.state_task_service_for = task_for


def installed() -> InterpreterClients | None:
    """The clients that executions use now."""
    return _clients[0] if _clients else None


def task_for(service_name: str) -> StateTaskService:
    """The task of an integration; moto's own for all other services."""
    match service_name:
        case "elasticmapreduce":
            return EmrTask(_clients[0])
        case "athena":
            return AthenaTask(_clients[0])
        case "aws-sdk":
            return AwsSdkTask()  # type: ignore[no-untyped-call]
    return stock_task_for(service_name)
