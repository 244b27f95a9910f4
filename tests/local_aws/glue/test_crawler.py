"""Crawlers of the local AWS: tables and partitions found, states, and rejected requests."""

from __future__ import annotations

import gzip
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from support.lake import Lake

ROLE = "crawler-role"
TABLE_LEVEL_3 = {
    "Version": 1.0,
    "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas", "TableLevelConfiguration": 3},
    "CrawlerOutput": {"Partitions": {"AddOrUpdateBehavior": "InheritFromTable"}},
}


class CrawledLake(Lake):
    """A bucket, a database, and crawlers over them."""

    def create_crawler(self, *paths: str, name: str = "", **more: Any) -> str:
        name = name or f"crawler-{uuid.uuid4().hex[:8]}"
        targets = {
            "S3Targets": [
                {"Path": f"s3://{self.bucket}/{path}", "Exclusions": more.pop("exclusions", [])}
                for path in paths
            ]
        }
        self.glue.create_crawler(
            **{"Name": name, "Role": ROLE, "DatabaseName": self.database, "Targets": targets} | more
        )
        return name

    def crawl(self, name: str) -> dict[str, Any]:
        self.glue.start_crawler(Name=name)
        for _ in range(200):
            crawler: dict[str, Any] = self.glue.get_crawler(Name=name)["Crawler"]
            if crawler["State"] == "READY":
                return crawler["LastCrawl"]  # type: ignore[no-any-return]
            time.sleep(0.02)
        raise AssertionError(f"{name} is still {crawler['State']}")

    def crawled(self, *paths: str, **more: Any) -> dict[str, dict[str, Any]]:
        last = self.crawl(self.create_crawler(*paths, **more))
        assert last["Status"] == "SUCCEEDED", last
        return self.tables()

    def tables(self) -> dict[str, dict[str, Any]]:
        return {
            table["Name"]: table
            for table in self.glue.get_tables(DatabaseName=self.database)["TableList"]
        }

    def partitions(self, table: str) -> list[list[str]]:
        listed = self.glue.get_partitions(DatabaseName=self.database, TableName=table)["Partitions"]
        return sorted(partition["Values"] for partition in listed)


