"""Steps 3 and 7: the catalog converges, and a crawl succeeds if every table shows the run."""

import io
import json
import time

import boto3
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.validate import ParamValidator
from car_rental.config import ROOT
from car_rental.errors import DataLakeError, Interrupted
from car_rental.glue.crawlers import crawler_request, crawlers
from car_rental.s3.lake_bucket import ensure_bucket
from contract import KPI_TABLES as TABLES
from run_glue_crawlers import crawl_failure, run_glue_crawlers
from setup_glue_crawlers import setup_glue_crawlers

POLICIES = ROOT / "scripts" / "car_rental" / "iam" / "policies"
ROLE_TRUST = """{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"},
    "Action": "sts:AssumeRole"}]}"""


@pytest.fixture
def lake(new_project):
    """A project with bucket and crawler role."""
    project = new_project()
    ensure_bucket(project.aws)
    project.aws.client("iam").create_role(
        RoleName=project.settings.glue_service_role, AssumeRolePolicyDocument=ROLE_TRUST
    )
    return project


def setup(project):
    """Runs step 3; returns the change of each resource."""
    return {
        change.resource: change.done
        for change in setup_glue_crawlers(project.aws, project.console).changes
    }


def crawl(project):
    return run_glue_crawlers(project.aws, project.console, deadline_minutes=1)


def write_run(project, run_id, tables=TABLES):
    """Writes one small Parquet file to the run's folder of each table."""
    stream = io.BytesIO()
    pq.write_table(pa.table({"total_revenue": [1], "name": ["x"]}), stream)
    for table in tables:
        key = f"processed/{table}/run_id={run_id}/part-0.parquet"
        project.aws.client("s3").put_object(
            Bucket=project.settings.s3_bucket_name, Key=key, Body=stream.getvalue()
        )


def test_a_second_setup_changes_nothing(lake):
    assert set(setup(lake).values()) == {"created"}
    assert set(setup(lake).values()) == {"unchanged"}


def test_a_role_with_a_path_is_passed_to_glue_as_its_arn(new_project):
    default_settings = new_project().settings
    arn = f"arn:aws:iam::123456789012:role/service-role/{default_settings.glue_service_role}"
    project = new_project(ENVIRONMENT=default_settings.environment, GLUE_SERVICE_ROLE=arn)
    ensure_bucket(project.aws)
    project.aws.client("iam").create_role(
        RoleName=default_settings.glue_service_role,
        Path="/service-role/",
        AssumeRolePolicyDocument=ROLE_TRUST,
    )
    assert set(setup(project).values()) == {"created"}
    assert (
        project.aws.client("glue").get_crawler(Name=crawlers(project.settings)[0].name)["Crawler"][
            "Role"
        ]
        == arn
    )
    assert set(setup(project).values()) == {"unchanged"}


def test_the_crawler_has_one_target_per_table_at_table_level(lake):
    setup(lake)
    crawler = lake.aws.client("glue").get_crawler(Name=crawlers(lake.settings)[0].name)["Crawler"]
    paths = [target["Path"] for target in crawler["Targets"]["S3Targets"]]
    assert paths == [lake.settings.s3("processed", table, "") for table in TABLES]
    assert '"TableLevelConfiguration": 3' in crawler["Configuration"]


def test_the_crawler_creates_no_partition_index_because_its_role_may_not(lake):
    setup(lake)
    crawler = lake.aws.client("glue").get_crawler(Name=crawlers(lake.settings)[0].name)["Crawler"]
    assert json.loads(crawler["Configuration"])["CreatePartitionIndex"] is False
    assert "PartitionIndex" not in (POLICIES / "glue_crawler.json").read_text(encoding="utf-8")


def test_a_drifted_crawler_is_corrected(lake):
    setup(lake)
    crawler = crawlers(lake.settings)[0]
    lake.aws.client("glue").update_crawler(Name=crawler.name, Description="changed by hand")
    changes = setup(lake)
    assert changes[f"crawler {crawler.name}"] == "updated"
    assert set(setup(lake).values()) == {"unchanged"}


def test_a_drifted_workgroup_is_corrected(lake):
    setup(lake)
    lake.aws.client("athena").update_work_group(
        WorkGroup=lake.settings.athena_workgroup,
        ConfigurationUpdates={"EnforceWorkGroupConfiguration": False},
    )
    assert setup(lake)[f"workgroup {lake.settings.athena_workgroup}"] == "updated"


