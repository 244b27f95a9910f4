"""The clients named in docs/local_aws.md work with the local AWS unchanged."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from local_aws.server import LocalAws

pytestmark = pytest.mark.all


@pytest.fixture
def lake(client: Callable[[str], Any], stand_in: LocalAws, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a bucket and a database; the environment points clients to the stand-in."""
    name = f"lake{uuid.uuid4().hex[:8]}"
    client("s3").create_bucket(Bucket=name)
    client("glue").create_database(DatabaseInput={"Name": name})
    for variable, value in {
        "AWS_ENDPOINT_URL": stand_in.url,
        "AWS_ACCESS_KEY_ID": stand_in.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": stand_in.keys.secret_access_key,
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(variable, value)
    return name


# --- AWS CLI


def aws(*words: str) -> Any:
    """The output of ``aws WORDS...``; JSON is parsed."""
    command = [str(Path(sys.executable).with_name("aws")), *words]
    result = subprocess.run(
        command, env=os.environ | {"AWS_PAGER": ""}, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout) if result.stdout.startswith("{") else result.stdout


def test_the_aws_cli_copies_files_and_runs_queries(lake: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("1,ä\n2,b\n")
    aws("s3", "cp", "--quiet", str(tmp_path / "a.csv"), f"s3://{lake}/t/a.csv")
    assert "a.csv" in aws("s3", "ls", f"s3://{lake}/t/")
    create_table = (
        "CREATE EXTERNAL TABLE t (id int, name string) ROW FORMAT DELIMITED FIELDS TERMINATED BY"
        f" ',' LOCATION 's3://{lake}/t/'"
    )
    for sql in (create_table, "SELECT * FROM t ORDER BY id"):
        started = aws(
            *(
                "athena",
                "start-query-execution",
                "--query-string",
                sql,
                "--query-execution-context",
                f"Database={lake}",
            ),
            *("--result-configuration", f"OutputLocation=s3://{lake}/out/"),
        )
        wait_for_query(started["QueryExecutionId"])
    rows = aws("athena", "get-query-results", "--query-execution-id", started["QueryExecutionId"])[
        "ResultSet"
    ]["Rows"]
    assert [[cell["VarCharValue"] for cell in row["Data"]] for row in rows] == [
        ["id", "name"],
        ["1", "ä"],
        ["2", "b"],
    ]
    assert aws("glue", "get-table", "--database-name", lake, "--name", "t")["Table"]["Name"] == "t"


def wait_for_query(query_id: str) -> None:
    for _ in range(30):
        status = aws("athena", "get-query-execution", "--query-execution-id", query_id)[
            "QueryExecution"
        ]["Status"]
        if status["State"] not in ("QUEUED", "RUNNING"):
            assert status["State"] == "SUCCEEDED", status
            return
    raise AssertionError(f"{query_id} does not end")


# --- boto3's waiters and paginators


def test_boto3_s_waiters_wait_for_buckets_objects_and_clusters(
    client: Callable[[str], Any], lake: str
) -> None:
    s3, emr, soon = client("s3"), client("emr"), {"Delay": 1, "MaxAttempts": 60}
    s3.put_object(Bucket=lake, Key="a", Body=b"x")
    s3.get_waiter("bucket_exists").wait(Bucket=lake)
    s3.get_waiter("object_exists").wait(Bucket=lake, Key="a")
    roles(client, "elasticmapreduce.amazonaws.com", "ec2.amazonaws.com")
    cluster_id = emr.run_job_flow(
        Name=lake,
        ReleaseLabel="emr-7.13.0",
        Applications=[{"Name": "Spark"}],
        Instances={
            "InstanceGroups": [
                {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
            ],
            "KeepJobFlowAliveWhenNoSteps": True,
        },
        ServiceRole="ClientsTest-elasticmapreduce",
        JobFlowRole="ClientsTest-ec2",
    )["JobFlowId"]
    emr.get_waiter("cluster_running").wait(ClusterId=cluster_id, WaiterConfig=soon)
    emr.terminate_job_flows(JobFlowIds=[cluster_id])
    emr.get_waiter("cluster_terminated").wait(ClusterId=cluster_id, WaiterConfig=soon)
    assert cluster_id in [
        cluster["Id"]
        for page in emr.get_paginator("list_clusters").paginate()
        for cluster in page["Clusters"]
    ]


def roles(client: Callable[[str], Any], *services: str) -> list[str]:
    """Creates a role and an instance profile for each service; returns the roles' ARNs."""
    iam, arns = client("iam"), []
    for service in services:
        name = f"ClientsTest-{service.partition('.')[0]}"
        trust = {
            "Statement": [
                {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
            ]
        }
        try:
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
            iam.create_instance_profile(InstanceProfileName=name)
            iam.add_role_to_instance_profile(InstanceProfileName=name, RoleName=name)
        except iam.exceptions.EntityAlreadyExistsException:
            pass
        arns.append(iam.get_role(RoleName=name)["Role"]["Arn"])
    return arns


def paginators(
    client: Callable[[str], Any], lake: str
) -> Iterator[tuple[str, str, dict[str, Any], str, set[str]]]:
    """Yields service, operation, parameters, path of the items, and the expected items."""
    s3, glue, athena, sfn = (
        client(service) for service in ("s3", "glue", "athena", "stepfunctions")
    )
    names = {f"{lake}-{number}" for number in range(3)}
    for name in names:
        s3.put_object(Bucket=lake, Key=name, Body=b"x")
        glue.create_table(
            DatabaseName=lake, TableInput={"Name": name, "StorageDescriptor": {"Columns": []}}
        )
    yield "s3", "list_objects_v2", {"Bucket": lake}, "Contents[].Key", names
    yield "glue", "get_tables", {"DatabaseName": lake}, "TableList[].Name", names
    catalog = {"CatalogName": "AwsDataCatalog"}
    yield (
        "athena",
        "list_table_metadata",
        {**catalog, "DatabaseName": lake},
        "TableMetadataList[].Name",
        names,
    )
    yield "athena", "list_databases", catalog, "DatabaseList[].Name", {lake}
    keys = {
        "PartitionKeys": [{"Name": "p", "Type": "string"}],
        "StorageDescriptor": {"Columns": [], "SerdeInfo": {}},
    }
    glue.create_table(DatabaseName=lake, TableInput={"Name": "parted", **keys})
    for name in names:
        part = {"Values": [name], "StorageDescriptor": {"Columns": []}}
        glue.create_partition(DatabaseName=lake, TableName="parted", PartitionInput=part)
    yield (
        "glue",
        "get_partitions",
        {"DatabaseName": lake, "TableName": "parted"},
        "Partitions[].Values[]",
        names,
    )
    (glue_role,) = roles(client, "glue.amazonaws.com")
    for name in names:
        target = {"S3Targets": [{"Path": f"s3://{lake}/"}]}
        glue.create_crawler(Name=name, Role=glue_role, DatabaseName=lake, Targets=target)
    yield "glue", "get_crawlers", {}, "Crawlers[].Name", names
    athena.create_work_group(
        Name=lake, Configuration={"ResultConfiguration": {"OutputLocation": f"s3://{lake}/out/"}}
    )
    query = {"Database": lake, "QueryString": "SELECT 1", "WorkGroup": lake}
    queries = {athena.create_named_query(Name=name, **query)["NamedQueryId"] for name in names}
    yield "athena", "list_named_queries", {"WorkGroup": lake}, "NamedQueryIds[]", queries
    started = {
        athena.start_query_execution(QueryString=f"SELECT '{n}'", WorkGroup=lake)[
            "QueryExecutionId"
        ]
        for n in names
    }
    yield "athena", "list_query_executions", {"WorkGroup": lake}, "QueryExecutionIds[]", started
    (role,) = roles(client, "states.amazonaws.com")
    definition = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
    machines = {
        sfn.create_state_machine(name=n, definition=definition, roleArn=role)["stateMachineArn"]
        for n in names
    }
    yield "stepfunctions", "list_state_machines", {}, "stateMachines[].stateMachineArn", machines
    machine = min(machines)
    executions = {sfn.start_execution(stateMachineArn=machine)["executionArn"] for _ in names}
    yield (
        "stepfunctions",
        "list_executions",
        {"stateMachineArn": machine},
        "executions[].executionArn",
        executions,
    )


def test_boto3_s_paginators_find_every_item_once(client: Callable[[str], Any], lake: str) -> None:
    for service, operation, parameters, path, expected in paginators(client, lake):
        pages = (
            client(service)
            .get_paginator(operation)
            .paginate(**parameters, PaginationConfig={"PageSize": 2})
        )
        found = [item for item in pages.search(path) if item in expected]
        assert sorted(found) == sorted(expected), operation


# --- PyAthena


def connection(lake: str, **more: Any) -> Any:
    import pyathena

    return pyathena.connect(
        s3_staging_dir=f"s3://{lake}/out/", region_name="us-east-1", schema_name=lake, **more
    )


def test_pyathena_runs_queries_and_raises_athena_s_errors(lake: str) -> None:
    import pyathena

    cursor = connection(lake).cursor()
    cursor.execute(
        "SELECT 1 AS n, DECIMAL '1.50' AS d, 0.33 AS f, DATE '2024-01-01' AS day, CAST(NULL AS"
        " varchar) AS nothing"
    )
    row = cursor.fetchone()
    assert [str(value) for value in row] == ["1", "1.50", "0.33", "2024-01-01", "None"]
    assert [column[:2] for column in cursor.description][2] == ("f", "double")
    with pytest.raises(pyathena.error.OperationalError, match="COLUMN_NOT_FOUND"):
        cursor.execute("SELECT nope")
    with pytest.raises(pyathena.error.OperationalError, match="Entity Not Found"):
        cursor.get_table_metadata("nope")


def test_pyathena_writes_rows_with_parameters_and_counts_them(lake: str) -> None:
    cursor = connection(lake).cursor()
    cursor.execute(
        f"CREATE EXTERNAL TABLE t (id int, name string) STORED AS PARQUET LOCATION 's3://{lake}/t/'"
    )
    cursor.executemany(
        "INSERT INTO t VALUES (%(id)d, %(name)s)",
        [{"id": 1, "name": "it's"}, {"id": 2, "name": "ü"}],
    )
    assert cursor.rowcount == 2
    cursor.execute("SELECT * FROM t WHERE id >= ? ORDER BY id", ["1"], paramstyle="qmark")
    assert cursor.fetchall() == [(1, "it's"), (2, "ü")]


@pytest.mark.parametrize("unload", [False, True])
def test_pyathena_returns_data_frames(lake: str, unload: bool) -> None:
    from pyathena.pandas.cursor import PandasCursor

    cursor = connection(lake, cursor_class=PandasCursor, cursor_kwargs={"unload": unload}).cursor()
    frame = cursor.execute(
        "SELECT * FROM (VALUES (1, 'a', 0.5), (2, NULL, NULL)) t(n, s, f)"
    ).as_pandas()
    assert (
        frame["n"].tolist() == [1, 2]
        and frame["f"].tolist()[0] == 0.5
        and frame["s"].isna().tolist() == [False, True]
    )


def test_pyathena_reuses_a_result(lake: str) -> None:
    cursor = connection(lake).cursor()
    for expected in (False, True):
        cursor.execute(f"SELECT '{lake}'", result_reuse_enable=True, result_reuse_minutes=5)
        assert cursor.reused_previous_result is expected


# --- awswrangler


def test_awswrangler_writes_a_table_and_reads_it_with_each_approach(lake: str) -> None:
    import awswrangler as wr
    import pandas as pd

    frame = pd.DataFrame({"id": [1, 2], "name": ["a", None], "run": ["x", "y"]})
    wr.s3.to_parquet(
        frame,
        path=f"s3://{lake}/t/",
        dataset=True,
        database=lake,
        table="t",
        partition_cols=["run"],
    )
    approaches: list[dict[str, Any]] = [
        {"ctas_approach": False},
        {"ctas_approach": True},
        {"ctas_approach": False, "unload_approach": True},
    ]
    for number, approach in enumerate(approaches):
        location = f"s3://{lake}/out{number}/"
        read = wr.athena.read_sql_query(
            "SELECT id, run FROM t ORDER BY id", database=lake, s3_output=location, **approach
        )
        assert read.to_dict("list") == {"id": [1, 2], "run": ["x", "y"]}
    described = wr.athena.describe_table(database=lake, table="t", s3_output=f"s3://{lake}/out/")
    assert list(described["Column Name"]) == ["id", "name", "run"]


def test_awswrangler_writes_csv_that_is_read_back_unchanged(lake: str) -> None:
    import awswrangler as wr
    import pandas as pd

    frame = pd.DataFrame(
        {"id": [1, 2, 3], "text": ["b,c", "d\\e", "ü"], "flag": [True, None, False]}
    )
    wr.s3.to_csv(
        frame,
        path=f"s3://{lake}/c/",
        dataset=True,
        database=lake,
        table="c",
        index=False,
        dtype={"flag": "boolean"},
    )
    location = f"s3://{lake}/out/"
    read = wr.athena.read_sql_query(
        "SELECT * FROM c ORDER BY id", database=lake, s3_output=location, ctas_approach=False
    )
    assert read["text"].tolist() == ["b,c", "d\\e", "ü"]
    assert [None if pd.isna(flag) else bool(flag) for flag in read["flag"]] == [True, None, False]


def test_awswrangler_passes_parameters(lake: str) -> None:
    import awswrangler as wr

    location = f"s3://{lake}/out/"
    read = wr.athena.read_sql_query(
        "SELECT ? AS a, ? AS b",
        database=lake,
        s3_output=location,
        ctas_approach=False,
        params=["it's", "1 + 1"],
        paramstyle="qmark",
    )
    assert read.to_dict("list") == {"a": ["it's"], "b": [2]}
