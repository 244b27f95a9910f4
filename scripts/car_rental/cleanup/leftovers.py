"""Finds the project's resources on AWS, by tag and by name, in the order of their removal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from car_rental.aws import Answer, Aws, error_code, if_exists
from car_rental.data_contract import contract
from car_rental.display.console import Console
from car_rental.emr.clusters import active_clusters, terminate, wait_until_ended
from car_rental.errors import DataLakeError
from car_rental.glue.crawlers import crawlers, wait_until_idle
from car_rental.glue.rejected_table import OF_FAILED_RUNS
from car_rental.glue.rejected_table import TABLE as REJECTED_TABLE
from car_rental.iam.roles import region_of, roles
from car_rental.s3.lake_bucket import bucket_exists
from car_rental.state_machine.definition import state_machine_arn

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLUSTER_MINUTES = 20.0
_NOT_OURS = "it lacks the project's tags: something else created it"
_BATCH = 1000  # maximum number of keys in a DeleteObjects call
_ROUNDS = 5  # attempts at emptying a bucket: a cluster that has just ended still writes its logs


@dataclass(frozen=True)
class Resource:
    """One resource to remove, and the call that removes it."""

    kind: str
    name: str
    remove: Callable[[], object]


@dataclass(frozen=True)
class Kept:
    """One resource that is not removed, and the reason."""

    kind: str
    name: str
    reason: str


def find_leftovers(
    aws: Aws, console: Console, *, delete_data: bool
) -> tuple[list[Resource], list[Kept]]:
    """The resources to remove, in order, and those that exist but stay."""
    tagged = tagged_arns(aws)
    known = [
        *_executions(aws, tagged),
        *_schedules(aws),
        *_rules(aws, tagged),
        *_of_arns(aws, tagged),
        *_clusters(aws, console),
        *_catalog(aws, console, tagged),
        *_workgroup(aws, tagged),
        *_roles(aws),
        *_security_configuration(aws),
        *_bucket(aws, delete_data),
        *_unknown(aws, tagged),
    ]
    return [one for one in known if isinstance(one, Resource)], [
        one for one in known if isinstance(one, Kept)
    ]


Found = Iterator[Resource | Kept]


def tagged_arns(aws: Aws) -> list[str]:
    """The ARNs in this region with both of the project's tags.

    The tagging API covers neither roles nor clusters.
    """
    filters: Any = [{"Key": key, "Values": [value]} for key, value in aws.tags.items()]
    pages = (
        aws.client("resourcegroupstaggingapi")
        .get_paginator("get_resources")
        .paginate(TagFilters=filters)
    )
    return sorted(item["ResourceARN"] for page in pages for item in page["ResourceTagMappingList"])


def _name(arn: str) -> str:
    """The last part of an ARN, without the prefix that some services add (``function:x``)."""
    resource = arn.split(":", 5)[5]
    return resource.partition(":")[2] or resource


# --- triggers and alerts of the state machine


def _executions(aws: Aws, tagged: list[str]) -> Found:
    sfn = aws.client("stepfunctions")
    for machine in (arn for arn in tagged if ":stateMachine:" in arn):
        pages = sfn.get_paginator("list_executions").paginate(
            stateMachineArn=machine, statusFilter="RUNNING"
        )
        try:
            running = [
                execution["executionArn"] for page in pages for execution in page["executions"]
            ]
        except ClientError as error:
            if error_code(error) != "StateMachineDoesNotExist":
                raise
            continue
        for arn in running:
            stop = partial(sfn.stop_execution, executionArn=arn, cause="teardown")
            yield Resource("execution", arn.rsplit(":", 1)[1], stop)


def _schedules(aws: Aws) -> Found:
    """The schedules that start the project's state machine.

    Schedules have no tags, so their target identifies them.
    """
    scheduler, target = aws.client("scheduler"), state_machine_arn(aws)
    pages = scheduler.get_paginator("list_schedules").paginate()
    for schedule in (item for page in pages for item in page["Schedules"]):
        if schedule.get("Target", {}).get("Arn") == target:
            name, group = schedule["Name"], schedule.get("GroupName", "default")
            yield Resource(
                "schedule", name, partial(scheduler.delete_schedule, Name=name, GroupName=group)
            )


def _rules(aws: Aws, tagged: list[str]) -> Found:
    """The rules with the project's tags that call one of its functions or topics."""
    events = aws.client("events")
    targets = [arn for arn in tagged if ":lambda:" in arn or ":sns:" in arn]
    names = {
        name
        for arn in targets
        for name in events.list_rule_names_by_target(TargetArn=arn)["RuleNames"]
    }
    names |= {arn.rsplit("/", 1)[1] for arn in tagged if ":events:" in arn and ":rule/" in arn}
    for name in sorted(names):
        arn = events.describe_rule(Name=name)["Arn"]
        if _carries(aws, events.list_tags_for_resource(ResourceARN=arn)["Tags"]):
            yield Resource("rule", name, partial(_remove_rule, aws, name))
        else:
            yield Kept("rule", name, _NOT_OURS)


