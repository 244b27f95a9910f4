"""The stand-in answers programs of this machine that have the lake's key, and no others."""

from __future__ import annotations

import errno
import http.client
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws.clients import Clients
from local_aws.keys import Keys, access_key_of, keys_of
from local_aws.server import LocalAws

LIST_CLUSTERS = {
    "X-Amz-Target": "ElasticMapReduce.ListClusters",
    "Content-Type": "application/x-amz-json-1.1",
}


@pytest.fixture
def send_request(stand_in: LocalAws) -> Callable[..., tuple[int, str, dict[str, str]]]:
    """`send_request("POST", "/", {"Origin": ...})` returns status, body and headers."""

    def send(
        method: str, path: str, headers: dict[str, str], body: str = ""
    ) -> tuple[int, str, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", stand_in.port, timeout=30)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        return response.status, response.read().decode(), response_headers

    return send


def client_with(stand_in: LocalAws, service: str, key: str, secret: str, **config: Any) -> Any:
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=stand_in.url,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(proxies={}, retries={"total_max_attempts": 1}, **config),
    )


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", "localhost.evil.example", ""],
)
def test_a_foreign_host_name_is_rejected(send_request: Any, host: str) -> None:
    status, body, _ = send_request("GET", "/", {"Host": host})
    assert (status, "is not this machine" in body) == (403, True)


@pytest.mark.parametrize(
    "host", ["127.0.0.1:5000", "localhost", "LOCALHOST:1", "lake.localhost:5000", "[::1]:5000"]
)
def test_local_host_names_are_accepted_but_need_a_signature(send_request: Any, host: str) -> None:
    status, body, _ = send_request("POST", "/", {"Host": host, **LIST_CLUSTERS}, "{}")
    assert (status, "MissingAuthenticationTokenException" in body) == (400, True)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "http://localhost:8888"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_request_from_a_web_page_is_rejected_without_cors_headers(
    send_request: Any, method: str, headers: dict[str, str]
) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-amz-target",
    }
    status, body, response_headers = send_request(
        method, "/", {**headers, **preflight, **LIST_CLUSTERS}
    )
    assert (status, "web pages may not" in body) == (403, True)
    assert [name for name in response_headers if name.startswith("access-control")] == []


def test_a_successful_response_has_no_cors_headers(stand_in: LocalAws) -> None:
    response = Clients(stand_in.url).client("s3").list_buckets()
    assert [
        name
        for name in response["ResponseMetadata"]["HTTPHeaders"]
        if name.startswith("access-control")
    ] == []


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("emr", "list_clusters", "UnrecognizedClientException"),
        ("glue", "get_databases", "UnrecognizedClientException"),
        ("lambda", "list_functions", "UnrecognizedClientException"),
        ("sts", "get_caller_identity", "InvalidClientTokenId"),
        ("iam", "list_roles", "InvalidClientTokenId"),
        ("ec2", "describe_vpcs", "InvalidClientTokenId"),
        ("s3", "list_buckets", "InvalidAccessKeyId"),
    ],
)
@pytest.mark.parametrize("key", ["local", "AKIA" + "1" * 16, "LOCAL0123456789ABCD"])
def test_an_unknown_key_is_rejected_with_aws_s_error_code(
    stand_in: LocalAws, service: str, operation: str, code: str, key: str
) -> None:
    with pytest.raises(ClientError, match=code):
        getattr(client_with(stand_in, service, key, "local"), operation)()


@pytest.mark.parametrize(
    ("service", "operation", "code"),
    [
        ("emr", "list_clusters", "InvalidSignatureException"),
        ("sts", "get_caller_identity", "SignatureDoesNotMatch"),
        ("s3", "list_buckets", "SignatureDoesNotMatch"),
    ],
)
def test_a_wrong_secret_is_rejected_for_the_lake_and_for_roles(
    stand_in: LocalAws, service: str, operation: str, code: str
) -> None:
    for key in (stand_in.keys.access_key_id, access_key_of("EMR_EC2_DefaultRole")):
        with pytest.raises(ClientError, match=code):
            getattr(
                client_with(stand_in, service, key, stand_in.keys.secret_access_key + "x"),
                operation,
            )()


