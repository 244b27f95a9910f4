"""The settings: typed and checked values from `.env` and the environment.

Does nothing at import.
"""

from __future__ import annotations

import dataclasses
import difflib
import os.path
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from car_rental.env_file import EnvFile, read_env_file
from car_rental.errors import ConfigError
from car_rental.timing import ON_AWS, ON_THIS_MACHINE, Timing

ROOT = Path(__file__).resolve().parents[2]
DEFAULT_ENVIRONMENT = "dev"
# the account in AWS's examples; an ARN with it has not been filled in
PLACEHOLDER_ACCOUNT = "123456789012"
_PLACEHOLDER = re.compile(r"^(your[_-].*|<.*>|x{3,}|changeme|change[_-]me)$", re.IGNORECASE)
LOOPBACK = ("127.0.0.1", "localhost", "::1")
_KEY_PAIR = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_TOKEN = "AWS_SESSION_TOKEN"
_CREDENTIALS = (*_KEY_PAIR, _TOKEN)


class _Wrong(ValueError):
    """A value that a setting does not allow; the message says which values it allows."""


@dataclass(frozen=True)
class Kind:
    """A type of value.

    ``parse`` raises ``ValueError``; ``allowed`` describes the accepted values.
    """

    parse: Callable[[str], Any]
    allowed: str


def _text(pattern: str, allowed: str) -> Kind:
    def parse(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise _Wrong(allowed)
        return text

    return Kind(parse, allowed)


def _whole(least: int, most: int, unit: str = "") -> Kind:
    allowed = f"a whole number from {least} to {most}" + (f" ({unit})" if unit else "")

    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d{1,12}", text) or not least <= int(text) <= most:
            raise _Wrong(allowed)
        return int(text)

    return Kind(parse, allowed)


def _share() -> Kind:
    allowed = "a share from 0 to 1, such as 0.05"

    def parse(text: str) -> Decimal:
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise _Wrong(allowed) from None
        if not (value.is_finite() and 0 <= value <= 1):
            raise _Wrong(allowed)
        return value

    return Kind(parse, allowed)


def _yes_or_no() -> Kind:
    allowed = "yes or no"
    words = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}

    def parse(text: str) -> bool:
        if text.lower() not in words:
            raise _Wrong(allowed)
        return words[text.lower()]

    return Kind(parse, allowed)


def _one_of(*choices: str) -> Kind:
    return _text("|".join(re.escape(choice) for choice in choices), " or ".join(choices))


def _role() -> Kind:
    """A role's name, or the ARN of a role that has a path.

    Services resolve a bare name to a role without a path. An ARN without a path, as in
    iam_roles.json, is reduced to the name.
    """
    name = r"[\w+=,.@-]{1,64}"
    arn = r"arn:aws[a-z-]*:iam::\d{12}:(role|instance-profile)/"
    given = _text(rf"({arn}([\w+=,.@-]+/)*)?{name}", "a role's name, or its ARN")
    return Kind(lambda text: re.sub(rf"^{arn}({name})$", r"\2", given.parse(text)), given.allowed)


