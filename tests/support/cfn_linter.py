"""cfn-lint, for what would be a resource of CloudFormation: policies with the names of AWS's
actions, state machines."""

from __future__ import annotations

import json
from typing import Any

import cfnlint.api


def lint_resources(*resources: tuple[str, dict[str, Any]]) -> list[str]:
    """The findings of cfn-lint in a template with these resources (type, properties)."""
    made = {
        f"Resource{number}": {"Type": kind, "Properties": properties}
        for number, (kind, properties) in enumerate(resources)
    }
    template = json.dumps({"Resources": made})
    return [
        str(match)
        for match in cfnlint.api.lint(template, cfnlint.api.ManualArgs(regions=["us-east-1"]))
    ]
