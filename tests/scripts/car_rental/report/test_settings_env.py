"""Settings reach a child process unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest
from car_rental.config import load_settings
from car_rental.report.settings_env import received, settings_environment


@pytest.mark.parametrize(
    "values",
    [
        {},
        {
            "ENVIRONMENT": "prod",
            "S3_BUCKET_NAME": "mine",
            "MAX_REJECT_RATE": "0.125",
            "REPORT_CUSTOMER_NAMES": "no",
        },
        {
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": 'a"b',
            "DATA_DIR": "/some/where",
        },
    ],
)
def test_settings_survive_the_way_through_the_environment(
    values: dict[str, str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.env"
    empty.touch()
    settings = load_settings(values, empty)
    assert received(settings_environment(settings)) == settings


def test_passed_settings_take_precedence_over_the_environment(tmp_path: Path) -> None:
    empty = tmp_path / "empty.env"
    empty.touch()
    settings = load_settings({"ATHENA_WORKGROUP": "mine"}, empty)
    environment = {"ATHENA_WORKGROUP": "other", "AWS_ENDPOINT_URL": "http://elsewhere"}
    assert received({**environment, **settings_environment(settings)}) == settings


def test_the_environment_counts_if_no_settings_are_passed() -> None:
    assert received({"ATHENA_WORKGROUP": "other"}).athena_workgroup == "other"
