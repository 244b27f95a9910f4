"""Checks before a run that costs money: identity, names, data, rights, the cluster."""

from __future__ import annotations

import ast
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Answer, Aws, explain, if_exists
from car_rental.checks.findings import Finding, Level, ok, problem, show, warning
from car_rental.checks.preflight_cluster import (
    applications,
    instance_types,
    key_pair,
    network,
    release_support,
    spot_role,
    vcpu_quota,
)
from car_rental.checks.state_machine import definition_is_valid
from car_rental.data_contract import job_files
from car_rental.display.console import Console
from car_rental.errors import ConfigError, DataLakeError
from car_rental.iam.roles import role_misfit, role_name, roles
from car_rental.s3.lake_bucket import bucket_exists
from car_rental.s3.raw_data import find_raw_files, header_problem, is_empty

Find = Callable[[Aws], Iterable[Finding]]
OLDEST_NODE_PYTHON = (3, 7)  # the Python of emr-6.10.0
_RUN = timedelta(hours=1)  # a run should be complete in this time

# a sample of the writing operations that the steps need
_IAM_ACTIONS = ("iam:CreateRole", "iam:PutRolePolicy", "iam:AttachRolePolicy", "iam:PassRole")
_BUCKET_ACTIONS = ("s3:CreateBucket", "s3:ListBucket", "s3:PutBucketPolicy")
_OBJECT_ACTIONS = ("s3:PutObject", "s3:GetObject")
_OTHER_ACTIONS = (
    *(
        "elasticmapreduce:RunJobFlow",
        "elasticmapreduce:AddJobFlowSteps",
        "elasticmapreduce:TerminateJobFlows",
    ),
    *(
        "glue:CreateDatabase",
        "glue:CreateCrawler",
        "glue:StartCrawler",
        "states:CreateStateMachine",
        "lambda:CreateFunction",
    ),
    *("athena:CreateWorkGroup", "athena:StartQueryExecution"),
)


@dataclass(frozen=True)
class Check:
    """One check.

    ``needs_aws``: local mode leaves the check out, because only AWS can answer it. With
    ``stand_in_too`` it still runs if the settings name a stand-in, which can answer it too.
    """

    name: str
    find: Find
    needs_aws: bool = True
    stand_in_too: bool = False


def identity(aws: Aws) -> Iterator[Finding]:
    """Shows the identity and the region that the run would use."""
    caller = aws.client("sts").get_caller_identity()
    yield ok(f"account {caller['Account']}, region {aws.settings.aws_region}, as {caller['Arn']}")
    if caller["Arn"].endswith(":root"):
        yield warning(
            "these are the keys of the account's root user",
            "Nothing limits them, and AWS advises against such keys.",
            "Create an IAM user or role for this and use its keys.",
        )


def region(aws: Aws) -> Iterator[Finding]:
    """EMR is available in the region."""
    settings = aws.settings
    known = aws.regions("emr")
    if settings.aws_region.startswith("cn-"):
        yield problem(
            f"{settings.aws_region} is a region of China",
            "There EMR and EC2 assume roles under other names (amazonaws.com.cn), which the"
            " policies here do not know.",
            "Choose a region outside China.",
        )
    elif settings.aws_region in known:
        yield ok(f"region {settings.aws_region} has EMR")
    else:
        yield warning(
            f"the region {settings.aws_region} is not in this boto3's list of regions with EMR",
            "If it is misspelt, no service answers.",
            "Correct AWS_REGION, or update boto3 if the region is new.",
        )


def existing_roles(aws: Aws) -> Iterator[Finding]:
    """The roles of these names do not exist, or these settings can use them."""
    usable = True
    for role in roles(aws.settings, aws.account_id, aws.partition):
        found = if_exists(partial(aws.client("iam").get_role, RoleName=role.name), "NoSuchEntity")
        misfit = role_misfit(aws, role, found["Role"]) if found else None
        if misfit:
            usable = False
            yield problem(f"{misfit.where} {misfit.what}", "Step 1 would stop there.", misfit.fix)
    if usable:
        yield ok("no role of these names is in the way")


