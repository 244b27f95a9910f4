"""The AWS session: creates clients, knows the account and the tags, explains AWS's errors."""

from __future__ import annotations

import configparser
import functools
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    WaiterError,
)
from car_rental.config import LOOPBACK, Settings
from car_rental.errors import ConfigError, DataLakeError
from car_rental.waiting import THROTTLED

T = TypeVar("T")
Answer = Mapping[str, Any]  # an AWS response or a part of it, read-only

PROJECT = "car-rental-data-lake"
_LOCAL_KEY = "LOCAL"  # prefix of the local AWS's access key ids; AWS's own begin with A
_ATTEMPTS = 8
_LOCAL_ATTEMPTS = 2  # a local AWS that does not answer has ended: eight attempts would take minutes
_CREDENTIALS_FIX = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) in .env, run `aws configure`,"
    " or try everything here without an account: python main.py --all --local"
)

# botocore's session variables as (name in the file, environment variable, default, conversion);
# with these values botocore ignores the user's profiles and configuration files
_NO_PROFILE = {"profile": (None, None, None, None)}
_NO_USER_CONFIGURATION = {
    **_NO_PROFILE,
    "config_file": (None, None, "", None),
    "credentials_file": (None, None, "", None),
}

_REQUEST_ID = ("x-amzn-requestid", "x-amz-request-id")  # headers

# prefixes of the operations that only read
_READING = ("Get", "List", "Describe", "Head", "BatchGet", "Simulate", "Validate")

_RIGHTS_FIX = "Ask an administrator of the account to allow this action, then run it again."

# error code of a service -> the remedy; AWS's message precedes it
_FIXES = {
    "ExpiredToken": "Your temporary credentials have expired: get new ones and run it again.",
    "ExpiredTokenException": (
        "Your temporary credentials have expired: get new ones and run it again."
    ),
    "InvalidClientTokenId": "The access key is not known to AWS: check AWS_ACCESS_KEY_ID in .env.",
    "InvalidAccessKeyId": "The access key is not known to AWS: check AWS_ACCESS_KEY_ID in .env.",
    "UnrecognizedClientException": (
        "The access key is not known to AWS: check AWS_ACCESS_KEY_ID in .env."
    ),
    "SignatureDoesNotMatch": (
        "The secret key does not belong to the access key: check AWS_SECRET_ACCESS_KEY in .env."
    ),
    # responses to HEAD requests have no body: only the status says why
    **dict.fromkeys(
        (
            "AccessDenied",
            "AccessDeniedException",
            "UnauthorizedOperation",
            "AuthorizationError",
            "403",
        ),
        _RIGHTS_FIX,
    ),
    "LocalAwsDiskFull": "Free some, or set LOCAL_AWS_DIR in .env to a folder on another disk.",
    "NoSuchBucket": "Run step 2 first: python scripts/setup_aws_environment.py",
    "RequestTimeTooSkewed": "This machine's clock is wrong: set it, then run it again.",
    **dict.fromkeys(
        sorted(THROTTLED), "AWS throttles the requests: wait a minute, then run it again."
    ),
}


