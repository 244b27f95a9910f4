"""Athena's API on the local AWS: executions, results, workgroups, DDL, writes and bytes scanned."""

from __future__ import annotations

import csv
import io
import json
import random
import time
import uuid
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from botocore.exceptions import ClientError
from support.lake import Lake

from local_aws.server import LocalAws

ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
TRIPLES = (
    "UNNEST(sequence(1, 10000)) a(x) CROSS JOIN UNNEST(sequence(1, 10000)) b(y) CROSS JOIN"
    " UNNEST(sequence(1, 10000)) c(z)"
)
ENDLESS = f"SELECT count(*) FROM {TRIPLES} WHERE x * y * z % 7 = 3"


class AthenaLake(Lake):
    """A bucket and a database of one test, and queries over them."""

    def __init__(self, client: Callable[[str], Any]) -> None:
        super().__init__(client)
        self.athena = client("athena")
        self.output = f"s3://{self.bucket}/athena-results/"

    def text(self, url: str) -> str:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        return self.s3.get_object(Bucket=bucket, Key=key)["Body"].read().decode()

    def start(self, sql: str, **more: Any) -> str:
        request = {
            "QueryString": sql,
            "QueryExecutionContext": {"Database": self.database},
            "ResultConfiguration": {"OutputLocation": self.output},
        } | more
        return self.athena.start_query_execution(**request)["QueryExecutionId"]

    def wait(self, query_id: str) -> dict[str, Any]:
        for _ in range(2000):
            execution: dict[str, Any] = self.athena.get_query_execution(QueryExecutionId=query_id)[
                "QueryExecution"
            ]
            if execution["Status"]["State"] in ENDED:
                return execution
            time.sleep(0.01)
        raise AssertionError(f"{query_id} does not end")

    def succeed(self, sql: str, **more: Any) -> dict[str, Any]:
        execution = self.wait(self.start(sql, **more))
        assert execution["Status"]["State"] == "SUCCEEDED", execution["Status"]
        return execution

    def failure_reason(self, sql: str, **more: Any) -> str:
        execution = self.wait(self.start(sql, **more))
        assert execution["Status"]["State"] == "FAILED"
        return str(execution["Status"]["StateChangeReason"])

    def rows(self, sql: str, **more: Any) -> list[list[str | None]]:
        """The rows of a SELECT without its header, or all rows of another statement."""
        execution = self.succeed(sql, **more)
        results = self.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
        entry = [
            [cell.get("VarCharValue") for cell in row["Data"]]
            for row in results["ResultSet"]["Rows"]
        ]
        return entry[1:] if execution["SubstatementType"] in ("SELECT", "EXECUTE") else entry

    def rejection(self, sql: str, **more: Any) -> str:
        with pytest.raises(ClientError) as caught:
            self.start(sql, **more)
        assert caught.value.response["Error"]["Code"] == "InvalidRequestException"
        return str(caught.value.response["Error"]["Message"])


@pytest.fixture
def lake(client: Callable[[str], Any]) -> AthenaLake:
    return AthenaLake(client)


@pytest.fixture
def metrics(lake: AthenaLake) -> AthenaLake:
    """A lake with one table: two registered runs, and a third that is only in S3."""
    for number, run in enumerate(("2024-01-01", "2024-01-02", "2024-01-03"), 1):
        lake.put_parquet(
            f"processed/metrics/run_id={run}/part.parquet",
            id=pa.array([1, 2], pa.int32()),
            city=["A", None],
            revenue=pa.array([Decimal("10.55") * number, Decimal("0.10")], pa.decimal128(38, 2)),
        )
    lake.succeed(
        "CREATE EXTERNAL TABLE metrics (id int, city string, revenue decimal(38,2)) PARTITIONED BY"
        f" (run_id string) STORED AS PARQUET LOCATION 's3://{lake.bucket}/processed/metrics/'"
    )
    for run in ("2024-01-01", "2024-01-02"):
        lake.succeed(f"ALTER TABLE metrics ADD PARTITION (run_id = '{run}')")
    return lake


# --- executions


def test_a_query_returns_its_rows_by_api_and_as_csv(metrics: AthenaLake) -> None:
    execution = metrics.succeed(
        "SELECT id, city, revenue FROM metrics WHERE run_id = '2024-01-02' ORDER BY id"
    )
    results = metrics.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    rows = results["ResultSet"]["Rows"]
    assert rows[0]["Data"] == [
        {"VarCharValue": "id"},
        {"VarCharValue": "city"},
        {"VarCharValue": "revenue"},
    ]
    assert rows[1]["Data"] == [
        {"VarCharValue": "1"},
        {"VarCharValue": "A"},
        {"VarCharValue": "21.10"},
    ]
    # NULL has no VarCharValue
    assert rows[2]["Data"] == [{"VarCharValue": "2"}, {}, {"VarCharValue": "0.10"}]
    columns = results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    assert [(column["Type"], column["Precision"], column["Scale"]) for column in columns] == [
        ("integer", 10, 0), ("varchar", 2147483647, 0), ("decimal", 38, 2),
    ]  # fmt: skip
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert location == f"{metrics.output}{execution['QueryExecutionId']}.csv"
    assert metrics.text(location) == '"id","city","revenue"\n"1","A","21.10"\n"2",,"0.10"\n'


def test_quotes_and_line_breaks_are_preserved_in_the_csv(lake: AthenaLake) -> None:
    execution = lake.succeed("SELECT 'say \"hi\"' AS a, 'two' || chr(10) || 'lines' AS b, '' AS c")
    rows = list(
        csv.reader(io.StringIO(lake.text(execution["ResultConfiguration"]["OutputLocation"])))
    )
    assert rows == [["a", "b", "c"], ['say "hi"', "two\nlines", ""]]


