"""The AWS session: credentials, profiles, and endpoints that are not AWS."""

import contextlib
import itertools
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError
from car_rental.aws import Aws, if_exists
from car_rental.cli import as_failure
from car_rental.config import Settings
from car_rental.errors import ConfigError


def failing_with(code):
    def get():
        raise ClientError({"Error": {"Code": code}}, "GetThing")

    return get


def test_if_exists_returns_none_for_listed_codes_and_raises_any_other_error():
    assert if_exists(lambda: "thing", "NoSuchThing") == "thing"
    assert if_exists(failing_with("NoSuchThing"), "NotFound", "NoSuchThing") is None
    with pytest.raises(ClientError, match="AccessDenied"):
        if_exists(failing_with("AccessDenied"), "NoSuchThing")


def test_a_missing_profile_is_an_error_only_without_keys(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nosuch")
    with pytest.raises(ConfigError, match="nosuch"):
        Aws(Settings(aws_profile="nosuch")).client("s3")
    aws = Aws(
        Settings(aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="x", aws_profile="nosuch")
    )
    assert aws.partition == "aws"
    assert not aws.has_session_token


def test_calls_to_a_local_endpoint_bypass_every_proxy(new_project, monkeypatch):
    for scheme, spell in itertools.product(("HTTP", "HTTPS", "ALL"), (str.upper, str.lower)):
        monkeypatch.setenv(spell(f"{scheme}_PROXY"), "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    assert new_project().aws.account_id == "123456789012"


def test_the_keys_come_from_the_profile_in_the_settings(monkeypatch, tmp_path):
    profiles = ("default", "lake")
    texts = (
        f"[{name}]\naws_access_key_id = key-of-{name}\naws_secret_access_key = x\n"
        for name in profiles
    )
    (tmp_path / "credentials").write_text("\n".join(texts))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    keys = [
        Aws(Settings(aws_profile=name)).session.get_credentials().access_key
        for name in ("", "lake")
    ]
    assert keys == ["key-of-default", "key-of-lake"]


@contextlib.contextmanager
def web_server(page, status=200):
    """Yields the URL of a server that answers every request with ``page``."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(page)

        do_POST = do_HEAD = do_GET

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("body", [b"<html>hello</html>", b"", b"not xml"])
def test_a_web_server_is_reported_as_not_aws(new_project, body):
    with web_server(body, status=200 if body else 501) as url:
        aws = new_project(AWS_ENDPOINT_URL=url).aws
        with pytest.raises((ClientError, ResponseParserError, ConfigError)) as caught:
            assert aws.account_id is None
    failure = as_failure(caught.value, "main")
    assert "is not AWS" in failure.what
    assert "Correct AWS_ENDPOINT_URL" in failure.fix


@pytest.mark.parametrize("page", [b"", b"{}", b"<html/>"])
@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("s3", "head_bucket", {"Bucket": "lake"}),
        ("s3", "get_bucket_policy", {"Bucket": "lake"}),
        ("emr", "list_clusters", {}),
        ("glue", "get_crawler", {"Name": "c"}),
        ("iam", "get_role", {"RoleName": "r"}),
    ],
)
def test_a_program_that_accepts_every_request_is_reported_as_not_aws(
    new_project, page, service, operation, parameters
):
    with web_server(page) as url:
        client = new_project(AWS_ENDPOINT_URL=url).aws.client(service)
        with pytest.raises((ResponseParserError, ConfigError)) as caught:
            getattr(client, operation)(**parameters)
    assert "is not AWS" in as_failure(caught.value, "main").what


def test_a_404_from_another_program_is_not_a_missing_bucket(new_project):
    with web_server(b"", status=404) as url:
        client = new_project(AWS_ENDPOINT_URL=url).aws.client("s3")
        with pytest.raises(ConfigError, match="is not AWS"):
            client.head_bucket(Bucket="lake")