def credentials(aws: Aws) -> Iterator[Finding]:
    """The credentials are valid for longer than a run takes."""
    if not aws.has_session_token:
        yield ok("the credentials do not expire")
        return
    end = os.environ.get(
        "AWS_CREDENTIAL_EXPIRATION", ""
    )  # set by `aws configure export-credentials --format env`
    if not end:
        yield warning(
            "the credentials are temporary and do not say when they expire",
            "A run takes half an hour; if they expire meanwhile, it fails and cannot even terminate"
            " its cluster.",
            "Get new ones before a run. An idle cluster terminates itself in any case.",
        )
        return
    left = datetime.fromisoformat(end) - datetime.now(UTC)
    if left > _RUN:
        yield ok(f"the credentials live until {end}")
    elif left > timedelta():
        yield warning(
            f"the credentials expire at {end}",
            "A run may take longer than that.",
            "Get new ones first.",
        )
    else:
        yield problem(
            f"the credentials expired at {end}", "AWS refuses every call.", "Get new ones."
        )


def bucket(aws: Aws) -> Iterator[Finding]:
    """The bucket's name is available, or the bucket is in this account and region."""
    exists = bucket_exists(aws)
    yield ok(
        f"bucket {aws.settings.s3_bucket_name}"
        f" {'exists and is yours' if exists else 'does not exist yet, its name is free'}"
    )


def raw_data(aws: Aws) -> Iterator[Finding]:
    """Every raw table has files, and each file has the columns of the data contract."""
    settings = aws.settings
    if is_empty(settings.data_dir):
        yield ok(f"{settings.data_dir} is empty: step 2 generates the sample data there")
        return
    raw = find_raw_files(settings.data_dir)
    files = [(table, path) for table, paths in raw.files.items() for path in paths]
    broken = [(path, wrong) for table, path in files if (wrong := header_problem(table, path))]
    for path, wrong in broken:
        yield problem(
            f"{path} {wrong}",
            "The first Spark job would fail on this file.",
            "Correct it: CSV, with its columns' names in the first line, separated by commas.",
        )
    for name, reason in raw.not_read.items():
        fix = reason.partition(": ")[2] or "save it as .csv or .csv.gz"
        yield warning(
            f"{settings.data_dir / name} is not read",
            f"It {reason.partition(': ')[0]}.",
            f"{fix.capitalize()}.",
        )
    if not broken:
        yield ok(f"raw data: {len(files)} CSV files in {settings.data_dir} with all columns")


def job_sources(aws: Aws) -> Iterator[Finding]:
    """The Spark jobs are valid for the oldest Python on a cluster."""
    broken = 0
    for path in job_files():
        try:
            ast.parse(
                path.read_text(encoding="utf-8"), str(path), feature_version=OLDEST_NODE_PYTHON
            )
        except SyntaxError as error:
            broken += 1
            yield problem(
                f"{path}, line {error.lineno}: {error.msg}",
                "The job would fail on the cluster.",
                "Correct it.",
            )
    if not broken:
        yield ok(
            f"{len(job_files())} job sources parse, also on Python"
            f" {'.'.join(map(str, OLDEST_NODE_PYTHON))}"
        )


def rights(aws: Aws) -> Iterator[Finding]:
    """IAM's policy simulator allows you the operations of the steps."""
    source = _policy_source(aws)
    bucket_arn = f"arn:{aws.partition}:s3:::{aws.settings.s3_bucket_name}"
    role_arn = (
        f"arn:{aws.partition}:iam::{aws.account_id}:role/{role_name(aws.settings.emr_service_role)}"
    )
    denied = [
        *_denied(aws, source, _IAM_ACTIONS, role_arn),
        *_denied(aws, source, _BUCKET_ACTIONS, bucket_arn),
        *_denied(aws, source, _OBJECT_ACTIONS, f"{bucket_arn}/raw/x"),
        *_denied(aws, source, _OTHER_ACTIONS, "*"),
    ]
    if denied:
        yield warning(
            f"IAM's simulator denies you {', '.join(denied)}",
            "The step that needs it may be refused. (The simulator ignores conditions and some"
            " resources.)",
            "If a step fails, ask an administrator of the account to allow it.",
        )
    else:
        yield ok("IAM's simulator allows you what the steps need")


def _policy_source(aws: Aws) -> str:
    """The user or role whose policies apply to the caller.

    For the session of an assumed role, it is the role.
    """
    arn = str(aws.client("sts").get_caller_identity()["Arn"])
    if ":assumed-role/" not in arn:
        return arn
    return str(aws.client("iam").get_role(RoleName=arn.split("/")[1])["Role"]["Arn"])


