"""The session: what its helpers make of AWS's answers."""

import pytest
from aws import if_there
from botocore.exceptions import ClientError


def refusing(code):
    def get():
        raise ClientError({"Error": {"Code": code}}, "GetThing")

    return get


def test_what_aws_does_not_know_is_none_and_any_other_refusal_passes():
    assert if_there(lambda: "thing", "NoSuchThing") == "thing"
    assert if_there(refusing("NoSuchThing"), "NotFound", "NoSuchThing") is None
    with pytest.raises(ClientError, match="AccessDenied"):
        if_there(refusing("AccessDenied"), "NoSuchThing")