def test_an_execution_describes_its_statement_workgroup_and_times(lake: AthenaLake) -> None:
    execution = lake.succeed("SELECT 1")
    assert (execution["StatementType"], execution["SubstatementType"], execution["WorkGroup"]) == (
        "DML",
        "SELECT",
        "primary",
    )
    assert execution["EngineVersion"]["EffectiveEngineVersion"] == "Athena engine version 3"
    assert execution["Statistics"]["ResultReuseInformation"] == {"ReusedPreviousResult": False}
    assert execution["Status"]["CompletionDateTime"] >= execution["Status"]["SubmissionDateTime"]
    assert execution["QueryExecutionContext"] == {"Database": lake.database}


def test_results_are_paged_by_a_thousand_rows(lake: AthenaLake) -> None:
    query_id = lake.succeed("SELECT x FROM UNNEST(sequence(1, 2500)) t(x) ORDER BY x")[
        "QueryExecutionId"
    ]
    pages = list(lake.athena.get_paginator("get_query_results").paginate(QueryExecutionId=query_id))
    assert [len(page["ResultSet"]["Rows"]) for page in pages] == [1000, 1000, 501]
    assert pages[2]["ResultSet"]["Rows"][-1]["Data"][0]["VarCharValue"] == "2500"


def test_a_failed_query_has_a_reason_and_no_results_to_read(lake: AthenaLake) -> None:
    execution = lake.wait(lake.start("SELECT * FROM nowhere"))
    reason = (
        f"TABLE_NOT_FOUND: line 1:15: Table 'awsdatacatalog.{lake.database}.nowhere' does not exist"
    )
    assert execution["Status"]["StateChangeReason"] == reason
    error = {"ErrorCategory": 2, "ErrorType": 1110, "Retryable": False, "ErrorMessage": reason}
    assert execution["Status"]["AthenaError"] == error
    with pytest.raises(
        ClientError, match="Query did not finish successfully. Final query state: FAILED"
    ):
        lake.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])


def test_an_unknown_schema_is_named(lake: AthenaLake) -> None:
    assert (
        lake.failure_reason("SELECT * FROM nodb.t")
        == "SCHEMA_NOT_FOUND: line 1:15: Schema 'nodb' does not exist"
    )


def test_an_invalid_request_is_rejected_before_the_query_starts(lake: AthenaLake) -> None:
    assert lake.rejection("SELECT 1", ResultConfiguration={}).startswith(
        "No output location provided."
    )
    missing_bucket = {"OutputLocation": "s3://no-such-bucket-at-all/out/"}
    assert "Unable to verify/create output bucket" in lake.rejection(
        "SELECT 1", ResultConfiguration=missing_bucket
    )
    assert "mismatched input 'SELEC'" in lake.rejection("SELEC 1")
    assert "WorkGroup nobody is not found" in lake.rejection("SELECT 1", WorkGroup="nobody")


def test_the_same_client_request_token_starts_one_query(lake: AthenaLake) -> None:
    token = uuid.uuid4().hex
    first = lake.start("SELECT 1", ClientRequestToken=token)
    assert lake.start("SELECT 1", ClientRequestToken=token) == first
    assert "Idempotent parameters do not match" in lake.rejection(
        "SELECT 2", ClientRequestToken=token
    )


def test_a_running_query_can_be_stopped(lake: AthenaLake) -> None:
    query_id = lake.start(ENDLESS)
    while (
        lake.athena.get_query_execution(QueryExecutionId=query_id)["QueryExecution"]["Status"][
            "State"
        ]
        == "QUEUED"
    ):
        time.sleep(0.01)
    time.sleep(0.3)
    with pytest.raises(ClientError, match="has not yet finished"):
        lake.athena.get_query_results(QueryExecutionId=query_id)
    lake.athena.stop_query_execution(QueryExecutionId=query_id)
    assert lake.wait(query_id)["Status"]["State"] == "CANCELLED"


@pytest.mark.parametrize("pause", [0, 0.005, 0.05])
def test_a_query_stopped_right_after_its_start_frees_its_slot(
    lake: AthenaLake, stand_in: LocalAws, caplog: pytest.LogCaptureFixture, pause: float
) -> None:
    lake.succeed("CREATE TABLE numbers AS SELECT x FROM UNNEST(sequence(1, 10000)) t(x)")
    endless = "SELECT count(*) AS n FROM numbers a, numbers b, numbers c WHERE a.x * b.x > c.x"
    query_id = lake.start(f"CREATE TABLE products AS {endless}")
    time.sleep(pause)
    lake.athena.stop_query_execution(QueryExecutionId=query_id)
    stopped = lake.wait(query_id)["Status"]
    assert (stopped["State"], stopped["StateChangeReason"]) == (
        "CANCELLED",
        "Query cancelled by user",
    )
    for number in range(5):  # one more than can run at the same time
        assert lake.rows(f"SELECT {number}") == [[str(number)]]
    assert lake.rows("SHOW TABLES") == [["numbers"]]
    assert "failed in local_aws" not in caplog.text


def test_a_stopped_query_has_no_results(lake: AthenaLake) -> None:
    query_id = lake.start(ENDLESS)
    lake.athena.stop_query_execution(QueryExecutionId=query_id)
    with pytest.raises(ClientError, match="Could not find results"):
        lake.athena.get_query_results(QueryExecutionId=query_id)