def test_a_body_other_than_the_signed_one_is_rejected(stand_in: LocalAws) -> None:
    client = client_with(
        stand_in, "glue", stand_in.keys.access_key_id, stand_in.keys.secret_access_key
    )
    client.meta.events.register(
        "before-send", lambda request, **_: setattr(request, "body", b'{"MaxResults":1}')
    )
    with pytest.raises(ClientError, match="InvalidSignatureException"):
        client.get_databases()


@pytest.mark.parametrize("version", ["s3v4", None])
def test_presigned_urls_are_valid_until_they_expire(
    stand_in: LocalAws, version: str | None
) -> None:
    keys = stand_in.keys
    config: dict[str, Any] = {"signature_version": version, "s3": {"addressing_style": "path"}}
    s3 = client_with(stand_in, "s3", keys.access_key_id, keys.secret_access_key, **config)
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="a b/ü+.txt", Body=b"hello")
    parameters = {"Bucket": "presigned", "Key": "a b/ü+.txt"}
    assert urlopen(s3.generate_presigned_url("get_object", parameters)).read() == b"hello"
    for url in (
        s3.generate_presigned_url("get_object", parameters, ExpiresIn=-5),
        s3.generate_presigned_url("get_object", parameters).replace("a%20b", "a%20c"),
    ):
        with pytest.raises(OSError, match="403"):
            urlopen(url)


@pytest.mark.parametrize(
    "key",
    ["plain", "a b", "a+b=c&d", "ü/é", "a//b", "100%", "a%20b", "~x", "q?x=1", "#x", "'\"()*!"],
)
def test_requests_for_any_object_key_can_be_signed(stand_in: LocalAws, key: str) -> None:
    s3 = Clients(stand_in.url).client("s3")
    s3.create_bucket(Bucket="signed-keys")
    s3.put_object(Bucket="signed-keys", Key=key, Body=b"x", Metadata={"a": "two  spaces"})
    assert s3.get_object(Bucket="signed-keys", Key=key)["Body"].read() == b"x"
    assert key in [
        item["Key"] for item in s3.list_objects_v2(Bucket="signed-keys", Prefix=key[:1])["Contents"]
    ]


def test_a_lake_has_its_own_random_key_readable_only_by_the_owner(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    first = keys_of(tmp_path / "one")
    assert keys_of(tmp_path / "one") == first
    assert keys_of(tmp_path / "other") != first
    assert stat.S_IMODE((tmp_path / "one" / "credentials").stat().st_mode) == 0o600
    assert first.secret_access_key not in repr(first)


def test_each_role_has_its_own_secret() -> None:
    keys, other_keys = Keys("LOCAL1", "s"), Keys("LOCAL1", "t")
    secrets = {
        keys.secret_of("LOCAL1"),
        keys.secret_of(access_key_of("a")),
        keys.secret_of(access_key_of("b")),
    }
    assert len(secrets) == 3
    assert keys.secret_of(access_key_of("a")) != other_keys.secret_of(access_key_of("a"))
    assert keys.secret_of("LOCAL2") is None


def test_the_project_s_clients_use_the_lake_s_key_instead_of_real_credentials(
    new_project: Any, stand_in: LocalAws
) -> None:
    real = {"AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}
    for keys in ({}, real, Clients(stand_in.url).environment):
        aws = new_project(**keys).aws
        assert aws.account_id == "123456789012"
        assert aws.session.get_credentials().access_key == stand_in.keys.access_key_id
    assert urlsplit(stand_in.url).hostname == "127.0.0.1"


def test_a_full_disk_is_reported_as_such(
    stand_in: LocalAws, trail: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    clients = Clients(stand_in.url)
    monkeypatch.setitem(trail.app.handlers, "ElasticMapReduce.ListClusters", full)
    with pytest.raises(
        ClientError, match="LocalAwsDiskFull.*no space left on the disk of the local AWS"
    ):
        clients.client("emr").list_clusters()
