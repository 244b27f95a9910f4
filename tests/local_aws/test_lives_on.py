"""A lake in a data folder lives on: the next server there has all that the one before was told,
however that one ended."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from support.server_process import Server

from local_aws.state_log import FILE, StateLog, UnknownState

pytestmark = pytest.mark.jvm  # servers that are killed, one after the other

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


class Lives:
    """Servers on one folder, one after the other."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._server: Server | None = None
        self.notes: list[str] = []

    def next(self) -> Client:
        """Kills the server, and starts another on the same folder; returns clients of that."""
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
def lives(tmp_path: Path) -> Iterator[Lives]:
    made = Lives(tmp_path)
    yield made
    made.kill()


def objects(client: Client, bucket: str = "lake") -> dict[str, bytes]:
    s3 = client("s3")
    listed = s3.list_objects_v2(Bucket=bucket).get("Contents", [])
    return {
        item["Key"]: s3.get_object(Bucket=bucket, Key=item["Key"])["Body"].read() for item in listed
    }


def test_objects_come_back_with_what_was_said_of_them(lives: Lives) -> None:
    s3 = lives.next()("s3")
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
    client = lives.next()
    assert objects(client) == {"raw/b é=1+2.csv": b"1", "copy": b"1", "folder/": b""}
    head = client("s3").head_object(Bucket="lake", Key="raw/b é=1+2.csv")
    assert (head["Metadata"], head["ContentType"]) == ({"sha256": "abc"}, "text/csv")
    assert client("s3").get_bucket_versioning(Bucket="lake")["Status"] == "Enabled"


@pytest.mark.all
def test_an_object_that_came_in_parts_comes_back(lives: Lives, tmp_path: Path) -> None:
    client = lives.next()
    client("s3").create_bucket(Bucket="lake")
    (tmp_path / "big").write_bytes(b"0123456789" * 1_000_000)
    client("s3").upload_file(str(tmp_path / "big"), "lake", "raw/big")
    assert len(objects(lives.next())["raw/big"]) == 10_000_000


def test_roles_catalog_crawlers_workgroups_and_machines_come_back(lives: Lives) -> None:
    client = lives.next()
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

    client = lives.next()
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
    assert [one["SubscriptionArn"] for one in listed] == [subscription]


def test_an_execution_that_ended_is_still_told_of(lives: Lives) -> None:
    client = lives.next()
    role = client("iam").create_role(
        RoleName="r", AssumeRolePolicyDocument=TRUST.replace("glue", "states")
    )["Role"]["Arn"]
    states = client("stepfunctions")
    machine = states.create_state_machine(name="m", definition=PASS, roleArn=role)[
        "stateMachineArn"
    ]
    execution = states.start_execution(stateMachineArn=machine, name="one")["executionArn"]
    saved = lambda: '"SUCCEEDED"' in (lives.folder / FILE).read_text()  # noqa: E731
    wait_for(saved)
    for _ in range(2):  # what was read is written again
        states = lives.next()("stepfunctions")
    assert states.describe_execution(executionArn=execution)["output"] == '{"ok": true}'
    assert [
        one["name"] for one in states.list_executions(stateMachineArn=machine)["executions"]
    ] == ["one"]
    kinds = [
        event["type"] for event in states.get_execution_history(executionArn=execution)["events"]
    ]
    assert (kinds[0], kinds[-1]) == ("ExecutionStarted", "ExecutionSucceeded")
    assert states.describe_state_machine(stateMachineArn=machine)["definition"] == PASS
    again = states.start_execution(stateMachineArn=machine, name="two")["executionArn"]
    wait_for(lambda: states.describe_execution(executionArn=again)["status"] == "SUCCEEDED")
    assert len(states.list_executions(stateMachineArn=machine)["executions"]) == 2


def test_a_cluster_and_an_execution_that_ran_when_the_server_was_killed_have_ended(
    lives: Lives,
) -> None:
    client = lives.next()
    trust = TRUST.replace("glue", "states")
    client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=trust)
    client("iam").create_instance_profile(InstanceProfileName="r")
    client("iam").add_role_to_instance_profile(InstanceProfileName="r", RoleName="r")
    nodes = {
        "MasterInstanceType": "m5.xlarge",
        "InstanceCount": 1,
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

    client = lives.next()
    described = client("emr").describe_cluster(ClusterId=cluster)["Cluster"]
    assert described["Status"]["State"] == "TERMINATED_WITH_ERRORS"
    assert "local AWS ended" in described["Status"]["StateChangeReason"]["Message"]
    assert described["Tags"] == tags
    client("emr").terminate_job_flows(JobFlowIds=[cluster])  # ended already: does no harm
    assert client("stepfunctions").describe_execution(executionArn=execution)["status"] == "ABORTED"


def test_leftovers_of_a_killed_step_are_removed_with_a_word(lives: Lives) -> None:
    s3 = lives.next()("s3")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="a", Body=b"1")
    lives.kill()
    (lives.folder / "s3/lake/staging").mkdir()
    (lives.folder / "s3/lake/staging/half.parquet").write_bytes(b"PAR")
    assert objects(lives.next()) == {"a": b"1"}
    assert not (lives.folder / "s3/lake/staging").exists()
    assert "staging/half.parquet" in lives.notes[0]


@pytest.mark.all
def test_half_a_line_at_the_end_of_the_log_is_dropped(lives: Lives) -> None:
    lives.next()("s3").create_bucket(Bucket="lake")
    lives.kill()
    with (lives.folder / FILE).open("a") as file:
        file.write('{"request": {"meth')
    assert lives.next()("s3").list_buckets()["Buckets"][0]["Name"] == "lake"
    assert "meth\n" not in (lives.folder / FILE).read_text()


@pytest.mark.all
def test_the_log_does_not_grow_by_what_has_been_overtaken(lives: Lives) -> None:
    s3 = lives.next()("s3")
    s3.create_bucket(Bucket="lake")
    for number in range(20):
        s3.put_object(Bucket="lake", Key="a", Body=str(number).encode())
    lives.next()
    assert (
        len((lives.folder / FILE).read_text().splitlines()) == 3
    )  # the version, the bucket, the object


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"local_aws": 99}\n', "another version of the local AWS (format 99; this one reads 1)"),
        ("nonsense\n", "another version"),
        ('{"local_aws": 1}\nnonsense\n{"gone": "x"}\n', "damaged in line 2"),
    ],
)
def test_a_state_that_cannot_be_read_is_refused_with_the_way_out_and_left_as_it_is(
    tmp_path: Path, content: str, words: str
) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(UnknownState) as caught:
        StateLog(tmp_path)
    assert words in str(caught.value) and "--fresh" in str(caught.value)
    assert (tmp_path / FILE).read_text() == content


@pytest.mark.all
def test_reading_and_running_are_not_written_down(lives: Lives) -> None:
    client = lives.next()
    client("s3").create_bucket(Bucket="lake")
    before = (lives.folder / FILE).read_text()
    client("glue").get_databases()
    client("sts").get_caller_identity()
    client("iam").list_roles()
    with pytest.raises(ClientError):
        client("glue").create_table(DatabaseName="missing", TableInput={"Name": "t"})
    assert (lives.folder / FILE).read_text() == before


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
