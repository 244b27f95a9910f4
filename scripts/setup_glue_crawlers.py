#!/usr/bin/env python3
"""Step 3: creates the Glue database, the crawler of the tables, and the Athena workgroup.

Corrects drift, and leaves the rest alone. Needs the roles of step 1 and the bucket of step 2. Run
it as often as you like.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from car_rental import cli
from botocore.exceptions import ClientError
from car_rental.athena.named_queries import ensure_named_queries
from car_rental.aws import Answer, Aws, if_exists
from car_rental.changes import Change, Verb, summary
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.errors import DataLakeError
from car_rental.glue.crawlers import Crawler, crawler_request, crawlers, wait_until_idle
from car_rental.iam.retry import retry_while_iam_spreads
from car_rental.iam.roles import role_name
from car_rental.s3.lake_bucket import require_bucket

if TYPE_CHECKING:
    from mypy_boto3_athena import AthenaClient

_ABSENT = "EntityNotFoundException"
# Glue's message for a role that is too new; a wrong role causes the same message
_ROLE_NOT_YET = ("Service is unable to assume",)
_SCAN_LIMIT_BYTES = 10 * 1000**3  # 10 GB per query: at $5 per TB, a mistake costs 5 cents


@dataclass(frozen=True)
class CatalogResult:
    """The changes of all resources."""

    changes: list[Change]

    def summary(self) -> str:
        """One line for the summary."""
        return summary(self.changes)


def setup_glue_crawlers(aws: Aws, console: Console) -> CatalogResult:
    """Ensures database, crawlers and workgroup.

    Raises ``DataLakeError`` if the bucket or the role is missing.
    """
    require_bucket(aws, "setup_glue_crawlers")
    database = ensure_database(aws)
    of_crawlers = [ensure_crawler(aws, console, crawler) for crawler in crawlers(aws.settings)]
    workgroup = ensure_workgroup(aws)
    if (
        aws.plan_only and workgroup.verb == Verb.CREATED
    ):  # only an existing workgroup can list its queries
        queries = Change("named queries", aws.settings.athena_workgroup, Verb.CREATED)
    else:
        queries = ensure_named_queries(aws)
    return CatalogResult([database, *of_crawlers, workgroup, queries])


def ensure_database(aws: Aws) -> Change:
    """Ensures that the Glue database exists."""
    settings = aws.settings
    glue = aws.client("glue")
    if if_exists(lambda: glue.get_database(Name=settings.glue_database_name), _ABSENT):
        return Change("database", settings.glue_database_name, Verb.UNCHANGED)
    wanted: Any = {
        "Name": settings.glue_database_name,
        "Description": "Published tables of the car rental data lake",
    }
    aws.change(lambda: glue.create_database(DatabaseInput=wanted, Tags=aws.tags))
    return Change("database", settings.glue_database_name, Verb.CREATED)


def ensure_crawler(aws: Aws, console: Console, crawler: Crawler) -> Change:
    """Ensures that the crawler matches ``crawler_request``.

    Waits for a running crawl before it changes the crawler.
    """
    settings = aws.settings
    glue, wanted = aws.client("glue"), crawler_request(settings, crawler)
    current = if_exists(lambda: glue.get_crawler(Name=crawler.name)["Crawler"], _ABSENT)
    if current is None:
        aws.change(
            lambda: _with_role(
                lambda: glue.create_crawler(**wanted, Tags=aws.tags), settings, console
            )
        )
        return Change("crawler", crawler.name, Verb.CREATED)
    if all(_as_stored(current, name) == _as_stored(wanted, name) for name in wanted):
        return Change("crawler", crawler.name, Verb.UNCHANGED)
    again = "Run this step again when it has ended."
    aws.change(
        lambda: wait_until_idle(aws, console, crawler.name, deadline_seconds=1800, resume=again)
    )
    aws.change(lambda: _with_role(lambda: glue.update_crawler(**wanted), settings, console))
    return Change("crawler", crawler.name, Verb.UPDATED)


def _as_stored(current: Answer, name: str) -> Any:
    """A property of a crawler in comparable form.

    AWS adds empty kinds of targets, and returns the role as a name or as a path and name.
    """
    value = current.get(name)
    if name == "Targets":
        return {kind: targets for kind, targets in (value or {}).items() if targets}
    if name == "Role" and value:
        return role_name(str(value))
    return value


def _with_role(call: Callable[[], Any], settings: Settings, console: Console) -> None:
    try:
        retry_while_iam_spreads(call, _ROLE_NOT_YET, console, settings.timing.iam_patience_seconds)
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        if not any(part in message for part in _ROLE_NOT_YET):
            raise
        raise DataLakeError(
            "setup_glue_crawlers",
            f"Glue cannot assume the role {settings.glue_service_role}: {message}",
            "Run step 1 (python scripts/setup_iam_roles.py), or check GLUE_SERVICE_ROLE in .env.",
        ) from error


def ensure_workgroup(aws: Aws) -> Change:
    """Ensures the Athena workgroup, with engine version 3.

    Results go to athena-results/. A query may scan at most ``_SCAN_LIMIT_BYTES``.
    """
    athena, name = aws.client("athena"), aws.settings.athena_workgroup
    wanted: Any = {
        "ResultConfiguration": {"OutputLocation": aws.settings.s3("athena-results", "")},
        "EnforceWorkGroupConfiguration": True,
        "PublishCloudWatchMetricsEnabled": True,
        "BytesScannedCutoffPerQuery": _SCAN_LIMIT_BYTES,
        "EngineVersion": {"SelectedEngineVersion": "Athena engine version 3"},
    }
    current = _workgroup(athena, name)
    if current is None:
        about = "Queries over the car rental data lake"
        aws.change(
            lambda: athena.create_work_group(
                Name=name, Configuration=wanted, Description=about, Tags=aws.tag_list
            )
        )
        return Change("workgroup", name, Verb.CREATED)
    if all(_contains(current.get(key), value) for key, value in wanted.items()):
        return Change("workgroup", name, Verb.UNCHANGED)
    # UpdateWorkGroup takes the results location under another name than CreateWorkGroup
    updates: Any = {key: value for key, value in wanted.items() if key != "ResultConfiguration"}
    updates["ResultConfigurationUpdates"] = wanted["ResultConfiguration"]
    aws.change(lambda: athena.update_work_group(WorkGroup=name, ConfigurationUpdates=updates))
    return Change("workgroup", name, Verb.UPDATED)


def _workgroup(athena: AthenaClient, name: str) -> Answer | None:
    """The workgroup's configuration.

    None if the name is unknown: Athena then answers InvalidRequestException.
    """
    pages = athena.list_work_groups()
    names = [group["Name"] for group in pages.get("WorkGroups", [])]
    while "NextToken" in pages:
        pages = athena.list_work_groups(NextToken=pages["NextToken"])
        names += [group["Name"] for group in pages.get("WorkGroups", [])]
    if name not in names:
        return None
    return athena.get_work_group(WorkGroup=name)["WorkGroup"].get("Configuration", {})


def _contains(current: Any, wanted: Any) -> bool:
    """Returns whether ``current`` contains ``wanted``.

    AWS adds properties such as the effective engine version.
    """
    if isinstance(wanted, dict):
        return isinstance(current, dict) and all(
            _contains(current.get(key), value) for key, value in wanted.items()
        )
    return bool(current == wanted)


def _act(_: argparse.Namespace, aws: Aws, console: Console) -> None:
    for change in setup_glue_crawlers(aws, console).changes:
        console.result(f"{change.resource}: {change.done}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    return cli.run(cli.parser(__doc__), argv, _act)


if __name__ == "__main__":
    sys.exit(main())
