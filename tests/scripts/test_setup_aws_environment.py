"""Step 2: the bucket in every state it can be found in, and uploads that skip what is there."""

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
def test_the_bucket_is_private_encrypted_versioned_and_tls_only_in_any_region(new_project, region):
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


def test_what_is_old_goes_and_data_never_but_what_was_replaced_after_a_day_and_raw_after_thirty(
    new_project,
):
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
    # of two rules about one object the one that removes earlier counts
    assert versions == {"": 30, "clean/": 1, "rejected/": 1, "staging/": 1, "processed/": 1}


def test_the_bucket_s_policy_speaks_of_the_bucket_in_its_partition(new_project):
    project = new_project(AWS_REGION="us-gov-west-1")
    ensure_bucket(project.aws)
    (statement,) = json.loads(
        project.aws.client("s3").get_bucket_policy(Bucket=project.settings.s3_bucket_name)["Policy"]
    )["Statement"]
    arn = f"arn:aws-us-gov:s3:::{project.settings.s3_bucket_name}"
    assert statement["Resource"] == [arn, f"{arn}/*"]


@pytest.mark.parametrize(("minutes", "told"), [(5, True), (45, False)])
def test_of_a_bucket_that_was_just_made_a_failed_step_says_what_s3_may_answer(
    new_project, minutes, told
):
    project = new_project()
    ensure_bucket(project.aws)
    assert (
        bool(young_bucket_note(project.aws, datetime.now(UTC) + timedelta(minutes=minutes))) is told
    )


def test_where_buckets_may_not_be_listed_nothing_is_said_of_their_age(new_project):
    project = new_project()
    with Stubber(project.aws.client("s3")) as stub:
        stub.add_client_error("list_buckets", "AccessDenied")
        assert young_bucket_note(project.aws) == ""


