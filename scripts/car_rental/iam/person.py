"""Least-privilege policies for the person who runs the scripts, one for each phase.

An administrator attaches them.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from string import Template
from typing import Any

from car_rental.aws import Aws
from car_rental.iam.roles import policy_values, roles
from car_rental.names import alarm_name, rule_name, schedule_name, topic_name

# the commands that each policy allows; main.py --all needs check, roles, setup, process and analyze
PERSON_PHASES = {
    "check": "main.py --check, with --fix too; with roles and setup also --plan",
    "roles": "step 1; its holder decides what the roles may do",
    "setup": "steps 2 to 4",
    "process": "steps 5 to 8",
    "orchestrate": "step 9",
    "analyze": "step 10, the notebook, scripts/query_lake.py",
    "teardown": "main.py --teardown, with --delete-data too",
}
MAX_MANAGED_CHARACTERS = (
    6_144  # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
)
_TEMPLATES = Path(__file__).with_name("policies") / "person"


def person_policy(aws: Aws, phase: str) -> dict[str, Any]:
    """The policy document of one of ``PERSON_PHASES`` for these settings and this account."""
    text = (_TEMPLATES / f"{phase}.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(Template(text).substitute(_values(aws)))
    if aws.settings.kms_key_id and phase in ("setup", "process", "orchestrate", "analyze"):
        key = (_TEMPLATES.parent / "lake_key.json").read_text(encoding="utf-8")
        document["Statement"] += json.loads(Template(key).substitute(_values(aws)))["Statement"]
    return document


def _values(aws: Aws) -> dict[str, str]:
    """The values of the templates' placeholders.

    They are the values for the role policies, and the names of the resources.
    """
    scheduled = dataclasses.replace(
        aws.settings, schedule_expression=aws.settings.schedule_expression or "rate(1 day)"
    )
    by_key = {role.key: role for role in roles(scheduled, aws.account_id, aws.partition)}
    nodes = by_key["EMR_EC2_INSTANCE_PROFILE"]
    return policy_values(aws.settings, aws.account_id, aws.partition) | {
        "emr_service_role_arn": by_key["EMR_SERVICE_ROLE"].arn,
        "emr_nodes_role_arn": nodes.arn,
        "emr_nodes_profile_arn": nodes.shown_arn,
        "glue_role_arn": by_key["GLUE_SERVICE_ROLE"].arn,
        "reaper_role_arn": by_key["LAMBDA_ROLE"].arn,
        "state_machine_role_arn": by_key["STEP_FUNCTIONS_ROLE_ARN"].arn,
        "scheduler_role_arn": by_key["SCHEDULER_ROLE"].arn,
        "rule": rule_name(aws),
        "topic": topic_name(aws),
        "alarm": alarm_name(aws),
        "schedule": schedule_name(aws),
    }
