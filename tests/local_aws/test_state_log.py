"""A lake in a data folder survives its server, also a killed one."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.polling import wait_for
from support.server_process import Server

from local_aws.state_log import FILE, StateLog, UnknownState

pytestmark = pytest.mark.jvm  # starts and kills servers

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}}],
    }
)
POLICY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}],
}
PASS = json.dumps(
    {"StartAt": "Done", "States": {"Done": {"Type": "Pass", "Result": {"ok": True}, "End": True}}}
)

Client = Callable[[str], Any]


class Servers:
    """Servers on one folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: Server | None = None
        self.notes: list[str] = []

    def restart(self) -> Client:
        """Kills the server, if one runs, and starts another; returns clients of it."""
        self.kill()
        self._server = server = Server("--die-with-parent", "--data-dir", str(self.folder))
        self.notes = []
        while server.first_line.startswith("NOTE "):
            self.notes.append(server.first_line)
            server.first_line = server.lines(1)[0]
        return server.clients.client

    def kill(self) -> None:
        if self._server:
            self._server.send(signal.SIGKILL)
            self._server.end()
            self._server = None


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    servers = Servers(tmp_path)
    yield servers
    servers.kill()


def objects(client: Client, bucket: str = "lake") -> dict[str, bytes]:
    s3 = client("s3")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed
    }


def test_objects_survive_with_their_metadata(servers: Servers) -> None:
    s3 = servers.restart()("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(
        Bucket="lake",
        Key="raw/b é=1+2.csv",
        Body=b"1",
        Metadata={"sha256": "abc"},
        ContentType="text/csv",
    )
    s3.put_object(Bucket="lake", Key="gone", Body=b"1")
    s3.put_object(Bucket="lake", Key="gone/2", Body=b"1")
    s3.put_object(Bucket="lake", Key="folder/", Body=b"")
    s3.copy_object(Bucket="lake", Key="copy", CopySource="lake/raw/b é=1+2.csv")
    s3.delete_object(Bucket="lake", Key="gone")
    s3.delete_objects(Bucket="lake", Delete={"Objects": [{"Key": "gone/2"}], "Quiet": True})
    client = servers.restart()
    assert objects(client) == {"raw/b é=1+2.csv": b"1", "copy": b"1", "folder/": b""}
    head = client("s3").head_object(Bucket="lake", Key="raw/b é=1+2.csv")
    assert (head["Metadata"], head["ContentType"]) == ({"sha256": "abc"}, "text/csv")
    assert client("s3").get_bucket_versioning(Bucket="lake")["Status"] == "Enabled"


@pytest.mark.all
def test_an_object_uploaded_in_parts_survives(servers: Servers, tmp_path: Path) -> None:
    client = servers.restart()
    client("s3").create_bucket(Bucket="lake")
    (tmp_path / "big").write_bytes(b"0123456789" * 1_000_000)
    client("s3").upload_file(str(tmp_path / "big"), "lake", "raw/big")
    assert len(objects(servers.restart())["raw/big"]) == 10_000_000


def test_roles_catalog_crawlers_queries_and_topics_survive(servers: Servers) -> None:
    client = servers.restart()
    client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)
    client("iam").put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(POLICY))
    client("iam").attach_role_policy(
        RoleName="r", PolicyArn="arn:aws:iam::aws:policy/AmazonS3ReadOnlyAccess"
    )
    glue = client("glue")
    glue.create_database(DatabaseInput={"Name": "db"})
    storage = {"Location": "s3://lake/t", "Columns": [{"Name": "a", "Type": "int"}]}
    table = {
        "Name": "t",
        "PartitionKeys": [{"Name": "run_id", "Type": "string"}],
        "StorageDescriptor": storage,
    }
    glue.create_table(DatabaseName="db", TableInput=table)
    for run in ("1", "2"):
        glue.create_partition(
            DatabaseName="db",
            TableName="t",
            PartitionInput={"Values": [run], "StorageDescriptor": storage},
        )
    glue.delete_partition(DatabaseName="db", TableName="t", PartitionValues=["1"])
    glue.create_crawler(
        Name="c", Role="r", DatabaseName="db", Targets={"S3Targets": [{"Path": "s3://lake/t"}]}
    )
    client("athena").create_work_group(Name="group")
    query = {"Name": "q", "Database": "db", "QueryString": "SELECT 1", "WorkGroup": "group"}
    query_id = client("athena").create_named_query(**query)["NamedQueryId"]
    topic = client("sns").create_topic(Name="alerts")["TopicArn"]
    subscription = client("sns").subscribe(
        TopicArn=topic, Protocol="email", Endpoint="a@example.com"
    )["SubscriptionArn"]

    client = servers.restart()
    assert client("iam").get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == POLICY
    attached = client("iam").list_attached_role_policies(RoleName="r")["AttachedPolicies"]
    assert [policy["PolicyName"] for policy in attached] == ["AmazonS3ReadOnlyAccess"]
    partitions = client("glue").get_partitions(DatabaseName="db", TableName="t")["Partitions"]
    assert [partition["Values"] for partition in partitions] == [["2"]]
    assert client("glue").get_crawler(Name="c")["Crawler"]["Role"] == "r"
    assert (
        client("athena").get_named_query(NamedQueryId=query_id)["NamedQuery"]["QueryString"]
        == "SELECT 1"
    )
    listed = client("sns").list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    assert [item["SubscriptionArn"] for item in listed] == [subscription]