class Aws:
    """A boto3 session for ``settings``. Make one at the top and pass it down.

    With an endpoint on this machine it never reads the user's AWS configuration, never signs with
    real credentials, and refuses requests to any other host.

    With ``plan_only`` it only reads: ``change`` does nothing, and any operation that could change
    something is refused before it is sent. ``clients`` caches the clients by service, region and
    number of attempts.
    """

    def __init__(self, settings: Settings, *, plan_only: bool = False) -> None:
        self.settings = settings
        self.plan_only = plan_only
        self.clients: dict[tuple[str, str, int], Any] = {}
        if TYPE_CHECKING:  # boto3's own type, so that mypy checks the parameters of every call
            self.client = self.session.client
        else:
            self.client = self._cached_client

    @functools.cached_property
    def session(self) -> boto3.session.Session:
        """Created for the first request: a command that sends none needs no credentials."""
        settings = self.settings
        session = _local_session(settings) if settings.is_local else _session(settings)
        if settings.aws_endpoint_url:
            session.events.register("before-parse", _refuse_other_programs)
        if self.plan_only:
            session.events.register("before-call", _refuse_changes)
        return session

    def client_without_retries(self, service: str) -> Any:
        """A client of ``service`` that never retries a request."""
        return self._cached_client(service, attempts=1)

    def _cached_client(self, service: str, region_name: str = "", attempts: int = _ATTEMPTS) -> Any:
        """The client of ``service``, by default in the settings' region."""
        most = min(attempts, _LOCAL_ATTEMPTS) if self.settings.is_local else attempts
        key = (service, region_name or self.settings.aws_region, most)
        if key not in self.clients:
            make: Any = self.session.client
            self.clients[key] = make(
                service,
                region_name=key[1],
                endpoint_url=self.settings.aws_endpoint_url or None,
                config=Config(
                    retries={"mode": "standard", "total_max_attempts": most},
                    connect_timeout=10,
                    read_timeout=60,
                    user_agent_extra=PROJECT,
                    s3={"addressing_style": "path"} if self.settings.aws_endpoint_url else None,
                    # {}: ignore the environment's proxies; None: use them
                    proxies={} if self.settings.is_local else None,
                ),
            )
        return self.clients[key]

    def change(self, make: Callable[[], object]) -> None:
        """Calls ``make``, unless this session is for a plan."""
        if not self.plan_only:
            make()

    @functools.cached_property
    def account_id(self) -> str:
        """The twelve digits of the account that the credentials belong to."""
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except KeyError as error:  # the response is XML, but not of AWS
            raise no_aws("AWS endpoint", "it knows no account") from error

    @property
    def partition(self) -> str:
        """``aws``, ``aws-cn`` or ``aws-us-gov``: the second part of every ARN."""
        return str(self.client("sts").meta.partition)

    @property
    def has_session_token(self) -> bool:
        """Returns whether the credentials are temporary and are not renewed automatically."""
        credentials = self.session.get_credentials()
        return (
            credentials is not None
            and bool(credentials.token)
            and not isinstance(credentials, RefreshableCredentials)
        )

    def regions(self, service: str) -> list[str]:
        """The regions that boto3 lists for ``service``."""
        partitions: list[str] = self.session.get_available_partitions()
        return [
            name
            for partition in partitions
            for name in self.session.get_available_regions(service, partition)
        ]

    @property
    def tags(self) -> dict[str, str]:
        """The tags of everything that the project creates.

        The teardown finds resources by these tags.
        """
        return {"Project": PROJECT, "Environment": self.settings.environment}

    @property
    def tag_list(self) -> list[Any]:
        """``tags`` in the form that most APIs take: a list of ``Key`` and ``Value``."""
        return [{"Key": key, "Value": value} for key, value in self.tags.items()]


def _session(settings: Settings) -> boto3.session.Session:
    if settings.aws_access_key_id:
        # else boto3 looks up the profile that AWS_PROFILE names, and fails if there is none
        core = botocore.session.Session(session_vars=_NO_PROFILE)
        core.set_credentials(
            settings.aws_access_key_id,
            settings.aws_secret_access_key,
            settings.aws_session_token or None,
        )
        return boto3.session.Session(botocore_session=core)
    try:
        return boto3.session.Session(profile_name=settings.aws_profile or None)
    except ProfileNotFound as error:
        raise ConfigError(
            "credentials",
            f"{error}.",
            "Check AWS_PROFILE, or list profiles: aws configure list-profiles",
        ) from error


def _local_session(settings: Settings) -> boto3.session.Session:
    core = botocore.session.Session(session_vars=_NO_USER_CONFIGURATION)
    core.set_credentials(*_local_keys(settings))
    core.register("before-send", _refuse_other_hosts)
    return boto3.session.Session(botocore_session=core)


