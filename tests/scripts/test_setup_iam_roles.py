"""Step 1: each role is created, left alone or brought back, what was done is said, and
iam_roles.json says where they are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import setup_iam_roles as step
from botocore.exceptions import ClientError
from car_rental.config import ROOT, Settings
from car_rental.errors import ConfigError, DataLakeError
from car_rental.iam.roles import POLICY_NAME, Role, roles
from car_rental.iam.roles_file import RolesFile, save

ACCOUNT = "123456789012"
OTHER_TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ec2.amazonaws.com"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
)


@pytest.fixture
def ready(new_project: Callable[..., Any], tmp_path: Path) -> Any:
    """A project whose roles have just been made, in an environment of its own."""
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)")
    run(project, tmp_path)
    return project


def run(project: Any, folder: Path, **options: Any) -> dict[str, str]:
    """The step, with its file in ``folder``; what was done to each role, by the role's key."""
    changes = step.setup_iam_roles(
        project.aws, project.console, file=folder / "iam_roles.json", **options
    ).changes
    done = {change.name: change.done for change in changes}
    return {role.key: done[role.name] for role in wanted(project)}


def wanted(project: Any) -> list[Role]:
    """The roles of a project."""
    return roles(project.settings, ACCOUNT, "aws")


def role(project: Any, key: str) -> Role:
    """One role of a project."""
    return {role.key: role for role in wanted(project)}[key]


def test_the_first_run_creates_every_role_as_described(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)")
    assert set(run(project, tmp_path).values()) == {"created"}
    iam = project.aws.client("iam")
    for made in wanted(project):
        found = iam.get_role(RoleName=made.name)["Role"]
        assert found["AssumeRolePolicyDocument"] == made.trust
        assert found["Description"] == made.purpose
        assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == project.aws.tags | {
            "Region": "us-east-1"
        }
        assert (
            iam.get_role_policy(RoleName=made.name, PolicyName=POLICY_NAME)["PolicyDocument"]
            == made.policy
        )
        attached = iam.list_attached_role_policies(RoleName=made.name)["AttachedPolicies"]
        assert [policy["PolicyArn"] for policy in attached] == list(made.managed)


def test_the_instances_get_a_profile_with_their_role_and_its_name(ready: Any) -> None:
    name = ready.settings.emr_ec2_instance_profile
    profile = ready.aws.client("iam").get_instance_profile(InstanceProfileName=name)[
        "InstanceProfile"
    ]
    assert [held["RoleName"] for held in profile["Roles"]] == [name]
    assert {tag["Key"]: tag["Value"] for tag in profile["Tags"]} == ready.aws.tags | {
        "Region": "us-east-1"
    }


def test_a_second_run_changes_nothing_and_says_so(ready: Any, tmp_path: Path) -> None:
    written = (tmp_path / "iam_roles.json").stat().st_mtime_ns
    sent: list[str] = []
    ready.aws.client("iam").meta.events.register(
        "before-call.iam", lambda model, **_: sent.append(model.name)
    )
    assert set(run(ready, tmp_path).values()) == {"unchanged"}
    assert all(name.startswith(("Get", "List")) for name in sent), sent
    assert (tmp_path / "iam_roles.json").stat().st_mtime_ns == written


def drop_policy(iam: Any, role: Role) -> None:
    """Takes the permissions away."""
    iam.delete_role_policy(RoleName=role.name, PolicyName=POLICY_NAME)


def widen_policy(iam: Any, role: Role) -> None:
    """Gives more than is needed."""
    everything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    iam.put_role_policy(
        RoleName=role.name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(everything)
    )


def change_trust(iam: Any, role: Role) -> None:
    """Lets another service take the role on."""
    iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=OTHER_TRUST)


@pytest.mark.parametrize(
    ("drift", "named"),
    [(drop_policy, "permissions"), (widen_policy, "permissions"), (change_trust, "trust policy")],
)
def test_drift_is_brought_back_and_named(
    ready: Any, tmp_path: Path, drift: Callable[[Any, Role], None], named: str
) -> None:
    drifted = ("GLUE_SERVICE_ROLE", "STEP_FUNCTIONS_ROLE_ARN", "LAMBDA_ROLE", "SCHEDULER_ROLE")
    for key in drifted:
        drift(ready.aws.client("iam"), role(ready, key))
    done = run(ready, tmp_path)
    assert {key for key, change in done.items() if change == f"restored ({named})"} == set(drifted)
    assert done["EMR_SERVICE_ROLE"] == "unchanged"
    assert set(run(ready, tmp_path).values()) == {"unchanged"}