def test_a_second_time_changes_nothing(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    assert ensure_bucket(project.aws).verb == "unchanged"


def test_drift_is_brought_back_and_named(new_project):
    project = new_project()
    ensure_bucket(project.aws)
    s3, bucket = project.aws.client("s3"), project.settings.s3_bucket_name
    s3.delete_bucket_policy(Bucket=bucket)
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    assert ensure_bucket(project.aws).done == "updated (versioned, TLS only)"


def test_settings_of_others_on_the_bucket_stay(new_project):
    project = new_project()
    s3, bucket = project.aws.client("s3"), project.settings.s3_bucket_name
    s3.create_bucket(Bucket=bucket)
    theirs = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteBucket",
        "Resource": f"arn:aws:s3:::{bucket}",
    }
    s3.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [theirs]})
    )
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": [{"Key": "Owner", "Value": "them"}]})
    ensure_bucket(project.aws)
    statements = json.loads(s3.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    assert theirs in statements and len(statements) == 2
    assert {"Key": "Owner", "Value": "them"} in s3.get_bucket_tagging(Bucket=bucket)["TagSet"]
    assert ensure_bucket(project.aws).verb == "unchanged"


def test_a_bucket_in_another_region_is_a_clear_error(new_project):
    there, here = (
        new_project(AWS_REGION="eu-west-1", ENVIRONMENT="region"),
        new_project(ENVIRONMENT="region"),
    )
    ensure_bucket(there.aws)
    with pytest.raises(
        DataLakeError,
        match="region-car-rental-data-lake is in eu-west-1, but AWS_REGION is us-east-1",
    ):
        ensure_bucket(here.aws)


def test_a_missing_bucket_names_the_step_to_run(new_project):
    with pytest.raises(DataLakeError, match="does not exist.*setup_aws_environment.py"):
        require_bucket(new_project().aws, "x")


def test_raw_data_and_jobs_go_to_their_folders_and_a_second_time_only_what_changed(
    new_project, raw
):
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


def test_a_file_whose_header_is_not_the_contract_s_stops_it_before_anything_is_made(
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


def test_what_differs_between_here_and_the_lake_is_named_and_brought_on_request(new_project, raw):
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
    (raw / "locations.csv").unlink()  # what lies in the lake alone stays there
    assert upload_files(project.aws, project.console).sent == 2
    assert {"raw/users/2.csv", "raw/locations.csv"} <= set(keys(project, "raw/"))
    assert "raw/locations.csv is not in" in project.err.getvalue()


def test_unchanged_files_cost_no_request_each(new_project, raw):
    project = new_project()
    setup_aws_environment(project.aws, project.console)
    sent = []
    project.aws.client("s3").meta.events.register(
        "before-send.s3", lambda event_name, **_: sent.append(event_name)
    )
    assert upload_files(project.aws, project.console).sent == 0
    assert [name for name in sent if "HeadObject" in name] == []


def test_a_raw_file_that_this_folder_does_not_hold_is_pointed_out(new_project, raw):
    project = new_project()
    setup_aws_environment(project.aws, project.console)
    project.aws.client("s3").put_object(
        Bucket=project.settings.s3_bucket_name, Key="raw/users/old.csv", Body=b"id\n"
    )
    setup_aws_environment(project.aws, project.console)
    assert "raw/users/old.csv is not in" in project.err.getvalue()


def test_a_raw_file_in_the_lake_that_no_job_can_read_is_pointed_out(new_project, raw):
    project = new_project()
    setup_aws_environment(project.aws, project.console)
    project.aws.client("s3").put_object(
        Bucket=project.settings.s3_bucket_name, Key="raw/users/b_10:00.csv", Body=b"id\n"
    )
    setup_aws_environment(project.aws, project.console)
    assert "raw/users/b_10:00.csv has a ':' in its name" in project.err.getvalue()


def test_csv_files_below_and_beside_a_tables_folder_go_up_and_every_other_is_named(
    new_project, raw
):
    read = [
        "users/a.csv",
        "users/2024/apr.csv",
        "users/year=2024/B.CSV",
        "users/users.csv",
        "users.csv",
    ]
    not_read = ["users/_x.csv", "users/may.txt", "users (1).csv", "Users/jun.csv"]
    for name in [*read[:-1], *not_read]:
        (raw / name).parent.mkdir(parents=True, exist_ok=True)
        (raw / name).write_text(USERS)
    project = new_project()
    result = setup_aws_environment(project.aws, project.console)
    others = [f"raw/{table}.csv" for table in RAW_TABLES if table != "users"]
    assert keys(project, "raw/") == sorted([*others, *(f"raw/{name}" for name in read)])
    assert sorted(result.not_read) == sorted(not_read)
    for name in not_read:
        assert f"{raw / name} is not read" in project.err.getvalue()


@pytest.mark.parametrize(
    ("name", "word"), [("users/gone.csv", "does not exist"), ("users/b_10:00.csv", "rename it")]
)
def test_a_raw_file_that_no_job_can_read_ends_the_step_and_is_named(new_project, raw, name, word):
    (raw / "users").mkdir()
    (raw / name).symlink_to(raw / ("nowhere" if "gone" in name else "users.csv"))
    project = new_project()
    with pytest.raises(DataLakeError, match=f"{name}.*{word}"):
        setup_aws_environment(project.aws, project.console)


def test_folders_that_link_to_each_other_are_listed_once(raw):
    (raw / "users").mkdir()
    (raw / "users" / "loop").symlink_to(raw / "users")
    found = find_raw_files(raw)
    assert found.files["users"] == [raw / "users.csv"]
    assert list(found.not_read) == ["users/loop"]


def test_a_raw_file_that_is_a_pipe_is_refused_before_anything_waits_for_it(raw):
    (raw / "users").mkdir()
    os.mkfifo(raw / "users" / "pipe.csv")
    with pytest.raises(DataLakeError, match="users/pipe.csv is no regular file"):
        find_raw_files(raw)


def test_a_table_without_a_file_fails_before_anything_is_made(new_project, raw):
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


def test_the_script_makes_a_sample_where_there_is_no_data(
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


def test_a_key_of_one_s_own_encrypts_the_bucket_and_a_second_time_changes_nothing(new_project):
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


def test_without_a_key_a_bucket_that_somebody_encrypts_otherwise_stays_as_it_is(new_project):
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


def test_a_missing_security_configuration_is_made_with_imdsv2_and_an_existing_one_is_left(
    new_project,
):
    project = new_project(EMR_SECURITY_CONFIGURATION=f"imdsv2-{new_project().settings.environment}")
    assert ensure_security_configuration(project.aws).verb == "created"
    emr = project.aws.client("emr")
    made = emr.describe_security_configuration(Name=project.settings.emr_security_configuration)[
        "SecurityConfiguration"
    ]
    assert (
        json.loads(made)["InstanceMetadataServiceConfiguration"][
            "MinimumInstanceMetadataServiceVersion"
        ]
        == 2
    )
    assert ensure_security_configuration(project.aws).verb == "unchanged"


def test_a_file_that_goes_up_in_parts_shows_how_far_it_is(new_project, tmp_path, monkeypatch):
    project = new_project()
    ensure_bucket(project.aws)
    path = tmp_path / "big.csv"
    mib = 1024 * 1024
    path.write_bytes(bytes(20 * mib))
    monkeypatch.setattr(
        uploads, "TRANSFER", TransferConfig(multipart_threshold=mib, multipart_chunksize=5 * mib)
    )
    assert upload_all(project.aws, [Upload(path, "raw/users/big.csv")], project.console).sent == 1
    shown = [line.split(": ")[1] for line in project.err.getvalue().splitlines()]
    assert shown[0].startswith("21.0 MB") and shown[-1].startswith("100 % of 21.0 MB")
    assert 3 <= len(shown) <= 11
