"""The tree contains no secret and no id of a real account."""

from __future__ import annotations

import re

import pytest
from support.repository import text_files

EXAMPLE_ACCOUNTS = {"000000000000", "123456789012"}  # used in AWS's documentation
ACCOUNT = re.compile(r"(?<![\w.])\d{12}(?![\w.])")
SECRETS = {
    "an access key id": re.compile(r"(?<![A-Z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Z0-9])"),
    "a secret key": re.compile(
        r"(?i)(?:secret|token)[\w ]{0,20}[\"']?\s*[:=]\s*[\"']?[A-Za-z0-9/+]{40,}"
    ),
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a token of GitHub or Slack": re.compile(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|xox[abpr]-[\w-]{10,})"
    ),
}


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return text_files()


def accounts_in(text: str) -> set[str]:
    return set(ACCOUNT.findall(text)) - EXAMPLE_ACCOUNTS


def secrets_in(text: str) -> list[str]:
    return [kind for kind, pattern in SECRETS.items() if pattern.search(text)]


def test_no_file_names_an_account_except_aws_s_examples(texts: dict[str, str]) -> None:
    assert {name: found for name, text in texts.items() if (found := accounts_in(text))} == {}


def test_no_file_contains_a_secret(texts: dict[str, str]) -> None:
    assert {name: found for name, text in texts.items() if (found := secrets_in(text))} == {}


def test_files_with_a_user_s_own_settings_are_not_tracked(texts: dict[str, str]) -> None:
    private = re.compile(r"(^|/)(\.env|[\w.-]+\.env|iam_roles[\w.-]*\.json)$")
    assert [name for name in texts if private.search(name)] == []


def test_the_search_finds_accounts_and_secrets() -> None:
    assert accounts_in("arn:aws:iam::" + "9" * 12 + ":role/x") == {"9" * 12}
    assert accounts_in("arn:aws:iam::123456789012:role/x") == set()
    keys = ("AKIA" + "Q" * 16, "aws_secret_access_key = " + "a1B/" * 10)
    tokens = ("-----BEGIN RSA " + "PRIVATE KEY-----", "ghp_" + "a" * 36)
    assert [secrets_in(sample) for sample in (*keys, *tokens)] == [[kind] for kind in SECRETS]