def _remove_rule(aws: Aws, name: str) -> None:
    events = aws.client("events")
    targets = [target["Id"] for target in events.list_targets_by_rule(Rule=name)["Targets"]]
    if targets:
        events.remove_targets(Rule=name, Ids=targets)
    events.delete_rule(Name=name)


def _of_arns(aws: Aws, tagged: list[str]) -> Found:
    """Resources that are removed by ARN or name alone, kind by kind."""
    for part, kind, remove in _KINDS:
        for arn in tagged:
            if part in arn:
                yield Resource(kind, _name(arn), partial(remove, aws, arn))


def _remove_log_group(aws: Aws, arn: str) -> None:
    aws.client("logs").delete_log_group(
        logGroupName=arn.split(":log-group:", 1)[1].removesuffix(":*")
    )


# part of the ARN, kind, removal; first the resources that trigger others, last the logs
_KINDS: tuple[tuple[str, str, Callable[[Aws, str], object]], ...] = (
    (
        ":lambda:",
        "Lambda function",
        lambda aws, arn: aws.client("lambda").delete_function(FunctionName=arn),
    ),
    (":sns:", "topic", lambda aws, arn: aws.client("sns").delete_topic(TopicArn=arn)),
    (
        ":alarm:",
        "alarm",
        lambda aws, arn: aws.client("cloudwatch").delete_alarms(AlarmNames=[_name(arn)]),
    ),
    (
        ":stateMachine:",
        "state machine",
        lambda aws, arn: aws.client("stepfunctions").delete_state_machine(stateMachineArn=arn),
    ),
    (":log-group:", "log group", _remove_log_group),
)


# --- clusters and catalog


def _clusters(aws: Aws, console: Console) -> Found:
    for cluster in active_clusters(aws):
        yield Resource("cluster", cluster["Id"], partial(_end_cluster, aws, console, cluster["Id"]))


def _end_cluster(aws: Aws, console: Console, cluster_id: str) -> None:
    """Terminates the cluster and waits for its end: EMR needs the roles until then."""
    terminate(aws, cluster_id)
    wait_until_ended(aws, console, cluster_id, CLUSTER_MINUTES)


def _catalog(aws: Aws, console: Console, tagged: list[str]) -> Found:
    glue, names = aws.client("glue"), [crawler.name for crawler in crawlers(aws.settings)]
    for name in names:
        if if_exists(partial(glue.get_crawler, Name=name), "EntityNotFoundException"):
            if _is_tagged(tagged, f":crawler/{name}"):
                yield Resource("crawler", name, partial(_remove_crawler, aws, console, name))
            else:
                yield Kept("crawler", name, _NOT_OURS)
    yield from _database(aws, tagged)


def _remove_crawler(aws: Aws, console: Console, name: str) -> None:
    """Stops the crawler and deletes it: Glue does not delete a running crawler."""
    glue = aws.client("glue")
    if glue.get_crawler(Name=name)["Crawler"]["State"] == "RUNNING":
        glue.stop_crawler(Name=name)
    again = "Run the teardown again when it has stopped."
    wait_until_idle(aws, console, name, deadline_seconds=600, resume=again)
    glue.delete_crawler(Name=name)


def _database(aws: Aws, tagged: list[str]) -> Found:
    glue, name = aws.client("glue"), aws.settings.glue_database_name
    if not if_exists(partial(glue.get_database, Name=name), "EntityNotFoundException"):
        return
    if not _is_tagged(tagged, f":database/{name}"):
        yield Kept("database", name, _NOT_OURS)
        return
    pages = glue.get_paginator("get_tables").paginate(DatabaseName=name)
    tables = [table["Name"] for page in pages for table in page["TableList"]]
    ours = {*contract.KPI_TABLES, REJECTED_TABLE, OF_FAILED_RUNS}
    for table in tables:
        if table in ours:
            yield Resource(
                "table",
                f"{name}.{table}",
                partial(glue.delete_table, DatabaseName=name, Name=table),
            )
    others = [table for table in tables if table not in ours]
    yield from (
        Kept("table", f"{name}.{table}", "the project creates no table of this name")
        for table in others
    )
    if others:
        yield Kept("database", name, f"it holds tables of others: {', '.join(others)}")
    else:
        yield Resource("database", name, partial(glue.delete_database, Name=name))


def _workgroup(aws: Aws, tagged: list[str]) -> Found:
    athena, name = aws.client("athena"), aws.settings.athena_workgroup
    if _is_tagged(tagged, f":workgroup/{name}"):
        # its named queries and query history are deleted with it; the results are in the bucket
        yield Resource(
            "workgroup",
            name,
            partial(athena.delete_work_group, WorkGroup=name, RecursiveDeleteOption=True),
        )
    elif if_exists(partial(athena.get_work_group, WorkGroup=name), "InvalidRequestException"):
        yield Kept("workgroup", name, _NOT_OURS)


# --- roles, security configuration, bucket


