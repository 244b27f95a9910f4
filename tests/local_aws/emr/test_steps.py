"""The EMR API on the running stand-in: real Spark steps, and rejected requests."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError
from support.launchers import PlainPython

from local_aws.clients import Clients
from local_aws.server import LocalAws

BUCKET = "emr-test-lake"
ENDED = {"COMPLETED", "FAILED", "CANCELLED"}

SCRIPTS = {
    # reads and writes s3://, with its own module and with arguments like spark-submit's
    "good.py": (
        """
import json, os, sys
from helper import shout
from pyspark.sql import SparkSession, functions as F
spark = SparkSession.builder.appName("good").getOrCreate()
rows = spark.read.csv("s3://emr-test-lake/raw/", header=True, inferSchema=True)
rows.groupBy("a").agg(F.sum("b").alias("b")).write.parquet(sys.argv[2], mode="overwrite")
facts = {
    "argv": sys.argv[1:], "shout": shout("hey"), "environ": dict(os.environ), "count": rows.count(),
    "partitions": spark.conf.get("spark.sql.shuffle.partitions"),
    "zone": spark.conf.get("spark.sql.session.timeZone"),
    "python_worker": rows.rdd.map(lambda row: row.a + 1).collect(),
}
print(json.dumps(facts))
spark.stop()
"""
    ),
    "helper.py": "def shout(text):\n    return text.upper() + '!'\n",
    "bad.py": (
        """
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
spark.range(3).write.csv("s3://emr-test-lake/out/bad")
spark.read.csv("s3://no-such-lake/raw").count()
"""
    ),
    # reports its start from a Python worker, then sleeps
    "slow.py": (
        """
import time
from pyspark.sql import SparkSession
spark = SparkSession.builder.getOrCreate()
def work(rows):
    list(rows)
    open("{started}", "w").close()
    time.sleep(120)
    return iter([])
spark.sparkContext.parallelize([1], 1).mapPartitions(work).count()
"""
    ),
    "prints.py": "print('done')",
    "table.py": (
        """
from pyspark.sql import SparkSession
SparkSession.builder.getOrCreate().range(3).write.saveAsTable("lost")
"""
    ),
}


class Emr:
    """A client of the stand-in's EMR, one cluster for all tests, and roles to create more."""

    def __init__(self, client: Callable[[str], Any], tmp_path: Path) -> None:
        self.s3, self.api = client("s3"), client("emr")
        self.started = tmp_path / "started"
        self._prepare(client("iam"))
        self.cluster = self.create(StepConcurrencyLevel=3, LogUri=f"s3://{BUCKET}/logs/emr/")

    def _prepare(self, iam: Any) -> None:
        self.s3.create_bucket(Bucket=BUCKET)
        for name, text in SCRIPTS.items():
            self.s3.put_object(
                Bucket=BUCKET,
                Key=f"jobs/{name}",
                Body=text.replace("{started}", str(self.started)).encode(),
            )
        self.s3.put_object(Bucket=BUCKET, Key="raw/x.csv", Body=b"a,b\n1,2\n1,3\n2,10\n")
        trust = json.dumps({"Version": "2012-10-17", "Statement": []})
        for role in ("EmrTestService", "EmrTestNodes"):
            iam.create_role(RoleName=role, AssumeRolePolicyDocument=trust)
        for profile in ("EmrTestNodes", "EmrTestEmpty"):
            iam.create_instance_profile(InstanceProfileName=profile)
        iam.add_role_to_instance_profile(
            InstanceProfileName="EmrTestNodes", RoleName="EmrTestNodes"
        )

    def create(self, **changes: Any) -> str:
        return str(self.api.run_job_flow(**request(**changes))["JobFlowId"])

    def state(self, cluster: str) -> str:
        return str(self.api.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]["State"])

    def submit(self, *args: str, cluster: str = "") -> str:
        step = spark_step(*args)
        return str(
            self.api.add_job_flow_steps(JobFlowId=cluster or self.cluster, Steps=[step])["StepIds"][
                0
            ]
        )

    def step(self, step_id: str) -> dict[str, Any]:
        description: dict[str, Any] = self.api.describe_step(
            ClusterId=self.cluster, StepId=step_id
        )["Step"]
        return description

    def wait(self, step_id: str) -> dict[str, Any]:
        """Waits for the step's end and returns its status."""
        deadline = time.monotonic() + 120
        while (status := self.step(step_id)["Status"])["State"] not in ENDED:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return dict(status)

    def logs(self, prefix: str) -> dict[str, str]:
        """The logs under ``prefix``, keyed by the part of the S3 key after it."""
        listed = self.s3.list_objects_v2(
            Bucket=BUCKET, Prefix=f"logs/emr/{self.cluster}/{prefix}"
        ).get("Contents", [])
        texts = {}
        for key in (item["Key"] for item in listed):
            text = gzip.decompress(
                self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()
            ).decode()
            texts[key.removeprefix(f"logs/emr/{self.cluster}/{prefix}")] = text
        return texts

    def keys(self, prefix: str) -> list[str]:
        return [
            item["Key"]
            for item in self.s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        ]


