"""EventBridge Scheduler: moto stores schedules; this layer validates them; none fires."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from local_aws.clients import Clients
from local_aws.overlay import AwsError
from local_aws.roles import may_assume
from local_aws.wsgi import WsgiApp, read_body, send, signed_region, signed_service

log = logging.getLogger(__name__)

_PATH = re.compile(r"/schedules/([^/]+)")
# https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
_RATE = re.compile(r"rate\([1-9]\d* (minute|hour|day)s?\)")
_AT = re.compile(r"at\(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\)")
_CRON = re.compile(r"cron\((?P<fields>[^()]+)\)")
_MONTHS = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()
_DAYS = "SUN MON TUE WED THU FRI SAT".split()
# minutes, hours, day of month, month, day of week, year: minimum, maximum, and names for numbers
_FIELDS: tuple[tuple[int, int, list[str]], ...] = (
    (0, 59, []),
    (0, 23, []),
    (1, 31, []),
    (1, 12, _MONTHS),
    (1, 7, _DAYS),
    (1970, 2199, []),
)
_NO_ROLE = "The execution role you provide must allow AWS EventBridge Scheduler to assume the role."


class Schedules:
    """A WSGI layer in front of ``app`` for requests that create or change a schedule."""

    def __init__(self, app: WsgiApp, clients: Clients) -> None:
        self._app = app
        self._clients = clients

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        match = (
            _PATH.fullmatch(environ["PATH_INFO"])
            if environ["REQUEST_METHOD"] in ("POST", "PUT")
            else None
        )
        if match is None or signed_service(environ) != "scheduler":
            return self._app(environ, start_response)
        try:
            self._check(json.loads(read_body(environ)), signed_region(environ))
        except AwsError as error:
            return send(
                environ,
                start_response,
                error.status,
                {"Message": error.message},
                {"x-amzn-ErrorType": error.code},
            )
        log.warning("schedule %s is stored, but never fires here", match[1])
        return self._app(environ, start_response)

    def _check(self, schedule: Mapping[str, Any], region: str) -> None:
        expression, role = (
            str(schedule.get("ScheduleExpression")),
            str((schedule.get("Target") or {}).get("RoleArn")),
        )
        if not is_expression(expression):
            raise AwsError("ValidationException", f"Invalid Schedule Expression {expression}.")
        if not may_assume(self._clients.client("iam", region), "scheduler", role):
            raise AwsError("ValidationException", _NO_ROLE)


def is_expression(text: str) -> bool:
    """Returns whether ``text`` is a valid schedule.

    Valid are ``rate(...)``, ``at(...)`` and ``cron(...)`` with six fields.
    """
    cron = _CRON.fullmatch(text)
    if cron is None:
        return bool(_RATE.fullmatch(text) or _AT.fullmatch(text))
    fields = cron["fields"].split()
    if len(fields) != len(_FIELDS) or (fields[2] == "?") == (fields[4] == "?"):
        return False
    return all(
        field == "?" and place in (2, 4) or all(_is_part(part, place) for part in field.split(","))
        for place, field in enumerate(fields)
    )


def _is_part(part: str, place: int) -> bool:
    """Returns whether ``part``, the text between two commas of a field, is valid.

    Examples: ``*``, ``1-5``, ``*/10``, ``L``, ``6#3``.
    """
    if (
        place == 2
        and re.fullmatch(r"L|LW|\d{1,2}W", part)
        or place == 4
        and re.fullmatch(r"L|[1-7]L|[1-7]#[1-5]", part)
    ):
        return True
    found = re.fullmatch(r"(\*|(\w+)(?:-(\w+))?)(?:/\d+)?", part)
    return found is not None and all(
        _is_value(value, *_FIELDS[place]) for value in (found[2], found[3]) if value
    )


def _is_value(text: str, least: int, most: int, names: list[str]) -> bool:
    return text.upper() in names or text.isdigit() and least <= int(text) <= most