@pytest.fixture(scope="module", autouse=True)
def roles(client: Callable[[str], Any]) -> None:
    """A role that Glue may assume, one with a path, and one that Glue may not assume."""
    for name, service in ((ROLE, "glue"), ("emr-role", "elasticmapreduce")):
        principal = {"Service": f"{service}.amazonaws.com"}
        trust = {
            "Statement": [{"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}]
        }
        client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
        if service == "glue":
            pathed = {"RoleName": "pathed-role", "Path": "/service-role/"}
            client("iam").create_role(**pathed, AssumeRolePolicyDocument=json.dumps(trust))


@pytest.fixture
def lake(client: Callable[[str], Any]) -> CrawledLake:
    return CrawledLake(client)


def columns(table: dict[str, Any]) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table["StorageDescriptor"]["Columns"]}


def partition_keys(table: dict[str, Any]) -> dict[str, str]:
    return {column["Name"]: column["Type"] for column in table["PartitionKeys"]}


# --- tables and columns


def test_a_folder_of_runs_becomes_a_table_partitioned_by_run_id(lake: CrawledLake) -> None:
    for run in ("2024-01-01", "2024-01-02"):
        lake.put_parquet(
            f"processed/user_metrics/run_id={run}/part-0.parquet",
            User_Id=["u1"],
            total=pa.array([1], pa.int32()),
        )
    table = lake.crawled("processed/user_metrics/", Configuration=json.dumps(TABLE_LEVEL_3))[
        "user_metrics"
    ]
    assert columns(table) == {"user_id": "string", "total": "int"}
    assert partition_keys(table) == {"run_id": "string"}
    assert lake.partitions("user_metrics") == [["2024-01-01"], ["2024-01-02"]]
    assert table["StorageDescriptor"]["Location"] == f"s3://{lake.bucket}/processed/user_metrics/"
    assert table["StorageDescriptor"]["SerdeInfo"]["SerializationLibrary"].endswith(
        "ParquetHiveSerDe"
    )
    assert table["Parameters"]["classification"] == "parquet"
    assert (table["Parameters"]["recordCount"], table["Parameters"]["objectCount"]) == ("2", "2")


def test_parquet_types_get_glue_s_type_names(lake: CrawledLake) -> None:
    lake.put_parquet(
        "t/a.parquet",
        i=pa.array([1], pa.int32()),
        b=pa.array([1], pa.int64()),
        d=pa.array([1.5]),
        m=pa.array([1], pa.decimal128(12, 2)),
        day=pa.array([0], pa.date32()),
        at=pa.array([0], pa.timestamp("us")),
        ok=pa.array([True]),
        xs=pa.array([[1]], pa.list_(pa.int64())),
        row=pa.array([{"a": 1}], pa.struct([("a", pa.int32())])),
    )
    assert columns(lake.crawled("t/")["t"]) == {
        "i": "int", "b": "bigint", "d": "double", "m": "decimal(12,2)", "day": "date",
        "at": "timestamp",
        "ok": "boolean", "xs": "array<bigint>", "row": "struct<a:int>",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id,price,name\n1,2.5,x\n2,3,y\n", {"id": "bigint", "price": "double", "name": "string"}),
        ("id|n\na|1\nb|2\n", {"id": "string", "n": "bigint"}),
        ("1,a\n2,b\n", {"col0": "bigint", "col1": "string"}),
        (
            "first,last\nada,lovelace\nalan,turing\n",
            {"col0": "string", "col1": "string"},
        ),  # only text, so AWS finds no header
        ("id,day\n1,2024-01-01\n2,2024-01-02\n", {"id": "bigint", "day": "string"}),
    ],
)
def test_csv_columns_follow_aws_s_rules_for_headers_and_types(
    lake: CrawledLake, text: str, expected: dict[str, str]
) -> None:
    lake.put("raw/things/data.csv", text)
    table = lake.crawled("raw/things/")["things"]
    assert columns(table) == expected
    assert ("skip.header.line.count" in table["Parameters"]) == ("col0" not in expected)
    assert table["StorageDescriptor"]["SerdeInfo"]["Parameters"] == {
        "field.delim": "|" if "|" in text else ","
    }


def test_gzipped_csv_and_json_lines_are_classified(lake: CrawledLake) -> None:
    lake.put("raw/zipped/data.csv.gz", gzip.compress(b"id,n\na,1\nb,2\n"))
    lake.put(
        "raw/lines/data.json", '{"Id": 1, "tags": ["a"], "in": {"x": 1.5}}\n{"Id": 5000000000}\n'
    )
    tables = lake.crawled("raw/", Configuration=json.dumps(TABLE_LEVEL_3))
    assert columns(tables["zipped"]) == {"id": "string", "n": "bigint"}
    assert tables["zipped"]["Parameters"]["compressionType"] == "gzip"
    assert columns(tables["lines"]) == {
        "id": "bigint",
        "tags": "array<string>",
        "in": "struct<x:double>",
    }


def test_a_single_text_column_is_classified_as_unknown(lake: CrawledLake) -> None:
    lake.put("raw/words/data.csv", "word\none\ntwo\n")
    assert lake.crawled("raw/words/")["words"]["Parameters"]["classification"] == "UNKNOWN"


def test_hidden_files_folder_markers_and_exclusions_are_ignored(lake: CrawledLake) -> None:
    lake.put_parquet("t/run_id=1/a.parquet", x=[1])
    for key in (
        "t/run_id=1/_SUCCESS",
        "t/_temporary/0/b.parquet",
        "t/run_id=1/.a.crc",
        "t_$folder$",
        "t/run_id=9/x.bak",
    ):
        lake.put(key, "not parquet at all")
    table = lake.crawled("t/", exclusions=["**.bak"])["t"]
    assert lake.partitions("t") == [["1"]]
    assert table["Parameters"]["objectCount"] == "1"


