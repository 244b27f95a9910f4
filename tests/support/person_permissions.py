"""Translates the calls of a user's session to IAM permissions.

``iam_permissions.py`` does the same for the requests of roles.
https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

A call that creates a tagged resource also needs the permission to tag it. A call that hands a role
to a service also needs the permission to pass the role. An unknown operation raises an error, so
that no call counts as needing nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from support.iam_permissions import Permission, Translator
from support.recorded_calls import Call

from local_aws.clients import ACCOUNT_ID

PERSON = "the person"
Need = tuple[Any, ...]
# S3 operations whose IAM action has another name
_S3 = {
    "HeadBucket": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "HeadObject": "GetObject",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
}
# botocore's service -> IAM's prefix; parameters that name a resource -> prefix of the name in the
# ARN
_BY_NAME = {
    "lambda": ("lambda", {"FunctionName": "function:"}),
    "events": ("events", {"Name": "rule/", "Rule": "rule/"}),
    "scheduler": ("scheduler", {"Name": "schedule/default/"}),
    "logs": ("logs", {"logGroupName": "log-group:"}),
    "cloudwatch": ("cloudwatch", {"AlarmName": "alarm:"}),
}
# actions that accept no resource but "*"
_EVERYWHERE = frozenset(
    "events:ListRuleNamesByTarget scheduler:ListSchedules athena:ListWorkGroups"
    " states:ValidateStateMachineDefinition tag:GetResources servicequotas:GetServiceQuota"
    " pricing:GetProducts sns:Unsubscribe s3:ListAllMyBuckets".split()
)


class PersonTranslator(Translator):
    """Translates a user's calls in ``region`` to permissions."""

    def __init__(self, client: Callable[[str], Any], region: str) -> None:
        super().__init__(client)
        self._region = region

    def needs(self, call: Call) -> list[Permission]:
        """The permissions that ``call`` needs."""
        translate = getattr(self, f"_person_{call.service.replace('-', '_')}")
        return [Permission(PERSON, *need) for need in translate(call.operation, call.parameters)]

    def _arn(self, service: str, name: str) -> str:
        return f"arn:aws:{service}:{self._region}:{ACCOUNT_ID}:{name}"

    def _named(self, service: str, name: str, given: dict[str, Any]) -> Iterator[Need]:
        """The need of a call on one resource that a parameter names."""
        prefix, parameters = _BY_NAME[service]
        if f"{prefix}:{name}" in _EVERYWHERE:
            yield f"{prefix}:{name}", "*"
            return
        for parameter, arn_prefix in parameters.items():
            if parameter in given:
                resource = str(given[parameter])
                arn = (
                    resource
                    if resource.startswith("arn:")
                    else self._arn(prefix, arn_prefix + resource)
                )
                yield f"{prefix}:{name}", arn
                if given.get("Tags") or given.get("tags"):
                    yield f"{prefix}:TagResource", arn
                return
        raise NotImplementedError(f"{service}:{name} {given}")

    def _person_sts(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        assert name == "GetCallerIdentity"  # needs no permission
        yield from ()

    def _person_iam(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        if "InstanceProfileName" in given:
            profile = f"arn:aws:iam::{ACCOUNT_ID}:instance-profile/{given['InstanceProfileName']}"
            yield f"iam:{name}", profile
            if given.get("Tags"):
                yield "iam:TagInstanceProfile", profile
            if name == "AddRoleToInstanceProfile":
                yield from self._passes(given["RoleName"], "ec2")
            return
        role = _role(given["RoleName"])
        yield (
            f"iam:{name}",
            role,
            {"iam:PolicyARN": given["PolicyArn"]} if "PolicyArn" in given else {},
        )
        if given.get("Tags"):
            yield "iam:TagRole", role

    def _passes(self, role: str, service: str) -> Iterator[Need]:
        arn = role if role.startswith("arn:") else _role(role)
        yield "iam:PassRole", arn, {"iam:PassedToService": f"{service}.amazonaws.com"}

    def _person_s3(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        action = f"s3:{_S3.get(name, name)}"
        if name == "ListBuckets":
            yield "s3:ListAllMyBuckets", "*"
            return
        bucket = f"arn:aws:s3:::{given['Bucket']}"
        if name == "DeleteObjects":
            for item in given["Delete"]["Objects"]:
                yield (
                    "s3:DeleteObjectVersion" if "VersionId" in item else "s3:DeleteObject",
                    f"{bucket}/{item['Key']}",
                )
        else:
            yield action, f"{bucket}/{given['Key']}" if "Key" in given else bucket

    def _person_glue(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        database = self._arn("glue", f"database/{given.get('DatabaseInput', given).get('Name')}")
        if "Crawler" in name:
            crawler = self._arn("glue", f"crawler/{given['Name']}")
            yield f"glue:{name}", crawler
            if "Role" in given:
                yield from self._passes(given["Role"], "glue")
            if given.get("Tags"):
                yield "glue:TagResource", crawler
        elif name in ("CreateDatabase", "DeleteDatabase"):
            yield f"glue:{name}", self._arn("glue", "catalog")
            yield f"glue:{name}", database
            if name == "CreateDatabase":
                yield "glue:TagResource", database
            else:
                yield f"glue:{name}", self._arn("glue", f"table/{given['Name']}/x")
        else:
            yield from self._glue(name, given, self._region)

    def _person_athena(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        if f"athena:{name}" in _EVERYWHERE:
            yield f"athena:{name}", "*"
        elif name == "CreateWorkGroup":
            for action in (name, "TagResource"):
                yield f"athena:{action}", self._arn("athena", f"workgroup/{given['Name']}")
        elif "NamedQueryId" in given:
            query = self._client("athena").get_named_query(NamedQueryId=given["NamedQueryId"])[
                "NamedQuery"
            ]
            yield f"athena:{name}", self._arn("athena", f"workgroup/{query['WorkGroup']}")
        else:
            yield from self._athena(name, given, self._region)

    def _person_emr(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        whole = (
            "DescribeReleaseLabel",
            "ListSupportedInstanceTypes",
            "DescribeSecurityConfiguration",
            "CreateSecurityConfiguration",
        )
        if name in whole:
            yield f"elasticmapreduce:{name}", "*"
        else:
            yield from self._elasticmapreduce(name, given, self._region)

    def _person_stepfunctions(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        if f"states:{name}" in _EVERYWHERE:
            yield f"states:{name}", "*"
            return
        made = (
            self._arn("states", f"stateMachine:{given['name']}")
            if name == "CreateStateMachine"
            else ""
        )
        named = ("executionArn", "stateMachineArn", "resourceArn")
        yield (
            f"states:{name}",
            made or next(given[parameter] for parameter in named if parameter in given),
        )
        if made:
            yield "states:TagResource", made
        if "roleArn" in given:
            yield from self._passes(given["roleArn"], "states")

    def _person_lambda(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        yield from self._named("lambda", name, given)
        if "Role" in given:
            yield from self._passes(given["Role"], "lambda")

    def _person_events(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        if name == "ListTagsForResource":
            yield "events:ListTagsForResource", given["ResourceARN"]
        else:
            yield from self._named("events", name, given)

    def _person_scheduler(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        yield from self._named("scheduler", name, given)
        if "Target" in given:
            yield from self._passes(given["Target"]["RoleArn"], "scheduler")

    def _person_logs(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        if name == "DescribeLogGroups":
            yield "logs:DescribeLogGroups", self._arn("logs", "log-group:x")
        else:
            yield from self._named("logs", name, given)

    def _person_cloudwatch(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        if name == "DescribeAlarms":
            yield "cloudwatch:DescribeAlarms", self._arn("cloudwatch", "alarm:x")
        elif name == "DeleteAlarms":
            for alarm in given["AlarmNames"]:
                yield "cloudwatch:DeleteAlarms", self._arn("cloudwatch", f"alarm:{alarm}")
        else:
            yield from self._named("cloudwatch", name, given)

    def _person_sns(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        topic = (
            self._arn("sns", given["Name"]) if name == "CreateTopic" else given.get("TopicArn", "*")
        )
        yield f"sns:{name}", topic
        if name == "CreateTopic":
            yield "sns:TagResource", topic

    def _person_ec2(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        kinds = {"subnet": "subnet", "vpc": "vpc", "sg": "security-group"}
        if name.startswith("Describe"):
            yield f"ec2:{name}", "*"
        else:
            assert name == "CreateTags"
            for resource in given["Resources"]:
                yield (
                    "ec2:CreateTags",
                    self._arn("ec2", f"{kinds[resource.split('-')[0]]}/{resource}"),
                )

    def _person_resourcegroupstaggingapi(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        yield f"tag:{name}", "*"

    def _person_service_quotas(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        yield f"servicequotas:{name}", "*"

    def _person_pricing(self, name: str, given: dict[str, Any]) -> Iterator[Need]:
        yield f"pricing:{name}", "*"


def _role(name: str) -> str:
    if name == "AWSServiceRoleForEC2Spot":
        return f"arn:aws:iam::{ACCOUNT_ID}:role/aws-service-role/spot.amazonaws.com/{name}"
    return f"arn:aws:iam::{ACCOUNT_ID}:role/{name}"
