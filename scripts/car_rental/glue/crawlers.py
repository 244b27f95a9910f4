"""The definition of the crawlers, for the step that creates them and the step that runs them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from car_rental.aws import Aws
from car_rental.config import Settings
from car_rental.data_contract import contract
from car_rental.display.console import Console
from car_rental.errors import DataLakeError
from car_rental.waiting import Pace, States, Wait, wait_until

# Glue counts the bucket as level 1: s3://bucket/processed/user_metrics/ is a table at level 3
# https://docs.aws.amazon.com/glue/latest/dg/crawler-configuration.html
_TABLE_LEVEL = 3
# relative to the target; `**_SUCCESS` also covers the target's own folder, `**/_SUCCESS` does not
_EXCLUSIONS = ["**_SUCCESS", "**_temporary/**", "**_$folder$", "**.spark-staging*/**", "**.crc"]


_CRAWLING = States(going=frozenset({"RUNNING", "STOPPING"}), good=frozenset({"READY"}))


@dataclass(frozen=True)
class Crawler:
    """One crawler and the tables that it must find."""

    name: str
    prefix: str
    tables: tuple[str, ...]


def crawlers(settings: Settings) -> list[Crawler]:
    """All crawlers of the project: one over the published zone.

    It has one target for each table, so that Glue neither merges tables of similar shape nor
    splits a table.
    """
    return [Crawler(settings.shared_name("car-rental-processed"), "processed", contract.KPI_TABLES)]


def crawler_request(settings: Settings, crawler: Crawler) -> dict[str, Any]:
    """The parameters of ``glue:CreateCrawler`` and ``glue:UpdateCrawler``, without tags.

    Partitions whose folders were deleted leave the catalog. New columns are added to a table.
    Partitions inherit the table's schema: otherwise Athena fails with
    HIVE_PARTITION_SCHEMA_MISMATCH. Partition indexes, which Glue creates by default, are off: one
    partition per run does not need them, and the role has no right to create them.
    https://docs.aws.amazon.com/glue/latest/dg/crawler-configure-partition-indexes.html
    """
    return {
        "Name": crawler.name,
        "Role": settings.glue_service_role,
        "DatabaseName": settings.glue_database_name,
        "Description": "Publishes the tables of a good run: registers their newest partition.",
        "Targets": {
            "S3Targets": [
                {"Path": settings.s3(crawler.prefix, table, ""), "Exclusions": _EXCLUSIONS}
                for table in crawler.tables
            ]
        },
        "SchemaChangePolicy": {
            "UpdateBehavior": "UPDATE_IN_DATABASE",
            "DeleteBehavior": "DELETE_FROM_DATABASE",
        },
        "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
        "Configuration": json.dumps(
            {
                "Version": 1.0,
                "CreatePartitionIndex": False,
                "CrawlerOutput": {
                    "Partitions": {"AddOrUpdateBehavior": "InheritFromTable"},
                    "Tables": {"AddOrUpdateBehavior": "MergeNewColumns"},
                },
                "Grouping": {
                    "TableGroupingPolicy": "CombineCompatibleSchemas",
                    "TableLevelConfiguration": _TABLE_LEVEL,
                },
            },
            sort_keys=True,
        ),
    }


def wait_until_idle(
    aws: Aws, console: Console, name: str, *, deadline_seconds: float, resume: str
) -> None:
    """Waits until no crawl of the crawler ``name`` is running."""
    wait = Wait(
        what=f"crawler {name}",
        describe=lambda: str(aws.client("glue").get_crawler(Name=name)["Crawler"]["State"]),
        state=str,
        states=_CRAWLING,
        explain=lambda state: DataLakeError(f"crawler {name}", f"is {state}."),
        resume=resume,
    )
    wait_until(wait, Pace(aws.settings.timing.poll_seconds, deadline_seconds), console.progress)
