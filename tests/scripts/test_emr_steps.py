"""Steps 5, 6 and 8 on the local EMR: one cluster at a time, and the causes of failed jobs."""

import dataclasses
import json
import os
import re
import signal

import pytest
import run_spark_jobs as spark_script
from botocore.exceptions import ClientError
from car_rental.aws import Aws
from car_rental.emr import spark_outcomes
from car_rental.emr.clusters import ENDED, active_clusters, find_cluster, start_failure
from car_rental.emr.spark_outcomes import SUMMARY_KEY, step_failure
from car_rental.emr.spark_steps import spark_step
from car_rental.emr.step_logs import Cause
from car_rental.errors import ConfigError, DataLakeError, Interrupted
from car_rental.s3.lake_bucket import ensure_bucket
from create_emr_cluster import create_emr_cluster
from run_spark_jobs import explain_step, run_spark_jobs
from support.polling import until
from terminate_emr_cluster import terminate_emr_cluster

# a job's name decides how it ends
JOB = """
import os, sys, time
name = sys.argv[sys.argv.index("--as") + 1]
if name == "slow":
    time.sleep(120)
if name == "refusing":
    sys.exit("ERROR refusing: users.csv lacks the column email")
if name == "killed":
    os.kill(os.getpid(), 9)
if name == "broken":
    raise RuntimeError("no such thing")
print("all is well in", name)
"""
SUMMARY = {"run_id": "r1", "status": "published", "rentals": {"read": 3, "kept": 2, "rejected": 1}}


@pytest.fixture
def cluster(lake):
    return create_emr_cluster(lake.aws, lake.console, deadline_minutes=1).cluster_id


@pytest.fixture
def jobs(lake, monkeypatch):
    """`jobs(("a",), ("b", "c"))` replaces the stages by trivial jobs of these names."""

    def replace_stages(*stages):
        bucket = lake.settings.s3_bucket_name
        lake.aws.client("s3").put_object(Bucket=bucket, Key="jobs/job.py", Body=JOB.encode())
        summary_key = SUMMARY_KEY.format(run_id="r1")
        lake.aws.client("s3").put_object(
            Bucket=bucket, Key=summary_key, Body=json.dumps(SUMMARY).encode()
        )

        def step(settings, job, run_id, owner):
            created = spark_step(settings, "clean_rentals", run_id)
            arguments = [
                "spark-submit",
                "--deploy-mode",
                "client",
                settings.s3("jobs", "job.py"),
                "--as",
                job,
            ]
            return {
                **created,
                "Name": job,
                "HadoopJarStep": {**created["HadoopJarStep"], "Args": arguments},
            }

        monkeypatch.setattr(spark_script, "STAGES", stages)
        monkeypatch.setattr(spark_script, "spark_step", step)

    return replace_stages


def run(lake, **arguments):
    return run_spark_jobs(lake.aws, lake.console, run_id="r1", deadline_minutes=2, **arguments)


def terminate(lake, **arguments):
    return terminate_emr_cluster(lake.aws, lake.console, deadline_minutes=1, **arguments)


def step_states(lake, cluster_id):
    listed = lake.aws.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
    return {step["Name"]: step["Status"]["State"] for step in listed}


def test_a_cluster_is_found_without_its_id_and_terminated(lake, cluster):
    assert find_cluster(lake.aws, None) == find_cluster(lake.aws, cluster) == cluster
    assert terminate(lake).cluster_id == cluster
    assert terminate(lake, cluster_id=cluster).state == "TERMINATED"
    assert active_clusters(lake.aws) == []


def test_a_job_killed_by_the_system_is_reported_with_signal_memory_and_remedy(lake, cluster, jobs):
    jobs(("killed",))
    with pytest.raises(DataLakeError) as caught:
        run(lake)
    assert re.search(
        r"FAILED: killed by SIGKILL \(exit code 137\); .* has \d+\.\d GB of memory\.",
        caught.value.what,
    )
    assert "kills processes when memory runs out" in caught.value.fix
    assert "does not say why" not in str(caught.value)


def test_ctrl_c_during_the_creation_terminates_the_cluster(lake, monkeypatch):
    emr = lake.aws.client_without_retries("emr")
    run_job_flow = emr.run_job_flow

    def press_ctrl_c(**request):
        os.kill(os.getpid(), signal.SIGINT)
        return run_job_flow(**request)

    monkeypatch.setattr(emr, "run_job_flow", press_ctrl_c)
    with pytest.raises(Interrupted):
        create_emr_cluster(lake.aws, lake.console)
    assert "is being terminated" in lake.err.getvalue()
    assert until(lambda: active_clusters(lake.aws), lambda active: not active, 10) == []


