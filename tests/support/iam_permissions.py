"""Translates requests to IAM permissions: an action on a resource in a context.

https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html

One request may need several permissions: for each table that it reads, each object that it deletes,
each role that it passes. An unknown operation raises an error, so that no request counts as needing
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.call_trail import Request

from local_aws.clients import ACCOUNT_ID

# query parameters that do not select another S3 operation
_PLAIN_PARAMETERS = frozenset(
    "x-id list-type prefix max-keys delimiter encoding-type continuation-token start-after".split()
)


@dataclass(frozen=True)
class Permission:
    """A role's need for one action on one resource."""

    role: str
    action: str
    resource: str
    context: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __str__(self) -> str:
        return f"{self.role}: {self.action} on {self.resource}"


class Translator:
    """Translates requests to permissions.

    ``client`` makes clients of the stand-in, which resolve the tags of a cluster and the workgroup
    of a query.
    """

    def __init__(self, client: Callable[[str], Any]) -> None:
        self._client = client
        self._tags: dict[str, dict[str, str]] = {}

    def permissions(self, request: Request) -> list[Permission]:
        """The permissions that ``request`` needs."""
        if request.service == "s3":
            needed = list(_s3(request))
        else:
            name = request.operation
            needed = list(
                getattr(self, f"_{request.service}")(name, request.parameters, request.region)
            )
        return [Permission(request.role, *need) for need in needed]

    def _glue(self, name: str, body: dict[str, Any], region: str) -> Iterator[tuple[Any, ...]]:
        arn = f"arn:aws:glue:{region}:{ACCOUNT_ID}"
        if name in ("StartCrawler", "GetCrawler"):
            yield f"glue:{name}", f"{arn}:crawler/{body['Name']}"
            return
        database = body["Name"] if name == "GetDatabase" else body["DatabaseName"]
        yield f"glue:{name}", f"{arn}:catalog"
        yield f"glue:{name}", f"{arn}:database/{database}"
        if name == "GetTables":
            yield f"glue:{name}", f"{arn}:table/{database}/*"
        elif name != "GetDatabase":
            table = body.get("TableName") or body.get("TableInput", {}).get("Name") or body["Name"]
            yield f"glue:{name}", f"{arn}:table/{database}/{table}"

    def _athena(self, name: str, body: dict[str, Any], region: str) -> Iterator[tuple[Any, ...]]:
        workgroup = body.get("WorkGroup")
        if "QueryExecutionId" in body:
            described = self._client("athena").get_query_execution(
                QueryExecutionId=body["QueryExecutionId"]
            )
            workgroup = described["QueryExecution"]["WorkGroup"]
        yield f"athena:{name}", f"arn:aws:athena:{region}:{ACCOUNT_ID}:workgroup/{workgroup}"
        if name == "StartQueryExecution":
            # a query without a database runs in `default`
            # https://docs.aws.amazon.com/athena/latest/ug/fine-grained-access-to-glue-resources.html
            database = body.get("QueryExecutionContext", {}).get("Database", "default")
            for resource in ("catalog", f"database/{database}"):
                yield "glue:GetDatabase", f"arn:aws:glue:{region}:{ACCOUNT_ID}:{resource}"

    def _elasticmapreduce(
        self, name: str, body: dict[str, Any], region: str
    ) -> Iterator[tuple[Any, ...]]:
        arn = f"arn:aws:elasticmapreduce:{region}:{ACCOUNT_ID}:cluster"
        if name == "ListClusters":
            yield f"elasticmapreduce:{name}", "*"
        elif name == "RunJobFlow":
            yield from _run_job_flow(body, arn)
        else:
            for cluster in body.get("JobFlowIds") or [body.get("ClusterId") or body["JobFlowId"]]:
                yield f"elasticmapreduce:{name}", f"{arn}/{cluster}", self._tags_of(cluster)

    def _tags_of(self, cluster: str) -> dict[str, str]:
        if cluster not in self._tags:
            described = self._client("emr").describe_cluster(ClusterId=cluster)["Cluster"]["Tags"]
            self._tags[cluster] = {
                f"elasticmapreduce:ResourceTag/{tag['Key']}": tag["Value"] for tag in described
            }
        return self._tags[cluster]

    def _states(self, name: str, body: dict[str, Any], region: str) -> Iterator[tuple[Any, ...]]:
        yield f"states:{name}", body["executionArn"]

    def _logs(self, name: str, body: dict[str, Any], region: str) -> Iterator[tuple[Any, ...]]:
        group = f"arn:aws:logs:{region}:{ACCOUNT_ID}:log-group:{body['logGroupName']}"
        yield (
            f"logs:{name}",
            f"{group}:log-stream:{body['logStreamName']}" if "logStreamName" in body else group,
        )


def _run_job_flow(body: dict[str, Any], arn: str) -> Iterator[tuple[Any, ...]]:
    """RunJobFlow and the permissions that EMR checks with it.

    https://docs.aws.amazon.com/step-functions/latest/dg/connect-emr.html
    """
    yield (
        "elasticmapreduce:RunJobFlow",
        "*",
        {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in body["Tags"]},
    )
    yield "elasticmapreduce:AddTags", f"{arn}/j-NEW"
    for policy in ("AutoTerminationPolicy", "ManagedScalingPolicy"):
        if policy in body:
            yield f"elasticmapreduce:Put{policy}", f"{arn}/j-NEW"
    for parameter, service in (("ServiceRole", "elasticmapreduce"), ("JobFlowRole", "ec2")):
        role = f"arn:aws:iam::{ACCOUNT_ID}:role/{body[parameter].rpartition('/')[2]}"
        yield "iam:PassRole", role, {"iam:PassedToService": f"{service}.amazonaws.com"}


def _s3(request: Request) -> Iterator[tuple[Any, ...]]:
    bucket, _, key = request.path.removeprefix("/").partition("/")
    bucket_arn, query, method = f"arn:aws:s3:::{bucket}", request.query, request.method
    plain = not query.keys() - _PLAIN_PARAMETERS
    if method in ("GET", "HEAD") and plain:
        yield ("s3:GetObject", f"{bucket_arn}/{key}") if key else ("s3:ListBucket", bucket_arn)
    elif method == "PUT" and key and plain:
        yield "s3:PutObject", f"{bucket_arn}/{key}"
        if source := request.headers.get("HTTP_X_AMZ_COPY_SOURCE"):
            yield "s3:GetObject", f"arn:aws:s3:::{source.removeprefix('/')}"
    elif method == "DELETE" and key and plain:
        yield "s3:DeleteObject", f"{bucket_arn}/{key}"
    elif method == "POST" and "delete" in query:
        for deleted in re.findall(r"<Key>(.*?)</Key>", request.body.decode()):
            yield "s3:DeleteObject", f"{bucket_arn}/{deleted}"
    else:
        raise NotImplementedError(f"{method} {request.path} {dict(query)}")