ANY = _text(r"[^\x00-\x1f]*", "any text on one line")
PATH = Kind(
    lambda text: ROOT / Path(ANY.parse(text)).expanduser(),
    "a folder, absolute or from the project's root",
)
REGION = _text(r"[a-z]{2,4}(-[a-z]+)+-\d+", "a region such as us-east-1")
URL = _text(r"https?://[^\s/]+/?", "a URL such as http://127.0.0.1:5000")
ENVIRONMENT = _text(
    r"[a-z][a-z0-9]{0,11}", "up to 12 lower-case letters and digits, such as dev, test, prod"
)
BUCKET = _text(
    r"(?!xn--|sthree-|\d+\.\d+\.\d+\.\d+$)[a-z0-9](?!.*\.\.)[a-z0-9.-]{1,61}[a-z0-9](?<!-s3alias)",
    "3 to 63 lower-case letters, digits, '-' or '.', beginning and ending with a letter or digit",
)
RELEASE = _text(
    r"emr-[a-z0-9][a-z0-9.-]*", "an EMR release label such as emr-7.13.0 or emr-spark-8.1.0"
)
INSTANCE = _text(r"[a-z][a-z0-9-]*\.[a-z0-9-]+", "an EC2 instance type such as m5.xlarge")
ROLE = _role()
ROLE_ARN = _text(
    r"arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+",
    "an ARN such as arn:aws:iam::123456789012:role/Name",
)
DATABASE = _text(r"[a-z0-9_]{1,255}", "lower-case letters, digits and '_' (Athena allows no other)")
MACHINE = _text(r"[0-9A-Za-z_-]{1,80}", "up to 80 letters, digits, '-' or '_'")
WORKGROUP = _text(r"[A-Za-z0-9._-]{1,128}", "up to 128 letters, digits, '.', '_' or '-'")
SUBNET = _text(r"subnet-[0-9a-f]{8,17}", "a subnet id such as subnet-0123456789abcdef0")
SPARK_CONF = _text(
    r"spark\.[\w.]+=\S+( +spark\.[\w.]+=\S+)*",
    "pairs such as spark.executor.memory=8g, separated by spaces",
)
SECURITY_CONFIGURATION = _text(r"[\w .-]{1,128}", "the name of an EMR security configuration")
KMS_KEY = _text(
    r"(arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/)?(mrk-[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})",
    "the id or the ARN of a KMS key (no alias)",
)
EMAIL = _text(r"[^@\s]+@[^@\s]+\.[^@\s]+", "an e-mail address")
SCHEDULE = _text(
    r"(rate|cron|at)\(.+\)",
    "an EventBridge Scheduler expression such as cron(0 3 * * ? *) or rate(1 day)",
)


def _setting(default: Any, kind: Kind, help: str, *, unique: str = "", secret: bool = False) -> Any:
    """A field of ``Settings``.

    ``unique``: separator between the environment's prefix and a name that must be unique in an
    account.
    """
    return field(
        default=default,
        repr=not secret,
        metadata={"kind": kind, "help": help, "unique": unique, "secret": secret},
    )