def _roles(aws: Aws) -> Found:
    """The roles by name.

    The scheduler's is included: an earlier deployment may have had a schedule.
    """
    iam = aws.client("iam")
    scheduled = dataclasses.replace(
        aws.settings, schedule_expression=aws.settings.schedule_expression or "rate(1 day)"
    )
    for role in roles(scheduled, aws.account_id, aws.partition):
        found = if_exists(partial(iam.get_role, RoleName=role.name), "NoSuchEntity")
        if not found:
            continue
        tags = found["Role"].get("Tags", [])
        region = region_of(tags)
        if not _carries(aws, tags):
            yield Kept("role", role.name, _NOT_OURS)
        elif region not in ("", aws.settings.aws_region):
            yield Kept("role", role.name, f"it serves this environment in {region}")
        else:
            yield Resource("role", role.name, partial(_remove_role, aws, role.name))


def _remove_role(aws: Aws, name: str) -> None:
    """Empties the role and deletes it: IAM deletes no role with policies or instance profiles."""
    iam = aws.client("iam")
    for page in iam.get_paginator("list_instance_profiles_for_role").paginate(RoleName=name):
        for profile in page["InstanceProfiles"]:
            iam.remove_role_from_instance_profile(
                InstanceProfileName=profile["InstanceProfileName"], RoleName=name
            )
            if profile["InstanceProfileName"] == name:
                iam.delete_instance_profile(InstanceProfileName=name)
    for attached in iam.get_paginator("list_attached_role_policies").paginate(RoleName=name):
        for managed in attached["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=name, PolicyArn=managed["PolicyArn"])
    for inline in iam.get_paginator("list_role_policies").paginate(RoleName=name):
        for policy in inline["PolicyNames"]:
            iam.delete_role_policy(RoleName=name, PolicyName=policy)
    iam.delete_role(RoleName=name)


def _security_configuration(aws: Aws) -> Found:
    name = aws.settings.emr_security_configuration
    if not name:
        return
    if if_exists(
        lambda: aws.client("emr").describe_security_configuration(Name=name),
        "InvalidRequestException",
    ):
        reason = (
            "it can carry no tags, so nobody knows whose it is: aws emr"
            f" delete-security-configuration --name {name}"
        )
        yield Kept("security configuration", name, reason)


def _bucket(aws: Aws, delete_data: bool) -> Found:
    name = aws.settings.s3_bucket_name
    try:
        there = bucket_exists(aws)
    except DataLakeError as error:
        yield Kept("bucket", name, error.what)
        return
    if not there:
        return
    tagging = if_exists(lambda: aws.client("s3").get_bucket_tagging(Bucket=name), "NoSuchTagSet")
    if tagging is None or not _carries(aws, tagging["TagSet"]):
        yield Kept("bucket", name, _NOT_OURS)
    elif delete_data:
        yield Resource("bucket", name, partial(_remove_bucket, aws, name))
    else:
        yield Kept("bucket", name, "it holds the data; --delete-data removes both")


def _remove_bucket(aws: Aws, name: str) -> None:
    """Removes every version of every object, every unfinished upload, then the bucket itself."""
    s3 = aws.client("s3")
    for _ in range(_ROUNDS):
        _empty(s3, name)
        try:
            s3.delete_bucket(Bucket=name)
        except ClientError as error:
            if error_code(error) != "BucketNotEmpty":
                raise
        else:
            return
    raise DataLakeError(
        "teardown",
        f"the bucket {name} is still being written to.",
        "Wait some minutes and run it again.",
    )


def _empty(s3: S3Client, name: str) -> None:
    for page in s3.get_paginator("list_object_versions").paginate(
        Bucket=name, PaginationConfig={"PageSize": _BATCH}
    ):
        versions = [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
        objects: list[Any] = [
            {"Key": item["Key"], "VersionId": item["VersionId"]} for item in versions
        ]
        errors = (
            s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True}).get("Errors")
            if objects
            else []
        )
        if errors:
            first = errors[0]
            raise DataLakeError(
                "teardown",
                f"S3 does not delete {first['Key']}: {first.get('Code')} {first.get('Message')}",
            )
    for unfinished in s3.get_paginator("list_multipart_uploads").paginate(Bucket=name):
        for upload in unfinished.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])


# --- other resources with the project's tags


def _unknown(aws: Aws, tagged: list[str]) -> Found:
    """Resources that have the project's tags, although no step creates such a resource."""
    known = [part for part, _, _ in _KINDS]
    known += [
        ":events:",
        ":crawler/",
        ":database/",
        ":workgroup/",
        ":s3:::",
        ":elasticmapreduce:",
        ":ec2:",
    ]
    for arn in tagged:
        if not any(part in arn for part in known):
            yield Kept(
                "tagged", arn, "no step creates such a resource: remove it by hand if you know it"
            )


def _is_tagged(tagged: list[str], end: str) -> bool:
    return any(arn.endswith(end) for arn in tagged)


def _carries(aws: Aws, tags: Sequence[Answer]) -> bool:
    return all(tag in tags for tag in aws.tag_list)
