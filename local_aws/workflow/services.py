"""AWS's services and operations as ``aws-sdk`` integrations spell them, from botocore's own models."""

from __future__ import annotations

import functools
import re
from typing import Any

import botocore.session
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

# Step Functions' name of a service where it differs from botocore's
_BOTO_NAMES = {"sfn": "stepfunctions", "cloudwatchlogs": "logs", "eventbridge": "events"}


@functools.cache
def boto_name(service: str) -> str | None:
    """botocore's name of the service that Step Functions calls ``service``; ``None`` when AWS has no such service."""
    loader, name = _loader(), _BOTO_NAMES.get(service, service)
    known = loader.list_available_services("service-2")
    if name in known and _spelled(loader, name) == service:
        return name
    return next((other for other in known if _spelled(loader, other) == service), None)


def operation(service: str, action: str) -> OperationModel | None:
    """The operation that ``aws-sdk:<service>:<action>`` calls; ``None`` when there is none."""
    model = service_model(service)
    name = action[:1].upper() + action[1:]
    if model is None or not action[:1].islower() or name not in model.operation_names:
        return None
    return model.operation_model(name)


@functools.cache
def service_model(service: str) -> ServiceModel | None:
    """botocore's model of the service that Step Functions calls ``service``."""
    name = boto_name(service)
    return ServiceModel(_loader().load_service_model(name, "service-2"), name) if name else None


@functools.cache
def error_prefix(service: str) -> str:
    """How errors of ``aws-sdk`` calls begin, ``Glue`` in ``Glue.EntityNotFoundException``: the service id in mixed case."""
    name = boto_name(service)
    if name is None:
        return service
    return re.sub(r"[A-Z]{2,}", lambda run: run[0].capitalize(), _service_id(_loader(), name)).replace(" ", "")


def _spelled(loader: Loader, name: str) -> str:
    return re.sub(r"[ -]", "", _service_id(loader, name)).lower()


def _service_id(loader: Loader, name: str) -> str:
    metadata: dict[str, Any] = loader.load_service_model(name, "service-2")["metadata"]
    return str(metadata["serviceId"])


@functools.cache
def _loader() -> Loader:
    loader: Loader = botocore.session.Session().get_component("data_loader")
    return loader
