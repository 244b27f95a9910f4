"""Steps 5, 6 and 8 against the local EMR: one cluster at a time, its ways to be found, and why a
job failed."""

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
from terminate_emr_cluster import terminate_emr_cluster

# a job is told its end by its name; good ones leave the summary that the script reads at the end
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
    """``jobs(("a",), ("b", "c"))``: puts these stages of trivial jobs in the place of the real
    ones."""

    def put(*stages):
        bucket = lake.settings.s3_bucket_name
        lake.aws.client("s3").put_object(Bucket=bucket, Key="jobs/job.py", Body=JOB.encode())
        summary_key = SUMMARY_KEY.format(run_id="r1")
        lake.aws.client("s3").put_object(
            Bucket=bucket, Key=summary_key, Body=json.dumps(SUMMARY).encode()
        )

        def step(settings, job, run_id, owner):
            made = spark_step(settings, "clean_rentals", run_id)
            arguments = [
                "spark-submit",
                "--deploy-mode",
                "client",
                settings.s3("jobs", "job.py"),
                "--as",
                job,
            ]
            return {
                **made,
                "Name": job,
                "HadoopJarStep": {**made["HadoopJarStep"], "Args": arguments},
            }

        monkeypatch.setattr(spark_script, "STAGES", stages)
        monkeypatch.setattr(spark_script, "spark_step", step)

    return put


def run(lake, **arguments):
    return run_spark_jobs(lake.aws, lake.console, run_id="r1", deadline_minutes=2, **arguments)


def end(lake, **arguments):
    return terminate_emr_cluster(lake.aws, lake.console, deadline_minutes=1, **arguments)


def steps(lake, cluster_id):
    listed = lake.aws.client("emr").list_steps(ClusterId=cluster_id)["Steps"]
    return {step["Name"]: step["Status"]["State"] for step in listed}


def test_a_cluster_is_created_found_without_its_id_and_terminated(lake, cluster):
    assert find_cluster(lake.aws, None) == find_cluster(lake.aws, cluster) == cluster
    assert end(lake).cluster_id == cluster
    assert end(lake, cluster_id=cluster).state == "TERMINATED"
    assert active_clusters(lake.aws) == []


def test_a_job_that_the_system_killed_is_told_with_the_signal_the_memory_and_the_cure(
    lake, cluster, jobs
):
    jobs(("killed",))
    with pytest.raises(DataLakeError) as caught:
        run(lake)
    assert re.search(
        r"FAILED: killed by SIGKILL \(exit code 137\); .* has \d+\.\d GB of memory\.",
        caught.value.what,
    )
    assert "kills processes when memory runs out" in caught.value.fix
    assert "does not say why" not in str(caught.value)


def test_ctrl_c_while_emr_is_asked_still_ends_the_cluster_that_it_made(lake, monkeypatch):
    emr = lake.aws.client_without_retries("emr")
    ask = emr.run_job_flow

    def press_ctrl_c(**request):
        os.kill(os.getpid(), signal.SIGINT)
        return ask(**request)

    monkeypatch.setattr(emr, "run_job_flow", press_ctrl_c)
    with pytest.raises(Interrupted):
        create_emr_cluster(lake.aws, lake.console)
    assert "is being terminated" in lake.err.getvalue()
    assert active_clusters(lake.aws) == []


def test_a_caller_that_is_told_of_the_cluster_ends_it(lake, monkeypatch):
    made = []

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt)
    with pytest.raises(Interrupted):
        create_emr_cluster(lake.aws, lake.console, on_created=made.append)
    assert [cluster["Id"] for cluster in active_clusters(lake.aws)] == made


def test_a_second_cluster_is_refused(lake, cluster):
    with pytest.raises(ConfigError, match=f"{cluster} of this project is active already"):
        create_emr_cluster(lake.aws, lake.console)


def test_without_a_bucket_no_cluster_is_made(new_project):
    project = new_project()
    with pytest.raises(DataLakeError, match="bucket .* does not exist.*setup_aws_environment.py"):
        create_emr_cluster(project.aws, project.console)