@dataclass(frozen=True)
class Settings:
    """All settings. The variable of ``s3_bucket_name`` is ``S3_BUCKET_NAME``.

    Names that must be unique in an account already carry the environment's prefix
    (``prod-CarRentalDataPipeline``), except in ``dev``. An empty string means that the setting is
    not set.
    """

    # --- AWS credentials; empty: boto3's usual chain (AWS_PROFILE, ~/.aws, instance role)
    aws_access_key_id: str = _setting(
        "", ANY, "access key; empty or a placeholder: boto3's usual chain of credentials"
    )
    aws_secret_access_key: str = _setting("", ANY, "secret key of that access key", secret=True)
    aws_session_token: str = _setting(
        "", ANY, "session token of temporary credentials", secret=True
    )
    aws_profile: str = _setting("", ANY, "profile in ~/.aws to use when no key is set here")
    aws_region: str = _setting("us-east-1", REGION, "region of everything that the project creates")
    aws_endpoint_url: str = _setting(
        "", URL, "URL of the AWS API; `make serve` prints the line for the local AWS"
    )
    environment: str = _setting(
        DEFAULT_ENVIRONMENT,
        ENVIRONMENT,
        "separates environments in one account: prefix of names (none for dev), value of a tag",
    )
    # --- S3
    s3_bucket_name: str = _setting(
        "car-rental-data-lake", BUCKET, "bucket of the lake; unique in all of AWS", unique="-"
    )
    kms_key_id: str = _setting("", KMS_KEY, "KMS key that encrypts the bucket; empty: S3's own key")
    data_dir: Path = _setting(
        ROOT / "data", PATH, "folder with the raw CSV files that step 2 uploads"
    )
    # --- EMR
    emr_cluster_name: str = _setting(
        "Car-Rental-EMR-Cluster", ANY, "name of the EMR cluster", unique="-"
    )
    emr_release_label: str = _setting(
        "emr-7.13.0", RELEASE, "EMR release: decides the Spark version"
    )
    emr_ec2_key_name: str = _setting("", ANY, "EC2 key pair for SSH to the cluster; empty: none")
    emr_master_instance_type: str = _setting(
        "m5.xlarge", INSTANCE, "instance type of the primary node"
    )
    emr_core_instance_type: str = _setting("m5.xlarge", INSTANCE, "instance type of the core nodes")
    emr_core_instance_count: int = _setting(2, _whole(1, 1000, "nodes"), "number of core nodes")
    emr_subnet_id: str = _setting(
        "", SUBNET, "subnet of the cluster; empty: EMR picks one of the default VPC"
    )
    emr_core_market: str = _setting(
        "on_demand",
        _one_of("on_demand", "spot"),
        "how core nodes are bought; spot falls back to on-demand after 10 minutes",
    )
    emr_max_core_instance_count: int = _setting(
        0,
        _whole(0, 1000, "nodes"),
        "managed scaling adds core nodes up to this number; 0: always EMR_CORE_INSTANCE_COUNT",
    )
    emr_spark_conf: str = _setting("", SPARK_CONF, "more Spark settings for the cluster")
    emr_security_configuration: str = _setting(
        "",
        SECURITY_CONFIGURATION,
        "EMR security configuration; step 2 creates a missing one, which requires IMDSv2",
    )
    emr_deploy_mode: str = _setting(
        "client",
        _one_of("client", "cluster"),
        "deploy mode of Spark; client: the driver's log is the step's log",
    )
    emr_idle_timeout_seconds: int = _setting(
        1800, _whole(600, 604800, "seconds"), "an idle cluster terminates itself after this time"
    )
    emr_step_timeout_minutes: int = _setting(
        240,
        _whole(1, 10080, "minutes"),
        "timeout of a Spark job in the state machine; the execution fails when it passes",
    )
    emr_one_application: bool = _setting(
        False,
        _yes_or_no(),
        "whether one step runs the four Spark jobs in one Spark application, or a step each job",
    )
    # --- IAM roles
    emr_service_role: str = _setting("EMR_DefaultRole", ROLE, "role of the EMR service", unique="-")
    emr_ec2_instance_profile: str = _setting(
        "EMR_EC2_DefaultRole", ROLE, "instance profile (and role) of the nodes", unique="-"
    )
    glue_service_role: str = _setting(
        "AWSGlueServiceRole-CarRentalCrawler", ROLE, "role of the Glue crawler", unique="-"
    )
    step_functions_role_arn: str = _setting(
        f"arn:aws:iam::{PLACEHOLDER_ACCOUNT}:role/StepFunctionsExecutionRole",
        ROLE_ARN,
        "role of the state machine; with the example's account id: the role of that name that step"
        " 1 creates",
    )
    # --- Glue, Step Functions, Athena
    glue_database_name: str = _setting(
        "car_rental_db", DATABASE, "Glue database of the published tables", unique="_"
    )
    step_functions_state_machine_name: str = _setting(
        "CarRentalDataPipeline", MACHINE, "name of the state machine", unique="-"
    )
    schedule_expression: str = _setting(
        "", SCHEDULE, "schedule of the state machine; empty: manual starts only"
    )
    alert_email: str = _setting(
        "", EMAIL, "address that is notified when an execution fails or takes too long; empty: none"
    )
    athena_workgroup: str = _setting(
        "car-rental", WORKGROUP, "Athena workgroup: results location and limits", unique="-"
    )
    # --- the pipeline
    max_reject_rate: Decimal = _setting(
        Decimal("0.05"), _share(), "a run fails when it rejects a larger share of the rentals"
    )
    keep_runs: int = _setting(
        30,
        _whole(1, 10000, "runs"),
        "published runs to keep; older ones are deleted from all zones",
    )
    local_aws_dir: Path = _setting(ROOT / ".local_aws", PATH, "folder of the lake on this machine")
    reports_dir: Path = _setting(
        ROOT / "reports", PATH, "folder of the reports that step 10 writes"
    )
    runs_dir: Path = _setting(ROOT / "runs", PATH, "folder of the run records, one JSON file a run")
    report_customer_names: bool = _setting(
        True, _yes_or_no(), "whether the report names the customers who spend the most"
    )
    # --- not settings: notes about the sources
    notes: tuple[str, ...] = field(default=(), metadata={})

    @property
    def is_local(self) -> bool:
        """Returns whether the endpoint is on this machine: the stand-in `local_aws`."""
        return bool(self.aws_endpoint_url) and urlsplit(self.aws_endpoint_url).hostname in LOOPBACK

    @property
    def timing(self) -> Timing:
        """The waiting times for AWS, or for the stand-in."""
        return ON_THIS_MACHINE if self.is_local else ON_AWS

    @property
    def step_functions_role_is_given(self) -> bool:
        """Returns whether `.env` names a role for the state machine.

        The ARN in .env.example does not count.
        """
        return not self.is_local and f"::{PLACEHOLDER_ACCOUNT}:" not in self.step_functions_role_arn

    @property
    def step_functions_role_name(self) -> str:
        """The name of the role that step 1 creates for the state machine."""
        name = self.step_functions_role_arn.rsplit("/", 1)[1]
        return name if self.step_functions_role_is_given else self.shared_name(name)

    def s3(self, *parts: str) -> str:
        """An ``s3://`` URI in the lake."""
        return "s3://" + "/".join((self.s3_bucket_name, *parts))

    def shared_name(self, name: str) -> str:
        """``name`` with the environment's prefix: ``crawler`` is ``prod-crawler`` in prod."""
        return _with_environment(name, self.environment, "-")