def test_a_star_in_an_exclusion_does_not_cross_a_slash(lake: CrawledLake) -> None:
    lake.put_parquet("t/p=1/a.parquet", x=[1])
    assert list(lake.crawled("t/", exclusions=["*.parquet"])) == ["t"]
    assert (
        lake.crawl(
            lake.create_crawler(
                "t/", exclusions=["{p,q}=[0-9]/?.parquet"], name=f"none-{lake.bucket}"
            )
        )["Status"]
        == "SUCCEEDED"
    )


def test_similar_sibling_folders_merge_unless_a_table_level_is_set(lake: CrawledLake) -> None:
    for name in ("jan", "feb"):
        lake.put_parquet(f"sales/{name}/a.parquet", x=[1])
    merged = lake.crawled("sales/")
    assert partition_keys(merged["sales"]) == {"partition_0": "string"}
    level_3 = {"Version": 1.0, "Grouping": {"TableLevelConfiguration": 3}}
    apart = lake.crawled("sales/", Configuration=json.dumps(level_3), TablePrefix="t_")
    assert {"t_jan", "t_feb"} <= apart.keys()


def test_dissimilar_sibling_folders_become_separate_tables(lake: CrawledLake) -> None:
    lake.put_parquet("p/users/a.parquet", user=["u"], age=[1])
    lake.put_parquet("p/cars/a.parquet", plate=["x"], seats=[4])
    assert lake.crawled("p/").keys() == {"users", "cars"}


def test_a_table_name_in_use_gets_a_hash(lake: CrawledLake) -> None:
    lake.put_parquet("a/data/x.parquet", x=[1])
    lake.put_parquet("b/data/x.parquet", y=["1"])
    names = sorted(lake.crawled("a/data/", "b/data/"))
    assert names[0] == "data"
    assert names[1].startswith("data_") and len(names[1]) == len("data_") + 32


def test_table_names_are_lower_case_with_underscores(lake: CrawledLake) -> None:
    lake.put_parquet("My-Data.v2/a.parquet", x=[1])
    assert list(lake.crawled("My-Data.v2/", TablePrefix="raw_")) == ["raw_my_data_v2"]


# --- later crawls


