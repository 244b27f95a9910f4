#!/usr/bin/env python3
"""Step 1: creates the IAM roles, each with the least privileges that it needs.

They are the roles of EMR, its instances, Glue, Lambda and Step Functions. Corrects drift, leaves
the rest alone, and writes iam_roles.json. A role of the same name that something else created is
used as it is; --adopt lets this script manage it. Needs the right to manage IAM roles (an
administrator has it). Run it as often as you like.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from car_rental import cli
from botocore.exceptions import ClientError
from car_rental.aws import Aws, error_code, if_exists
from car_rental.changes import Change, Verb, summary
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.errors import ConfigError, DataLakeError
from car_rental.files import short_path
from car_rental.iam.person import PERSON_PHASES, person_policy
from car_rental.iam.roles import (
    EMR_SERVICE_POLICIES,
    POLICY_NAME,
    Role,
    role_misfit,
    role_tags,
    roles,
)
from car_rental.iam.roles_file import ROLES_FILE, RolesFile, save

if TYPE_CHECKING:
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_iam.type_defs import TagTypeDef

T = TypeVar("T")

_WHERE = "setup_iam_roles"
_ABSENT = "NoSuchEntity"
_DENIED = ("AccessDenied", "AccessDeniedException")
ACTIONS = (
    *(
        "GetRole",
        "CreateRole",
        "TagRole",
        "UpdateAssumeRolePolicy",
        "GetRolePolicy",
        "PutRolePolicy",
    ),
    *("ListAttachedRolePolicies", "AttachRolePolicy", "DetachRolePolicy"),
    *(
        "GetInstanceProfile",
        "CreateInstanceProfile",
        "AddRoleToInstanceProfile",
        "RemoveRoleFromInstanceProfile",
    ),
)


@dataclass(frozen=True)
class RolesResult:
    """The changes of the roles, and the file."""

    changes: list[Change]
    file: Path

    def summary(self) -> str:
        """One line for the summary."""
        return summary(self.changes)


@dataclass(frozen=True)
class Drift:
    """One deviation from the wanted state, and the call that corrects it."""

    what: str
    correct: Callable[[], object]


def setup_iam_roles(
    aws: Aws,
    console: Console,
    *,
    emr_policy: str = "",
    adopt: bool = False,
    file: Path = ROLES_FILE,
) -> RolesResult:
    """Ensures every role and writes ``file``.

    If AWS denies a call, raises a ``DataLakeError`` that says what an administrator must allow.

    ``emr_policy`` is the version of AWS's policy for the EMR service; None: the role's current
    version, v2 for a new role.
    """
    settings = aws.settings
    iam = aws.client("iam")
    _check_account_of_given_role(settings, aws.account_id)
    service_role = roles(settings, aws.account_id, iam.meta.partition)[0]
    emr_policy = emr_policy or _allowed(service_role, partial(_emr_policy_now, iam, service_role))
    wanted = roles(settings, aws.account_id, iam.meta.partition, emr_policy)
    changes = []
    for role in wanted:
        changes.append(_allowed(role, partial(ensure_role, aws, role, adopt)))
        if changes[-1].verb == Verb.LEFT_ALONE:
            why = "existed before and lacks the project's tags"
            console.warn(f"{role.name} {why}: used as it is. --adopt lets this script manage it.")
    arns = {role.key: role.shown_arn for role in wanted}
    endpoint = settings.aws_endpoint_url or None
    content = RolesFile(aws.account_id, settings.aws_region, settings.environment, endpoint, arns)
    for note in save(file, content) if not aws.plan_only else ():
        console.note(note)
    return RolesResult(changes, file)


def _emr_policy_now(iam: IAMClient, service_role: Role) -> str:
    """v1 if an earlier run attached it, else v2."""
    attached = if_exists(lambda: _attached(iam, service_role), _ABSENT) or set()
    return "v1" if attached.intersection(service_role.unwanted) else "v2"


def _attached(iam: IAMClient, role: Role) -> set[str]:
    """The ARNs of the role's managed policies."""
    pages = iam.get_paginator("list_attached_role_policies").paginate(RoleName=role.name)
    return {policy["PolicyArn"] for page in pages for policy in page["AttachedPolicies"]}


def ensure_role(aws: Aws, role: Role, adopt: bool) -> Change:
    """Ensures that the role is as described.

    A role without the project's tags is changed only with ``adopt``.

    Raises ``ConfigError`` for a role that these settings cannot use: one with another path, or of
    another region.
    """
    iam, tags = aws.client("iam"), role_tags(aws)
    current = if_exists(lambda: iam.get_role(RoleName=role.name)["Role"], _ABSENT)
    if current is not None and (misfit := role_misfit(aws, role, current)):
        raise misfit
    if current is None:
        if aws.plan_only:
            return Change("role", role.name, Verb.CREATED)
        _create(iam, role, tags)
    ours = current is None or _carries(current.get("Tags", []), aws.tag_list)
    drift = list(role_drift(iam, role, tags)) if ours or adopt else []
    if role.has_instance_profile:
        drift += profile_drift(iam, role, tags)
    for one in drift:
        aws.change(one.correct)
    if current is None:
        return Change("role", role.name, Verb.CREATED)
    if drift:
        return Change("role", role.name, Verb.RESTORED, tuple(one.what for one in drift))
    return Change("role", role.name, Verb.UNCHANGED if ours or adopt else Verb.LEFT_ALONE)