def request(**changes: Any) -> dict[str, Any]:
    """A valid RunJobFlow request; ``changes`` of ``None`` remove parameters."""
    parameters = {
        "Name": "test",
        "ReleaseLabel": "emr-7.13.0",
        "Applications": [{"Name": "Spark"}],
        "ServiceRole": "EmrTestService",
        "JobFlowRole": "EmrTestNodes",
        "Instances": instances(),
        **changes,
    }
    return {key: value for key, value in parameters.items() if value is not None}


def instances(**changes: Any) -> dict[str, Any]:
    groups = [{"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}]
    return {"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": True, **changes}


def spark_step(*args: str, **changes: Any) -> dict[str, Any]:
    jar_step = {"Jar": "command-runner.jar", "Args": ["spark-submit", *args]}
    return {"Name": "step", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar_step, **changes}


def job(name: str) -> str:
    return f"s3://{BUCKET}/jobs/{name}"


@pytest.fixture(scope="module")
def emr(client: Callable[[str], Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emr]:
    emr = Emr(client, tmp_path_factory.mktemp("emr"))
    yield emr
    emr.api.terminate_job_flows(JobFlowIds=[emr.cluster])
    emr.api.get_waiter("cluster_terminated").wait(
        ClusterId=emr.cluster, WaiterConfig={"Delay": 1, "MaxAttempts": 20}
    )


@pytest.fixture(scope="module")
def steps(emr: Emr) -> dict[str, str]:
    """Steps that are submitted together, because Spark takes time to start."""
    os.environ["AWS_PROFILE"] = "somebody"
    os.environ["SECRET_OF_THE_USER"] = "1"
    try:
        submitted = {
            "good": emr.submit(
                *(
                    "--deploy-mode",
                    "client",
                    "--master",
                    "yarn",
                    "--executor-memory",
                    "99g",
                    "--py-files",
                    job("helper.py"),
                ),
                *(
                    "--conf",
                    "spark.sql.shuffle.partitions=3",
                    job("good.py"),
                    "--out",
                    f"s3://{BUCKET}/out/good",
                    "--master",
                    "x",
                ),
            ),
            "bad": emr.submit("--deploy-mode", "cluster", job("bad.py")),
            "table": emr.submit(job("table.py")),
        }
        for step_id in submitted.values():
            emr.wait(step_id)
    finally:
        del os.environ["AWS_PROFILE"], os.environ["SECRET_OF_THE_USER"]
    return submitted


def output_of_good(emr: Emr, steps: dict[str, str]) -> dict[str, Any]:
    """The output of good.py."""
    printed: dict[str, Any] = json.loads(
        emr.logs(f"steps/{steps['good']}/")["stdout.gz"].splitlines()[-1]
    )
    return printed


@pytest.mark.jvm
def test_a_good_step_completes_with_its_timeline(emr: Emr, steps: dict[str, str]) -> None:
    status = emr.step(steps["good"])["Status"]
    assert status["State"] == "COMPLETED"
    assert "FailureDetails" not in status
    moments = status["Timeline"]
    assert moments["CreationDateTime"] <= moments["StartDateTime"] < moments["EndDateTime"]


@pytest.mark.jvm
def test_output_of_a_job_is_in_s3_without_temporary_files(emr: Emr, steps: dict[str, str]) -> None:
    keys = [key.removeprefix("out/good/") for key in emr.keys("out/good")]
    assert "_SUCCESS" in keys
    assert any(key.startswith("part-") and key.endswith(".parquet") for key in keys)
    assert not [key for key in keys if key.endswith(".crc") or "_temporary" in key]


@pytest.mark.jvm
def test_the_application_gets_its_arguments_modules_and_spark_settings(
    emr: Emr, steps: dict[str, str]
) -> None:
    output = output_of_good(emr, steps)
    assert output["argv"] == ["--out", f"s3://{BUCKET}/out/good", "--master", "x"]
    assert output["shout"] == "HEY!"
    assert output["partitions"] == "3"
    assert output["zone"] == "UTC"
    assert (output["count"], output["python_worker"]) == (3, [2, 2, 3])


@pytest.mark.jvm
def test_a_job_does_not_see_the_user_s_environment(
    emr: Emr, steps: dict[str, str], stand_in: LocalAws
) -> None:
    environ = output_of_good(emr, steps)["environ"]
    assert "AWS_PROFILE" not in environ and "SECRET_OF_THE_USER" not in environ
    assert environ["AWS_ENDPOINT_URL"] == stand_in.url
    assert environ["HOME"] != os.environ.get("HOME")


@pytest.mark.jvm
def test_client_mode_logs_are_in_the_step_s_folder(emr: Emr, steps: dict[str, str]) -> None:
    logs = emr.logs(f"steps/{steps['good']}/")
    assert set(logs) == {"controller.gz", "stdout.gz", "stderr.gz"}
    assert "Step succeeded with exitCode 0" in logs["controller.gz"]
    assert "Running Spark version" in logs["stderr.gz"]


@pytest.mark.jvm
def test_a_missing_bucket_fails_the_step_with_s3_s_message(emr: Emr, steps: dict[str, str]) -> None:
    status = emr.step(steps["bad"])["Status"]
    assert status["State"] == "FAILED"
    assert "Error Code: NoSuchBucket; Bucket: no-such-lake" in status["FailureDetails"]["Message"]
    assert status["FailureDetails"]["LogFile"].startswith(
        f"s3://{BUCKET}/logs/emr/{emr.cluster}/containers/application_"
    )


@pytest.mark.jvm
def test_output_written_before_a_failure_is_in_s3(emr: Emr, steps: dict[str, str]) -> None:
    assert "out/bad/_SUCCESS" in emr.keys("out/bad")


@pytest.mark.jvm
def test_cluster_mode_logs_are_in_the_container_s_folder(emr: Emr, steps: dict[str, str]) -> None:
    step_logs = emr.logs(f"steps/{steps['bad']}/")
    assert step_logs["stdout.gz"] == ""
    assert "finished with failed status" in step_logs["stderr.gz"]
    application = next(
        word for word in step_logs["stderr.gz"].split() if word.startswith("application_")
    )
    container = emr.logs(f"containers/{application}/")
    assert {key.rpartition("/")[2] for key in container} == {"stdout.gz", "stderr.gz"}
    assert all("_01_000001/" in key for key in container)
    assert any("Traceback (most recent call last)" in text for text in container.values())


@pytest.mark.jvm
def test_save_as_table_fails_the_step_because_there_is_no_metastore(
    emr: Emr, steps: dict[str, str]
) -> None:
    status = emr.step(steps["table"])["Status"]
    assert status["State"] == "FAILED"
    assert (
        "no Hive metastore: the tables lost of saveAsTable" in status["FailureDetails"]["Message"]
    )


@pytest.mark.jvm
def test_steps_are_listed_newest_first_and_filtered(emr: Emr, steps: dict[str, str]) -> None:
    def listed(**filters: Any) -> list[str]:
        return [
            step["Id"] for step in emr.api.list_steps(ClusterId=emr.cluster, **filters)["Steps"]
        ]

    assert listed()[-3:] == [steps["table"], steps["bad"], steps["good"]]
    assert listed(StepStates=["COMPLETED"]) == [steps["good"]]
    assert listed(StepIds=[steps["good"], steps["bad"]]) == [steps["good"], steps["bad"]]
    with rejected("InvalidRequestException", "Cannot specify both StepIds and StepStates."):
        listed(StepIds=[steps["good"]], StepStates=["FAILED"])


@pytest.mark.jvm
def test_boto3_s_waiters_recognise_the_states(emr: Emr, steps: dict[str, str]) -> None:
    quick_polls = {"Delay": 1, "MaxAttempts": 5}
    emr.api.get_waiter("cluster_running").wait(ClusterId=emr.cluster, WaiterConfig=quick_polls)
    emr.api.get_waiter("step_complete").wait(
        ClusterId=emr.cluster, StepId=steps["good"], WaiterConfig=quick_polls
    )


@pytest.mark.jvm
def test_cancelling_a_running_step_leaves_no_process(emr: Emr) -> None:
    step_id = emr.submit(job("slow.py"))
    deadline = time.monotonic() + 60
    while not emr.started.exists():
        assert time.monotonic() < deadline and emr.step(step_id)["Status"]["State"] in (
            "PENDING",
            "RUNNING",
        )
        time.sleep(0.05)
    # supervisor, JVM, driver; Python workers have another working directory
    assert len(processes_of(step_id)) >= 3
    [info] = emr.api.cancel_steps(ClusterId=emr.cluster, StepIds=[step_id])["CancelStepsInfoList"]
    assert info == {"StepId": step_id, "Status": "SUBMITTED"}
    assert emr.wait(step_id)["State"] == "CANCELLED"
    assert processes_of(step_id) == []


def processes_of(step_id: str) -> list[str]:
    """The processes that have the step's scratch folder as working directory."""
    commands = []
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error):  # it has ended or belongs to another user
            process = psutil.Process(pid)
            if step_id in process.cwd():
                commands.append(" ".join(process.cmdline()))
    return commands


# --- rejected requests


class rejected:  # noqa: N801 - reads as pytest.raises does
    """A context in which a request fails with ``code`` and ``words`` in its message."""

    def __init__(self, code: str, words: str) -> None:
        self._code, self._words = code, words
        self._raises = pytest.raises(ClientError)

    def __enter__(self) -> None:
        self._caught = self._raises.__enter__()

    def __exit__(self, *error: Any) -> bool:
        suppressed = self._raises.__exit__(*error)
        error_of_aws = self._caught.value.response["Error"]
        assert (error_of_aws["Code"], self._words in error_of_aws["Message"]) == (
            self._code,
            True,
        ), error_of_aws
        return bool(suppressed)


GROUP = {"InstanceRole": "MASTER", "InstanceType": "m5.xlarge", "InstanceCount": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"ServiceRole": None}, "ServiceRole is required"),
        ({"ServiceRole": "Nobody"}, "Invalid ServiceRole: Nobody"),
        ({"JobFlowRole": None}, "InstanceProfile is required"),
        ({"JobFlowRole": "EmrTestService"}, "Invalid InstanceProfile: EmrTestService."),
        ({"JobFlowRole": "EmrTestEmpty"}, "Invalid InstanceProfile: EmrTestEmpty."),
        ({"ReleaseLabel": None}, "Must specify exactly one of the following: release label"),
        ({"ReleaseLabel": "emr-7.99.0"}, "emr-7.99.0"),
        ({"Applications": [{"Name": "Sparkle"}]}, "Sparkle"),
        ({"LogUri": "/var/log"}, "Invalid LogUri: /var/log"),
        ({"LogUri": "s3://no-such-bucket-at-all/logs/"}, "no-such-bucket-at-all does not exist"),
        ({"StepConcurrencyLevel": 257}, "257"),
        ({"StepConcurrencyLevel": 0}, "0"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 59}}, "59"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 604801}}, "604801"),
        ({"Instances": instances(InstanceGroups=[])}, "Zero master instance groups"),
        (
            {"Instances": instances(InstanceGroups=[{**GROUP, "InstanceRole": "CORE"}])},
            "Zero master instance groups",
        ),
        ({"Instances": instances(InstanceGroups=[GROUP, GROUP])}, "Multiple master"),
        (
            {"Instances": instances(InstanceGroups=[GROUP, {**GROUP, "InstanceRole": "TASK"}])},
            "must also define core nodes",
        ),
        (
            {"Instances": instances(InstanceGroups=[{**GROUP, "InstanceCount": 0}])},
            "at least one instance",
        ),
        (
            {"Instances": instances(InstanceGroups=[{**GROUP, "InstanceType": "m5.tiny"}])},
            "m5.tiny",
        ),
        (
            {"Steps": [spark_step("x.py", ActionOnFailure="RETRY")]},
            "'steps.1.member.actionOnFailure'",
        ),
        ({"Steps": [spark_step("x.py")] * 257}, "less than or equal to 256"),
        (
            {
                "Steps": [spark_step("x.py", ActionOnFailure="CANCEL_AND_WAIT")],
                "StepConcurrencyLevel": 2,
            },
            "CANCEL_AND_WAIT",
        ),
    ],
)
def test_an_invalid_cluster_request_is_rejected(
    emr: Emr, changes: dict[str, Any], words: str
) -> None:
    before = len(emr.api.list_clusters()["Clusters"])
    with rejected("ValidationException", words):
        emr.create(**changes)
    assert len(emr.api.list_clusters()["Clusters"]) == before


