"""Names of resources that several services refer to; the policies of the roles contain them too."""

from __future__ import annotations

from car_rental.aws import Aws


def topic_name(aws: Aws) -> str:
    """The name of the SNS topic for alerts (``alerts``)."""
    return aws.settings.shared_name("car-rental-alerts")


def rule_name(aws: Aws) -> str:
    """The name of the EventBridge rule for executions that fail (``execution_rule``)."""
    return aws.settings.shared_name("car-rental-execution-ended")


def alarm_name(aws: Aws) -> str:
    """The name of the CloudWatch alarm for executions that take too long (``alerts``)."""
    return f"{aws.settings.step_functions_state_machine_name}-overlong"


def schedule_name(aws: Aws) -> str:
    """The name of the schedule that starts the state machine (``schedule``)."""
    return aws.settings.shared_name("car-rental-pipeline")