def test_a_caller_with_on_created_terminates_the_cluster_itself(lake, monkeypatch):
    created = []

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt)
    with pytest.raises(Interrupted):
        create_emr_cluster(lake.aws, lake.console, on_created=created.append)
    assert [cluster["Id"] for cluster in active_clusters(lake.aws)] == created


def test_a_second_active_cluster_is_an_error(lake, cluster):
    with pytest.raises(ConfigError, match=f"{cluster} of this project is active already"):
        create_emr_cluster(lake.aws, lake.console)


def test_a_missing_bucket_names_step_2(new_project):
    project = new_project()
    with pytest.raises(DataLakeError, match="bucket .* does not exist.*setup_aws_environment.py"):
        create_emr_cluster(project.aws, project.console)


def test_missing_roles_name_step_1(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    with pytest.raises(DataLakeError, match="EMR does not accept the roles.*setup_iam_roles.py"):
        create_emr_cluster(project.aws, project.console)


def test_an_unknown_foreign_or_ended_cluster_is_an_error(lake, cluster, new_project):
    with pytest.raises(ConfigError, match="j-NOSUCH.* does not exist"):
        find_cluster(lake.aws, "j-NOSUCHCLUSTER")
    with pytest.raises(ConfigError, match="is not a cluster of this project"):
        find_cluster(new_project().aws, cluster)
    with pytest.raises(ConfigError, match="is not a cluster of this project"):
        another_project = new_project()
        terminate_emr_cluster(another_project.aws, another_project.console, cluster_id=cluster)
    terminate(lake)
    with pytest.raises(ConfigError, match="is TERMINATED"):
        find_cluster(lake.aws, cluster)
    with pytest.raises(ConfigError, match="no active cluster named"):
        find_cluster(lake.aws, None)


def test_jobs_run_stage_by_stage_and_the_summary_is_printed(lake, cluster, jobs):
    jobs(("first",), ("left", "right"))
    result = run(lake)
    assert list(result.steps) == ["first", "left", "right"]
    assert step_states(lake, cluster) == {
        "first": "COMPLETED",
        "left": "COMPLETED",
        "right": "COMPLETED",
    }
    assert result.summary() == "run r1: 3 rentals read, 2 kept, 1 rejected"


@pytest.mark.parametrize("by_setting", [True, False])
def test_the_setting_and_the_flag_run_all_jobs_in_one_step(lake, cluster, jobs, by_setting):
    jobs(("broken",), ("broken",))
    aws = Aws(dataclasses.replace(lake.settings, emr_one_application=by_setting))
    result = run_spark_jobs(
        aws, lake.console, run_id="r1", deadline_minutes=2, one_application=not by_setting
    )
    assert list(result.steps) == ["all_jobs"]


def test_a_job_that_rejects_its_input_is_explained_by_its_message_and_its_sibling_finishes(
    lake, cluster, jobs
):
    jobs(("refusing", "good"), ("never",))
    with pytest.raises(DataLakeError) as caught:
        run(lake)
    assert caught.value.where == "Spark job refusing"
    assert caught.value.what.endswith("FAILED: users.csv lacks the column email")
    assert caught.value.log.startswith(lake.settings.s3("logs/emr", cluster, "steps"))
    assert step_states(lake, cluster) == {"refusing": "FAILED", "good": "COMPLETED"}


def test_a_job_with_a_bug_is_explained_by_its_traceback_lines(lake, cluster, jobs):
    jobs(("broken",))
    with pytest.raises(DataLakeError, match="RuntimeError: no such thing") as caught:
        run(lake)
    assert any('raise RuntimeError("no such thing")' in line for line in caught.value.details)


def test_explain_works_after_the_cluster_has_ended(lake, cluster, jobs):
    jobs(("broken", "good"))
    with pytest.raises(DataLakeError):
        run(lake)
    ids = {
        step["Name"]: step["Id"]
        for step in lake.aws.client("emr").list_steps(ClusterId=cluster)["Steps"]
    }
    assert "COMPLETED" in explain_step(lake.aws, lake.console, None, ids["good"])
    terminate(lake)
    with pytest.raises(DataLakeError, match="RuntimeError: no such thing") as caught:
        explain_step(lake.aws, lake.console, cluster, ids["broken"])
    assert f"/steps/{ids['broken']}/" in caught.value.log
    with pytest.raises(ConfigError, match=f"step s-NONE: is not a step of cluster {cluster}"):
        explain_step(lake.aws, lake.console, cluster, "s-NONE")


def test_a_failed_step_without_logs_names_the_command_that_explains_it_later(
    lake, cluster, jobs, monkeypatch
):
    def missing_key(**_):
        raise ClientError(
            {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}},
            "GetObject",
        )

    def interrupt_the_wait(waited_for, state, elapsed):
        if waited_for == "the step's log":
            raise KeyboardInterrupt

    jobs(("broken",))
    monkeypatch.setattr(lake.aws.client("s3"), "get_object", missing_key)
    monkeypatch.setattr(lake.console, "progress", interrupt_the_wait)
    with pytest.raises(
        DataLakeError, match=f"run_spark_jobs.py --explain s-.* --cluster-id {cluster}"
    ):
        run(lake)


