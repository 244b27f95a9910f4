"""The names of AWS's services and operations in ``aws-sdk`` integrations (botocore)."""

from __future__ import annotations

import functools
import re

import botocore.session
from botocore.hooks import EVENT_ALIASES
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel

# service ids that are missing in botocore's list of aliases
_SERVICE_IDS = {
    "ds-data": "directory-service-data",
    "lexv2-models": "lex-models-v2",
    "lexv2-runtime": "lex-runtime-v2",
    "sms-voice": "pinpoint-sms-voice",
}


def boto_name(service: str) -> str | None:
    """botocore's name for a service of Step Functions; ``None`` if there is no such service."""
    return _boto_names().get(service)


def operation(service: str, action: str) -> OperationModel | None:
    """The operation that ``aws-sdk:<service>:<action>`` calls; ``None`` if there is none."""
    model = service_model(service)
    name = action[:1].upper() + action[1:]
    if model is None or not action[:1].islower() or name not in model.operation_names:
        return None
    return model.operation_model(name)


@functools.cache
def service_model(service: str) -> ServiceModel | None:
    name = boto_name(service)
    return ServiceModel(_loader().load_service_model(name, "service-2"), name) if name else None


@functools.cache
def error_prefix(service: str) -> str:
    """The prefix of an ``aws-sdk`` call's errors: the service id in mixed case, ``Glue``."""
    name = boto_name(service)
    if name is None:
        return service
    service_id: str = _loader().load_service_model(name, "service-2")["metadata"]["serviceId"]
    return re.sub(r"[A-Z]{2,}", lambda run: run[0].capitalize(), service_id).replace(" ", "")


@functools.cache
def _boto_names() -> dict[str, str]:
    """botocore's names by Step Functions' names, such as ``cloudwatchlogs``."""
    ids = EVENT_ALIASES | _SERVICE_IDS
    return {
        ids.get(name, name).replace("-", ""): name
        for name in _loader().list_available_services("service-2")
    }


@functools.cache
def _loader() -> Loader:
    loader: Loader = botocore.session.Session().get_component("data_loader")
    return loader
