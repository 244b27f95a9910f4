"""The lake's bucket: creates it in any region and applies the wanted protection.

Rules that others added are kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from car_rental.aws import Aws, error_code, if_exists
from car_rental.changes import Change
from car_rental.data_contract import contract
from car_rental.errors import DataLakeError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_TEMPLATES = Path(__file__).with_name("bucket_policies")
_WHERE = "bucket"
_YOUNG = timedelta(minutes=30)  # S3's 15 minutes, and the time until a job fails
_NAME_FIX = (
    "Bucket names are shared by all of AWS: set S3_BUCKET_NAME to one of your own, such as"
    " {bucket}-<account id>."
)


@dataclass(frozen=True)
class _Rule:
    """One property of a bucket.

    It says how to read the property, how to compute the wanted value from the current one, and how
    to write it.
    """

    name: str
    read: Callable[[Any, str], Any]  # (client, bucket) -> value
    absent: str  # the error code if it is not set
    wanted: Callable[[Any], Any]  # current value or None -> wanted value
    write: Callable[[Any, str, Any], Any]


def ensure_bucket(aws: Aws) -> Change:
    """Creates the bucket if it does not exist and applies the wanted protection.

    Raises ``DataLakeError`` if the name belongs to another account or the bucket is in another
    region.
    """
    s3, bucket = aws.client("s3"), aws.settings.s3_bucket_name
    existed = bucket_exists(aws)
    if not existed:
        aws.change(lambda: _create(s3, bucket, aws.settings.aws_region))
    changed = [rule.name for rule in _rules(aws) if _converge(aws, rule)]
    return Change.of("bucket", bucket, existed=existed, changed=changed)


def require_bucket(aws: Aws, where: str) -> None:
    """Raises a ``DataLakeError`` that names step 2 if the bucket is missing."""
    if not bucket_exists(aws) and not aws.plan_only:
        raise DataLakeError(
            where,
            f"the bucket {aws.settings.s3_bucket_name} does not exist.",
            "Run step 2 first: python scripts/setup_aws_environment.py",
        )


def object_keys(aws: Aws, bucket: str, prefix: str) -> list[str]:
    """The keys of all objects of ``bucket`` below ``prefix``, in S3's order."""
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


def run_folders(aws: Aws, prefix: str) -> set[str]:
    """The runs with a folder ``run_id=...`` directly below ``prefix``, which ends with a slash."""
    pages = (
        aws.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket=aws.settings.s3_bucket_name, Prefix=prefix, Delimiter="/")
    )
    folders = [
        item["Prefix"][len(prefix) :].strip("/")
        for page in pages
        for item in page.get("CommonPrefixes", [])
    ]
    return {
        folder.removeprefix(contract.RUN_FOLDER)
        for folder in folders
        if folder.startswith(contract.RUN_FOLDER)
    }


def young_bucket_note(aws: Aws, now: datetime | None = None) -> str:
    """A note if the bucket is new: S3 may not find a new object yet. Empty for an older bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html
    """
    name = aws.settings.s3_bucket_name
    listed = (
        if_exists(lambda: aws.client("s3").list_buckets(Prefix=name)["Buckets"], "AccessDenied")
        or []
    )
    created = next((bucket["CreationDate"] for bucket in listed if bucket["Name"] == name), None)
    if created is None or (now or datetime.now(UTC)) - created > _YOUNG:
        return ""
    return (
        f"The bucket {name} was created only at {created:%H:%M} UTC: for some 15 minutes after"
        " versioning is switched on, S3 may answer that a new object does not exist. If that is"
        " the cause, run it again."
    )


def bucket_exists(aws: Aws) -> bool:
    """Returns whether the bucket exists.

    Raises ``DataLakeError`` if it belongs to another account or is in another region.
    """
    bucket, region = aws.settings.s3_bucket_name, aws.settings.aws_region
    try:
        answer = aws.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
        if status == 404:
            return False
        if status == 403:
            raise DataLakeError(
                _WHERE,
                f"{bucket} belongs to another account, or your credentials may not access it"
                " (HeadBucket: 403).",
                _NAME_FIX.format(bucket=bucket),
            ) from error
        if status == 301:
            raise _elsewhere(
                bucket, headers.get("x-amz-bucket-region", "another region"), region
            ) from error
        raise
    lies_in = (
        answer.get("BucketRegion")
        or answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")
        or region
    )
    if lies_in != region:
        raise _elsewhere(bucket, lies_in, region)
    return True


def _elsewhere(bucket: str, lies_in: str, region: str) -> DataLakeError:
    return DataLakeError(
        _WHERE,
        f"{bucket} is in {lies_in}, but AWS_REGION is {region}.",
        "EMR and its logs need the bucket in the same region: set AWS_REGION to it, or choose"
        " another S3_BUCKET_NAME.",
    )


def _create(s3: S3Client, bucket: str, region: str) -> None:
    # CreateBucket rejects us-east-1 as a LocationConstraint
    # https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateBucket.html
    where: dict[str, Any] = (
        {}
        if region == "us-east-1"
        else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    )
    try:
        s3.create_bucket(Bucket=bucket, **where)
    except ClientError as error:
        if error_code(error) == "BucketAlreadyExists":
            raise DataLakeError(
                _WHERE,
                f"the name {bucket} is taken by another account.",
                _NAME_FIX.format(bucket=bucket),
            ) from error
        if error_code(error) != "BucketAlreadyOwnedByYou":
            raise
    s3.get_waiter("bucket_exists").wait(Bucket=bucket, WaiterConfig={"Delay": 2, "MaxAttempts": 30})


