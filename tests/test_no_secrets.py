"""Nothing in the tree is a secret or belongs to somebody's account."""

from __future__ import annotations

import re
import subprocess

import pytest
from car_rental.config import ROOT

EXAMPLE_ACCOUNTS = {"000000000000", "123456789012"}  # of AWS's documentation
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
BINARY = (".png", ".gz", ".parquet", ".ico")


def tracked_files() -> list[str]:
    """What git tracks, or would when it is added; without git (an unpacked archive) there is
    nothing to look at."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if not name.endswith(BINARY) and (ROOT / name).is_file()
    ]


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    names = tracked_files()
    if not names:
        pytest.skip("no git repository here")
    return {name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in names}


def accounts_in(text: str) -> set[str]:
    return set(ACCOUNT.findall(text)) - EXAMPLE_ACCOUNTS


def secrets_in(text: str) -> list[str]:
    return [kind for kind, pattern in SECRETS.items() if pattern.search(text)]


def test_no_account_but_those_of_aws_s_examples_is_named(texts: dict[str, str]) -> None:
    assert {name: found for name, text in texts.items() if (found := accounts_in(text))} == {}


def test_no_secret_is_in_the_tree(texts: dict[str, str]) -> None:
    assert {name: found for name, text in texts.items() if (found := secrets_in(text))} == {}


def test_settings_with_values_of_one_s_own_are_not_tracked(texts: dict[str, str]) -> None:
    own = re.compile(r"(^|/)(\.env|[\w.-]+\.env|iam_roles[\w.-]*\.json)$")
    assert [name for name in texts if own.search(name)] == []


def test_the_search_finds_what_it_is_for() -> None:
    assert accounts_in("arn:aws:iam::" + "9" * 12 + ":role/x") == {"9" * 12}
    assert accounts_in("arn:aws:iam::123456789012:role/x") == set()
    keys = ("AKIA" + "Q" * 16, "aws_secret_access_key = " + "a1B/" * 10)
    others = ("-----BEGIN RSA " + "PRIVATE KEY-----", "ghp_" + "a" * 36)
    assert [secrets_in(sample) for sample in (*keys, *others)] == [[kind] for kind in SECRETS]
