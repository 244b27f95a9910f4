"""The cures for moto's flaws work, and are still needed."""

import json

import pytest
from botocore.exceptions import ClientError

TLS_ONLY = {"Effect": "Deny", "Principal": "*", "Action": "s3:*", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}


def bucket_with(client, name, statement):
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": [f"arn:aws:s3:::{name}/*"]}]}
    s3.put_bucket_policy(Bucket=name, Policy=json.dumps(policy))
    return s3


def test_a_tls_only_bucket_takes_requests_on_loopback(client):
    s3 = bucket_with(client, "tls-only", TLS_ONLY)
    s3.put_object(Bucket="tls-only", Key="a", Body=b"x")
    assert s3.head_object(Bucket="tls-only", Key="a")["ContentLength"] == 1


def test_a_plain_deny_still_denies(client):
    s3 = bucket_with(client, "denied", {key: value for key, value in TLS_ONLY.items() if key != "Condition"})
    with pytest.raises(ClientError, match="Forbidden|AccessDenied"):
        s3.head_object(Bucket="denied", Key="a")


def test_moto_itself_still_denies_under_a_transport_condition(stand_in):
    from moto.iam.access_control import IAMPolicyStatement, PermissionResult

    statement = IAMPolicyStatement({**TLS_ONLY, "Resource": ["arn:aws:s3:::b/*"]})
    judge_of_moto = IAMPolicyStatement.is_action_permitted.__wrapped__
    verdict = judge_of_moto(statement, "s3:GetObject", "arn:aws:s3:::b/a")
    assert verdict == PermissionResult.DENIED, "moto has cured it: drop our cure"
