"""Writes the tables and partitions of a crawl to the catalog, under the crawler's policies."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from local_aws.glue.layout import FoundTable, hash_suffix
from local_aws.glue.listing import S3File
from local_aws.glue.schema import FileSchema

CREATE_BATCH = 100  # partitions in one BatchCreatePartition
DELETE_BATCH = 25  # partitions in one BatchDeletePartition

UPDATED_BY = "UPDATED_BY_CRAWLER"
DEPRECATED_BY = "DEPRECATED_BY_CRAWLER"

Item = TypeVar("Item")


@dataclass(frozen=True)
class Policy:
    """The crawler's settings for tables and partitions that already exist in the catalog."""

    crawler: str
    database: str
    table_prefix: str = ""
    update: str = "UPDATE_IN_DATABASE"
    delete: str = "DEPRECATE_IN_DATABASE"
    merge_new_columns: bool = False
    inherit_from_table: bool = False


@dataclass
class Changes:
    tables_created: list[str] = field(default_factory=list)
    tables_updated: list[str] = field(default_factory=list)
    tables_deleted: list[str] = field(default_factory=list)
    partitions_created: list[str] = field(default_factory=list)
    partitions_updated: list[str] = field(default_factory=list)
    partitions_deleted: list[str] = field(default_factory=list)

    def listed(self) -> list[tuple[str, str, list[str]]]:
        """The action, the kind of entry and the names, in AWS's terms."""
        return [
            ("ADD", "TABLE", self.tables_created),
            ("UPDATE", "TABLE", self.tables_updated),
            ("DELETE", "TABLE", self.tables_deleted),
            ("ADD", "PARTITION", self.partitions_created),
            ("UPDATE", "PARTITION", self.partitions_updated),
            ("DELETE", "PARTITION", self.partitions_deleted),
        ]


