"""Runs cfn-lint over policies and state machines, as resources of a CloudFormation template."""

from __future__ import annotations

import json
from typing import Any

import cfnlint.api


def lint_resources(*resources: tuple[str, dict[str, Any]]) -> list[str]:
    """The findings of cfn-lint in a template with these resources, each (type, properties)."""
    named = {
        f"Resource{number}": {"Type": kind, "Properties": properties}
        for number, (kind, properties) in enumerate(resources)
    }
    template = json.dumps({"Resources": named})
    return [
        str(match)
        for match in cfnlint.api.lint(template, cfnlint.api.ManualArgs(regions=["us-east-1"]))
    ]