@pytest.mark.parametrize("denied", [("emr", "describe_cluster"), ("s3", "get_object")])
def test_a_failed_step_with_unreadable_logs_is_still_reported(
    lake, cluster, jobs, monkeypatch, denied
):
    jobs(("broken",))
    with pytest.raises(DataLakeError):
        run(lake)
    step = lake.aws.client("emr").list_steps(ClusterId=cluster)["Steps"][0]

    def deny(**_):
        raise ClientError(
            {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "Read"
        )

    service, method = denied
    monkeypatch.setattr(lake.aws.client(service), method, deny)
    failure = step_failure(lake.aws, lake.console, cluster, "broken", step)
    assert failure.what.startswith(
        f"step {step['Id']} FAILED, and its log cannot be read: AWS answered AccessDenied"
    )
    assert "--explain" in failure.fix and "administrator" in failure.fix


def test_ctrl_c_during_the_termination_says_that_it_goes_on(lake, cluster, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt)
    with pytest.raises(Interrupted, match=f"{cluster}.* its termination goes on by itself"):
        terminate(lake)


def test_ctrl_c_cancels_the_running_spark_step(lake, cluster, jobs, monkeypatch):
    jobs(("slow",))

    def interrupt_when_running(waited_for, state, elapsed):
        if "RUNNING" in state:
            raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt_when_running)
    with pytest.raises(Interrupted, match="cancelled, nothing published"):
        run(lake)
    assert step_states(lake, cluster)["slow"] in ("CANCEL_PENDING", "CANCELLED")


def test_a_cluster_that_failed_to_start_is_reported_with_cause_and_remedy():
    status = {
        "State": "TERMINATED_WITH_ERRORS",
        "StateChangeReason": {"Code": "VALIDATION_ERROR", "Message": "The key pair is unknown."},
        "ErrorDetails": [
            {"ErrorCode": "VALIDATION_ERROR_INVALID_SSH_KEY_NAME", "ErrorMessage": "emr-key-pair"}
        ],
    }
    error = start_failure({"Id": "j-1", "Status": status, "LogUri": "s3://b/logs/emr/"})
    assert "TERMINATED_WITH_ERRORS (VALIDATION_ERROR): The key pair is unknown." in error.what
    assert "empty EMR_EC2_KEY_NAME" in error.fix
    assert error.log == "s3://b/logs/emr/j-1/"
    assert status["State"] in ENDED


def test_a_failure_shortly_after_the_bucket_s_creation_mentions_it(lake, cluster, monkeypatch):
    monkeypatch.setattr(
        spark_outcomes, "probable_cause", lambda *_: Cause("no such key", (), "s3://b/l")
    )
    step = {"Id": "s-1", "Name": "job", "Status": {"State": "FAILED"}}
    assert (
        "was created only at" not in step_failure(lake.aws, lake.console, cluster, "job", step).fix
    )
    monkeypatch.setattr(type(lake.settings), "is_local", False)  # local buckets have no delay
    assert "was created only at" in step_failure(lake.aws, lake.console, cluster, "job", step).fix


def test_insufficient_ec2_permissions_point_to_the_network_s_tags():
    reason = {
        "Code": "VALIDATION_ERROR",
        "Message": "Service role EMR_DefaultRole has insufficient EC2 permissions",
    }
    status = {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": reason}
    assert "python main.py --check --fix" in start_failure({"Id": "j-1", "Status": status}).fix
