"""Finds tables: a folder of similar files is a table; similar subfolders are its partitions."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from local_aws.glue.listing import CrawlTarget, S3File
from local_aws.glue.schema import FileSchema, mergeable, merged


@dataclass(frozen=True)
class Grouping:
    """A crawler's settings for grouping files into tables.

    - ``combine``: merges all compatible schemas, even if few columns are equal.
    - ``table_level``: folders above this level are not joined; the bucket is level 1.
    """

    combine: bool = False
    table_level: int | None = None


@dataclass(frozen=True)
class FoundTable:
    """One table; ``root`` has no final slash, and ``depth`` is its number of partition keys."""

    bucket: str
    root: str
    files: tuple[S3File, ...]
    schema: FileSchema
    depth: int = 0
    is_file: bool = False

    @property
    def location(self) -> str:
        """The table's S3 URL, as in the catalog."""
        return f"s3://{self.bucket}/{self.root}" + ("" if self.is_file else "/" * bool(self.root))

    @property
    def name(self) -> str:
        """The folder's (or bucket's) name; characters that the catalog forbids become ``_``."""
        return re.sub(r"[^a-z0-9_]", "_", (self.root.rpartition("/")[2] or self.bucket).lower())[
            :128
        ]

    def folders(self) -> dict[str, list[S3File]]:
        """Folder -> its files; each folder is a partition."""
        grouped: dict[str, list[S3File]] = defaultdict(list)
        for file in self.files:
            grouped[file.folder].append(file)
        return grouped

    def partition_names(self) -> list[str]:
        """The partition keys: ``key`` of ``key=value`` folders, else ``partition_<level>``."""
        levels = list(zip(*(self._parts(folder) for folder in self.folders()), strict=True))
        return [_level_name(index, set(parts)) for index, parts in enumerate(levels)]

    def partition_values(self, folder: str) -> list[str]:
        """The values of one partition: the text after ``=``, else the folder's name."""
        names = self.partition_names()
        return [
            part.partition("=")[2] if part.lower().startswith(f"{name}=") else part
            for name, part in zip(names, self._parts(folder), strict=True)
        ]

    def _parts(self, folder: str) -> list[str]:
        below = folder[len(self.root) :].strip("/")
        return below.split("/") if self.depth else []


def _level_name(index: int, parts: Iterable[str]) -> str:
    keys = {part.partition("=")[0].lower() if "=" in part else None for part in parts}
    key = keys.pop() if len(keys) == 1 else None
    return re.sub(r"[^a-z0-9_]", "_", key) if key else f"partition_{index}"


def find_tables(
    target: CrawlTarget, schemas: Mapping[S3File, FileSchema], grouping: Grouping
) -> list[FoundTable]:
    """The tables of one target, outermost folder first."""
    by_folder: dict[str, list[S3File]] = defaultdict(list)
    for file in schemas:
        by_folder[file.folder].append(file)
    top = (
        target.prefix
        if all(file.key != target.prefix for file in schemas)
        else target.prefix.rpartition("/")[0]
    )
    return _tables_of(_Tree(target.bucket, by_folder, schemas, grouping), top)


@dataclass(frozen=True)
class _Tree:
    bucket: str
    by_folder: Mapping[str, list[S3File]]
    schemas: Mapping[S3File, FileSchema]
    grouping: Grouping

    def children(self, folder: str) -> list[str]:
        start = f"{folder}/" if folder else ""
        below = (
            other[len(start) :]
            for other in self.by_folder
            if other.startswith(start) and other != folder
        )
        return sorted({start + name.split("/")[0] for name in below})

    def may_join(self, folder: str) -> bool:
        level = 1 + len([part for part in folder.split("/") if part])
        return self.grouping.table_level is None or level >= self.grouping.table_level


def _tables_of(tree: _Tree, folder: str) -> list[FoundTable]:
    own = _tables_of_files(tree, folder)
    below = [_tables_of(tree, child) for child in tree.children(folder)]
    joined = _joined(tree, folder, below) if not own and tree.may_join(folder) else None
    return [joined] if joined else own + [table for tables in below for table in tables]


def _tables_of_files(tree: _Tree, folder: str) -> list[FoundTable]:
    """One table for the folder if its files have similar schemas, else one per file."""
    files = tree.by_folder.get(folder, [])
    if not files:
        return []
    schema = _common_schema(tree, [tree.schemas[file] for file in files])
    if schema is not None:
        return [FoundTable(tree.bucket, folder, tuple(files), schema)]
    return [
        FoundTable(tree.bucket, file.key, (file,), tree.schemas[file], is_file=True)
        for file in files
    ]


def _joined(tree: _Tree, folder: str, below: list[list[FoundTable]]) -> FoundTable | None:
    """Joins the subfolders as partitions of one table; None if they do not match."""
    tables = [found[0] for found in below if len(found) == 1 and not found[0].is_file]
    same_depth = len({(table.depth, _height(table, folder)) for table in tables}) == 1
    if len(tables) != len(below) or not same_depth:
        return None
    schema = _common_schema(tree, [table.schema for table in tables])
    if schema is None:
        return None
    files = tuple(file for table in tables for file in table.files)
    return FoundTable(
        tree.bucket, folder, files, schema, tables[0].depth + _height(tables[0], folder)
    )


def _height(table: FoundTable, folder: str) -> int:
    return len(table.root[len(folder) :].strip("/").split("/"))


def _common_schema(tree: _Tree, schemas: list[FileSchema]) -> FileSchema | None:
    common = schemas[0]
    for schema in schemas[1:]:
        if not mergeable(common, schema, tree.grouping.combine):
            return None
        common = merged(common, schema)
    return common


def hash_suffix(location: str) -> str:
    """The suffix that AWS appends if a table at another location has the same name."""
    return "_" + hashlib.md5(location.encode(), usedforsecurity=False).hexdigest()