class CatalogWriter:
    """Writes the findings of one crawl; ``crawl_id`` marks the tables that it changes."""

    def __init__(self, glue: Any, policy: Policy, crawl_id: str) -> None:
        self._glue = glue
        self._policy = policy
        self._crawl_id = crawl_id
        self._tables: dict[str, dict[str, Any]] = {}
        self.changes = Changes()

    def write(self, found: Sequence[FoundTable]) -> Changes:
        """Creates and updates the ``found`` tables; retires this crawler's other tables."""
        pages = self._glue.get_paginator("get_tables").paginate(DatabaseName=self._policy.database)
        self._tables = {table["Name"]: table for page in pages for table in page["TableList"]}
        seen = {self._write_table(table) for table in found}
        for name in [
            name
            for name, table in self._tables.items()
            if self._is_ours(table) and name not in seen
        ]:
            self._retire_table(name)
        return self.changes

    def _is_ours(self, table: dict[str, Any]) -> bool:
        return bool(table.get("Parameters", {}).get(UPDATED_BY) == self._policy.crawler)

    # tables

    def _write_table(self, found: FoundTable) -> str:
        name = self._name_of(found)
        wanted = self._table_input(found, name)
        present = self._tables.get(name)
        if present is None:
            self._glue.create_table(DatabaseName=self._policy.database, TableInput=wanted)
            self.changes.tables_created.append(name)
            self._tables[name] = wanted
        elif self._policy.update == "UPDATE_IN_DATABASE":
            wanted = self._updated(present, wanted)
            self._glue.update_table(DatabaseName=self._policy.database, TableInput=wanted)
            if _shape(present) != _shape(wanted):
                self.changes.tables_updated.append(name)
            self._tables[name] = wanted
        if found.depth:
            self._write_partitions(found, self._tables[name])
        return name

    def _name_of(self, found: FoundTable) -> str:
        """The table's name; a hash is appended if a table at another location has this name."""
        plain = self._policy.table_prefix + found.name
        for name in (plain, plain[: 128 - 33] + hash_suffix(found.location)):
            present = self._tables.get(name)
            if present is None or _location(present) == found.location.rstrip("/"):
                return name
        return name

    def _updated(self, present: dict[str, Any], wanted: dict[str, Any]) -> dict[str, Any]:
        """Applies MergeNewColumns if it is set: existing columns keep their types and positions."""
        if not self._policy.merge_new_columns:
            return wanted
        old = {column["Name"]: column["Type"] for column in present["StorageDescriptor"]["Columns"]}
        new = {column["Name"]: column["Type"] for column in wanted["StorageDescriptor"]["Columns"]}
        descriptor = {**wanted["StorageDescriptor"], "Columns": _columns({**new, **old}, first=old)}
        return {**wanted, "StorageDescriptor": descriptor}

    def _table_input(self, found: FoundTable, name: str) -> dict[str, Any]:
        parameters = self._parameters(found.schema, found.files)
        return {
            "Name": name,
            "Owner": "owner",
            "Retention": 0,
            "StorageDescriptor": _descriptor(found.schema, found.location, parameters),
            "PartitionKeys": [{"Name": key, "Type": "string"} for key in found.partition_names()],
            "TableType": "EXTERNAL_TABLE",
            "Parameters": parameters,
        }

    def _parameters(self, schema: FileSchema, files: Sequence[S3File]) -> dict[str, str]:
        size = sum(file.size for file in files)
        return {
            "CRAWL_RUN_ID": self._crawl_id,
            "CrawlerSchemaDeserializerVersion": "1.0",
            "CrawlerSchemaSerializerVersion": "1.0",
            UPDATED_BY: self._policy.crawler,
            "averageRecordSize": str(max(1, size // max(1, schema.records))),
            "classification": schema.classification,
            "compressionType": schema.compression,
            "objectCount": str(len(files)),
            "recordCount": str(schema.records),
            "sizeKey": str(size),
            "typeOfData": "file",
            **{key: value for key, value in schema.details.items() if key != "paths"},
        }

    def _retire_table(self, name: str) -> None:
        if self._policy.delete == "DELETE_FROM_DATABASE":
            self._glue.delete_table(DatabaseName=self._policy.database, Name=name)
            self.changes.tables_deleted.append(name)
        elif self._policy.delete == "DEPRECATE_IN_DATABASE":
            table = self._tables[name]
            if DEPRECATED_BY not in table.get("Parameters", {}):
                self._glue.update_table(
                    DatabaseName=self._policy.database, TableInput=_deprecated(table)
                )
                self.changes.tables_updated.append(name)

    # partitions

    def _write_partitions(self, found: FoundTable, table: dict[str, Any]) -> None:
        present = self._present_partitions(table["Name"])
        wanted = {
            values: self._partition_input(found, table, values, files)
            for values, files in (
                (tuple(found.partition_values(folder)), files)
                for folder, files in found.folders().items()
            )
        }
        for batch in _batches(
            [wanted[values] for values in wanted if values not in present], CREATE_BATCH
        ):
            self._create_partitions(table["Name"], batch)
        if self._policy.update == "UPDATE_IN_DATABASE":
            for values in wanted.keys() & present.keys():
                self._update_partition(table["Name"], present[values], wanted[values])
        gone = [
            values for values in present if values not in wanted and self._is_ours(present[values])
        ]
        self._retire_partitions(table["Name"], gone)

    def _present_partitions(self, table: str) -> dict[tuple[str, ...], dict[str, Any]]:
        pages = self._glue.get_paginator("get_partitions").paginate(
            DatabaseName=self._policy.database, TableName=table
        )
        return {
            tuple(partition["Values"]): partition
            for page in pages
            for partition in page["Partitions"]
        }

    def _create_partitions(self, table: str, batch: list[dict[str, Any]]) -> None:
        answer = self._glue.batch_create_partition(
            DatabaseName=self._policy.database, TableName=table, PartitionInputList=batch
        )
        if answer.get("Errors"):
            raise RuntimeError(f"partitions of {table} not created: {answer['Errors']}")
        self.changes.partitions_created += [
            f"{table}/{'/'.join(partition['Values'])}" for partition in batch
        ]

    def _update_partition(
        self, table: str, present: dict[str, Any], wanted: dict[str, Any]
    ) -> None:
        if _shape(present) == _shape(wanted):
            return
        self._glue.update_partition(
            DatabaseName=self._policy.database,
            TableName=table,
            PartitionValueList=wanted["Values"],
            PartitionInput=wanted,
        )
        self.changes.partitions_updated.append(f"{table}/{'/'.join(wanted['Values'])}")

    def _partition_input(
        self, found: FoundTable, table: dict[str, Any], values: tuple[str, ...], files: list[S3File]
    ) -> dict[str, Any]:
        parameters = self._parameters(found.schema, files)
        location = f"s3://{found.bucket}/{files[0].folder}/"
        descriptor = _descriptor(found.schema, location, parameters)
        if self._policy.inherit_from_table:
            descriptor["Columns"] = table["StorageDescriptor"]["Columns"]
        return {"Values": list(values), "StorageDescriptor": descriptor, "Parameters": parameters}

    def _retire_partitions(self, table: str, gone: list[tuple[str, ...]]) -> None:
        if self._policy.delete != "DELETE_FROM_DATABASE":
            return
        for batch in _batches([{"Values": list(values)} for values in gone], DELETE_BATCH):
            self._glue.batch_delete_partition(
                DatabaseName=self._policy.database, TableName=table, PartitionsToDelete=batch
            )
        self.changes.partitions_deleted += [f"{table}/{'/'.join(values)}" for values in gone]


# Hive's classes for each format; AWS's crawler writes the same


@dataclass(frozen=True)
class _Serde:
    library: str | None
    input_format: str = "org.apache.hadoop.mapred.TextInputFormat"
    output_format: str = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"


_SERDES = {
    "parquet": _Serde(
        "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    ),
    "csv": _Serde("org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"),
    "json": _Serde("org.openx.data.jsonserde.JsonSerDe"),
    "UNKNOWN": _Serde(None, "", ""),
}


def _descriptor(schema: FileSchema, location: str, parameters: dict[str, str]) -> dict[str, Any]:
    serde = _SERDES[schema.classification]
    return {
        "Columns": _columns(schema.columns),
        "Location": location,
        "InputFormat": serde.input_format,
        "OutputFormat": serde.output_format,
        "Compressed": schema.compression != "none",
        "NumberOfBuckets": -1,
        "SerdeInfo": (
            {"SerializationLibrary": serde.library, "Parameters": _serde_parameters(schema)}
            if serde.library
            else {}
        ),
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": parameters,
        "StoredAsSubDirectories": False,
    }


def _serde_parameters(schema: FileSchema) -> dict[str, str]:
    if schema.classification == "parquet":
        return {"serialization.format": "1"}
    if schema.classification == "csv":
        return {"field.delim": schema.details["delimiter"]}
    return {"paths": schema.details["paths"]} if schema.classification == "json" else {}


def _columns(columns: Mapping[str, str], first: Iterable[str] = ()) -> list[dict[str, str]]:
    order = [*first, *(name for name in columns if name not in set(first))]
    return [{"Name": name, "Type": columns[name]} for name in order]


def _shape(table: dict[str, Any]) -> tuple[Any, ...]:
    """The parts of a table that count as changed if they differ; statistics do not count."""
    descriptor = table["StorageDescriptor"]
    return (
        descriptor["Columns"],
        descriptor.get("SerdeInfo"),
        table.get("PartitionKeys"),
        _location(table),
    )


def _location(table: dict[str, Any]) -> str:
    return str(table.get("StorageDescriptor", {}).get("Location", "")).rstrip("/")


_TABLE_INPUT = (
    "Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys",
    "TableType", "Parameters",
)  # fmt: skip


def _deprecated(table: dict[str, Any]) -> dict[str, Any]:
    wanted = {key: table[key] for key in _TABLE_INPUT if key in table}
    wanted["Parameters"] = {
        **table.get("Parameters", {}),
        DEPRECATED_BY: str(int(time.time() * 1000)),
    }
    return wanted


def _batches(items: Sequence[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
