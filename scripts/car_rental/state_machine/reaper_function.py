"""The Lambda function of the cluster reaper, as step 4 deploys it."""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from typing import Any

from car_rental.aws import Answer, Aws, if_exists
from car_rental.changes import Change
from car_rental.config import ROOT
from car_rental.display.console import Console
from car_rental.iam.retry import retry_while_iam_spreads
from car_rental.iam.roles import cluster_reaper_name, cluster_reaper_role_name
from car_rental.state_machine.log_groups import ensure_log_group

SOURCE = ROOT / "step_functions" / "cluster_reaper.py"
# Lambda's message for a role that is too new
_ROLE_NOT_YET = ("cannot be assumed by Lambda",)
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # constant, so that the same source gives the same archive
_READY: Any = {"Delay": 1, "MaxAttempts": 120}


def ensure_function(aws: Aws, console: Console) -> Change:
    """Ensures that the function exists with the current code and configuration."""
    name = cluster_reaper_name(aws.settings)
    ensure_log_group(aws, f"/aws/lambda/{name}")
    wanted = _configuration(aws, name)
    current = _current(aws, name)
    if current is None:
        aws.change(lambda: _create(aws, console, wanted))
        return Change.of("function", name, existed=False)
    changed = []
    if current["CodeSha256"] != _sha256(archive()):
        aws.change(lambda: _update_code(aws, name))
        changed.append("code")
    if any(current.get(key) != value for key, value in wanted.items()):
        aws.change(lambda: _update_configuration(aws, console, wanted))
        changed.append("configuration")
    return Change.of("function", name, existed=True, changed=changed)


def function_arn(aws: Aws) -> str:
    """The function's ARN."""
    region, name = aws.settings.aws_region, cluster_reaper_name(aws.settings)
    return f"arn:{aws.partition}:lambda:{region}:{aws.account_id}:function:{name}"


def archive() -> bytes:
    """The function's code as a ZIP archive; the same bytes for the same source."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(SOURCE.name, _LONG_AGO)
        entry.external_attr = 0o644 << 16  # readable for all: Lambda runs it as another user
        archive.writestr(entry, SOURCE.read_bytes())
    return buffer.getvalue()


def _sha256(code: bytes) -> str:
    return base64.b64encode(hashlib.sha256(code).digest()).decode()


def _configuration(aws: Aws, name: str) -> dict[str, Any]:
    return {
        "FunctionName": name,
        "Description": "Terminates the clusters of dead executions.",
        "Role": (
            f"arn:{aws.partition}:iam::{aws.account_id}:role/{cluster_reaper_role_name(aws.settings)}"
        ),
        "Runtime": "python3.13",
        "Handler": f"{SOURCE.stem}.handler",
        "Timeout": 120,
        "MemorySize": 256,
    }


def _current(aws: Aws, name: str) -> Answer | None:
    return if_exists(
        lambda: aws.client("lambda").get_function_configuration(FunctionName=name),
        "ResourceNotFoundException",
    )


def _create(aws: Aws, console: Console, wanted: dict[str, Any]) -> None:
    client = aws.client("lambda")
    request = {**wanted, "Code": {"ZipFile": archive()}, "Tags": aws.tags}
    patience = aws.settings.timing.iam_patience_seconds
    retry_while_iam_spreads(
        lambda: client.create_function(**request), _ROLE_NOT_YET, console, patience
    )
    client.get_waiter("function_active_v2").wait(
        FunctionName=wanted["FunctionName"], WaiterConfig=_READY
    )


def _update_code(aws: Aws, name: str) -> None:
    client = aws.client("lambda")
    client.update_function_code(FunctionName=name, ZipFile=archive())
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig=_READY)


def _update_configuration(aws: Aws, console: Console, wanted: dict[str, Any]) -> None:
    client = aws.client("lambda")
    patience = aws.settings.timing.iam_patience_seconds
    retry_while_iam_spreads(
        lambda: client.update_function_configuration(**wanted), _ROLE_NOT_YET, console, patience
    )
    client.get_waiter("function_updated_v2").wait(
        FunctionName=wanted["FunctionName"], WaiterConfig=_READY
    )