def test_without_roles_the_step_says_to_run_step_1(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    with pytest.raises(DataLakeError, match="EMR does not accept the roles.*setup_iam_roles.py"):
        create_emr_cluster(project.aws, project.console)


def test_an_id_that_does_not_exist_has_ended_or_is_not_ours_is_refused(lake, cluster, new_project):
    with pytest.raises(ConfigError, match="j-NOSUCH.* does not exist"):
        find_cluster(lake.aws, "j-NOSUCHCLUSTER")
    with pytest.raises(ConfigError, match="is not a cluster of this project"):
        find_cluster(new_project().aws, cluster)
    with pytest.raises(ConfigError, match="is not a cluster of this project"):
        other = new_project()
        terminate_emr_cluster(other.aws, other.console, cluster_id=cluster)
    end(lake)
    with pytest.raises(ConfigError, match="is TERMINATED"):
        find_cluster(lake.aws, cluster)
    with pytest.raises(ConfigError, match="no active cluster named"):
        find_cluster(lake.aws, None)


def test_jobs_run_stage_by_stage_and_the_summary_is_theirs(lake, cluster, jobs):
    jobs(("first",), ("left", "right"))
    result = run(lake)
    assert list(result.steps) == ["first", "left", "right"]
    assert steps(lake, cluster) == {"first": "COMPLETED", "left": "COMPLETED", "right": "COMPLETED"}
    assert result.summary() == "run r1: 3 rentals read, 2 kept, 1 rejected"


@pytest.mark.parametrize("by_setting", [True, False])
def test_one_application_is_one_step_by_setting_or_by_flag(lake, cluster, jobs, by_setting):
    jobs(("broken",), ("broken",))
    aws = Aws(dataclasses.replace(lake.settings, emr_one_application=by_setting))
    result = run_spark_jobs(
        aws, lake.console, run_id="r1", deadline_minutes=2, one_application=not by_setting
    )
    assert list(result.steps) == ["all_jobs"]


def test_a_job_that_refuses_its_input_is_explained_by_its_own_words_and_its_sibling_ends(
    lake, cluster, jobs
):
    jobs(("refusing", "good"), ("never",))
    with pytest.raises(DataLakeError) as caught:
        run(lake)
    assert caught.value.where == "Spark job refusing"
    assert caught.value.what.endswith("FAILED: users.csv lacks the column email")
    assert caught.value.log.startswith(lake.settings.s3("logs/emr", cluster, "steps"))
    assert steps(lake, cluster) == {"refusing": "FAILED", "good": "COMPLETED"}


def test_a_job_with_a_bug_is_explained_by_its_traceback(lake, cluster, jobs):
    jobs(("broken",))
    with pytest.raises(DataLakeError, match="RuntimeError: no such thing") as caught:
        run(lake)
    assert any('raise RuntimeError("no such thing")' in line for line in caught.value.details)


def test_a_step_can_be_explained_later_when_its_cluster_is_gone(lake, cluster, jobs):
    jobs(("broken", "good"))
    with pytest.raises(DataLakeError):
        run(lake)
    ids = {
        step["Name"]: step["Id"]
        for step in lake.aws.client("emr").list_steps(ClusterId=cluster)["Steps"]
    }
    assert "COMPLETED" in explain_step(lake.aws, lake.console, None, ids["good"])
    end(lake)
    with pytest.raises(DataLakeError, match="RuntimeError: no such thing") as caught:
        explain_step(lake.aws, lake.console, cluster, ids["broken"])
    assert f"/steps/{ids['broken']}/" in caught.value.log
    with pytest.raises(ConfigError, match=f"step s-NONE: is not a step of cluster {cluster}"):
        explain_step(lake.aws, lake.console, cluster, "s-NONE")


def test_while_the_logs_are_not_there_the_command_that_looks_again_is_told(
    lake, cluster, jobs, monkeypatch
):
    def not_there(**_):
        raise ClientError(
            {"Error": {"Code": "NoSuchKey"}, "ResponseMetadata": {"HTTPStatusCode": 404}},
            "GetObject",
        )

    def do_not_wait(what, state, elapsed):
        if what == "the step's log":
            raise KeyboardInterrupt

    jobs(("broken",))
    monkeypatch.setattr(lake.aws.client("s3"), "get_object", not_there)
    monkeypatch.setattr(lake.console, "progress", do_not_wait)
    with pytest.raises(
        DataLakeError, match=f"run_spark_jobs.py --explain s-.* --cluster-id {cluster}"
    ):
        run(lake)


@pytest.mark.parametrize("refused", [("emr", "describe_cluster"), ("s3", "get_object")])
def test_a_log_that_may_not_be_read_does_not_hide_that_the_step_failed(
    lake, cluster, jobs, monkeypatch, refused
):
    jobs(("broken",))
    with pytest.raises(DataLakeError):
        run(lake)
    step = lake.aws.client("emr").list_steps(ClusterId=cluster)["Steps"][0]

    def refuse(**_):
        raise ClientError(
            {"Error": {"Code": "AccessDenied"}, "ResponseMetadata": {"HTTPStatusCode": 403}}, "Read"
        )

    service, method = refused
    monkeypatch.setattr(lake.aws.client(service), method, refuse)
    failure = step_failure(lake.aws, lake.console, cluster, "broken", step)
    assert failure.what.startswith(
        f"step {step['Id']} FAILED, and its log cannot be read: AWS answered AccessDenied"
    )
    assert "--explain" in failure.fix and "administrator" in failure.fix


def test_ctrl_c_while_it_terminates_says_that_this_goes_on(lake, cluster, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt)
    with pytest.raises(Interrupted, match=f"{cluster}.* its termination goes on by itself"):
        end(lake)


def test_ctrl_c_cancels_the_running_step(lake, cluster, jobs, monkeypatch):
    jobs(("slow",))

    def interrupt_when_running(what, state, elapsed):
        if "RUNNING" in state:
            raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt_when_running)
    with pytest.raises(Interrupted, match="cancelled, nothing published"):
        run(lake)
    assert steps(lake, cluster)["slow"] in ("CANCEL_PENDING", "CANCELLED")


def test_a_cluster_that_did_not_start_says_why_and_what_to_do():
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


def test_a_step_that_failed_right_after_the_bucket_was_made_says_so(lake, cluster, monkeypatch):
    monkeypatch.setattr(
        spark_outcomes, "probable_cause", lambda *_: Cause("no such key", (), "s3://b/l")
    )
    step = {"Id": "s-1", "Name": "job", "Status": {"State": "FAILED"}}
    assert (
        "was created only at" not in step_failure(lake.aws, lake.console, cluster, "job", step).fix
    )
    monkeypatch.setattr(
        type(lake.settings), "is_local", False
    )  # on this machine a new object is there at once
    assert "was created only at" in step_failure(lake.aws, lake.console, cluster, "job", step).fix


def test_insufficient_ec2_permissions_are_a_matter_of_the_network_s_tags():
    reason = {
        "Code": "VALIDATION_ERROR",
        "Message": "Service role EMR_DefaultRole has insufficient EC2 permissions",
    }
    status = {"State": "TERMINATED_WITH_ERRORS", "StateChangeReason": reason}
    assert "python main.py --check --fix" in start_failure({"Id": "j-1", "Status": status}).fix
