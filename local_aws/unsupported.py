"""Operations that moto acknowledges without executing; rejected with ``LocalAwsNotSupported``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local_aws.overlay import Call, Handler, not_supported
from local_aws.wsgi import WsgiApp, send, signed_service

# services that name the operation in X-Amz-Target
_TARGETS = {
    "AmazonAthena": "CreatePreparedStatement",
    "AWSGlue": (
        "StartJobRun StartWorkflowRun StartTrigger StartBlueprintRun StartMLEvaluationTaskRun "
        "StartDataQualityRulesetEvaluationRun StartColumnStatisticsTaskRun RunStatement"
    ),
    "AmazonEC2ContainerServiceV20141113": "RunTask StartTask CreateService",
    "SageMaker": "CreateTrainingJob CreateProcessingJob CreateTransformJob StartPipelineExecution",
    "CodeBuild_20161006": "StartBuild StartBuildBatch",
    "AmazonDMSv20160101": "StartReplicationTask",
    "FmrsService": "StartTaskExecution",
    "RedshiftData": "ExecuteStatement BatchExecuteStatement",
}
# operations that are named by method and path: (service in the signature, method, path, operation)
_PATHS = (
    ("emr-serverless", "POST", r"/applications/[^/]+/jobruns", "StartJobRun"),
    ("emr-containers", "POST", r"/virtualclusters/[^/]+/jobruns", "StartJobRun"),
    ("lambda", "POST", r"/2014-11-13/functions/[^/]+/invoke-async/?", "InvokeAsync"),
    ("batch", "POST", r"/v1/submitjob", "SubmitJob"),
    ("rds-data", "POST", r"/(Execute|BatchExecute)", "ExecuteStatement"),
)


class UnsupportedOperations:
    """The component that rejects operations that nothing here executes."""

    def handlers(self) -> Mapping[str, Handler]:
        """A rejecting handler for each operation that is named in ``X-Amz-Target``."""
        rejected = {
            f"{service}.{name}": reject
            for service, names in _TARGETS.items()
            for name in names.split()
        }
        return {**rejected, "AWSEvents.PutRule": put_rule}

    def close(self) -> None:
        """Nothing to stop."""


def reject(call: Call) -> dict[str, Any]:
    raise not_supported(f"{call.service}:{call.operation}")


def put_rule(call: Call) -> dict[str, Any]:
    """Forwards a rule for events; rejects one with a schedule, which would never fire."""
    if call.body.get("ScheduleExpression"):
        raise not_supported("events:PutRule with a ScheduleExpression")
    return call.forward()


class UnsupportedPaths:
    """WSGI layer before ``app`` for operations that are named by method and path."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        refused = _refused(environ)
        if refused is None:
            return self._app(environ, start_response)
        error = not_supported(refused)
        return send(
            environ,
            start_response,
            error.status,
            {"message": error.message},
            {"x-amzn-ErrorType": error.code},
        )


def _refused(environ: Mapping[str, Any]) -> str | None:
    service = signed_service(environ)
    for its_service, method, path, operation in _PATHS:
        if (
            service == its_service
            and environ["REQUEST_METHOD"] == method
            and re.fullmatch(path, environ["PATH_INFO"])
        ):
            return f"{service}:{operation}"
    return None