def test_a_result_is_reused_on_request(metrics: AthenaLake) -> None:
    reuse = {"ResultReuseByAgeConfiguration": {"Enabled": True, "MaxAgeInMinutes": 5}}
    sql = "SELECT count(*) AS n FROM metrics"
    first = metrics.succeed(sql)
    metrics.succeed("INSERT INTO metrics SELECT 9, 'Z', DECIMAL '1.00', 'new'")
    reused = metrics.succeed(sql, ResultReuseConfiguration=reuse)
    assert reused["ResultReuseConfiguration"] == reuse
    assert reused["Statistics"]["ResultReuseInformation"] == {"ReusedPreviousResult": True}
    assert reused["Statistics"]["DataScannedInBytes"] == 0
    assert (
        reused["ResultConfiguration"]["OutputLocation"]
        == first["ResultConfiguration"]["OutputLocation"]
    )
    assert metrics.rows(sql, ResultReuseConfiguration=reuse) == [["4"]]
    assert metrics.rows(sql) == [["5"]]
    assert metrics.rows("SELECT count(*) AS n FROM metrics ", ResultReuseConfiguration=reuse) == [
        ["5"]
    ]


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("'abc'", "abc"),
        ("1 + 1", "2"),
        ("DATE '2020-01-01'", "2020-01-01"),
        ("abc", "abc"),  # names and unparsable expressions are text
        ("it's", "it's"),
        ("1 FROM metrics", "1 FROM metrics"),
    ],
)
def test_a_parameter_is_an_expression_or_text(lake: AthenaLake, parameter: str, value: str) -> None:
    assert lake.rows("SELECT ? AS v", ExecutionParameters=[parameter]) == [[value]]
    assert lake.rows("SELECT 1", ExecutionParameters=[parameter]) == [["1"]]


def test_executions_are_listed_newest_first_and_read_in_batches(lake: AthenaLake) -> None:
    first, second = (
        lake.succeed("SELECT 1")["QueryExecutionId"],
        lake.succeed("SELECT 2")["QueryExecutionId"],
    )
    assert lake.athena.list_query_executions(MaxResults=2)["QueryExecutionIds"] == [second, first]
    unknown = str(uuid.uuid4())
    batch = lake.athena.batch_get_query_execution(QueryExecutionIds=[first, unknown])
    assert [execution["QueryExecutionId"] for execution in batch["QueryExecutions"]] == [first]
    assert batch["UnprocessedQueryExecutionIds"][0]["QueryExecutionId"] == unknown


# --- workgroups


def test_an_enforcing_workgroup_overrides_the_client_s_location(lake: AthenaLake) -> None:
    name = f"group-{lake.bucket}"
    location = {"OutputLocation": f"s3://{lake.bucket}/enforced/"}
    lake.athena.create_work_group(
        Name=name,
        Configuration={"ResultConfiguration": location, "EnforceWorkGroupConfiguration": True},
    )
    execution = lake.succeed("SELECT 1", WorkGroup=name)
    assert execution["ResultConfiguration"]["OutputLocation"].startswith(location["OutputLocation"])
    assert lake.athena.list_query_executions(WorkGroup=name)["QueryExecutionIds"] == [
        execution["QueryExecutionId"]
    ]


def test_the_workgroup_s_byte_limit_cancels_a_query(lake: AthenaLake) -> None:
    noise = random.Random(0)
    # x takes 11 MB
    lake.put_parquet(
        "big/a.parquet", x=[noise.random() for _ in range(1_400_000)], y=[1] * 1_400_000
    )
    lake.succeed(
        "CREATE EXTERNAL TABLE big (x double, y bigint) STORED AS PARQUET LOCATION"
        f" 's3://{lake.bucket}/big/'"
    )
    name = f"cutoff-{lake.bucket}"
    lake.athena.create_work_group(
        Name=name, Configuration={"BytesScannedCutoffPerQuery": 10_000_000}
    )
    assert lake.rows("SELECT sum(y) FROM big", WorkGroup=name) == [["1400000"]]
    execution = lake.wait(lake.start("SELECT sum(x) FROM big", WorkGroup=name))
    status = execution["Status"]
    assert (status["State"], "Bytes scanned limit was exceeded" in status["StateChangeReason"]) == (
        "CANCELLED", True,
    )  # fmt: skip


# --- rows and bytes read


def test_only_registered_partitions_are_read(metrics: AthenaLake) -> None:
    assert metrics.rows("SELECT DISTINCT run_id FROM metrics ORDER BY 1") == [
        ["2024-01-01"],
        ["2024-01-02"],
    ]
    metrics.succeed("MSCK REPAIR TABLE metrics")
    assert metrics.rows("SELECT max(run_id) FROM metrics") == [["2024-01-03"]]


def test_hidden_objects_are_not_read(metrics: AthenaLake) -> None:
    for key in ("_SUCCESS", "_temporary/0/part.parquet", ".part.parquet.crc"):
        metrics.put(f"processed/metrics/run_id=2024-01-01/{key}", "no parquet")
    assert metrics.rows("SELECT count(id) FROM metrics") == [["4"]]


def test_bytes_scanned_count_only_the_columns_and_partitions_read(metrics: AthenaLake) -> None:
    def scanned(sql: str) -> int:
        return int(metrics.succeed(sql)["Statistics"]["DataScannedInBytes"])

    one_column_of_one_run = scanned("SELECT id FROM metrics WHERE run_id = '2024-01-01'")
    assert one_column_of_one_run > 0
    assert scanned("SELECT id FROM metrics") == 2 * one_column_of_one_run
    assert (
        scanned("SELECT id, city FROM metrics WHERE run_id IN ('2024-01-01')")
        > one_column_of_one_run
    )
    assert scanned("SELECT count(*), max(run_id) FROM metrics") == 0


def test_partition_pruning_preserves_the_condition_of_an_outer_join(metrics: AthenaLake) -> None:
    sql = """SELECT count(*) FROM metrics a LEFT JOIN metrics b
        ON a.id = b.id AND a.run_id = b.run_id
             WHERE a.run_id = '2024-01-01' AND b.run_id IS NULL"""
    assert metrics.rows(sql) == [["0"]]