def _converge(aws: Aws, rule: _Rule) -> bool:
    s3, bucket = aws.client("s3"), aws.settings.s3_bucket_name
    # in a plan there may be no bucket yet
    current = if_exists(lambda: rule.read(s3, bucket), rule.absent, "NoSuchBucket")
    wanted = rule.wanted(current)
    if wanted == current:
        return False
    aws.change(lambda: rule.write(s3, bucket, wanted))
    return True


def _rules(aws: Aws) -> list[_Rule]:
    return [
        _Rule(
            "public access blocked",
            lambda s3, bucket: s3.get_public_access_block(Bucket=bucket)[
                "PublicAccessBlockConfiguration"
            ],
            "NoSuchPublicAccessBlockConfiguration",
            lambda _: dict.fromkeys(
                (
                    "BlockPublicAcls",
                    "IgnorePublicAcls",
                    "BlockPublicPolicy",
                    "RestrictPublicBuckets",
                ),
                True,
            ),
            lambda s3, bucket, value: s3.put_public_access_block(
                Bucket=bucket, PublicAccessBlockConfiguration=value
            ),
        ),
        _Rule(
            "owner enforced",
            lambda s3, bucket: s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"],
            "OwnershipControlsNotFoundError",
            lambda _: {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]},
            lambda s3, bucket, value: s3.put_bucket_ownership_controls(
                Bucket=bucket, OwnershipControls=value
            ),
        ),
        _Rule(
            "encrypted",
            lambda s3, bucket: s3.get_bucket_encryption(Bucket=bucket)[
                "ServerSideEncryptionConfiguration"
            ],
            "ServerSideEncryptionConfigurationNotFoundError",
            lambda current: _encryption(current, aws.settings.kms_key_id),
            lambda s3, bucket, value: s3.put_bucket_encryption(
                Bucket=bucket, ServerSideEncryptionConfiguration=value
            ),
        ),
        _Rule(
            "versioned",
            lambda s3, bucket: s3.get_bucket_versioning(Bucket=bucket).get("Status"),
            "",
            lambda _: "Enabled",
            lambda s3, bucket, value: s3.put_bucket_versioning(
                Bucket=bucket, VersioningConfiguration={"Status": value}
            ),
        ),
        _Rule(
            "TLS only",
            lambda s3, bucket: json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"]),
            "NoSuchBucketPolicy",
            lambda current: _with_statements(current, _tls_only(aws)),
            lambda s3, bucket, value: s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(value)),
        ),
        _Rule(
            "lifecycle",
            lambda s3, bucket: s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"],
            "NoSuchLifecycleConfiguration",
            lambda current: _merged(current, _template("lifecycle.json"), "ID"),
            lambda s3, bucket, value: s3.put_bucket_lifecycle_configuration(
                Bucket=bucket, LifecycleConfiguration={"Rules": value}
            ),
        ),
        _Rule(
            "tagged",
            lambda s3, bucket: s3.get_bucket_tagging(Bucket=bucket)["TagSet"],
            "NoSuchTagSet",
            lambda current: _merged(current, aws.tag_list, "Key"),
            lambda s3, bucket, value: s3.put_bucket_tagging(
                Bucket=bucket, Tagging={"TagSet": value}
            ),
        ),
    ]


def _encryption(current: dict[str, Any] | None, key: str) -> dict[str, Any]:
    """Default encryption with ``key``.

    If ``key`` is empty, the current encryption stays: somebody may have chosen a key.
    """
    if not key:
        return current or {
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
        }
    by_key = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    rule = {"ApplyServerSideEncryptionByDefault": by_key, "BucketKeyEnabled": True}
    if current and rule.items() <= current["Rules"][0].items():
        return current
    return {"Rules": [rule]}


def _tls_only(aws: Aws) -> Any:
    return _template("policy.json", bucket=aws.settings.s3_bucket_name, partition=aws.partition)


def _template(name: str, **values: str) -> Any:
    return json.loads(Template((_TEMPLATES / name).read_text(encoding="utf-8")).substitute(values))


def _merged(
    current: list[dict[str, Any]] | None, ours: list[dict[str, Any]], key: str
) -> list[dict[str, Any]]:
    """Replaces each entry of ``current`` that has the same ``key`` value as an entry of ``ours``.

    Other entries stay; the remaining entries of ``ours`` are appended.
    """
    wanted = {entry[key]: entry for entry in ours}
    kept = [wanted.pop(entry[key], entry) for entry in current or []]
    return kept + list(wanted.values())


def _with_statements(current: dict[str, Any] | None, ours: dict[str, Any]) -> dict[str, Any]:
    if current is None:
        return ours
    named = [
        {"Sid": f"unnamed-{index}", **statement}
        for index, statement in enumerate(current["Statement"])
    ]
    merged = _merged(named, ours["Statement"], "Sid")
    statements = [
        {
            key: value
            for key, value in statement.items()
            if key != "Sid" or not str(value).startswith("unnamed-")
        }
        for statement in merged
    ]
    return {**current, "Statement": statements}
