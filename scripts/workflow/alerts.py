"""Who is told when an execution fails or takes too long: an SNS topic with an e-mail subscription, and CloudWatch alarms.

All of it is there while ALERT_EMAIL is set, and none of it when it is not.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from aws import Answer, Aws, if_there

from workflow.state_machine import state_machine_arn

_NAMESPACE = "AWS/States"
_PERIOD_SECONDS = 300


def topic_name(aws: Aws) -> str:
    """The topic's name."""
    return aws.settings.shared_name("car-rental-alerts")


def topic_arn(aws: Aws) -> str:
    """The ARN that the topic has."""
    return f"arn:{aws.partition}:sns:{aws.settings.aws_region}:{aws.account_id}:{topic_name(aws)}"


def ensure_topic(aws: Aws) -> str:
    """The topic exists, takes messages of EventBridge and CloudWatch, and has one subscriber: ALERT_EMAIL."""
    sns, arn = aws.client("sns"), topic_arn(aws)
    current = _attributes(aws)
    changed = []
    if current is None:
        aws.change(lambda: sns.create_topic(Name=topic_name(aws), Tags=aws.tag_list))
    if current is None or json.loads(current["Policy"]) != _policy(aws):
        policy = json.dumps(_policy(aws))
        aws.change(lambda: sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=policy))
        changed.append("policy")
    if _subscribe(aws, there=current is not None):
        changed.append("subscription")
    if current is None:
        return "created"
    return f"updated ({', '.join(changed)})" if changed else "unchanged"


def remove_topic(aws: Aws) -> str:
    """No topic, and no subscription to it."""
    if _attributes(aws) is None:
        return ""
    aws.change(lambda: aws.client("sns").delete_topic(TopicArn=topic_arn(aws)))
    return "removed"


def _attributes(aws: Aws) -> dict[str, str] | None:
    get = aws.client("sns").get_topic_attributes
    return if_there(lambda: get(TopicArn=topic_arn(aws))["Attributes"], "NotFound", "NotFoundException")


def _policy(aws: Aws) -> dict[str, Any]:
    """Without conditions: EventBridge's guide says that a topic with one gets nothing.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
    """
    publish = {"Effect": "Allow", "Action": "sns:Publish", "Resource": topic_arn(aws)}
    services = {"Events": "events.amazonaws.com", "Alarms": "cloudwatch.amazonaws.com"}
    statements = [{"Sid": sid, "Principal": {"Service": service}, **publish} for sid, service in services.items()]
    return {"Version": "2012-10-17", "Statement": statements}


def _subscribe(aws: Aws, *, there: bool) -> bool:
    """ALERT_EMAIL is subscribed and nobody else; a subscription waits for its confirmation, and one that waits stays."""
    sns, wanted = aws.client("sns"), aws.settings.alert_email
    pages: Iterable[Answer] = sns.get_paginator("list_subscriptions_by_topic").paginate(TopicArn=topic_arn(aws)) if there else []
    current = [item for page in pages for item in page["Subscriptions"]]
    others = [item for item in current if item["Endpoint"] != wanted and item["SubscriptionArn"].startswith("arn:")]
    for item in others:
        arn = item["SubscriptionArn"]
        aws.change(lambda arn=arn: sns.unsubscribe(SubscriptionArn=arn))  # type: ignore[misc]
    missing = all(item["Endpoint"] != wanted for item in current)
    if missing:
        aws.change(lambda: sns.subscribe(TopicArn=topic_arn(aws), Protocol="email", Endpoint=wanted))
    return missing or bool(others)


def ensure_alarms(aws: Aws) -> dict[str, str]:
    """The alarms exist as they should be; alarm -> what was done."""
    return {f"alarm {alarm['AlarmName']}": _ensure_alarm(aws, alarm) for alarm in _alarms(aws)}


def remove_alarms(aws: Aws) -> dict[str, str]:
    """None of our alarms is there; those that were -> ``removed``."""
    names = [alarm["AlarmName"] for alarm in _alarms(aws) if _current_alarm(aws, alarm["AlarmName"])]
    if names:
        aws.change(lambda: aws.client("cloudwatch").delete_alarms(AlarmNames=names))
    return {f"alarm {name}": "removed" for name in names}


def _ensure_alarm(aws: Aws, wanted: dict[str, Any]) -> str:
    current = _current_alarm(aws, wanted["AlarmName"])
    if current and all(current.get(key) == value for key, value in wanted.items()):
        return "unchanged"
    # of an alarm that is there, PutMetricAlarm does not take tags
    tags: dict[str, Any] = {} if current else {"Tags": aws.tag_list}
    aws.change(lambda: aws.client("cloudwatch").put_metric_alarm(**wanted, **tags))
    return "updated" if current else "created"


def _current_alarm(aws: Aws, name: str) -> Answer | None:
    return next(iter(aws.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]), None)


def _alarms(aws: Aws) -> list[dict[str, Any]]:
    """The parameters of ``cloudwatch:PutMetricAlarm`` for each."""
    limit = aws.settings.emr_step_timeout_minutes
    return [
        _alarm(aws, "failed", "ExecutionsFailed", "Sum", _PERIOD_SECONDS, 1, "An execution of the pipeline failed."),
        _alarm(aws, "timed-out", "ExecutionsTimedOut", "Sum", _PERIOD_SECONDS, 1, "An execution of the pipeline timed out."),
        _alarm(
            aws,
            "overlong",
            "ExecutionTime",
            "Maximum",
            _PERIOD_SECONDS,
            limit * 60_000,  # the metric's unit is the millisecond
            f"An execution of the pipeline took {limit} minutes or more.",
        ),
    ]


def _alarm(aws: Aws, name: str, metric: str, statistic: str, period: int, threshold: float, description: str) -> dict[str, Any]:
    return {
        "AlarmName": f"{aws.settings.step_functions_state_machine_name}-{name}",
        "AlarmDescription": description,
        "Namespace": _NAMESPACE,
        "MetricName": metric,
        "Dimensions": [{"Name": "StateMachineArn", "Value": state_machine_arn(aws)}],
        "Statistic": statistic,
        "Period": period,
        "EvaluationPeriods": 1,
        "Threshold": float(threshold),
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",  # no execution is no failure
        "AlarmActions": [topic_arn(aws)],
    }