def test_a_subquery_selects_the_newest_run(metrics: AthenaLake) -> None:
    newest = "SELECT sum(revenue) FROM metrics WHERE run_id = (SELECT max(run_id) FROM metrics)"
    assert metrics.rows(newest) == [["21.20"]]


def test_a_run_id_cannot_be_compared_with_a_number(metrics: AthenaLake) -> None:
    assert metrics.failure_reason("SELECT * FROM metrics WHERE run_id = 2024").endswith(
        "Cannot apply operator: varchar = integer"
    )


def test_a_table_name_may_include_catalog_and_database(metrics: AthenaLake) -> None:
    context: dict[str, Any] = {"QueryExecutionContext": {"Database": "default"}}
    three = f'SELECT count(*) FROM "AwsDataCatalog"."{metrics.database}"."metrics"'
    two = f"SELECT count(metrics.id) FROM {metrics.database}.metrics"
    assert metrics.rows(three, **context) == metrics.rows(two, **context) == [["4"]]


def test_partitions_and_information_schema_can_be_queried(metrics: AthenaLake) -> None:
    assert metrics.rows('SELECT * FROM "metrics$partitions" ORDER BY run_id') == [
        ["2024-01-01"],
        ["2024-01-02"],
    ]
    columns = (
        "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema ="
        f" '{metrics.database}'"
    )
    assert metrics.rows(columns) == [
        ["id", "integer"],
        ["city", "varchar"],
        ["revenue", "decimal(38,2)"],
        ["run_id", "varchar"],
    ]


def test_a_file_with_another_type_than_the_catalog_is_bad_data(metrics: AthenaLake) -> None:
    metrics.put_parquet("processed/metrics/run_id=2024-01-02/part.parquet", id=["text"])
    reason = metrics.failure_reason("SELECT id FROM metrics")
    assert (
        reason.startswith("HIVE_BAD_DATA: Field id's type")
        and "incompatible with type integer" in reason
    )
    # a missing column is NULL
    assert metrics.rows("SELECT city FROM metrics WHERE run_id = '2024-01-02'") == [[None]]


def test_a_query_accepts_parameters(metrics: AthenaLake) -> None:
    sql = "SELECT id FROM metrics WHERE city = ? AND run_id = ?"
    assert metrics.rows(sql, ExecutionParameters=["'A'", "'2024-01-01'"]) == [["1"]]


# --- text files


def test_lazy_simple_serde_splits_at_commas_and_reads_invalid_values_as_null(
    lake: AthenaLake,
) -> None:
    lake.put("raw/a.csv", 'id,name,price\n1,a,1.5\n2,"b, c",9\nx,\\N,zz\n4\n')
    lake.succeed(
        "CREATE EXTERNAL TABLE raw (id int, name string, price double) ROW FORMAT DELIMITED FIELDS"
        f" TERMINATED BY ',' LOCATION 's3://{lake.bucket}/raw/' TBLPROPERTIES"
        " ('skip.header.line.count'='1')"
    )
    assert lake.rows("SELECT * FROM raw") == [
        ["1", "a", "1.5"],
        ["2", '"b', None],
        [None, None, None],
        ["4", None, None],
    ]


def text_table(
    lake: AthenaLake, columns: str, body: str, serde: dict[str, str], **more: Any
) -> None:
    """Creates the table ``t`` over one text file.

    ``serde`` has the properties of LazySimpleSerDe, or of another ``library``.
    """
    lake.put("t/a", body.encode())
    library = more.pop("library", "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe")
    column_definitions = [
        dict(zip(("Name", "Type"), column.split(" ", 1), strict=True))
        for column in columns.split(", ")
    ]
    descriptor = {
        "Columns": column_definitions,
        "Location": f"s3://{lake.bucket}/t/",
        "SerdeInfo": {"SerializationLibrary": library, "Parameters": serde},
    }
    table = {
        "Name": "t",
        "TableType": "EXTERNAL_TABLE",
        "StorageDescriptor": descriptor,
        "Parameters": more,
    }
    lake.glue.create_table(DatabaseName=lake.database, TableInput=table)


COMMA = {"field.delim": ","}
LAZY: list[tuple[str, str, dict[str, str], list[list[str | None]]]] = [
    # an escaped separator or escape character is text
    (
        "a string, b string",
        "1,b\\,c\n2,\\\\\n",
        COMMA | {"escape.delim": "\\"},
        [["1", "b,c"], ["2", "\\"]],
    ),
    ("a string, b string", "1,b\\,c\n", COMMA, [["1", "b\\"]]),
    # NULL is recognised before escapes are removed
    ("a string, b string", "\\N,\\\\N\n", COMMA | {"escape.delim": "\\"}, [[None, "\\N"]]),
    ("a string, b string", "-,x\n", COMMA | {"serialization.null.format": "-"}, [[None, "x"]]),
    # separators given by number; only the first character of a longer one counts
    ("a string, b string", "1\tx\n", {"field.delim": "9"}, [["1", "x"]]),
    ("a string, b string", "1|x\n", {"serialization.format": "||"}, [["1", "x"]]),
    (
        "a string, b string",
        "1,x,y\n",
        COMMA | {"serialization.last.column.takes.rest": "true"},
        [["1", "x,y"]],
    ),
    # invalid values and empty fields are NULL
    ("a boolean, b boolean", "true,FALSE\n,1\n", COMMA, [["true", "false"], [None, None]]),
    ("a int, b double", ",\n7,x\n", COMMA, [[None, None], ["7", None]]),
    (
        "a date, b decimal(5,2)",
        "2024-02-30,1.005\n2024-02-29,9999\n",
        COMMA,
        [[None, "1.01"], ["2024-02-29", None]],
    ),
    ("a varchar(2), b binary", "abc,aGk=\n", COMMA, [["ab", "68 69"]]),
    # nested values
    (
        "a array<int>, b map<string,int>, c struct<x:int,y:array<string>>",
        "1:x:3,k=1:l=2,7:p=q\n,,\n",
        COMMA | {"collection.delim": ":", "mapkey.delim": "="},
        [["[1, null, 3]", "{k=1, l=2}", "{x=7, y=[p, q]}"], ["[]", "{}", "{x=null, y=null}"]],
    ),
    # only a line feed or a carriage return ends a line
    (
        "a string, b string",
        "1,x\x85y\u2028z\x1c\r\n2,w",
        COMMA,
        [["1", "x\x85y\u2028z\x1c"], ["2", "w"]],
    ),
]


