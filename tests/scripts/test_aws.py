"""The session: what its helpers make of AWS's answers."""

import itertools

import pytest
from aws import Aws, if_there
from botocore.exceptions import ClientError
from config import Settings
from errors import ConfigError


def refusing(code):
    def get():
        raise ClientError({"Error": {"Code": code}}, "GetThing")

    return get


def test_an_unknown_thing_is_none_and_any_other_refusal_passes():
    assert if_there(lambda: "thing", "NoSuchThing") == "thing"
    assert if_there(refusing("NoSuchThing"), "NotFound", "NoSuchThing") is None
    with pytest.raises(ClientError, match="AccessDenied"):
        if_there(refusing("AccessDenied"), "NoSuchThing")


def test_a_profile_that_does_not_exist_does_not_matter_where_keys_are_set(monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nosuch")
    with pytest.raises(ConfigError, match="nosuch"):
        Aws(Settings(aws_profile="nosuch"))
    aws = Aws(Settings(aws_access_key_id="AKIAEXAMPLE", aws_secret_access_key="x", aws_profile="nosuch"))
    assert aws.partition == "aws"
    assert not aws.has_session_token


def test_calls_to_this_machine_go_past_every_proxy(project, monkeypatch):
    for scheme, spell in itertools.product(("HTTP", "HTTPS", "ALL"), (str.upper, str.lower)):
        monkeypatch.setenv(spell(f"{scheme}_PROXY"), "http://127.0.0.1:9")
    monkeypatch.setenv("no_proxy", "example.com")
    assert project().aws.account_id == "123456789012"


def test_the_keys_are_those_of_the_profile_that_is_set(monkeypatch, tmp_path):
    profiles = ("default", "lake")
    texts = (f"[{name}]\naws_access_key_id = key-of-{name}\naws_secret_access_key = x\n" for name in profiles)
    (tmp_path / "credentials").write_text("\n".join(texts))
    for name in ("AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    keys = [Aws(Settings(aws_profile=name)).session.get_credentials().access_key for name in ("", "lake")]
    assert keys == ["key-of-default", "key-of-lake"]