def test_a_detached_managed_policy_is_attached_again(ready: Any, tmp_path: Path) -> None:
    service = role(ready, "EMR_SERVICE_ROLE")
    ready.aws.client("iam").detach_role_policy(RoleName=service.name, PolicyArn=service.managed[0])
    assert (
        run(ready, tmp_path)["EMR_SERVICE_ROLE"] == "restored (AmazonEMRServicePolicy_v2 attached)"
    )


def test_the_older_emr_policy_takes_the_newer_ones_place_and_back(
    ready: Any, tmp_path: Path
) -> None:
    older = run(ready, tmp_path, emr_policy="v1")["EMR_SERVICE_ROLE"]
    assert (
        older
        == "restored (AmazonElasticMapReduceRole attached, AmazonEMRServicePolicy_v2 detached)"
    )
    assert run(ready, tmp_path)["EMR_SERVICE_ROLE"] == "unchanged"  # as main.py runs the step
    newer = run(ready, tmp_path, emr_policy="v2")["EMR_SERVICE_ROLE"]
    assert (
        newer
        == "restored (AmazonEMRServicePolicy_v2 attached, AmazonElasticMapReduceRole detached)"
    )


def test_a_profile_without_its_role_is_filled_again(ready: Any, tmp_path: Path) -> None:
    name = ready.settings.emr_ec2_instance_profile
    ready.aws.client("iam").remove_role_from_instance_profile(
        InstanceProfileName=name, RoleName=name
    )
    assert (
        run(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
        == "restored (role in the instance profile)"
    )


def test_a_profile_that_holds_another_role_is_put_right(ready: Any, tmp_path: Path) -> None:
    iam, name = ready.aws.client("iam"), ready.settings.emr_ec2_instance_profile
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.add_role_to_instance_profile(
        InstanceProfileName=name, RoleName=ready.settings.glue_service_role
    )
    done = run(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
    other = ready.settings.glue_service_role
    assert done == f"restored ({other} out of the instance profile, role in the instance profile)"


def test_a_deleted_profile_is_made_again(ready: Any, tmp_path: Path) -> None:
    iam, name = ready.aws.client("iam"), ready.settings.emr_ec2_instance_profile
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    done = run(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
    assert done == "restored (instance profile, role in the instance profile)"


def test_policies_that_somebody_added_stay(ready: Any, tmp_path: Path) -> None:
    iam, name = ready.aws.client("iam"), ready.settings.emr_ec2_instance_profile
    added = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    iam.attach_role_policy(RoleName=name, PolicyArn=added)
    assert run(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"] == "unchanged"
    assert [
        policy["PolicyArn"]
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    ] == [added]


def test_a_role_that_something_else_made_is_left_alone_unless_adopted(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    name = project.settings.emr_service_role
    project.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=OTHER_TRUST)
    assert run(project, tmp_path)["EMR_SERVICE_ROLE"] == "left alone"
    assert (
        f"! {name} existed before and lacks the project's tags" in project.err.getvalue()
        and "--adopt" in project.err.getvalue()
    )
    assert project.aws.client("iam").get_role(RoleName=name)["Role"][
        "AssumeRolePolicyDocument"
    ] == json.loads(OTHER_TRUST)
    assert project.aws.client("iam").list_role_policies(RoleName=name)["PolicyNames"] == []
    adopted = run(project, tmp_path, adopt=True)["EMR_SERVICE_ROLE"]
    assert (
        adopted == "restored (tags, trust policy, permissions, AmazonEMRServicePolicy_v2 attached)"
    )
    assert run(project, tmp_path)["EMR_SERVICE_ROLE"] == "unchanged"


def test_a_role_with_a_path_is_used_when_the_setting_is_its_arn_and_refused_when_it_is_its_name(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    arn = f"arn:aws:iam::{ACCOUNT}:role/service-role/{project.settings.emr_ec2_instance_profile}"
    project.aws.client("iam").create_role(
        RoleName=project.settings.emr_ec2_instance_profile,
        Path="/service-role/",
        AssumeRolePolicyDocument=OTHER_TRUST,
    )
    with pytest.raises(
        ConfigError,
        match=f"has a path.*{arn} alone.*Set EMR_EC2_INSTANCE_PROFILE in .env to that ARN",
    ):
        run(project, tmp_path)
    given = new_project(ENVIRONMENT=project.settings.environment, EMR_EC2_INSTANCE_PROFILE=arn)
    assert run(given, tmp_path)["EMR_EC2_INSTANCE_PROFILE"].startswith("restored (instance profile")
    passed = [
        statement["Resource"]
        for key in ("EMR_SERVICE_ROLE", "STEP_FUNCTIONS_ROLE_ARN")
        for statement in role(given, key).policy["Statement"]
        if statement["Sid"] == "GiveTheNodesTheirRole"
    ]
    assert passed == [arn, arn]


def test_a_second_region_needs_another_environment(
    ready: Any, new_project: Callable[..., Any], tmp_path: Path
) -> None:
    elsewhere = new_project(
        ENVIRONMENT=ready.settings.environment,
        AWS_REGION="eu-west-1",
        SCHEDULE_EXPRESSION="rate(1 day)",
    )
    before = ready.aws.client("iam").get_role_policy(
        RoleName=role(ready, "LAMBDA_ROLE").name, PolicyName=POLICY_NAME
    )
    with pytest.raises(ConfigError, match="in us-east-1.*Choose another ENVIRONMENT for eu-west-1"):
        run(elsewhere, tmp_path)
    after = ready.aws.client("iam").get_role_policy(
        RoleName=role(ready, "LAMBDA_ROLE").name, PolicyName=POLICY_NAME
    )
    assert after["PolicyDocument"] == before["PolicyDocument"]


def test_a_role_of_before_roles_had_regions_gets_its_tag(ready: Any, tmp_path: Path) -> None:
    ready.aws.client("iam").untag_role(RoleName=role(ready, "LAMBDA_ROLE").name, TagKeys=["Region"])
    assert run(ready, tmp_path)["LAMBDA_ROLE"] == "restored (tags)"


def test_foreign_nodes_get_the_profile_that_they_lack_and_nothing_else(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    name = project.settings.emr_ec2_instance_profile
    project.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=OTHER_TRUST)
    assert (
        run(project, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
        == "restored (instance profile, role in the instance profile)"
    )
    assert project.aws.client("iam").list_role_policies(RoleName=name)["PolicyNames"] == []


def test_a_changed_setting_changes_the_policies_that_name_it(
    ready: Any, new_project: Callable[..., Any], tmp_path: Path
) -> None:
    other = new_project(
        ENVIRONMENT=ready.settings.environment,
        S3_BUCKET_NAME="another-lake",
        SCHEDULE_EXPRESSION="rate(1 day)",
    )
    done = run(other, tmp_path)
    touched = {key for key, change in done.items() if change == "restored (permissions)"}
    assert touched == {"EMR_EC2_INSTANCE_PROFILE", "GLUE_SERVICE_ROLE", "STEP_FUNCTIONS_ROLE_ARN"}


def test_the_file_has_the_arns_by_setting(ready: Any, tmp_path: Path) -> None:
    content = json.loads((tmp_path / "iam_roles.json").read_text(encoding="utf-8"))
    assert set(content) == {
        "account_id",
        "region",
        "environment",
        "endpoint_url",
        "roles",
        "written_at",
    }
    assert content["account_id"] == ACCOUNT and content["environment"] == ready.settings.environment
    assert content["endpoint_url"] == ready.settings.aws_endpoint_url
    assert content["roles"] == {role.key: role.shown_arn for role in wanted(ready)}
    assert (
        content["roles"]["EMR_EC2_INSTANCE_PROFILE"].split(":")[5].startswith("instance-profile/")
    )


class TestRolesFile:
    """iam_roles.json on its own."""

    CONTENT = RolesFile(
        "000000000000", "us-east-1", "dev", None, {"A_ROLE": "arn:aws:iam::000000000000:role/A"}
    )
    OTHER = RolesFile(
        ACCOUNT, "us-east-1", "dev", None, {"A_ROLE": f"arn:aws:iam::{ACCOUNT}:role/A"}
    )
    LOCAL = RolesFile(ACCOUNT, "us-east-1", "dev", "http://127.0.0.1:5000", {})

    def test_the_file_of_another_account_is_kept_aside_and_said(self, tmp_path: Path) -> None:
        file = tmp_path / "iam_roles.json"
        assert save(file, self.CONTENT) == []
        (note,) = save(file, self.OTHER)
        assert "kept as iam_roles.000000000000.dev.json" in note
        aside = json.loads(
            (tmp_path / "iam_roles.000000000000.dev.json").read_text(encoding="utf-8")
        )
        assert aside["roles"] == self.CONTENT.roles
        assert json.loads(file.read_text(encoding="utf-8"))["roles"] == self.OTHER.roles

    def test_the_file_of_aws_outlives_a_stand_in_but_not_the_other_way_round(
        self, tmp_path: Path
    ) -> None:
        file = tmp_path / "iam_roles.json"
        save(file, self.CONTENT)
        assert len(save(file, self.LOCAL)) == 1
        assert save(file, self.CONTENT) == []
        assert sorted(path.name for path in tmp_path.iterdir()) == [
            "iam_roles.000000000000.dev.json",
            "iam_roles.json",
        ]

    @pytest.mark.parametrize("text", ["", "{", "[]", "null"])
    def test_a_file_that_cannot_be_read_is_replaced(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "iam_roles.json").write_text(text, encoding="utf-8")
        assert save(tmp_path / "iam_roles.json", self.CONTENT) == []
        assert (
            json.loads((tmp_path / "iam_roles.json").read_text(encoding="utf-8"))["account_id"]
            == "000000000000"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["iam_roles.json"]


def denying(project: Any, operation: str, code: str = "AccessDenied") -> None:
    """From here on IAM refuses ``operation``."""

    def refuse(**_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": code, "Message": f"not authorized to perform: iam:{operation}"}},
            operation,
        )

    project.aws.client("iam").meta.events.register(f"before-call.iam.{operation}", refuse)


@pytest.mark.parametrize("operation", step.ACTIONS)
def test_a_refusal_names_the_action_the_role_and_all_that_is_needed(
    new_project: Callable[..., Any], tmp_path: Path, operation: str
) -> None:
    project = new_project()
    prepare_for(project, operation, tmp_path)
    denying(project, operation)
    with pytest.raises(DataLakeError) as caught:
        run(project, tmp_path, adopt=True, emr_policy="v1")
    assert caught.value.where == f"setup_iam_roles ({operation})"
    assert f"iam:{operation} on arn:aws:iam::{ACCOUNT}:role/" in caught.value.fix
    assert all(f"iam:{action}" in caught.value.details[0] for action in step.ACTIONS)


def prepare_for(project: Any, operation: str, folder: Path) -> None:
    """Brings the roles into a state in which the step has to call ``operation``."""
    iam, nodes = project.aws.client("iam"), project.settings.emr_ec2_instance_profile
    if operation in ("DetachRolePolicy", "RemoveRoleFromInstanceProfile"):
        run(project, folder)
    if operation == "RemoveRoleFromInstanceProfile":
        iam.remove_role_from_instance_profile(InstanceProfileName=nodes, RoleName=nodes)
        iam.add_role_to_instance_profile(
            InstanceProfileName=nodes, RoleName=project.settings.glue_service_role
        )
    if operation in ("TagRole", "UpdateAssumeRolePolicy"):
        iam.create_role(
            RoleName=project.settings.emr_service_role, AssumeRolePolicyDocument=OTHER_TRUST
        )


def test_other_refusals_stay_what_they_are(new_project: Callable[..., Any], tmp_path: Path) -> None:
    project = new_project()
    denying(project, "CreateRole", "LimitExceeded")
    with pytest.raises(ClientError, match="LimitExceeded"):
        run(project, tmp_path)


def test_a_role_of_another_account_is_refused_before_anything_is_made(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    given = "arn:aws:iam::000000000000:role/Mine"
    assert project.aws.account_id == ACCOUNT
    project.aws.settings = Settings(step_functions_role_arn=given)  # as on AWS: without an endpoint
    with pytest.raises(
        ConfigError, match=f"STEP_FUNCTIONS_ROLE_ARN is {given}.*belong to {ACCOUNT}"
    ):
        step.setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    assert not (tmp_path / "iam_roles.json").exists()


def test_by_hand_it_tells_each_role_and_where_the_file_is(
    new_project: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    project = new_project()
    monkeypatch.setattr(step, "ROLES_FILE", tmp_path / "iam_roles.json")
    monkeypatch.setenv("AWS_ENDPOINT_URL", project.settings.aws_endpoint_url)
    monkeypatch.setenv("ENVIRONMENT", project.settings.environment)
    assert step.main(["--region", "us-east-1"]) == 0
    shown = capsys.readouterr().out
    assert f"{project.settings.emr_service_role}: created" in shown
    assert f"written to {tmp_path / 'iam_roles.json'}" in shown


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_the_shell_wrapper_finds_the_project_from_anywhere_and_passes_arguments_on(
    tmp_path: Path,
) -> None:
    (tmp_path / "scripts").mkdir()
    shutil.copy(ROOT / "scripts" / "setup_iam_roles.sh", tmp_path / "scripts")
    (tmp_path / "scripts" / "setup_iam_roles.py").write_text(
        "import sys; print(sys.argv[1:])", encoding="utf-8"
    )
    command = [str(tmp_path / "scripts" / "setup_iam_roles.sh"), "--region", "us-east-1", "a b"]
    missing = subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)
    assert missing.returncode == 2 and "there is no Python in" in missing.stderr
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "python").symlink_to(sys.executable)
    found = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['--region', 'us-east-1', 'a b']"