@pytest.mark.parametrize(("columns", "body", "serde", "rows"), LAZY)
def test_lazy_simple_serde_respects_its_properties(
    lake: AthenaLake, columns: str, body: str, serde: dict[str, str], rows: list[list[str | None]]
) -> None:
    text_table(lake, columns, body, serde)
    assert lake.rows("SELECT * FROM t") == rows


def test_header_and_footer_lines_are_skipped(lake: AthenaLake) -> None:
    lines = {"skip.header.line.count": "2", "skip.footer.line.count": "1"}
    text_table(lake, "a string", "head\nmore head\nrow\nfoot\n", {}, **lines)
    assert lake.rows("SELECT * FROM t") == [["row"]]


@pytest.mark.parametrize("serde", [{"serialization.encoding": "latin1"}, {"line.delim": ";"}])
def test_unsupported_text_formats_are_rejected_by_name(
    lake: AthenaLake, serde: dict[str, str]
) -> None:
    text_table(lake, "a string", "x\n", serde)
    assert "local_aws does not support this" in lake.failure_reason("SELECT * FROM t")


OPEN_CSV = [
    ('1,"b, c"\n2,\n', {}, [["1", "b, c"], ["2", ""]]),
    ('"say ""hi""","a\\"b"\n', {}, [['say "hi"', 'a"b']]),
    ("1,c:\\x\n", {}, [["1", "c:x"]]),  # opencsv drops an escape outside quotes
    ('a,bc"d"ef\n', {}, [["a", 'bc"d"ef']]),
    ('1,"b\n2,c"\n', {}, [["1", "b"], ["2", "c"]]),  # a line break ends a row even inside quotes
    ("1;'b;c'\n", {"separatorChar": ";", "quoteChar": "'"}, [["1", "b;c"]]),
    ('1,"b~"c"\n', {"escapeChar": "~"}, [["1", 'b"c']]),
]


@pytest.mark.parametrize(("body", "serde", "rows"), OPEN_CSV)
def test_open_csv_serde_respects_its_properties(
    lake: AthenaLake, body: str, serde: dict[str, str], rows: list[list[str | None]]
) -> None:
    text_table(
        lake,
        "a string, b string",
        body,
        serde,
        library="org.apache.hadoop.hive.serde2.OpenCSVSerde",
    )
    assert lake.rows("SELECT * FROM t") == rows


def test_text_written_by_insert_is_read_back_unchanged(lake: AthenaLake) -> None:
    text_table(lake, "a string, b array<int>, c binary", "", COMMA | {"escape.delim": "\\"})
    lake.succeed("INSERT INTO t SELECT 'x,y\\', ARRAY[1, NULL], CAST('hi' AS varbinary)")
    assert lake.rows("SELECT * FROM t") == [["x,y\\", "[1, null]", "68 69"]]


def test_ddl_creates_a_table_with_open_csv_serde(lake: AthenaLake) -> None:
    lake.put("raw/a.csv", 'id,name\n1,"b, c"\n2,\n')
    lake.succeed(
        "CREATE EXTERNAL TABLE raw (id string, name string) ROW FORMAT SERDE"
        " 'org.apache.hadoop.hive.serde2.OpenCSVSerde' WITH SERDEPROPERTIES ('separatorChar'=',')"
        f" LOCATION 's3://{lake.bucket}/raw/' TBLPROPERTIES ('skip.header.line.count'='1')"
    )
    assert lake.rows("SELECT * FROM raw") == [["1", "b, c"], ["2", ""]]


def test_ddl_creates_a_table_over_json_lines(lake: AthenaLake) -> None:
    lake.put("raw/a.json", '{"Id": 1, "tags": ["x"], "in": {"a": 1.5}}\n{"Id": 2}\n')
    lake.succeed(
        "CREATE EXTERNAL TABLE raw (id bigint, tags array<string>, `in` struct<a:double>) "
        f"ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{lake.bucket}/raw/'"
    )
    assert lake.rows('SELECT id, tags[1], r."in".a FROM raw r WHERE tags IS NOT NULL') == [
        ["1", "x", "1.5"]
    ]


def test_the_json_serde_respects_its_properties(lake: AthenaLake) -> None:
    serde = {"ignore.malformed.json": "true", "dots.in.keys": "true", "mapping.at": "timestamp"}
    library = "org.openx.data.jsonserde.JsonSerDe"
    text_table(
        lake,
        "a_b int, at string",
        '{"a.b": 1, "Timestamp": "now"}\nno json\n',
        serde,
        library=library,
    )
    assert lake.rows("SELECT * FROM t") == [["1", "now"], [None, None]]


