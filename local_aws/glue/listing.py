"""Lists the objects of a crawler's S3 target; skips excluded and hidden objects."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class S3File:
    """One object with data."""

    bucket: str
    key: str
    size: int
    etag: str

    @property
    def folder(self) -> str:
        """The key up to its last slash; empty at the top of the bucket."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True)
class CrawlTarget:
    """One S3 target of a crawler; ``prefix`` has no slash at either end."""

    bucket: str
    prefix: str
    exclusions: tuple[re.Pattern[str], ...] = ()

    @staticmethod
    def of(spec: dict[str, Any]) -> CrawlTarget:
        """Parses an item of the API's ``S3Targets``; its path has to be valid."""
        bucket, _, prefix = spec["Path"].removeprefix("s3://").partition("/")
        exclusions = tuple(glob_pattern(glob) for glob in spec.get("Exclusions") or [])
        return CrawlTarget(bucket, prefix.strip("/"), exclusions)

    def relative(self, key: str) -> str:
        """The part of ``key`` below the include path; exclusions are matched against it."""
        return key[len(self.prefix) :].lstrip("/") if self.prefix else key


def data_files(s3: Any, target: CrawlTarget) -> list[S3File]:
    """The objects that a crawl of ``target`` reads; the path may also name a single object."""
    return [file for file in _listed(s3, target) if _holds_data(file, target)]


def _listed(s3: Any, target: CrawlTarget) -> Iterator[S3File]:
    for page in s3.get_paginator("list_objects_v2").paginate(
        Bucket=target.bucket, Prefix=target.prefix
    ):
        for entry in page.get("Contents", ()):
            yield S3File(target.bucket, entry["Key"], entry["Size"], entry["ETag"].strip('"'))


def _holds_data(file: S3File, target: CrawlTarget) -> bool:
    below = file.key[len(target.prefix) :]
    if target.prefix and below and not below.startswith("/"):
        return False  # a sibling: ``t2/a`` for the include path ``t``
    relative = target.relative(file.key)
    hidden = any(part.startswith(("_", ".")) for part in relative.split("/"))
    marker = file.size == 0 or file.key.endswith(("/", "_$folder$"))
    return (
        not hidden
        and not marker
        and not any(pattern.fullmatch(relative) for pattern in target.exclusions)
    )


_GLOB_TOKENS = re.compile(r"\*\*|\*|\?|\\.|\[!?[^\]]+\]|\{[^}]*\}|.", re.DOTALL)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """AWS's glob: ``*`` and ``?`` match within a folder, ``**`` across folders.

    https://docs.aws.amazon.com/glue/latest/dg/define-crawler-choose-data-sources.html#crawler-exclude-patterns
    """
    return re.compile("".join(_glob_part(token) for token in _GLOB_TOKENS.findall(glob)), re.DOTALL)


def _glob_part(token: str) -> str:
    if token in _WILDCARDS:
        return _WILDCARDS[token]
    if token.startswith("\\") and len(token) == 2:
        return re.escape(token[1])
    if token.startswith("[") and len(token) > 2:
        return "(?!/)" + token.replace("[!", "[^", 1)
    if token.startswith("{") and token.endswith("}"):
        return (
            "(?:"
            + "|".join(glob_pattern(choice).pattern for choice in token[1:-1].split(","))
            + ")"
        )
    return re.escape(token)


_WILDCARDS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