SCRIPT = {"Name": "b", "ScriptBootstrapAction": {"Path": "s3://b/x.sh"}}


@pytest.mark.parametrize(
    ("changes", "unsupported"),
    [
        ({"BootstrapActions": [SCRIPT]}, "BootstrapActions"),
        ({"KerberosAttributes": {"Realm": "R", "KdcAdminPassword": "p"}}, "KerberosAttributes"),
        (
            {"Configurations": [{"Classification": "spark-hive-site", "Properties": {"a": "b"}}]},
            "spark-hive-site",
        ),
        ({"Instances": {"InstanceFleets": [{"InstanceFleetType": "MASTER"}]}}, "InstanceFleets"),
        ({"Instances": {"MasterInstanceType": "m5.xlarge"}}, "MasterInstanceType"),
        ({"Steps": [{"Name": "s", "HadoopJarStep": {"Jar": "s3://b/my.jar"}}]}, "s3://b/my.jar"),
        (
            {
                "Steps": [
                    {
                        "Name": "s",
                        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["s3-dist-cp"]},
                    }
                ]
            },
            "s3-dist-cp",
        ),
    ],
)
def test_an_unsupported_cluster_request_is_rejected_by_name(
    emr: Emr, changes: dict[str, Any], unsupported: str
) -> None:
    with rejected("LocalAwsNotSupported", unsupported):
        emr.create(**changes)


