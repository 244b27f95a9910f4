#!/usr/bin/env python3
"""Step 2: the S3 bucket, with the raw data and the Spark jobs in it.

Creates the bucket (private, encrypted, versioned, TLS only) or brings it to that state, uploads the CSV files of DATA_DIR to
raw/<table>/ and the Spark jobs to jobs/. Files that are already there unchanged are skipped. When DATA_DIR is empty, a
sample is generated there first. Run it as often as you like.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cli
from aws import Aws, if_there
from config import Settings
from console import Console
from emr.spark_steps import job_files
from generate_sample_data import generate
from storage.lake_bucket import bucket_exists, ensure_bucket, object_keys
from storage.raw_data import RAW_TABLES, find_raw_files, is_empty
from storage.uploads import Upload, UploadResult, size, upload_all

# nodes answer only requests with a session token: a job that is tricked into fetching a URL cannot hand out their credentials
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-create-security-configuration.html
_IMDSV2 = {"InstanceMetadataServiceConfiguration": {"MinimumInstanceMetadataServiceVersion": 2, "HttpPutResponseHopLimit": 1}}


@dataclass(frozen=True)
class EnvironmentResult:
    """The bucket, what was changed about it, and what was uploaded."""

    bucket: str
    changes: list[str]
    uploads: UploadResult

    def summary(self) -> str:
        """One line for the end of a run."""
        made = "created" if "created" in self.changes else ", ".join(self.changes) or "as it was"
        skipped = f", {self.uploads.skipped} unchanged" if self.uploads.skipped else ""
        return f"s3://{self.bucket} {made}; {size(self.uploads.sent_bytes)} in {self.uploads.sent} files{skipped}"


def setup_aws_environment(settings: Settings, aws: Aws, console: Console) -> EnvironmentResult:
    """Makes the bucket ready and fills it; raises ``DataLakeError`` before anything is made when the raw data is incomplete."""
    raw = _raw_files(settings, aws, console)
    changes = ensure_bucket(aws)
    if settings.emr_security_configuration and ensure_security_configuration(settings, aws):
        changes.append(f"EMR security configuration {settings.emr_security_configuration} created")
    if changes and not aws.plan_only:
        console.note(f"bucket {settings.s3_bucket_name}: {', '.join(changes)}")
    uploads = [Upload(path, f"raw/{table}/{path.name}") for table, paths in raw.items() for path in paths]
    uploads += [Upload(path, f"jobs/{path.name}") for path in job_files()]
    result = upload_all(aws, uploads, console)
    known = {upload.key for upload in uploads}
    for key in _strangers(settings, aws, known) if bucket_exists(aws) else ():
        console.warn(f"{settings.s3(key)} is not in {settings.data_dir}, but counts as raw data: delete it if it is out of date.")
    return EnvironmentResult(settings.s3_bucket_name, changes, result)


def ensure_security_configuration(settings: Settings, aws: Aws) -> bool:
    """The EMR security configuration exists; says whether it was made. One that is there is used as it is."""
    emr, name = aws.client("emr"), settings.emr_security_configuration
    if if_there(lambda: emr.describe_security_configuration(Name=name), "InvalidRequestException"):
        return False
    aws.change(lambda: emr.create_security_configuration(Name=name, SecurityConfiguration=json.dumps(_IMDSV2)))
    return True


def _raw_files(settings: Settings, aws: Aws, console: Console) -> dict[str, list[Path]]:
    if is_empty(settings.data_dir):
        if aws.plan_only:
            console.note(f"{settings.data_dir} is empty: the sample data would be generated there")
            return {}
        console.note(f"{settings.data_dir} is empty: generating the sample data there")
        generate(folder=settings.data_dir)
    return find_raw_files(settings.data_dir)


def _strangers(settings: Settings, aws: Aws, known: set[str]) -> list[str]:
    """Raw objects that did not come from this folder: the jobs read every file that lies in a table's folder."""
    keys = object_keys(aws, settings.s3_bucket_name, "raw/")
    folders = tuple(f"raw/{table}/" for table in RAW_TABLES)
    return [key for key in keys if key.startswith(folders) and not key.endswith("/") and key not in known]


def _act(_: argparse.Namespace, settings: Settings, aws: Aws, console: Console) -> None:
    console.result(setup_aws_environment(settings, aws, console).summary())


def main(argv: Sequence[str] | None = None) -> int:
    """The command line; returns the exit code."""
    return cli.run(cli.parser(__doc__), argv, _act)


if __name__ == "__main__":
    sys.exit(main())
