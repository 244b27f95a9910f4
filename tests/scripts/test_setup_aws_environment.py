"""Step 2 creates or corrects the bucket and uploads only files that changed."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.stub import Stubber
from car_rental.data_contract import job_files
from car_rental.errors import DataLakeError
from car_rental.s3 import uploads
from car_rental.s3.lake_bucket import ensure_bucket, require_bucket, young_bucket_note
from car_rental.s3.lake_files import upload_files, warn_of_differences
from car_rental.s3.raw_data import RAW_COLUMNS, RAW_TABLES, find_raw_files, is_empty
from car_rental.s3.uploads import Upload, upload_all
from setup_aws_environment import ensure_security_configuration, main, setup_aws_environment

USERS = ",".join(RAW_COLUMNS["users"]) + "\n"


@pytest.fixture
def raw(tmp_path):
    """A data folder with one small file a table."""
    folder = tmp_path / "data"
    folder.mkdir()
    for table in RAW_TABLES:
        (folder / f"{table}.csv").write_text(
            ",".join(RAW_COLUMNS[table]) + "\n1\n", encoding="utf-8"
        )
    return folder


def keys(project, prefix=""):
    listed = project.aws.client("s3").list_objects_v2(
        Bucket=project.settings.s3_bucket_name, Prefix=prefix
    )
    return [item["Key"] for item in listed.get("Contents", [])]


@pytest.mark.parametrize("region", ["us-east-1", "eu-central-1"])
def test_the_bucket_is_private_encrypted_versioned_and_tls_only_in_every_region(
    new_project, region
):
    project = new_project(AWS_REGION=region)
    assert ensure_bucket(project.aws).verb == "created"
    s3, bucket = project.aws.client("s3"), project.settings.s3_bucket_name
    assert all(s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"].values())
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    assert s3.get_bucket_encryption(Bucket=bucket)
    assert (
        s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"]["Rules"][0][
            "ObjectOwnership"
        ]
        == "BucketOwnerEnforced"
    )
    policy = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])
    assert policy["Statement"][0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert {"Key": "Environment", "Value": project.settings.environment} in s3.get_bucket_tagging(
        Bucket=bucket
    )["TagSet"]


def test_lifecycle_rules_delete_logs_results_staging_and_old_versions_only(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    rules = project.aws.client("s3").get_bucket_lifecycle_configuration(
        Bucket=project.settings.s3_bucket_name
    )["Rules"]
    days = {
        rule["Filter"]["Prefix"]: rule["Expiration"]["Days"]
        for rule in rules
        if "Days" in rule.get("Expiration", {})
    }
    assert days == {"logs/": 90, "athena-results/": 30, "staging/": 7}
    versions = {
        rule["Filter"]["Prefix"]: rule["NoncurrentVersionExpiration"]["NoncurrentDays"]
        for rule in rules
        if "NoncurrentVersionExpiration" in rule
    }
    # the rule that expires an object first applies
    assert versions == {"": 30, "clean/": 1, "rejected/": 1, "staging/": 1, "processed/": 1}


def test_the_bucket_s_policy_names_the_bucket_in_its_partition(new_project):
    project = new_project(AWS_REGION="us-gov-west-1")
    ensure_bucket(project.aws)
    (statement,) = json.loads(
        project.aws.client("s3").get_bucket_policy(Bucket=project.settings.s3_bucket_name)["Policy"]
    )["Statement"]
    arn = f"arn:aws-us-gov:s3:::{project.settings.s3_bucket_name}"
    assert statement["Resource"] == [arn, f"{arn}/*"]


@pytest.mark.parametrize(("minutes", "mentioned"), [(5, True), (45, False)])
def test_the_note_about_a_new_bucket_is_given_for_half_an_hour(new_project, minutes, mentioned):
    project = new_project()
    ensure_bucket(project.aws)
    assert (
        bool(young_bucket_note(project.aws, datetime.now(UTC) + timedelta(minutes=minutes)))
        is mentioned
    )


def test_the_note_about_a_new_bucket_is_omitted_without_permission_to_list_buckets(new_project):
    project = new_project()
    with Stubber(project.aws.client("s3")) as stub:
        stub.add_client_error("list_buckets", "AccessDenied")
        assert young_bucket_note(project.aws) == ""


def test_a_second_setup_leaves_the_bucket_unchanged(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    assert ensure_bucket(project.aws).verb == "unchanged"


def test_drift_of_the_bucket_is_corrected_and_named(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    s3, bucket = project.aws.client("s3"), project.settings.s3_bucket_name
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert ensure_bucket(project.aws).done == "updated (versioned, TLS only)"


def test_foreign_policy_statements_and_tags_of_the_bucket_are_kept(new_project):
    project = new_project()
    s3, bucket = project.aws.client("s3"), project.settings.s3_bucket_name
    s3.create_bucket(Bucket=bucket)
    foreign_statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    s3.put_bucket_policy(
        Bucket=bucket,
        Policy=json.dumps({"Version": "2012-10-17", "Statement": [foreign_statement]}),
    )
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "Owner", "Value": "them"}]})
    ensure_bucket(project.aws)
    statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert foreign_statement in statements and len(statements) == 2
    assert {"Key": "Owner", "Value": "them"} in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert ensure_bucket(project.aws).verb == "unchanged"


def test_a_bucket_in_another_region_is_an_error(new_project):
    elsewhere, local = (
        new_project(AWS_REGION="eu-west-1", ENVIRONMENT="region"),
        new_project(ENVIRONMENT="region"),
    )
    ensure_bucket(elsewhere.aws)
    with pytest.raises(
        DataLakeError,
        match="region-car-rental-data-lake is in eu-west-1, but AWS_REGION is us-east-1",
    ):
        ensure_bucket(local.aws)


def test_a_missing_bucket_names_the_step_to_run(new_project):
    with pytest.raises(DataLakeError, match="does not exist.*setup_aws_environment.py"):
        require_bucket(new_project().aws, "x")


def test_raw_data_and_jobs_are_uploaded_and_again_only_if_changed(new_project, raw):
    project = new_project()
    first = setup_aws_environment(project.aws, project.console)
    assert first.uploads.sent == len(RAW_TABLES) + len(job_files())
    assert keys(project, "raw/") == sorted(f"raw/{table}.csv" for table in RAW_TABLES)
    assert "jobs/clean_rentals.py" in keys(project, "jobs/")
    (raw / "users.csv").write_text(USERS + "2\n", encoding="utf-8")
    second = setup_aws_environment(project.aws, project.console)
    assert (second.uploads.sent, second.uploads.skipped) == (1, first.uploads.sent - 1)
    body = (
        project.aws.client("s3")
        .get_object(Bucket=project.settings.s3_bucket_name, Key="raw/users.csv")["Body"]
        .read()
    )
    assert body == (USERS + "2\n").encode()


def test_a_header_that_breaks_the_contract_stops_the_step_before_it_creates_anything(
    new_project, raw
):
    (raw / "users.csv").write_text(USERS.replace(",", ";") + "1;2\n")
    (raw / "locations.csv").write_text("location_id,name\n")
    project = new_project()
    with pytest.raises(DataLakeError, match="2 files cannot be read") as caught:
        setup_aws_environment(project.aws, project.console)
    first, second = caught.value.details
    assert first.endswith(
        "locations.csv lacks the columns location_name, address, city, state, zip_code, latitude,"
        " longitude; its header has location_id, name"
    )
    assert "users.csv has columns separated by ';', not by ','" in second
    with pytest.raises(DataLakeError):
        require_bucket(project.aws, "x")


def test_local_changes_are_reported_and_uploaded_on_request(new_project, raw):
    project = new_project()
    setup_aws_environment(project.aws, project.console)
    warn_of_differences(project.aws, project.console)
    assert "differ" not in project.err.getvalue()
    (raw / "users.csv").write_text(USERS + "2\n")
    (raw / "users").mkdir()
    (raw / "users" / "2.csv").write_text(USERS + "3\n")
    warn_of_differences(project.aws, project.console)
    assert (
        "raw/users.csv, raw/users/2.csv here differ from those in the lake"
        in project.err.getvalue()
    )
    (raw / "locations.csv").unlink()  # files that exist only in the lake are kept
    assert upload_files(project.aws, project.console).sent == 2
    assert {"raw/users/2.csv", "raw/locations.csv"} <= set(keys(project, "raw/"))
    assert "raw/locations.csv is not in" in project.err.getvalue()


def test_unchanged_files_need_no_request_each(new_project, raw):
    project = new_project()
    setup_aws_environment(project.aws, project.console)
    operations = []
    project.aws.client("s3").meta.events.register(
        "before-send.s3", lambda event_name, **_: operations.append(event_name)
    )
    assert upload_files(project.aws, project.console).sent == 0
    assert [name for name in operations if "HeadObject" in name] == []


@pytest.mark.parametrize(
    ("key", "words"),
    [("raw/users/old.csv", "is not in"), ("raw/users/b_10:00.csv", "has a ':' in its name")],
)
def test_a_raw_file_that_only_the_lake_has_or_no_job_can_read_is_reported(
    new_project, raw, key, words
):
    project = new_project()
    setup_aws_environment(project.aws, project.console)
    project.aws.client("s3").put_object(
        Bucket=project.settings.s3_bucket_name, Key=key, Body=b"id\n"
    )
    setup_aws_environment(project.aws, project.console)
    assert f"{key} {words}" in project.err.getvalue()


def test_csv_files_in_and_beside_a_table_s_folder_are_uploaded_and_others_reported(
    new_project, raw
):
    csv_files = [
        "users/a.csv",
        "users/2024/apr.csv",
        "users/year=2024/B.CSV",
        "users/users.csv",
        "users.csv",
    ]
    not_read = ["users/_x.csv", "users/may.txt", "users (1).csv", "Users/jun.csv"]
    for name in [*csv_files[:-1], *not_read]:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(USERS)
    project = new_project()
    result = setup_aws_environment(project.aws, project.console)
    other_tables = [f"raw/{table}.csv" for table in RAW_TABLES if table != "users"]
    assert keys(project, "raw/") == sorted([*other_tables, *(f"raw/{name}" for name in csv_files)])
    assert sorted(result.not_read) == sorted(not_read)
    for name in not_read:
        assert f"{raw / name} is not read" in project.err.getvalue()


@pytest.mark.parametrize(
    ("name", "cause"), [("users/gone.csv", "does not exist"), ("users/b_10:00.csv", "rename it")]
)
def test_a_raw_file_that_no_job_can_read_fails_the_step(new_project, raw, name, cause):
    (raw / "users").mkdir()
    (raw / name).symlink_to(raw / ("nowhere" if "gone" in name else "users.csv"))
    project = new_project()
    with pytest.raises(DataLakeError, match=f"{name}.*{cause}"):
        setup_aws_environment(project.aws, project.console)


def test_a_cycle_of_linked_folders_is_listed_once(raw):
    (raw / "users").mkdir()
    (raw / "users" / "loop").symlink_to(raw / "users")
    raw_files = find_raw_files(raw)
    assert raw_files.files["users"] == [raw / "users.csv"]
    assert list(raw_files.not_read) == ["users/loop"]


def test_a_pipe_among_the_raw_files_is_an_error(raw):
    (raw / "users").mkdir()
    os.mkfifo(raw / "users" / "pipe.csv")
    with pytest.raises(DataLakeError, match="users/pipe.csv is no regular file"):
        find_raw_files(raw)


def test_a_table_without_files_fails_before_anything_is_created(new_project, raw):
    (raw / "users.csv").unlink()
    project = new_project()
    with pytest.raises(DataLakeError, match="no CSV file for users; there is locations.csv"):
        setup_aws_environment(project.aws, project.console)
    with pytest.raises(DataLakeError):
        require_bucket(project.aws, "x")


def test_a_folder_with_only_hidden_files_counts_as_empty(tmp_path):
    assert is_empty(tmp_path / "nowhere")
    (tmp_path / ".gitkeep").touch()
    assert is_empty(tmp_path)


def test_the_script_generates_a_sample_if_there_is_no_data(
    new_project, tmp_path, monkeypatch, capsys
):
    project = new_project(DATA_DIR=str(tmp_path / "fresh"))
    (tmp_path / "x.env").write_text(
        f"AWS_ENDPOINT_URL={project.settings.aws_endpoint_url}\nENVIRONMENT={project.settings.environment}\n"
        f"DATA_DIR={tmp_path / 'fresh'}\n"
    )
    assert main(["--env", str(tmp_path / "x.env")]) == 0
    assert "is empty: generating the sample data there" in capsys.readouterr().err
    assert {f"raw/{table}.csv" for table in RAW_TABLES} == set(keys(project, "raw/"))


def test_the_bucket_is_encrypted_with_the_key_in_the_settings(new_project):
    key = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
    project = new_project(KMS_KEY_ID=key)
    assert ensure_bucket(project.aws).verb == "created"
    encryption = project.aws.client("s3").get_bucket_encryption(
        Bucket=project.settings.s3_bucket_name
    )
    (rule,) = encryption["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": key,
    }
    assert rule["BucketKeyEnabled"] is True
    assert ensure_bucket(project.aws).verb == "unchanged"


def test_foreign_encryption_of_the_bucket_is_kept_if_no_key_is_set(new_project):
    key = "01234567-89ab-cdef-0123-456789abcdef"
    project = new_project()
    ensure_bucket(project.aws)
    by_key = {
        "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": key}
    }
    project.aws.client("s3").put_bucket_encryption(
        Bucket=project.settings.s3_bucket_name,
        ServerSideEncryptionConfiguration={"Rules": [by_key]},
    )
    assert ensure_bucket(project.aws).verb == "unchanged"


def test_a_missing_security_configuration_is_created_and_an_existing_one_kept(new_project):
    project = new_project(EMR_SECURITY_CONFIGURATION=f"imdsv2-{new_project().settings.environment}")
    assert ensure_security_configuration(project.aws).verb == "created"
    emr = project.aws.client("emr")
    configuration = emr.describe_security_configuration(
        Name=project.settings.emr_security_configuration
    )["SecurityConfiguration"]
    assert (
        json.loads(configuration)["InstanceMetadataServiceConfiguration"][
            "MinimumInstanceMetadataServiceVersion"
        ]
        == 2
    )
    assert ensure_security_configuration(project.aws).verb == "unchanged"


def test_the_upload_of_a_large_file_shows_its_progress(new_project, tmp_path, monkeypatch):
    project = new_project()
    ensure_bucket(project.aws)
    path = tmp_path / "big.csv"
    mib = 1024 * 1024
    path.write_bytes(bytes(20 * mib))
    monkeypatch.setattr(
        uploads, "TRANSFER", TransferConfig(multipart_threshold=mib, multipart_chunksize=5 * mib)
    )
    assert upload_all(project.aws, [Upload(path, "raw/users/big.csv")], project.console).sent == 1
    progress = [line.split(": ")[1] for line in project.err.getvalue().splitlines()]
    assert progress[0].startswith("21.0 MB") and progress[-1].startswith("100 % of 21.0 MB")
    assert 3 <= len(progress) <= 11