def _with_environment(name: str, environment: str, joint: str) -> str:
    """Adds the environment's prefix to ``name``, unless it has the prefix already.

    Names copied from iam_roles.json have it.
    """
    path, slash, last = name.rpartition("/")  # the name can be the ARN of a role
    prefix = f"{environment}{joint}"
    return (
        name
        if environment == DEFAULT_ENVIRONMENT or last.startswith(prefix)
        else f"{path}{slash}{prefix}{last}"
    )


def setting_fields() -> dict[str, dataclasses.Field[Any]]:
    """The settings by variable name, in the order of `.env.example`."""
    return {
        item.name.upper(): item for item in dataclasses.fields(Settings) if "kind" in item.metadata
    }


def load_settings(
    environ: Mapping[str, str],
    env_file: Path | None = None,
    overrides: Mapping[str, str] | None = None,
) -> Settings:
    """Loads the settings from ``env_file``, ``environ`` and ``overrides``; the last one wins.

    ``env_file`` is by default `.env` in the project's root, if it exists. ``overrides`` are flags
    of the command line by variable name. Raises ``ConfigError`` with all problems at once.
    """
    path = env_file or ROOT / ".env"
    if env_file and not os.path.lexists(env_file):
        raise ConfigError(
            "configuration",
            f"{env_file} does not exist.",
            "Copy .env.example there, or leave --env out.",
        )
    file = read_env_file(path)
    sources = _sources(file, environ, overrides or {})
    values, problems = _parse(sources)
    problems = [*file.problems, *problems]
    if not file.problems:  # a line that cannot be parsed may hold the missing half
        problems += _half_a_key_pair(sources)
    if problems:
        raise ConfigError(
            "configuration",
            f"{len(problems)} setting{'s are' if len(problems) > 1 else ' is'} wrong:",
            "Correct them; .env.example explains each one.",
            details=(*problems, *_unknown_names(file)),
        )
    notes = (
        _unknown_names(file)
        + _set_twice(file, sources)
        + _unused_credentials(file, environ, sources)
    )
    return _named(Settings(**values, notes=tuple(notes)))


Sources = dict[str, tuple[str, str]]  # variable -> (raw value, where it came from)


def _sources(file: EnvFile, environ: Mapping[str, str], overrides: Mapping[str, str]) -> Sources:
    """Merges the layers; the last layer that sets a variable wins.

    Key, secret and token all come from the last layer that has a key or secret.
    """
    layers = [
        _layer(((line.name, line.value) for line in file.lines), file.name),
        _layer(environ.items(), "the environment"),
        _layer(overrides.items(), "the command line"),
    ]
    # the AWS CLI's default region has the lowest precedence
    region = environ.get("AWS_DEFAULT_REGION", "").strip()
    found: Sources = (
        {"AWS_REGION": (region, "AWS_DEFAULT_REGION in the environment")} if region else {}
    )
    for layer in layers:
        if not layer.keys().isdisjoint(_KEY_PAIR):
            found = {name: source for name, source in found.items() if name not in _CREDENTIALS}
        elif not found.keys().isdisjoint(_KEY_PAIR):
            layer.pop(_TOKEN, None)  # a token alone belongs to other keys
        found |= layer
    return found


