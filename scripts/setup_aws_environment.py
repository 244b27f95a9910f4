#!/usr/bin/env python3
"""Step 2: creates the S3 bucket, and uploads the raw data and the Spark jobs.

The bucket is private, encrypted, versioned, and requires TLS; an existing bucket is changed to that
state. The CSV files of DATA_DIR are uploaded to raw/, where they keep their relative paths, and the
Spark jobs to jobs/. Unchanged files are skipped. If DATA_DIR is empty, a sample is generated there
first. Run it as often as you like.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from car_rental import cli
from car_rental.aws import Aws, if_exists
from car_rental.changes import Change, Verb
from car_rental.display.console import Console
from car_rental.s3.lake_bucket import ensure_bucket
from car_rental.s3.lake_files import EnvironmentResult, upload_files
from car_rental.s3.raw_data import (
    RawData,
    find_raw_files,
    is_empty,
    list_raw_files,
    require_headers,
)

# the metadata service requires a session token: a job that is tricked into fetching a URL cannot
# expose the node's credentials
# https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-create-security-configuration.html
_IMDSV2 = {
    "InstanceMetadataServiceConfiguration": {
        "MinimumInstanceMetadataServiceVersion": 2,
        "HttpPutResponseHopLimit": 1,
    }
}


def setup_aws_environment(aws: Aws, console: Console) -> EnvironmentResult:
    """Creates and fills the bucket.

    Raises ``DataLakeError`` before any change if the raw data is incomplete.
    """
    raw = _require_raw_files(aws, console)
    changes = [ensure_bucket(aws)]
    if aws.settings.emr_security_configuration:
        changes.append(ensure_security_configuration(aws))
    for change in changes:
        if change.verb != Verb.UNCHANGED and not aws.plan_only:
            console.note(f"{change.resource}: {change.done}")
    result = upload_files(aws, console, raw)
    return EnvironmentResult(aws.settings.s3_bucket_name, changes, result, raw.not_read)


def ensure_security_configuration(aws: Aws) -> Change:
    """Creates the EMR security configuration if it does not exist."""
    emr, name, kind = (
        aws.client("emr"),
        aws.settings.emr_security_configuration,
        "EMR security configuration",
    )
    if if_exists(lambda: emr.describe_security_configuration(Name=name), "InvalidRequestException"):
        return Change(kind, name, Verb.UNCHANGED)
    aws.change(
        lambda: emr.create_security_configuration(
            Name=name, SecurityConfiguration=json.dumps(_IMDSV2)
        )
    )
    return Change(kind, name, Verb.CREATED)


def _require_raw_files(aws: Aws, console: Console) -> RawData:
    """Checks that every raw table has files with the contract's columns.

    Fills an empty folder with a sample first.
    """
    settings = aws.settings
    if is_empty(settings.data_dir):
        if aws.plan_only:
            console.note(f"{settings.data_dir} is empty: the sample data would be generated there")
            return list_raw_files(settings.data_dir)
        console.note(f"{settings.data_dir} is empty: generating the sample data there")
        # imported here: at the top, pandas would take most of the start-up time of main.py
        from car_rental.sample.generator import generate

        generate(folder=settings.data_dir, business=True)
    raw = find_raw_files(settings.data_dir)
    require_headers(raw)
    return raw


def _act(_: argparse.Namespace, aws: Aws, console: Console) -> None:
    console.result(setup_aws_environment(aws, console).summary())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    return cli.run(cli.parser(__doc__), argv, _act)


if __name__ == "__main__":
    sys.exit(main())