def test_json_written_by_create_table_as_is_read_back_unchanged(lake: AthenaLake) -> None:
    nested = "MAP(ARRAY['K'], ARRAY[DATE '2024-02-29']) AS m, ARRAY[ROW(1)] AS a"
    lake.succeed(f"CREATE TABLE j WITH (format = 'JSON') AS SELECT {nested}")
    assert lake.rows("SELECT * FROM j") == [["{K=2024-02-29}", "[{field0=1}]"]]
    assert "local_aws does not support this: binary" in lake.failure_reason(
        "CREATE TABLE k WITH (format = 'JSON') AS SELECT X'00' AS b"
    )


def test_nested_values_of_json_are_read(lake: AthenaLake) -> None:
    text_table(
        lake,
        "s struct<day:date,tags:array<string>>, m map<string,bigint>",
        '{"S": {"Day": "2024-02-29", "tags": ["x", null]}, "m": {"K": 1}}\n{"s": 7}\n',
        {"ignore.malformed.json": "false"},
        library="org.openx.data.jsonserde.JsonSerDe",
    )
    assert lake.rows("SELECT m FROM t") == [["{K=1}"], [None]]
    assert lake.failure_reason("SELECT s FROM t").startswith("HIVE_BAD_DATA")
    lake.put("t/a", '{"S": {"Day": "2024-02-29", "tags": ["x", null]}}\n')
    assert lake.rows("SELECT s FROM t") == [["{day=2024-02-29, tags=[x, null]}"]]


def test_dates_and_decimals_in_json_are_read_back_unchanged(lake: AthenaLake) -> None:
    lake.succeed(
        "CREATE EXTERNAL TABLE j (d date, t timestamp, m decimal(5,2)) ROW FORMAT SERDE"
        f" 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{lake.bucket}/j/'"
    )
    lake.succeed(
        "INSERT INTO j VALUES (DATE '2024-02-29', TIMESTAMP '2024-02-29 10:00:00', DECIMAL '1.50'),"
        " (NULL, NULL, NULL)"
    )
    lake.put("j/more.json", '{"d": "2024-01-01", "t": "2024-01-01T00:00:00", "m": 2.5}\n')
    assert lake.rows("SELECT * FROM j ORDER BY m") == [
        ["2024-02-29", "2024-02-29 10:00:00.000", "1.50"],
        ["2024-01-01", "2024-01-01 00:00:00.000", "2.50"],
        [None, None, None],
    ]
    lake.put("j/bad.json", '{"d": "yesterday"}\n')
    assert lake.failure_reason("SELECT d FROM j").startswith("HIVE_BAD_DATA")


def test_an_unsupported_serde_is_rejected_by_name(lake: AthenaLake) -> None:
    lake.succeed(
        "CREATE EXTERNAL TABLE o (x int) ROW FORMAT SERDE 'org.x.OrcSerde' LOCATION"
        f" 's3://{lake.bucket}/o/'"
    )
    assert lake.failure_reason("SELECT * FROM o").startswith(
        "NOT_SUPPORTED: local_aws does not support this: tables with the SerDe org.x.OrcSerde"
    )


# --- DDL


def test_show_and_describe_list_the_catalog(metrics: AthenaLake) -> None:
    assert metrics.rows("SHOW TABLES") == [["metrics"]]
    assert metrics.rows("SHOW TABLES 'x*'") == []
    assert [metrics.database] in metrics.rows("SHOW DATABASES")
    assert metrics.rows("SHOW PARTITIONS metrics") == [["run_id=2024-01-01"], ["run_id=2024-01-02"]]
    assert [row[0].strip() for row in metrics.rows("SHOW COLUMNS IN metrics") if row[0]] == [
        "id",
        "city",
        "revenue",
        "run_id",
    ]
    described = [str(row[0]).split("\t")[:2] for row in metrics.rows("DESCRIBE metrics")]
    assert ["revenue             ", "decimal(38,2)       "] in described
    statement = "\n".join(str(row[0]) for row in metrics.rows("SHOW CREATE TABLE metrics"))
    assert "PARTITIONED BY" in statement and f"s3://{metrics.bucket}/processed/metrics" in statement


def test_results_of_ddl_are_plain_text(metrics: AthenaLake) -> None:
    execution = metrics.succeed("SHOW TABLES")
    location = execution["ResultConfiguration"]["OutputLocation"]
    assert (execution["StatementType"], location[-4:], metrics.text(location)) == (
        "UTILITY",
        ".txt",
        "metrics\n",
    )


def test_databases_and_tables_are_created_and_dropped(metrics: AthenaLake) -> None:
    name = f"{metrics.database}_two"
    metrics.succeed(f"CREATE DATABASE {name}")
    assert "already exists" in metrics.failure_reason(f"CREATE DATABASE {name}")
    metrics.succeed(f"CREATE DATABASE IF NOT EXISTS {name}")
    metrics.succeed(f"CREATE EXTERNAL TABLE {name}.t (x int) LOCATION 's3://{metrics.bucket}/x/'")
    assert "is not empty" in metrics.failure_reason(f"DROP DATABASE {name}")
    metrics.succeed(f"DROP DATABASE {name} CASCADE")
    metrics.succeed("DROP TABLE metrics")
    assert "Table not found" in metrics.failure_reason("DROP TABLE metrics")
    metrics.succeed("DROP TABLE IF EXISTS metrics")