def _layer(values: Iterable[tuple[str, str]], origin: str) -> Sources:
    """The settings in ``values``.

    Blank and placeholder values count as unset; the last of several wins.
    """
    known = setting_fields()
    set_values = ((name, raw.strip()) for name, raw in values if name in known)
    return {name: (raw, origin) for name, raw in set_values if raw and not _PLACEHOLDER.match(raw)}


def _parse(sources: Sources) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    problems: list[str] = []
    for name, item in setting_fields().items():
        if name not in sources:
            continue
        raw, origin = sources[name]
        kind: Kind = item.metadata["kind"]
        try:
            values[item.name] = kind.parse(raw)
        except ValueError:
            value = "(hidden)" if item.metadata["secret"] else repr(raw)
            problems.append(f"{name} = {value} (from {origin}): allowed is {kind.allowed}")
    problems += _scaling_without_room(values)
    return values, problems


def _half_a_key_pair(sources: Sources) -> list[str]:
    missing = [name for name in _KEY_PAIR if name not in sources]
    if len(missing) != 1:
        return []
    (present,) = set(_KEY_PAIR) - set(missing)
    origin = sources[present][1]
    return [
        f"{missing[0]} is not set, but {present} is (from {origin}): allowed is both there, or"
        " neither"
    ]


def _scaling_without_room(values: Mapping[str, Any]) -> list[str]:
    """Reports a limit of managed scaling that never allows another node."""
    start = values.get("emr_core_instance_count", Settings.emr_core_instance_count)
    most = values.get("emr_max_core_instance_count", 0)
    if not most or most > start:
        return []
    return [
        f"EMR_MAX_CORE_INSTANCE_COUNT = '{most}': allowed is 0, or more than"
        f" EMR_CORE_INSTANCE_COUNT ({start})"
    ]


def _unknown_names(file: EnvFile) -> list[str]:
    known = setting_fields()
    notes = []
    for name in dict.fromkeys(line.name for line in file.lines if line.name not in known):
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.6)
        hint = f" Did you mean {near[0]}?" if near else ""
        notes.append(f"{file.name}: {name} is not a setting of this project.{hint}")
    return notes


def _set_twice(file: EnvFile, sources: Sources) -> list[str]:
    """Notes about settings that the file sets more than once, with the line that counts."""
    notes = []
    for name in setting_fields():
        numbers = file.numbers(name)
        if len(numbers) < 2:
            continue
        raw, origin = sources.get(name, ("", ""))
        counting = [
            line.number for line in file.lines if line.name == name and line.value.strip() == raw
        ]
        which = (
            f"line {counting[-1]} counts" if raw and origin == file.name else "none of them counts"
        )
        notes.append(
            f"{file.name}: {name} is set in lines {', '.join(map(str, numbers))}; {which}."
        )
    return notes


def _unused_credentials(file: EnvFile, environ: Mapping[str, str], sources: Sources) -> list[str]:
    """Notes about a session token that belongs to other keys, and about a profile beside keys."""
    if _KEY_PAIR[0] not in sources:
        return []
    origin = sources[_KEY_PAIR[0]][1]
    notes = []
    if environ.get(_TOKEN, "").strip() and origin == file.name:
        notes.append(f"{_TOKEN} of the environment is not used: key and secret come from {origin}.")
    if "AWS_PROFILE" in sources:
        profile, where = sources["AWS_PROFILE"]
        notes.append(
            f"the profile {profile!r} (from {where}) is not used: a key is set ({origin})."
        )
    return notes


def _named(settings: Settings) -> Settings:
    """Adds the environment's prefix to every name that must be unique in an account.

    Checks the resulting names.
    """
    names: dict[str, Any] = {}
    for variable, item in setting_fields().items():
        if item.metadata["unique"]:
            name = _with_environment(
                getattr(settings, item.name), settings.environment, item.metadata["unique"]
            )
            kind: Kind = item.metadata["kind"]
            try:
                names[item.name] = kind.parse(name)
            except ValueError as error:
                raise ConfigError(
                    "configuration",
                    f"{variable} becomes {name!r} in the environment {settings.environment!r};"
                    f" allowed is {error}.",
                    f"Choose a shorter {variable} or ENVIRONMENT.",
                ) from error
    return dataclasses.replace(settings, **names)
