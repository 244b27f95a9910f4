"""Arguments of a `command-runner.jar` step: options that are used, dropped or rejected."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from local_aws.overlay import not_supported

# options of spark-submit (SparkSubmitOptionParser); they come before the application
_DROPPED = frozenset(
    "--master --deploy-mode --driver-memory --driver-cores --executor-memory --executor-cores"
    " --num-executors --total-executor-cores --queue".split()
)
_KEPT = frozenset("--name --conf -c --py-files --files --archives --jars".split())
_REFUSED = frozenset(
    "--class --packages --exclude-packages --repositories --properties-file --proxy-user"
    " --principal --keytab --kill --status --driver-java-options --driver-class-path"
    " --driver-library-path".split()
)
_FLAGS = frozenset("--supervise --verbose -v".split())

# settings that only concern a cluster: its machines, YARN, the number of executors
_CLUSTER_CONF = re.compile(
    r"spark\.(master|submit\.deployMode|driver\.(memory|cores|memoryOverhead\w*)"
    r"|executor\.(memory|cores|instances|memoryOverhead\w*|extraJavaOptions|defaultJavaOptions)"
    r"|(dynamicAllocation|yarn|shuffle\.service|decommission)\..*)"
)
_REFUSED_CONF = re.compile(
    r"spark\.(driver\.(extra\w+|defaultJavaOptions)|jars\.(packages|repositories|ivy\w*)"
    r"|sql\.catalogImplementation|hadoop\.hive\.metastore\..*|sql\.hive\.metastore\..*)"
)


@dataclass(frozen=True)
class Submission:
    """One PySpark application and its options, without those that only concern a cluster."""

    cluster_mode: bool
    options: tuple[str, ...]
    application: str
    arguments: tuple[str, ...]

    def with_defaults(self, options: Sequence[str]) -> Submission:
        """Adds ``options``; the submission's own options override them."""
        return replace(self, options=(*options, *self.options))


def parse_submission(args: Sequence[str]) -> Submission:
    """Parses ``spark-submit [options] application.py [arguments]``; raises ``AwsError``."""
    if not args or args[0] != "spark-submit":
        raise not_supported(
            f"command-runner.jar {args[0] if args else 'without arguments'}; only spark-submit runs"
            " here"
        )
    cluster_mode, options, rest = False, [], list(args[1:])
    for option, value in _take_options(rest):
        if option == "--deploy-mode":
            cluster_mode = value == "cluster"
        if option in ("--conf", "-c"):
            options += _conf(value)
        elif option in _KEPT:
            options += [option, value]
    if not rest:
        raise not_supported("spark-submit without an application")
    if not rest[0].endswith(".py"):
        raise not_supported(f"spark-submit {rest[0]}; only Python applications (.py) run here")
    return Submission(cluster_mode, tuple(options), rest[0], tuple(rest[1:]))


def local_conf(properties: Mapping[str, str]) -> list[str]:
    """Spark properties as ``--conf`` options, without those that only concern a cluster."""
    return [part for key, value in properties.items() for part in _conf(f"{key}={value}")]


def _take_options(rest: list[str]) -> Iterator[tuple[str, str]]:
    """Removes options and their values from the front of ``rest``, up to the application."""
    while rest and rest[0].startswith("-"):
        option, equals, value = rest.pop(0).partition("=")
        if option in _REFUSED or option not in _KEPT | _DROPPED | _FLAGS:
            raise not_supported(f"spark-submit {option}")
        if option in _FLAGS:
            continue
        if not equals and not rest:
            raise not_supported(f"spark-submit {option} without a value")
        yield option, value if equals else rest.pop(0)


def _conf(setting: str) -> list[str]:
    key = setting.partition("=")[0]
    if _REFUSED_CONF.fullmatch(key):
        raise not_supported(f"the Spark property {key}")
    return [] if _CLUSTER_CONF.fullmatch(key) else ["--conf", setting]