def test_a_missing_role_names_step_1(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    with pytest.raises(DataLakeError, match="Glue cannot assume the role.*setup_iam_roles.py"):
        setup(project)


def test_the_crawler_request_fits_glue_s_model(lake):
    model = boto3.session.Session().client(
        "glue", region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    shape = model.meta.service_model.operation_model("CreateCrawler").input_shape
    request = {**crawler_request(lake.settings, crawlers(lake.settings)[0]), "Tags": lake.aws.tags}
    assert ParamValidator().validate(request, shape).generate_report() == ""


def test_a_crawl_registers_the_run_in_every_table(lake):
    setup(lake)
    write_run(lake, "2024-01-01T00-00-00.000Z")
    result = crawl(lake)
    assert result.partitions == {table: ["2024-01-01T00-00-00.000Z"] for table in TABLES}
    write_run(lake, "2024-01-02T00-00-00.000Z")
    assert crawl(lake).newest == "2024-01-02T00-00-00.000Z"


def test_a_crawl_before_any_run_names_the_step_to_run(lake):
    setup(lake)
    with pytest.raises(DataLakeError, match="holds no run yet.*run_spark_jobs.py"):
        crawl(lake)


def test_a_crawl_without_its_crawler_names_the_step_to_run(lake):
    write_run(lake, "r1")
    with pytest.raises(DataLakeError, match="does not exist.*setup_glue_crawlers.py"):
        crawl(lake)


def test_a_run_interrupted_while_publishing_is_not_crawled(lake):
    setup(lake)
    write_run(lake, "r1")
    crawl(lake)
    write_run(lake, "r2", TABLES[:3])
    lake.aws.client("s3").put_object(
        Bucket=lake.settings.s3_bucket_name, Key="staging/run_id=r2/_publishing.json", Body=b"{}"
    )
    with pytest.raises(DataLakeError, match="run r2 was interrupted while it was being published"):
        crawl(lake)
    partitions = lake.aws.client("glue").get_partitions(
        DatabaseName=lake.settings.glue_database_name, TableName=TABLES[0]
    )
    assert [partition["Values"] for partition in partitions["Partitions"]] == [["r1"]]


def test_a_crawl_removes_pruned_runs_from_the_catalog(lake):
    setup(lake)
    write_run(lake, "r1")
    write_run(lake, "r2")
    crawl(lake)
    s3, bucket = lake.aws.client("s3"), lake.settings.s3_bucket_name
    for table in TABLES:
        s3.delete_object(Bucket=bucket, Key=f"processed/{table}/run_id=r1/part-0.parquet")
    assert crawl(lake).partitions == {table: ["r2"] for table in TABLES}


def test_a_crawler_that_still_shows_the_previous_crawl_is_polled_again(lake, monkeypatch):
    """Right after StartCrawler, Glue may answer READY with the end of the previous crawl."""
    setup(lake)
    write_run(lake, "r1")
    crawl(lake)
    write_run(lake, "r2")
    glue = lake.aws.client("glue")
    get, start, stale = glue.get_crawler, glue.start_crawler, []

    def start_with_stale_state(**arguments):
        stale.extend([get(**arguments)] * 2)
        return start(**arguments)

    monkeypatch.setattr(glue, "start_crawler", start_with_stale_state)
    monkeypatch.setattr(
        glue, "get_crawler", lambda **arguments: stale.pop() if stale else get(**arguments)
    )
    assert crawl(lake).newest == "r2"


@pytest.mark.parametrize("outcome", ["FAILED", "CANCELLED"])
def test_a_failed_crawl_is_a_failure_although_the_run_is_registered(lake, monkeypatch, outcome):
    setup(lake)
    write_run(lake, "r1")
    crawl(lake)
    glue = lake.aws.client("glue")
    get = glue.get_crawler

    def get_with_outcome(**arguments):
        crawler = get(**arguments)["Crawler"]
        return {"Crawler": {**crawler, "LastCrawl": {**crawler["LastCrawl"], "Status": outcome}}}

    monkeypatch.setattr(glue, "get_crawler", get_with_outcome)
    with pytest.raises(DataLakeError, match=f"ended {outcome}"):
        crawl(lake)


def test_an_unreadable_file_fails_the_crawl(lake):
    setup(lake)
    write_run(lake, "r1")
    key = f"processed/{TABLES[0]}/run_id=r1/part-0.parquet"
    lake.aws.client("s3").put_object(
        Bucket=lake.settings.s3_bucket_name, Key=key, Body=b"PAR1 this is no Parquet PAR1"
    )
    with pytest.raises(DataLakeError, match="crawler"):
        crawl(lake)


def test_ctrl_c_stops_the_crawl(lake, monkeypatch):
    setup(lake)
    write_run(lake, "r1")

    def interrupt(what, state, elapsed):
        if state == "RUNNING":
            raise KeyboardInterrupt

    monkeypatch.setattr(lake.console, "progress", interrupt)
    with pytest.raises(Interrupted, match="the crawl has been stopped"):
        crawl(lake)
    glue, name = lake.aws.client("glue"), crawlers(lake.settings)[0].name
    while (crawler := glue.get_crawler(Name=name)["Crawler"])["State"] != "READY":
        time.sleep(0.05)
    assert crawler["LastCrawl"]["Status"] == "CANCELLED"


def test_a_failed_crawl_shows_the_last_lines_of_its_log(new_project):
    project = new_project()
    logs, group, stream = (
        project.aws.client("logs"),
        f"/{project.settings.environment}/crawlers",
        "processed",
    )
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName=stream)
    now = int(time.time() * 1000)
    lines = [{"timestamp": now + number, "message": f"[run] line {number}"} for number in range(15)]
    logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=lines)
    last = {
        "Status": "FAILED",
        "ErrorMessage": "Internal Service Exception",
        "LogGroup": group,
        "LogStream": stream,
    }
    failure = crawl_failure(project.aws, crawlers(project.settings)[0], last)
    assert (
        "Internal Service Exception" in failure.what
        and failure.log == f"CloudWatch {group} {stream}"
    )
    assert failure.details == tuple(f"[run] line {number}" for number in range(5, 15))


def test_a_failed_crawl_without_a_log_is_reported(new_project):
    project = new_project()
    failure = crawl_failure(
        project.aws,
        crawlers(project.settings)[0],
        {"Status": "CANCELLED", "LogGroup": "/none", "LogStream": "x"},
    )
    assert failure.what == "ended CANCELLED: no reason given" and failure.details == ()