def _denied(aws: Aws, source: str, actions: Sequence[str], resource: str) -> list[str]:
    pages = (
        aws.client("iam")
        .get_paginator("simulate_principal_policy")
        .paginate(PolicySourceArn=source, ActionNames=list(actions), ResourceArns=[resource])
    )
    results: Sequence[Answer] = [result for page in pages for result in page["EvaluationResults"]]
    return [result["EvalActionName"] for result in results if result["EvalDecision"] != "allowed"]


STATE_MACHINE = Check("state machine", definition_is_valid, stand_in_too=True)
# without an identity from the first check, the checks that need AWS are left out
CHECKS = (
    Check("identity", identity),
    Check("region", region),
    Check("credentials", credentials),
    Check("roles", existing_roles),
    Check("raw data", raw_data, needs_aws=False),
    Check("job sources", job_sources, needs_aws=False),
    Check("bucket", bucket),
    Check("support of the release", release_support, needs_aws=False),
    Check("release and its applications", applications),
    Check("instance types", instance_types),
    Check("vCPU quota", vcpu_quota),
    Check("Spot", spot_role),
    Check("key pair", key_pair),
    Check("network", network),
    STATE_MACHINE,
    Check("rights", rights),
)


def preflight(aws: Aws, *, local: bool, checks: Sequence[Check] = ()) -> list[Finding]:
    """Runs ``checks``, or all of them.

    With ``local``, those that need AWS are listed as not checked.
    """
    reason = "only AWS itself can answer that, and this is local mode" if local else ""
    findings: list[Finding] = []
    left_out: list[str] = []
    for check in checks or CHECKS:
        if check.needs_aws and reason and not (check.stand_in_too and aws.settings.is_local):
            left_out.append(check.name)
            continue
        found = _run(check, aws)
        findings += found
        if check.find is identity and any(finding.level is Level.PROBLEM for finding in found):
            reason = "without an identity AWS answers nothing"
    if left_out:
        findings.append(
            Finding(Level.UNCHECKED, ", ".join(left_out), f"{reason[0].upper()}{reason[1:]}.")
        )
    return findings


def _run(check: Check, aws: Aws) -> list[Finding]:
    """Runs one check.

    A check that AWS denies becomes a warning. For the identity it is a problem: nothing works
    without one.
    """
    try:
        return list(check.find(aws))
    except DataLakeError as error:
        return [problem(f"{error.where}: {error.what}", "", error.fix)]
    except (ClientError, BotoCoreError) as error:
        failure = explain(error, check.name)
        if check.find is identity:
            return [
                problem(
                    f"{failure.where}: {failure.what}",
                    "Nothing works on AWS without credentials.",
                    failure.fix,
                )
            ]
        what = f"{failure.where}: could not be checked: {failure.what}"
        return [warning(what, "The run goes on without this check.", failure.fix)]


def apply_fixes(
    aws: Aws, console: Console, *, yes: bool, ask: Callable[[str], str] = input
) -> None:
    """Fixes what the checks can fix. Asks before each change, unless ``yes``."""
    with console.waiting("checks"):
        findings = [finding for finding in preflight(aws, local=False) if finding.apply_fix]
    if not findings:
        console.note("There is nothing for --fix to do.")
    for finding in findings:
        show([finding], console)
        if finding.apply_fix and (yes or _agrees(ask)):
            finding.apply_fix()
            console.note("done")


def _agrees(ask: Callable[[str], str]) -> bool:
    try:
        return ask("Run that command now? Type yes: ").strip() == "yes"
    except EOFError:
        raise ConfigError(
            "check", "there was no answer.", "Without a terminal, use --yes."
        ) from None


def require_ready(aws: Aws, console: Console, *, local: bool, quiet: bool = False) -> None:
    """Prints the findings (``quiet``: only warnings and problems).

    Raises ``ConfigError`` if there is a problem.
    """
    with console.waiting("checks"):
        findings = preflight(aws, local=local)
    show(
        [
            finding
            for finding in findings
            if not quiet or finding.level in (Level.WARNING, Level.PROBLEM)
        ],
        console,
    )
    problems = [finding for finding in findings if finding.level is Level.PROBLEM]
    if problems:
        count = f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"
        raise ConfigError(
            "check", f"{count}, and nothing was done.", "Fix the problems above, then run it again."
        )
    console.note(f"{len(findings)} findings, no problem")