def test_ended_executions_survive_with_their_history(servers: Servers) -> None:
    client = servers.restart()
    role = client("iam").create_role(
        RoleName="r", AssumeRolePolicyDocument=TRUST.replace("glue", "states")
    )["Role"]["Arn"]
    states = client("stepfunctions")
    machine = states.create_state_machine(name="m", definition=PASS, roleArn=role)[
        "stateMachineArn"
    ]
    execution = states.start_execution(stateMachineArn=machine, name="one")["executionArn"]
    wait_for(lambda: '"SUCCEEDED"' in (servers.folder / FILE).read_text())
    for _ in range(2):  # the second restart reads the state that the first one wrote
        states = servers.restart()("stepfunctions")
    assert states.describe_execution(executionArn=execution)["output"] == '{"ok": true}'
    assert [
        item["name"] for item in states.list_executions(stateMachineArn=machine)["executions"]
    ] == ["one"]
    kinds = [
        event["type"] for event in states.get_execution_history(executionArn=execution)["events"]
    ]
    assert (kinds[0], kinds[-1]) == ("ExecutionStarted", "ExecutionSucceeded")
    assert states.describe_state_machine(stateMachineArn=machine)["definition"] == PASS
    second = states.start_execution(stateMachineArn=machine, name="two")["executionArn"]
    wait_for(lambda: states.describe_execution(executionArn=second)["status"] == "SUCCEEDED")
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 2


def test_running_clusters_and_executions_end_with_the_server(servers: Servers) -> None:
    client = servers.restart()
    trust = TRUST.replace("glue", "states")
    client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    client("iam").create_instance_profile(InstanceProfileName="r")
    client("iam").add_role_to_instance_profile(InstanceProfileName="r", RoleName="r")
    nodes = {
        "InstanceGroups": [
            {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}
        ],
        "KeepJobFlowAliveWhenNoSteps": True,
    }
    roles = {"ServiceRole": "r", "JobFlowRole": "r"}
    tags = [{"Key": "Project", "Value": "x"}]
    cluster = client("emr").run_job_flow(
        Name="c", ReleaseLabel="emr-7.13.0", Instances=nodes, Tags=tags, **roles
    )["JobFlowId"]
    slow = PASS.replace('"Type": "Pass", "Result": {"ok": true}', '"Type": "Wait", "Seconds": 100')
    states, role = client("stepfunctions"), client("iam").get_role(RoleName="r")["Role"]["Arn"]
    machine = states.create_state_machine(name="m", definition=slow, roleArn=role)[
        "stateMachineArn"
    ]
    execution = states.start_execution(stateMachineArn=machine)["executionArn"]

    client = servers.restart()
    described = client("emr").describe_cluster(ClusterId=cluster)["Cluster"]
    assert described["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    assert "local AWS ended" in described["Status"]["StateChangeReason"]["Message"]
    assert described["Tags"] == tags
    client("emr").terminate_job_flows(JobFlowIds=[cluster])  # it has ended already
    assert client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_files_of_a_killed_step_are_removed_and_reported(servers: Servers) -> None:
    s3 = servers.restart()("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="a", Body=b"1")
    servers.kill()
    (servers.folder / "s3/lake/staging").mkdir()
    (servers.folder / "s3/lake/staging/half.parquet").write_bytes(b"PAR")
    assert objects(servers.restart()) == {"a": b"1"}
    assert not (servers.folder / "s3/lake/staging").exists()
    assert "staging/half.parquet" in servers.notes[0]


@pytest.mark.all
def test_an_incomplete_last_line_of_the_log_is_dropped(servers: Servers) -> None:
    servers.restart()("s3").create_bucket(Bucket="lake")
    servers.kill()
    with (servers.folder / FILE).open("a") as file:
        file.write('{"request": {"meth')
    assert servers.restart()("s3").list_buckets()["Buckets"][0]["Name"] == "lake"
    assert "meth\n" not in (servers.folder / FILE).read_text()


@pytest.mark.all
def test_the_log_is_compacted_on_restart(servers: Servers) -> None:
    s3 = servers.restart()("s3")
    s3.create_bucket(Bucket="lake")
    for number in range(20):
        s3.put_object(Bucket="lake", Key="a", Body=str(number).encode())
    servers.restart()
    assert len((servers.folder / FILE).read_text().splitlines()) == 3  # version, bucket and object


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"local_aws": 99}\n', "another version of the local AWS (format 99; this one reads 1)"),
        ("nonsense\n", "another version"),
        ('{"local_aws": 1}\nnonsense\n{"gone": "x"}\n', "damaged in line 2"),
    ],
)
def test_an_unreadable_state_is_an_error_that_names_fresh_and_changes_nothing(
    tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UnknownState) as caught:
        StateLog(tmp_path)
    assert message in str(caught.value) and caught.value.flag == "--fresh"
    assert (tmp_path / FILE).read_text() == content


@pytest.mark.all
def test_reads_and_failed_requests_are_not_logged(servers: Servers) -> None:
    client = servers.restart()
    client("s3").create_bucket(Bucket="lake")
    before = (servers.folder / FILE).read_text()
    client("glue").get_databases()
    client("sts").get_caller_identity()
    client("iam").list_roles()
    with pytest.raises(ClientError):
        client("glue").create_table(DatabaseName="missing", TableInput={"Name": "t"})
    assert (servers.folder / FILE).read_text() == before