def test_ddl_stores_the_same_table_as_athena(lake: AthenaLake) -> None:
    """The expected values are those that PyAthena's tests find on AWS."""
    lake.succeed(
        "CREATE EXTERNAL TABLE t (a int COMMENT 'one') COMMENT 'all' "
        f"ROW FORMAT SERDE 'org.openx.data.jsonserde.JsonSerDe' LOCATION 's3://{lake.bucket}/t/'"
    )
    table = lake.glue.get_table(DatabaseName=lake.database, Name="t")["Table"]
    assert table["Parameters"]["comment"] == "all"
    assert table["StorageDescriptor"]["Columns"] == [{"Name": "a", "Type": "int", "Comment": "one"}]
    assert table["StorageDescriptor"]["Location"] == f"s3://{lake.bucket}/t"
    assert table["StorageDescriptor"]["OutputFormat"].endswith(".IgnoreKeyTextOutputFormat")
    lake.put("t/a.json", '{"a": 1}')
    lake.put("t2/a.json", '{"a": 2}')
    assert lake.rows("SELECT * FROM t") == [["1"]]
    assert [str(cell).strip() for cell in str(lake.rows("DESCRIBE t")[0][0]).split("\t")] == [
        "a",
        "int",
        "one",
    ]
    assert ["  `a` int COMMENT 'one')"] in lake.rows("SHOW CREATE TABLE t")


def test_describing_a_missing_table_is_an_error(lake: AthenaLake) -> None:
    envelope = (
        "Entity Not Found (Service: AmazonDataCatalog; Status Code: 400; Error Code:"
        " EntityNotFoundException; "
    )
    assert lake.rejection("DESCRIBE nope").startswith(envelope)
    assert lake.rejection("DESC `nowhere`.`nope`").startswith(envelope)
    assert "local_aws does not support this: DESCRIBE EXTENDED" in lake.rejection(
        "DESCRIBE EXTENDED nope"
    )


def test_queries_without_a_database_run_in_default(lake: AthenaLake) -> None:
    name = f"t_{lake.database}"
    lake.succeed(f"CREATE TABLE {name} AS SELECT 1 AS x", QueryExecutionContext={})
    assert lake.rows(f"SELECT * FROM default.{name}") == [["1"]]
    assert ["default"] in lake.rows("SHOW DATABASES")


def test_partitions_are_dropped_and_columns_added(metrics: AthenaLake) -> None:
    metrics.succeed("ALTER TABLE metrics DROP PARTITION (run_id = '2024-01-01')")
    metrics.succeed("ALTER TABLE metrics ADD COLUMNS (note string)")
    assert metrics.rows("SELECT DISTINCT run_id, note FROM metrics") == [["2024-01-02", None]]


@pytest.mark.parametrize(
    "statement", ["DELETE FROM t", "MERGE INTO t USING u ON true", "VACUUM t", "SHOW FUNCTIONS"]
)
def test_unsupported_statements_are_rejected_by_name(lake: AthenaLake, statement: str) -> None:
    assert "local_aws does not support this" in lake.failure_reason(statement)


# --- writes


def test_create_table_as_creates_a_partitioned_table(metrics: AthenaLake) -> None:
    execution = metrics.succeed(
        "CREATE TABLE copy WITH (format = 'PARQUET', partitioned_by = ARRAY['run_id'], "
        f"external_location = 's3://{metrics.bucket}/copy/') "
        "AS SELECT id, revenue, run_id FROM metrics"
    )
    assert execution["SubstatementType"] == "CREATE_TABLE_AS_SELECT"
    assert metrics.rows("SELECT run_id, sum(revenue) FROM copy GROUP BY 1 ORDER BY 1") == [
        ["2024-01-01", "10.65"],
        ["2024-01-02", "21.20"],
    ]
    assert len(metrics.text(execution["Statistics"]["DataManifestLocation"]).splitlines()) == 2
    assert "already exists" in metrics.failure_reason("CREATE TABLE copy AS SELECT 1 AS x")
    assert "Column name not specified" in metrics.failure_reason("CREATE TABLE other AS SELECT 1")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE copy AS SELECT 1 AS x UNION ALL SELECT 2",
        "INSERT INTO metrics (id, run_id) VALUES (1, 'n'), (2, 'n')",
    ],
)
def test_a_writing_statement_returns_the_number_of_rows(
    metrics: AthenaLake, statement: str
) -> None:
    execution = metrics.succeed(statement)
    results = metrics.athena.get_query_results(QueryExecutionId=execution["QueryExecutionId"])
    assert results["UpdateCount"] == 2 and results["ResultSet"]["Rows"] == []
    assert [
        column["Name"] for column in results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
    ] == ["rows"]
    assert (
        execution["ResultConfiguration"]["OutputLocation"]
        == f"{metrics.output}{execution['QueryExecutionId']}"
    )


def test_create_table_as_accepts_table_type_hive_only(metrics: AthenaLake) -> None:
    metrics.succeed(
        "CREATE TABLE copy WITH (table_type = 'HIVE', is_external = true, format = 'parquet') AS"
        " SELECT 1 AS x"
    )
    assert metrics.rows("SELECT * FROM copy") == [["1"]]
    iceberg = (
        "CREATE TABLE other WITH (table_type = 'ICEBERG', is_external = false) AS SELECT 1 AS x"
    )
    assert "local_aws does not support this: table_type = ICEBERG" in metrics.failure_reason(
        iceberg
    )


def test_insert_adds_rows_and_partitions(metrics: AthenaLake) -> None:
    metrics.succeed("INSERT INTO metrics SELECT 9, 'Z', DECIMAL '1.00', 'new'")
    metrics.succeed("INSERT INTO metrics (id, run_id) VALUES (10, 'new')")
    assert metrics.rows(
        "SELECT id, city, revenue FROM metrics WHERE run_id = 'new' ORDER BY id"
    ) == [["9", "Z", "1.00"], ["10", None, None]]
    assert "mismatched column types" in metrics.failure_reason(
        "INSERT INTO metrics SELECT 'x', 'Z', DECIMAL '1.00', 'new'"
    )