def _create(iam: IAMClient, role: Role, tags: Sequence[TagTypeDef]) -> None:
    iam.create_role(
        RoleName=role.name,
        Path=role.path,
        AssumeRolePolicyDocument=json.dumps(role.trust),
        Description=role.purpose,
        Tags=list(tags),
    )
    iam.get_waiter("role_exists").wait(RoleName=role.name)


def role_drift(iam: IAMClient, role: Role, tags: Sequence[TagTypeDef]) -> Iterable[Drift]:
    """The deviations of an existing role: tags, trust policy, inline policy, managed policies."""
    current = iam.get_role(RoleName=role.name)["Role"]
    if not _carries(current.get("Tags", []), tags):
        yield Drift("tags", partial(iam.tag_role, RoleName=role.name, Tags=list(tags)))
    if current["AssumeRolePolicyDocument"] != role.trust:
        trust = json.dumps(role.trust)
        yield Drift(
            "trust policy",
            partial(iam.update_assume_role_policy, RoleName=role.name, PolicyDocument=trust),
        )
    name = {"RoleName": role.name, "PolicyName": POLICY_NAME}
    if if_exists(lambda: iam.get_role_policy(**name)["PolicyDocument"], _ABSENT) != role.policy:
        yield Drift(
            "permissions",
            partial(iam.put_role_policy, **name, PolicyDocument=json.dumps(role.policy)),
        )
    yield from _managed_drift(iam, role)


def _managed_drift(iam: IAMClient, role: Role) -> Iterable[Drift]:
    attached = _attached(iam, role)
    for arn in role.managed:
        if arn not in attached:
            yield Drift(
                f"{_last(arn)} attached",
                partial(iam.attach_role_policy, RoleName=role.name, PolicyArn=arn),
            )
    for arn in role.unwanted:
        if arn in attached:
            yield Drift(
                f"{_last(arn)} detached",
                partial(iam.detach_role_policy, RoleName=role.name, PolicyArn=arn),
            )


def profile_drift(iam: IAMClient, role: Role, tags: Sequence[TagTypeDef]) -> Iterable[Drift]:
    """The changes after which the role's instance profile contains this role and no other."""
    name = {"InstanceProfileName": role.name}
    profile = if_exists(lambda: iam.get_instance_profile(**name)["InstanceProfile"], _ABSENT)
    held = [item["RoleName"] for item in profile["Roles"]] if profile else []
    if profile is None:
        yield Drift("instance profile", partial(_create_profile, iam, role, tags))
    for other in held:
        if other != role.name:
            out = partial(iam.remove_role_from_instance_profile, **name, RoleName=other)
            yield Drift(f"{other} out of the instance profile", out)
    if role.name not in held:
        yield Drift(
            "role in the instance profile",
            partial(iam.add_role_to_instance_profile, **name, RoleName=role.name),
        )


def _create_profile(iam: IAMClient, role: Role, tags: Sequence[TagTypeDef]) -> None:
    iam.create_instance_profile(InstanceProfileName=role.name, Path=role.path, Tags=list(tags))
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=role.name)


def _carries(tags: Sequence[TagTypeDef], wanted: Sequence[TagTypeDef]) -> bool:
    return all(tag in tags for tag in wanted)


def _last(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


def _allowed(role: Role, work: Callable[[], T]) -> T:
    """Calls ``work()``. A refusal becomes an error that an administrator can act on."""
    try:
        return work()
    except ClientError as error:
        if error_code(error) not in _DENIED:
            raise
        raise DataLakeError(
            f"{_WHERE} ({error.operation_name})",
            f"you may not set up the role {role.name}:"
            f" {error.response['Error'].get('Message', '')}",
            f"An administrator must allow you iam:{error.operation_name} on {role.arn}, or run this"
            " step for you.",
            details=(
                (
                    f"in all this step needs: {', '.join(f'iam:{action}' for action in ACTIONS)},"
                    " sts:GetCallerIdentity"
                ),
            ),
        ) from error


def _check_account_of_given_role(settings: Settings, account: str) -> None:
    if (
        settings.step_functions_role_is_given
        and f"::{account}:" not in settings.step_functions_role_arn
    ):
        raise ConfigError(
            _WHERE,
            f"STEP_FUNCTIONS_ROLE_ARN is {settings.step_functions_role_arn}, but your credentials"
            f" belong to {account}.",
            "Correct it in .env, or leave it out: then the role that this step creates is used.",
        )


def _parser() -> argparse.ArgumentParser:
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--emr-policy",
        choices=sorted(EMR_SERVICE_POLICIES, reverse=True),
        default="",
        help=(
            "AWS's policy for the EMR service: v1 where v2 does not work (default: as it is, v2 for"
            " a new role)"
        ),
    )
    parser.add_argument(
        "--adopt", action="store_true", help="also manage roles that something else created"
    )
    parser.add_argument(
        "--show-policy",
        choices=tuple(PERSON_PHASES),
        metavar="PHASE",
        help=f"create nothing: print the policy that a person needs for {', '.join(PERSON_PHASES)}",
    )
    return parser


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    if arguments.show_policy:
        console.result(json.dumps(person_policy(aws, arguments.show_policy), indent=2))
        return
    result = setup_iam_roles(
        aws, console, emr_policy=arguments.emr_policy, adopt=arguments.adopt, file=ROLES_FILE
    )
    for change in result.changes:
        console.result(f"{change.name}: {change.done}")
    console.result(f"written to {short_path(result.file)}")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    return cli.run(_parser(), argv, _act)


if __name__ == "__main__":
    sys.exit(main())
