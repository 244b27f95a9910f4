"""The arguments of spark-submit: kept for one machine, dropped, or rejected by name."""

from __future__ import annotations

import pytest

from local_aws.emr.submission import local_conf, parse_submission
from local_aws.overlay import AwsError


def test_options_after_the_application_are_its_arguments() -> None:
    parsed = parse_submission(
        [
            "spark-submit",
            "s3://b/x.py",
            "--master",
            "yarn",
            "--conf",
            "spark.master=yarn",
            "--class",
            "C",
        ]
    )
    assert parsed.application == "s3://b/x.py"
    assert parsed.arguments == ("--master", "yarn", "--conf", "spark.master=yarn", "--class", "C")
    assert parsed.options == ()


def test_options_that_only_size_a_cluster_are_dropped() -> None:
    cluster_only = [
        *(
            "--master",
            "yarn",
            "--deploy-mode",
            "client",
            "--num-executors",
            "3",
            "--executor-memory=4g",
            "--executor-cores",
            "2",
        ),
        *(
            "--driver-memory",
            "8g",
            "--driver-cores",
            "2",
            "--queue",
            "q",
            "--supervise",
            "--verbose",
        ),
        *(
            "--conf",
            "spark.executor.memory=4g",
            "--conf",
            "spark.yarn.maxAppAttempts=1",
            "--conf=spark.dynamicAllocation.enabled=true",
        ),
    ]
    assert parse_submission(["spark-submit", *cluster_only, "x.py"]).options == ()


def test_options_of_the_application_are_kept_in_order() -> None:
    kept = [
        "--name",
        "n",
        "--py-files",
        "s3://b/a.py,s3://b/b.zip",
        "--files",
        "s3://b/f",
        "--conf",
        "spark.sql.ansi.enabled=true",
    ]
    assert list(parse_submission(["spark-submit", *kept, "x.py"]).options) == kept


def test_an_option_may_be_joined_with_its_value() -> None:
    parsed = parse_submission(["spark-submit", "--name=a=b", "--conf=spark.x=y=z", "x.py"])
    assert parsed.options == ("--name", "a=b", "--conf", "spark.x=y=z")


@pytest.mark.parametrize(("mode", "cluster"), [("client", False), ("cluster", True)])
def test_the_deploy_mode_is_recognised(mode: str, cluster: bool) -> None:
    assert parse_submission(["spark-submit", "--deploy-mode", mode, "x.py"]).cluster_mode is cluster


@pytest.mark.parametrize(
    ("args", "unsupported"),
    [
        ([], "without arguments"),
        (["s3-dist-cp", "--src", "a"], "s3-dist-cp"),
        (["hive-script", "--run-hive-script"], "hive-script"),
        (["bash", "-c", "true"], "bash"),
        (["spark-submit"], "without an application"),
        (["spark-submit", "--class", "com.x.Main", "s3://b/a.jar"], "--class"),
        (["spark-submit", "s3://b/a.jar"], "s3://b/a.jar"),
        (["spark-submit", "--packages", "org.x:y:1", "x.py"], "--packages"),
        (["spark-submit", "--driver-java-options", "-Dx=y", "x.py"], "--driver-java-options"),
        (["spark-submit", "--unheard-of", "x.py"], "--unheard-of"),
        (["spark-submit", "--conf"], "--conf without a value"),
        (
            ["spark-submit", "--conf", "spark.driver.extraJavaOptions=-Dx=y", "x.py"],
            "spark.driver.extraJavaOptions",
        ),
        (
            ["spark-submit", "--conf", "spark.sql.catalogImplementation=hive", "x.py"],
            "spark.sql.catalogImplementation",
        ),
        (
            [
                "spark-submit",
                "--conf",
                "spark.hadoop.hive.metastore.client.factory.class=x",
                "x.py",
            ],
            "spark.hadoop.hive.metastore",
        ),
    ],
)
def test_unsupported_submissions_are_rejected_by_name(args: list[str], unsupported: str) -> None:
    with pytest.raises(AwsError) as caught:
        parse_submission(args)
    assert caught.value.code == "LocalAwsNotSupported"
    assert unsupported in caught.value.message


def test_spark_defaults_become_options_except_sizes_of_the_cluster() -> None:
    properties = {"spark.sql.shuffle.partitions": "7", "spark.executor.memory": "18g"}
    assert local_conf(properties) == ["--conf", "spark.sql.shuffle.partitions=7"]
