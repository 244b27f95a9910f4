"""Passes the settings of a run to a child process, so that both use the same account and names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from car_rental.config import Kind, Settings, load_settings, setting_fields

VARIABLE = "CAR_RENTAL_SETTINGS"


def settings_environment(settings: Settings) -> dict[str, str]:
    """The environment variable that contains ``settings``.

    It may hold credentials: for a child process only.
    """
    return {
        VARIABLE: json.dumps(
            {item.name: str(getattr(settings, item.name)) for item in setting_fields().values()}
        )
    }


def received(environ: Mapping[str, str]) -> Settings:
    """The settings from the parent process; without any, those of `.env` and ``environ``."""
    if VARIABLE not in environ:
        return load_settings(environ)
    texts: dict[str, str] = json.loads(environ[VARIABLE])
    kinds = {item.name: item.metadata["kind"] for item in setting_fields().values()}
    return Settings(**{name: _parsed(kinds[name], text) for name, text in texts.items()})


def _parsed(kind: Kind, text: str) -> Any:
    return kind.parse(text) if text else text  # an empty text is a setting that is not set