def test_an_insert_converts_values_to_the_column_types_without_loss(lake: AthenaLake) -> None:
    lake.succeed(
        "CREATE EXTERNAL TABLE t (small tinyint, f float, d decimal(5,2), day date, name"
        f" varchar(3)) STORED AS PARQUET LOCATION 's3://{lake.bucket}/t/'"
    )
    lake.succeed("INSERT INTO t VALUES (1, 0.25, 1.005, TIMESTAMP '2024-02-29 10:00:00', 'abc  ')")
    assert lake.rows("SELECT * FROM t") == [["1", "0.25", "1.01", "2024-02-29", "abc"]]
    assert lake.failure_reason("INSERT INTO t (small) VALUES (1000)").startswith(
        "NUMERIC_VALUE_OUT_OF_RANGE"
    )
    assert "Cannot truncate non-space characters" in lake.failure_reason(
        "INSERT INTO t (name) VALUES ('abcd')"
    )
    assert "mismatched column types" in lake.failure_reason("INSERT INTO t (small) VALUES ('1')")
    assert lake.rows("SELECT count(*) FROM t") == [["1"]]


def test_unload_writes_files_to_an_empty_location_only(metrics: AthenaLake) -> None:
    location = f"s3://{metrics.bucket}/unloaded/"
    unload = (
        f"UNLOAD (SELECT id, city FROM metrics ORDER BY id) TO '{location}' WITH (format = 'JSON',"
        " compression = 'NONE')"
    )
    execution = metrics.succeed(unload)
    written = metrics.text(execution["Statistics"]["DataManifestLocation"]).split()
    assert sorted(json.loads(line)["id"] for line in metrics.text(written[0]).splitlines()) == [
        1,
        1,
        2,
        2,
    ]
    assert metrics.failure_reason(unload).startswith("HIVE_PATH_ALREADY_EXISTS")


def test_unload_without_rows_writes_no_object(metrics: AthenaLake) -> None:
    location = f"s3://{metrics.bucket}/unloaded/"
    execution = metrics.succeed(
        f"UNLOAD (SELECT id FROM metrics WHERE false) TO '{location}' WITH (format = 'PARQUET')"
    )
    assert metrics.text(execution["Statistics"]["DataManifestLocation"]) == ""
    assert "Contents" not in metrics.s3.list_objects_v2(Bucket=metrics.bucket, Prefix="unloaded/")


def test_result_columns_have_athena_s_types_and_precisions(metrics: AthenaLake) -> None:
    """The expected values are those that PyAthena's tests find on AWS."""
    described = {}
    for sql in (
        "SELECT CAST('x' AS varbinary) AS b, now() AS at, 0.33 AS f",
        "SHOW COLUMNS IN metrics",
    ):
        results = metrics.athena.get_query_results(
            QueryExecutionId=metrics.succeed(sql)["QueryExecutionId"]
        )
        columns = results["ResultSet"]["ResultSetMetadata"]["ColumnInfo"]
        described |= {column["Name"]: (column["Type"], column["Precision"]) for column in columns}
    assert described == {
        "b": ("varbinary", 1073741824),
        "at": ("timestamp with time zone", 3),
        "f": ("double", 17),
        "field": ("string", 0),
    }


def test_views_are_stored_and_queried(metrics: AthenaLake) -> None:
    metrics.succeed(
        "CREATE VIEW totals AS SELECT run_id, sum(revenue) AS total FROM metrics GROUP BY run_id"
    )
    assert metrics.rows("SELECT t.total FROM totals t ORDER BY run_id") == [["10.65"], ["21.20"]]
    assert "already exists" in metrics.failure_reason("CREATE VIEW totals AS SELECT 1 AS x")
    metrics.succeed("CREATE OR REPLACE VIEW totals AS SELECT 1 AS x")
    assert metrics.rows("SELECT * FROM totals") == [["1"]]
    assert metrics.rows("SHOW VIEWS") == [["totals"]]
    metrics.succeed("DROP VIEW totals")


# --- the catalog in Athena's API


def test_the_catalog_api_reads_glue(metrics: AthenaLake) -> None:
    athena, catalog = metrics.athena, "AwsDataCatalog"
    assert catalog in [
        entry["CatalogName"] for entry in athena.list_data_catalogs()["DataCatalogsSummary"]
    ]
    assert athena.get_data_catalog(Name=catalog)["DataCatalog"]["Type"] == "GLUE"
    assert (
        athena.get_database(CatalogName=catalog, DatabaseName=metrics.database)["Database"]["Name"]
        == metrics.database
    )
    table = athena.get_table_metadata(
        CatalogName=catalog, DatabaseName=metrics.database, TableName="metrics"
    )["TableMetadata"]
    assert [column["Name"] for column in table["Columns"]] == ["id", "city", "revenue"]
    assert table["PartitionKeys"] == [{"Name": "run_id", "Type": "string"}]
    listed = athena.list_table_metadata(CatalogName=catalog, DatabaseName=metrics.database)[
        "TableMetadataList"
    ]
    assert [entry["Name"] for entry in listed] == ["metrics"]


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        ("get_table_metadata", {"TableName": "nope"}),
        ("get_table_metadata", {"DatabaseName": "nope", "TableName": "metrics"}),
        ("get_database", {"DatabaseName": "nope"}),
        ("list_table_metadata", {"DatabaseName": "nope"}),
    ],
)
def test_an_unknown_name_in_the_catalog_api_is_a_metadata_exception(
    metrics: AthenaLake, operation: str, names: dict[str, str]
) -> None:
    request = {"CatalogName": "AwsDataCatalog", "DatabaseName": metrics.database} | names
    with pytest.raises(metrics.athena.exceptions.MetadataException) as caught:
        getattr(metrics.athena, operation)(**request)
    envelope = (
        "Entity Not Found (Service: AmazonDataCatalog; Status Code: 400; Error Code:"
        " EntityNotFoundException; "
    )
    assert caught.value.response["Error"]["Message"].startswith(envelope)