def _local_keys(settings: Settings) -> tuple[str, str]:
    """The access key of the local AWS. Real keys are never sent there.

    The first that exists is used: a local key in the settings, the key that the server at the
    endpoint announces, the key in LOCAL_AWS_DIR.
    """
    if settings.aws_access_key_id.startswith(_LOCAL_KEY):
        return settings.aws_access_key_id, settings.aws_secret_access_key
    cache = Path(
        os.environ.get("XDG_CACHE_HOME")
        or Path(os.environ.get("HOME") or "/nonexistent") / ".cache"
    )
    announced = cache / PROJECT / "local_aws" / str(urlsplit(settings.aws_endpoint_url).port or 80)
    for path in (announced, settings.local_aws_dir / "credentials"):
        found = configparser.ConfigParser(interpolation=None)
        if path.is_file() and found.read(path, encoding="utf-8"):
            return found["default"]["aws_access_key_id"], found["default"]["aws_secret_access_key"]
    return "unknown", "unknown"


def _refuse_other_hosts(**event: Any) -> None:
    host = urlsplit(event["request"].url).hostname
    if host not in LOOPBACK:
        raise DataLakeError(
            "local AWS",
            f"refused to send a request to {host}: local mode talks to this machine only.",
        )


def _refuse_other_programs(operation_model: Any, response_dict: Answer, **_: Any) -> None:
    """Raises unless the response has a request id, which AWS sends in a header or in its XML.

    Without this check, botocore treats most pages with status 200 as an empty response, and a
    missing page as a missing bucket.
    """
    status, method = response_dict["status_code"], operation_model.http["method"]
    if (status >= 300 and (status, method) != (404, "HEAD")) or any(
        name.lower() in _REQUEST_ID for name in response_dict["headers"]
    ):
        return
    body = response_dict["body"]
    if not isinstance(body, bytes) or b"requestid>" not in body.lower():
        raise no_aws("AWS endpoint", f"its answer to {operation_model.name} has no request id")


def _refuse_changes(model: Any, **_: Any) -> None:
    if not model.name.startswith(_READING):
        raise DataLakeError(
            "plan",
            f"{model.service_model.service_name}:{model.name} could change something: not sent.",
        )


def explain(error: ClientError | BotoCoreError, where: str) -> DataLakeError:
    """Converts an error of AWS or of the connection to one that says what to do.

    ``where`` names the step.
    """
    if isinstance(error, ClientError):
        return _explain_refusal(error, where)
    if isinstance(error, (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)):
        return ConfigError(
            where, f"there are no usable AWS credentials: {error}.", _CREDENTIALS_FIX
        )
    if (
        isinstance(error, EndpointConnectionError)
        and urlsplit(str(error.kwargs["endpoint_url"])).hostname in LOOPBACK
    ):
        return DataLakeError(
            where,
            f"the local AWS does not answer at {error.kwargs['endpoint_url']}.",
            "Start it: make serve; or leave AWS_ENDPOINT_URL out of .env.",
        )
    if isinstance(error, (ConnectionError, HTTPClientError)):
        return DataLakeError(
            where, f"AWS could not be reached: {error}.", "Check the network and AWS_REGION."
        )
    if isinstance(error, WaiterError):
        code = error.last_response.get("Error", {}).get("Code", "")
        return DataLakeError(
            where, f"{error}.", _FIXES.get(code, "Run it again: repeating it is safe.")
        )
    return DataLakeError(where, f"{error}.")


def no_aws(where: str, why: str) -> DataLakeError:
    """The error for an endpoint where some other program answers."""
    return ConfigError(
        where,
        f"the program at the endpoint is not AWS ({why}).",
        "Correct AWS_ENDPOINT_URL, or leave it out for AWS itself.",
    )


def _explain_refusal(error: ClientError, where: str) -> DataLakeError:
    code = error.response["Error"]["Code"]
    # AWS names its errors; a bare status comes from another program
    if code.isdigit() and not error.operation_name.startswith("Head"):
        return no_aws(where, f"{error.operation_name}: HTTP status {code}")
    message = error.response["Error"].get("Message", "").strip()
    return DataLakeError(
        f"{where} ({error.operation_name})", f"AWS answered {code}: {message}", _FIXES.get(code, "")
    )


def if_exists(get: Callable[[], T], *absent: str) -> T | None:
    """Returns the result of ``get``, or None if AWS answers with an error code in ``absent``."""
    try:
        return get()
    except ClientError as error:
        if error_code(error) not in absent:
            raise
        return None


def error_code(error: ClientError) -> str:
    """The error code that the service's model defines."""
    return str(error.response["Error"]["Code"])
