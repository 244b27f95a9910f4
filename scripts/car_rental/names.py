"""Names that more than one service uses; the policies of the roles name these resources too."""

from __future__ import annotations

from car_rental.aws import Aws


def topic_name(aws: Aws) -> str:
    """The topic's name."""
    return aws.settings.shared_name("car-rental-alerts")


def rule_name(aws: Aws) -> str:
    """The name of the EventBridge rule for executions that fail (``execution_rule``)."""
    return aws.settings.shared_name("car-rental-execution-ended")


def alarm_name(aws: Aws) -> str:
    """The alarm's name."""
    return f"{aws.settings.step_functions_state_machine_name}-overlong"


def schedule_name(aws: Aws) -> str:
    """The schedule's name."""
    return aws.settings.shared_name("car-rental-pipeline")