def test_unknown_clusters_and_steps_are_rejected_with_each_operation_s_message(emr: Emr) -> None:
    api, unknown = emr.api, "Cluster id 'j-NOBODY' is not valid."
    with rejected("InvalidRequestException", unknown):
        api.describe_cluster(ClusterId="j-NOBODY")
    with rejected("InvalidRequestException", unknown):
        api.list_steps(ClusterId="j-NOBODY")
    with rejected("InvalidRequestException", unknown):
        api.cancel_steps(ClusterId="j-NOBODY", StepIds=["s-NOBODY"])
    with rejected("InvalidRequestException", "Step id 's-NOBODY' is not valid."):
        api.describe_step(ClusterId=emr.cluster, StepId="s-NOBODY")
    with rejected("ValidationException", "Specified job flow ID does not exist."):
        api.add_job_flow_steps(JobFlowId="j-NOBODY", Steps=[spark_step("x.py")])
    with rejected("ValidationException", "Specified job flow ID does not exist."):
        api.terminate_job_flows(JobFlowIds=["j-NOBODY"])


def test_unsupported_operations_are_rejected_by_name(emr: Emr) -> None:
    with rejected("LocalAwsNotSupported", "ElasticMapReduce:AddInstanceGroups"):
        emr.api.add_instance_groups(InstanceGroups=[], JobFlowId=emr.cluster)
    with rejected("LocalAwsNotSupported", "ElasticMapReduce:StartNotebookExecution"):
        emr.api.start_notebook_execution(ExecutionEngine={"Id": "x"}, ServiceRole="r")


