"""Alerts by e-mail about failed and overlong executions: an SNS topic and a CloudWatch alarm.

The alarm reports executions that take too long. Failures are reported by EventBridge
(``execution_rule``), with the execution's name. Topic and alarm exist only while ALERT_EMAIL is
set.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from car_rental.aws import Answer, Aws, if_exists
from car_rental.changes import Change, Verb
from car_rental.names import alarm_name, rule_name, topic_name
from car_rental.state_machine.definition import state_machine_arn


def topic_arn(aws: Aws) -> str:
    """The topic's ARN."""
    return f"arn:{aws.partition}:sns:{aws.settings.aws_region}:{aws.account_id}:{topic_name(aws)}"


def rule_arn(aws: Aws) -> str:
    """The rule's ARN."""
    region = aws.settings.aws_region
    return f"arn:{aws.partition}:events:{region}:{aws.account_id}:rule/{rule_name(aws)}"


def ensure_topic(aws: Aws) -> Change:
    """Ensures the topic for EventBridge and CloudWatch, with ALERT_EMAIL as its only subscriber."""
    sns, arn = aws.client("sns"), topic_arn(aws)
    current = _attributes(aws)
    changed = []
    if current is None:
        aws.change(lambda: sns.create_topic(Name=topic_name(aws), Tags=aws.tag_list))
    if current is None or json.loads(current["Policy"]) != _policy(aws):
        policy = json.dumps(_policy(aws))
        aws.change(
            lambda: sns.set_topic_attributes(
                TopicArn=arn, AttributeName="Policy", AttributeValue=policy
            )
        )
        changed.append("policy")
    if _subscribe(aws, there=current is not None):
        changed.append("subscription")
    return Change.of("topic", topic_name(aws), existed=current is not None, changed=changed)


def remove_topic(aws: Aws) -> Change | None:
    """Removes the topic and its subscriptions."""
    if _attributes(aws) is None:
        return None
    aws.change(lambda: aws.client("sns").delete_topic(TopicArn=topic_arn(aws)))
    return Change("topic", topic_name(aws), Verb.REMOVED)


def _attributes(aws: Aws) -> dict[str, str] | None:
    get = aws.client("sns").get_topic_attributes
    return if_exists(
        lambda: get(TopicArn=topic_arn(aws))["Attributes"], "NotFound", "NotFoundException"
    )


def _policy(aws: Aws) -> dict[str, Any]:
    """Allows the project's rule and alarm to publish, and nothing else.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/Notify_Users_Alarm_Changes.html
    """
    of_rule = {"ArnEquals": {"aws:SourceArn": rule_arn(aws)}}
    of_alarm = {
        "StringEquals": {"aws:SourceAccount": aws.account_id},
        "ArnEquals": {"aws:SourceArn": _alarm_arn(aws)},
    }
    return {
        "Version": "2012-10-17",
        "Statement": [
            _may_publish(aws, "Events", "events.amazonaws.com", of_rule),
            _may_publish(aws, "Alarms", "cloudwatch.amazonaws.com", of_alarm),
        ],
    }


def _may_publish(aws: Aws, sid: str, service: str, condition: dict[str, Any]) -> dict[str, Any]:
    who: dict[str, Any] = {"Sid": sid, "Effect": "Allow", "Principal": {"Service": service}}
    return {**who, "Action": "sns:Publish", "Resource": topic_arn(aws), "Condition": condition}


def _subscribe(aws: Aws, *, there: bool) -> bool:
    """Subscribes ALERT_EMAIL and removes other subscribers.

    A subscription that awaits confirmation stays.
    """
    sns, wanted = aws.client("sns"), aws.settings.alert_email
    pages: Iterable[Answer] = (
        sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn(aws))
        if there
        else []
    )
    current = [item for page in pages for item in page["Subscriptions"]]
    others = [
        item
        for item in current
        if item["Endpoint"] != wanted and item["SubscriptionArn"].startswith("arn:")
    ]
    for item in others:
        arn = item["SubscriptionArn"]
        aws.change(lambda arn=arn: sns.unsubscribe(SubscriptionArn=arn))  # type: ignore[misc]
    missing = all(item["Endpoint"] != wanted for item in current)
    if missing:
        aws.change(
            lambda: sns.subscribe(TopicArn=topic_arn(aws), Protocol="email", Endpoint=wanted)
        )
    return missing or bool(others)


def ensure_alarm(aws: Aws) -> Change:
    """Ensures that the alarm exists with these parameters."""
    wanted, current = _alarm(aws), _current_alarm(aws)
    if current and all(current.get(key) == value for key, value in wanted.items()):
        return Change("alarm", alarm_name(aws), Verb.UNCHANGED)
    # PutMetricAlarm rejects tags for an existing alarm
    tags: dict[str, Any] = {} if current else {"Tags": aws.tag_list}
    aws.change(lambda: aws.client("cloudwatch").put_metric_alarm(**wanted, **tags))
    return Change("alarm", alarm_name(aws), Verb.UPDATED if current else Verb.CREATED)


def remove_alarm(aws: Aws) -> Change | None:
    """Removes the alarm."""
    if _current_alarm(aws) is None:
        return None
    aws.change(lambda: aws.client("cloudwatch").delete_alarms(AlarmNames=[alarm_name(aws)]))
    return Change("alarm", alarm_name(aws), Verb.REMOVED)


def _current_alarm(aws: Aws) -> Answer | None:
    found = aws.client("cloudwatch").describe_alarms(AlarmNames=[alarm_name(aws)])["MetricAlarms"]
    return next(iter(found), None)


def _alarm_arn(aws: Aws) -> str:
    region = aws.settings.aws_region
    return f"arn:{aws.partition}:cloudwatch:{region}:{aws.account_id}:alarm:{alarm_name(aws)}"


def _alarm(aws: Aws) -> dict[str, Any]:
    """The parameters of ``cloudwatch:PutMetricAlarm``."""
    limit = aws.settings.emr_step_timeout_minutes
    return {
        "AlarmName": alarm_name(aws),
        "AlarmDescription": f"An execution of the pipeline took {limit} minutes or more.",
        "Namespace": "AWS/States",
        "MetricName": "ExecutionTime",
        "Dimensions": [{"Name": "StateMachineArn", "Value": state_machine_arn(aws)}],
        "Statistic": "Maximum",
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": limit * 60_000.0,  # the metric's unit is the millisecond
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",  # without an execution there is nothing to report
        "AlarmActions": [topic_arn(aws)],
    }
