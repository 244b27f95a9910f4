"""Validates a crawler: raises AWS's errors, and names a setting that is unsupported."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from local_aws.glue.catalog_writer import Policy
from local_aws.glue.layout import Grouping
from local_aws.glue.listing import CrawlTarget
from local_aws.overlay import AwsError

_CHOICES = {
    ("SchemaChangePolicy", "UpdateBehavior"): ("LOG", "UPDATE_IN_DATABASE"),
    ("SchemaChangePolicy", "DeleteBehavior"): (
        "LOG",
        "DELETE_FROM_DATABASE",
        "DEPRECATE_IN_DATABASE",
    ),
}
_CONFIGURATION = {
    "Version": None,
    "CreatePartitionIndex": (True, False),  # accepted and ignored: an index changes no result
    "Grouping": {
        "TableGroupingPolicy": ("CombineCompatibleSchemas",),
        "TableLevelConfiguration": None,
    },
    "CrawlerOutput": {
        "Partitions": {"AddOrUpdateBehavior": ("InheritFromTable",)},
        "Tables": {"AddOrUpdateBehavior": ("MergeNewColumns",)},
    },
}
_UNSUPPORTED = ("Schedule", "Classifiers", "CrawlerSecurityConfiguration")


def invalid(message: str) -> AwsError:
    return AwsError("InvalidInputException", message)


def unsupported(what: str) -> AwsError:
    """The stand-in's error for settings that it does not support."""
    return invalid(f"local_aws does not support this: {what}")


def check(crawler: Mapping[str, Any]) -> None:
    """Raises ``AwsError`` if a CreateCrawler request is invalid or not supported."""
    for name in _UNSUPPORTED:
        if crawler.get(name):
            raise unsupported(f"crawlers with {name}")
    _check_targets(crawler.get("Targets") or {})
    if not crawler.get("DatabaseName"):
        raise invalid("Database name cannot be null or empty")
    for (group, name), allowed in _CHOICES.items():
        value = (crawler.get(group) or {}).get(name)
        if value is not None and value not in allowed:
            raise invalid(f"{name} must be one of {', '.join(allowed)}, not {value}")
    _check_recrawl(crawler)
    _check_configuration(_configuration(crawler), _CONFIGURATION, "Configuration")


def _check_targets(targets: Mapping[str, Any]) -> None:
    others = sorted(kind for kind, listed in targets.items() if listed and kind != "S3Targets")
    if others:
        raise unsupported(f"crawler targets other than S3 ({', '.join(others)})")
    if not targets.get("S3Targets"):
        raise invalid("At least one crawler target must be specified")
    for target in targets["S3Targets"]:
        path = target.get("Path", "")
        if not path.startswith("s3://") or not path[5:].strip("/"):
            raise invalid(
                f"The include path {path or '(none)'} is not an S3 path: it must look like s3://bucket/folder/"
            )
        unknown = sorted(key for key in target if key not in ("Path", "Exclusions") and target[key])
        if unknown:
            raise unsupported(f"{', '.join(unknown)} of an S3 target")


def _check_recrawl(crawler: Mapping[str, Any]) -> None:
    behavior = (crawler.get("RecrawlPolicy") or {}).get("RecrawlBehavior", "CRAWL_EVERYTHING")
    if behavior != "CRAWL_EVERYTHING":
        raise unsupported(f"RecrawlBehavior {behavior}")


def _configuration(crawler: Mapping[str, Any]) -> dict[str, Any]:
    try:
        parsed = json.loads(crawler.get("Configuration") or "{}")
    except ValueError as error:
        raise invalid(f"The crawler Configuration is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise invalid("The crawler Configuration is not a JSON object")
    return parsed


def _check_configuration(given: Any, known: Any, where: str) -> None:
    if isinstance(known, dict):
        if not isinstance(given, dict):
            raise invalid(f"{where} must be an object")
        for key, value in given.items():
            if key not in known:
                raise unsupported(f"{where}.{key}")
            _check_configuration(value, known[key], f"{where}.{key}")
    elif known is not None and given not in known:
        raise invalid(f"{where} must be one of {', '.join(map(str, known))}, not {given}")


def targets_of(crawler: Mapping[str, Any]) -> list[CrawlTarget]:
    return [CrawlTarget.of(spec) for spec in crawler["Targets"]["S3Targets"]]


def grouping_of(crawler: Mapping[str, Any]) -> Grouping:
    grouping = _configuration(crawler).get("Grouping", {})
    return Grouping(
        combine=grouping.get("TableGroupingPolicy") == "CombineCompatibleSchemas",
        table_level=grouping.get("TableLevelConfiguration"),
    )


def policy_of(crawler: Mapping[str, Any]) -> Policy:
    """The crawler's policies for existing tables and partitions."""
    changes = crawler.get("SchemaChangePolicy") or {}
    output = _configuration(crawler).get("CrawlerOutput", {})
    return Policy(
        crawler=crawler["Name"],
        database=crawler["DatabaseName"],
        table_prefix=crawler.get("TablePrefix") or "",
        update=changes.get("UpdateBehavior", "UPDATE_IN_DATABASE"),
        delete=changes.get("DeleteBehavior", "DEPRECATE_IN_DATABASE"),
        merge_new_columns=output.get("Tables", {}).get("AddOrUpdateBehavior") == "MergeNewColumns",
        inherit_from_table=output.get("Partitions", {}).get("AddOrUpdateBehavior")
        == "InheritFromTable",
    )