# --- requests that need no Spark


@pytest.fixture
def idle(emr: Emr) -> Iterator[str]:
    """A cluster for one test."""
    cluster = emr.create(
        Tags=[{"Key": "a", "Value": "1"}], AutoTerminationPolicy={"IdleTimeout": 3600}
    )
    yield cluster
    emr.api.set_termination_protection(JobFlowIds=[cluster], TerminationProtected=False)
    emr.api.terminate_job_flows(JobFlowIds=[cluster])


def wait_for(emr: Emr, cluster: str, state: str) -> None:
    deadline = time.monotonic() + 5
    while emr.state(cluster) != state:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_cluster_is_described_as_requested(emr: Emr, idle: str) -> None:
    described = emr.api.describe_cluster(ClusterId=idle)["Cluster"]
    assert (described["Name"], described["ReleaseLabel"], described["AutoTerminate"]) == (
        "test",
        "emr-7.13.0",
        False,
    )
    assert described["Tags"] == [{"Key": "a", "Value": "1"}]
    assert described["Ec2InstanceAttributes"]["IamInstanceProfile"] == "EmrTestNodes"
    assert described["Applications"][0]["Name"] == "Spark"
    [group] = emr.api.list_instance_groups(ClusterId=idle)["InstanceGroups"]
    assert (group["InstanceGroupType"], group["InstanceType"], group["RequestedInstanceCount"]) == (
        "MASTER",
        "m5.xlarge",
        1,
    )