def test_a_second_crawl_adds_partitions_and_columns(lake: CrawledLake) -> None:
    lake.put_parquet("t/run_id=1/a.parquet", x=[1])
    name = lake.create_crawler(
        "t/",
        Configuration=json.dumps(
            TABLE_LEVEL_3 | {"Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}
        ),
    )
    lake.crawl(name)
    lake.put_parquet("t/run_id=2/a.parquet", x=[1], y=["new"])
    lake.crawl(name)
    assert columns(lake.tables()["t"]) == {"x": "bigint", "y": "string"}
    assert lake.partitions("t") == [["1"], ["2"]]
    first = lake.glue.get_partition(
        DatabaseName=lake.database, TableName="t", PartitionValues=["1"]
    )["Partition"]
    assert [column["Name"] for column in first["StorageDescriptor"]["Columns"]] == ["x", "y"]


def test_update_behavior_log_keeps_the_schema_but_adds_partitions(lake: CrawledLake) -> None:
    lake.put_parquet("t/run_id=1/a.parquet", x=[1])
    name = lake.create_crawler(
        "t/", SchemaChangePolicy={"UpdateBehavior": "LOG", "DeleteBehavior": "LOG"}
    )
    lake.crawl(name)
    lake.put_parquet("t/run_id=2/a.parquet", x=[1], y=[1], z=[1])
    lake.glue.update_crawler(
        Name=name,
        Configuration=json.dumps(
            {"Version": 1.0, "Grouping": {"TableGroupingPolicy": "CombineCompatibleSchemas"}}
        ),
    )
    lake.crawl(name)
    assert columns(lake.tables()["t"]) == {"x": "bigint"}
    assert lake.partitions("t") == [["1"], ["2"]]


def test_merge_new_columns_keeps_a_changed_type(lake: CrawledLake) -> None:
    lake.put_parquet("t/a.parquet", x=[1])
    merge = {
        "Version": 1.0,
        "CrawlerOutput": {"Tables": {"AddOrUpdateBehavior": "MergeNewColumns"}},
    }
    name = lake.create_crawler("t/", Configuration=json.dumps(merge))
    lake.crawl(name)
    table = lake.tables()["t"]
    table["StorageDescriptor"]["Columns"] = [{"Name": "x", "Type": "decimal(10,0)"}]
    table_input = {
        key: table[key]
        for key in ("Name", "StorageDescriptor", "PartitionKeys", "TableType", "Parameters")
    }
    lake.glue.update_table(DatabaseName=lake.database, TableInput=table_input)
    lake.put_parquet("t/a.parquet", x=[1], y=["n"])
    lake.crawl(name)
    assert columns(lake.tables()["t"]) == {"x": "decimal(10,0)", "y": "string"}


@pytest.mark.parametrize(
    ("behavior", "tables", "partitions"),
    [
        ("LOG", {"t", "gone"}, [["1"], ["2"]]),
        ("DELETE_FROM_DATABASE", {"t"}, [["2"]]),
        ("DEPRECATE_IN_DATABASE", {"t", "gone"}, [["1"], ["2"]]),
    ],
)
def test_deleted_folders_follow_the_delete_behavior(
    lake: CrawledLake, behavior: str, tables: set[str], partitions: list[list[str]]
) -> None:
    for key in ("t/run_id=1/a.parquet", "t/run_id=2/a.parquet", "gone/a.parquet"):
        lake.put_parquet(key, x=[1])
    policy = {"UpdateBehavior": "UPDATE_IN_DATABASE", "DeleteBehavior": behavior}
    name = lake.create_crawler("t/", "gone/", SchemaChangePolicy=policy)
    lake.crawl(name)
    for key in ("t/run_id=1/a.parquet", "gone/a.parquet"):
        lake.s3.delete_object(Bucket=lake.bucket, Key=key)
    lake.crawl(name)
    assert lake.tables().keys() == tables
    assert lake.partitions("t") == partitions
    if behavior == "DEPRECATE_IN_DATABASE":
        assert "DEPRECATED_BY_CRAWLER" in lake.tables()["gone"]["Parameters"]


# --- states and logs


def test_a_crawl_ends_in_ready_with_last_crawl_metrics_and_log(lake: CrawledLake) -> None:
    lake.put_parquet("t/a.parquet", x=[1])
    name = lake.create_crawler("t/")
    before = lake.glue.get_crawler(Name=name)["Crawler"]
    assert before["State"] == "READY" and "LastCrawl" not in before
    last = lake.crawl(name)
    assert (last["Status"], last["LogGroup"], last["LogStream"]) == (
        "SUCCEEDED",
        "/aws-glue/crawlers",
        name,
    )
    assert (
        lake.glue.get_crawler_metrics(CrawlerNameList=[name])["CrawlerMetricsList"][0][
            "TablesCreated"
        ]
        == 1
    )
    events = lake.client("logs").get_log_events(
        logGroupName="/aws-glue/crawlers", logStreamName=name
    )["events"]
    assert any("Created table t" in event["message"] for event in events)


def test_a_running_crawler_can_only_be_stopped(
    lake: CrawledLake, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.put_parquet("t/a.parquet", x=[1])
    name = lake.create_crawler("t/")
    monkeypatch.setattr("local_aws.glue.component.data_files", lambda *_: time.sleep(0.5) or [])
    lake.glue.start_crawler(Name=name)
    for blocked_call in (
        lambda: lake.glue.start_crawler(Name=name),
        lambda: lake.glue.update_crawler(Name=name, Description="x"),
        lambda: lake.glue.delete_crawler(Name=name),
    ):
        with pytest.raises(lake.glue.exceptions.CrawlerRunningException):
            blocked_call()
    lake.glue.stop_crawler(Name=name)
    assert lake.glue.get_crawler(Name=name)["Crawler"]["State"] == "STOPPING"
    with pytest.raises(lake.glue.exceptions.CrawlerStoppingException):
        lake.glue.stop_crawler(Name=name)
    while lake.glue.get_crawler(Name=name)["Crawler"]["State"] != "READY":
        time.sleep(0.05)
    assert lake.glue.get_crawler(Name=name)["Crawler"]["LastCrawl"]["Status"] == "CANCELLED"
    with pytest.raises(lake.glue.exceptions.CrawlerNotRunningException):
        lake.glue.stop_crawler(Name=name)


def test_a_missing_bucket_fails_the_crawl_but_an_empty_prefix_does_not(lake: CrawledLake) -> None:
    assert lake.crawled("nothing/here/") == {}
    bucket, lake.bucket = lake.bucket, "no-such-bucket-anywhere"
    last = lake.crawl(lake.create_crawler("t/"))
    lake.bucket = bucket
    assert last["Status"] == "FAILED" and "NoSuchBucket" in last["ErrorMessage"]


def test_a_crawl_creates_a_missing_database(lake: CrawledLake) -> None:
    lake.put_parquet("t/a.parquet", x=[1])
    lake.database += "_new"
    name = lake.create_crawler("t/")
    with pytest.raises(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.get_database(Name=lake.database)
    assert lake.crawl(name)["Status"] == "SUCCEEDED"
    assert list(lake.tables()) == ["t"]


def test_crawlers_are_listed_updated_and_deleted(lake: CrawledLake) -> None:
    name = lake.create_crawler("t/", Tags={"a": "b"})
    assert name in lake.glue.list_crawlers()["CrawlerNames"]
    lake.glue.update_crawler(Name=name, Description="new words")
    batch = lake.glue.batch_get_crawlers(CrawlerNames=[name, "other"])
    assert (
        batch["Crawlers"][0]["Description"],
        batch["Crawlers"][0]["Version"],
        batch["CrawlersNotFound"],
    ) == ("new words", 2, ["other"])
    lake.glue.delete_crawler(Name=name)
    with pytest.raises(lake.glue.exceptions.EntityNotFoundException):
        lake.glue.get_crawler(Name=name)


# --- rejected requests


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"Role": "no-such-role"}, "unable to assume provided role"),
        ({"Role": "emr-role"}, "unable to assume provided role"),
        # a name without a path is another role
        ({"Role": "pathed-role"}, "unable to assume provided role"),
        ({"Targets": {}}, "At least one crawler target"),
        ({"Targets": {"S3Targets": [{"Path": "bucket/t/"}]}}, "not an S3 path"),
        ({"DatabaseName": ""}, "Database name"),
        ({"Configuration": "{"}, "not JSON"),
        (
            {"Configuration": '{"CreatePartitionIndex": "no"}'},
            "CreatePartitionIndex must be one of True, False, not no",
        ),
        (
            {"Configuration": '{"Unheard": 1}'},
            "local_aws does not support this: Configuration.Unheard",
        ),
        (
            {"Schedule": "cron(0 1 * * ? *)"},
            "local_aws does not support this: crawlers with Schedule",
        ),
        ({"Targets": {"JdbcTargets": [{"ConnectionName": "c", "Path": "p"}]}}, "JdbcTargets"),
        ({"Classifiers": ["mine"]}, "Classifiers"),
        ({"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVENT_MODE"}}, "CRAWL_EVENT_MODE"),
        (
            {"RecrawlPolicy": {"RecrawlBehavior": "CRAWL_NEW_FOLDERS_ONLY"}},
            "local_aws does not support this: RecrawlBehavior",
        ),
        (
            {"Targets": {"S3Targets": [{"Path": "s3://b/t/", "SampleSize": 5}]}},
            "local_aws does not support this: SampleSize",
        ),
    ],
)
def test_an_invalid_or_unsupported_crawler_is_rejected(
    lake: CrawledLake, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(ClientError, match=message) as caught:
        lake.create_crawler("t/", **change)
    assert caught.value.response["Error"]["Code"] == "InvalidInputException"


def test_a_role_with_a_path_is_given_by_its_arn(lake: CrawledLake) -> None:
    arn = lake.client("iam").get_role(RoleName="pathed-role")["Role"]["Arn"]
    lake.put_parquet("t/a.parquet", x=[1])
    assert lake.crawl(lake.create_crawler("t/", Role=arn))["Status"] == "SUCCEEDED"