def test_a_protected_cluster_cannot_be_terminated(emr: Emr, idle: str) -> None:
    emr.api.set_termination_protection(JobFlowIds=[idle], TerminationProtected=True)
    with rejected("ValidationException", "termination protected"):
        emr.api.terminate_job_flows(JobFlowIds=[idle])
    wait_for(emr, idle, "WAITING")


def test_a_terminated_cluster_cannot_be_changed(emr: Emr) -> None:
    cluster = emr.create()
    emr.api.terminate_job_flows(JobFlowIds=[cluster])
    wait_for(emr, cluster, "TERMINATED")
    emr.api.terminate_job_flows(JobFlowIds=[cluster])
    with rejected("ValidationException", "may not be modified"):
        emr.submit("x.py", cluster=cluster)
    assert emr.state(cluster) == "TERMINATED"


def test_a_cluster_without_the_application_spark_has_no_spark_submit(emr: Emr) -> None:
    cluster = emr.create(
        Applications=[{"Name": "Hadoop"}],
        Steps=[spark_step("x.py", ActionOnFailure="TERMINATE_CLUSTER")],
    )
    wait_for(emr, cluster, "TERMINATED_WITH_ERRORS")
    [step] = emr.api.list_steps(ClusterId=cluster)["Steps"]
    assert 'Cannot run program "spark-submit"' in step["Status"]["FailureDetails"]["Message"]


def test_clusters_are_listed_newest_first_and_filtered_by_state_and_time(
    emr: Emr, idle: str
) -> None:
    wait_for(emr, idle, "WAITING")

    def listed(**filters: Any) -> list[str]:
        return [cluster["Id"] for cluster in emr.api.list_clusters(**filters)["Clusters"]]

    everything = listed()
    assert everything[0] == idle and emr.cluster in everything
    assert idle in listed(ClusterStates=["WAITING"]) and idle not in listed(
        ClusterStates=["TERMINATED"]
    )
    created = emr.api.describe_cluster(ClusterId=idle)["Cluster"]["Status"]["Timeline"][
        "CreationDateTime"
    ]
    assert listed(
        CreatedAfter=created - timedelta(seconds=0.01), CreatedBefore=datetime.now(UTC)
    ) == [idle]


def test_long_lists_of_steps_are_paged(emr: Emr) -> None:
    slow = spark_step("x.py")
    cluster = emr.create(Applications=[{"Name": "Hadoop"}], Steps=[slow] * 120)
    pages = list(emr.api.get_paginator("list_steps").paginate(ClusterId=cluster))
    assert [len(page["Steps"]) for page in pages] == [50, 50, 20]
    with rejected("InvalidRequestException", "Marker"):
        emr.api.list_steps(ClusterId=cluster, Marker="nonsense")
    emr.api.terminate_job_flows(JobFlowIds=[cluster])


class CountingLauncher(PlainPython):
    """Counts the calls of `prepare`."""

    prepared = 0

    def prepare(self) -> None:
        self.prepared += 1


def test_the_first_cluster_prepares_spark(emr: Emr, tmp_path: Path) -> None:
    launcher = CountingLauncher()
    server = LocalAws(tmp_path, launcher=launcher)
    server.start()
    try:
        assert launcher.prepared == 0
        Clients(server.url).client("emr").run_job_flow(**request())
        assert launcher.prepared == 1
    finally:
        server.stop()


def test_a_region_does_not_list_clusters_of_another(
    emr: Emr, idle: str, stand_in: LocalAws
) -> None:
    elsewhere = Clients(stand_in.url).client("emr", "eu-west-1")
    assert elsewhere.list_clusters()["Clusters"] == []
    with rejected("InvalidRequestException", idle):
        elsewhere.describe_cluster(ClusterId=idle)


def test_cluster_mode_requires_a_spark_context(emr: Emr) -> None:
    status = emr.wait(emr.submit("--deploy-mode", "cluster", job("prints.py")))
    assert status["State"] == "FAILED"
    assert "User did not initialize spark context!" in status["FailureDetails"]["Message"]
    assert emr.wait(emr.submit("--deploy-mode", "client", job("prints.py")))["State"] == "COMPLETED"
