"""Step 1 creates or restores each role, reports each change, and writes iam_roles.json."""

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
    """A project whose roles have just been created."""
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)")
    run_step_1(project, tmp_path)
    return project


def run_step_1(project: Any, folder: Path, **options: Any) -> dict[str, str]:
    """Runs the step with its file in ``folder``; returns the change of each role by key."""
    changes = step.setup_iam_roles(
        project.aws, project.console, file=folder / "iam_roles.json", **options
    ).changes
    changes = {change.name: change.done for change in changes}
    return {role.key: changes[role.name] for role in roles_of(project)}


def roles_of(project: Any) -> list[Role]:
    """The roles of a project."""
    return roles(project.settings, ACCOUNT, "aws")


def role(project: Any, key: str) -> Role:
    """One role of a project."""
    return {role.key: role for role in roles_of(project)}[key]


def test_the_first_run_creates_every_role_with_its_policies_and_tags(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project(SCHEDULE_EXPRESSION="rate(1 day)")
    assert set(run_step_1(project, tmp_path).values()) == {"created"}
    iam = project.aws.client("iam")
    for wanted_role in roles_of(project):
        role_on_aws = iam.get_role(RoleName=wanted_role.name)["Role"]
        assert role_on_aws["AssumeRolePolicyDocument"] == wanted_role.trust
        assert role_on_aws["Description"] == wanted_role.purpose
        assert {tag["Key"]: tag["Value"] for tag in role_on_aws["Tags"]} == project.aws.tags | {
            "Region": "us-east-1"
        }
        assert (
            iam.get_role_policy(RoleName=wanted_role.name, PolicyName=POLICY_NAME)["PolicyDocument"]
            == wanted_role.policy
        )
        attached = iam.list_attached_role_policies(RoleName=wanted_role.name)["AttachedPolicies"]
        assert [policy["PolicyArn"] for policy in attached] == list(wanted_role.managed)


def test_the_nodes_get_an_instance_profile_with_their_role(ready: Any) -> None:
    name = ready.settings.emr_ec2_instance_profile
    profile = ready.aws.client("iam").get_instance_profile(InstanceProfileName=name)[
        "InstanceProfile"
    ]
    assert [role_entry["RoleName"] for role_entry in profile["Roles"]] == [name]
    assert {tag["Key"]: tag["Value"] for tag in profile["Tags"]} == ready.aws.tags | {
        "Region": "us-east-1"
    }


def test_a_second_run_reads_only_and_reports_unchanged(ready: Any, tmp_path: Path) -> None:
    written = (tmp_path / "iam_roles.json").stat().st_mtime_ns
    operations: list[str] = []
    ready.aws.client("iam").meta.events.register(
        "before-call.iam", lambda model, **_: operations.append(model.name)
    )
    assert set(run_step_1(ready, tmp_path).values()) == {"unchanged"}
    assert all(name.startswith(("Get", "List")) for name in operations), operations
    assert (tmp_path / "iam_roles.json").stat().st_mtime_ns == written


def drop_policy(iam: Any, role: Role) -> None:
    """Removes the permissions."""
    iam.delete_role_policy(RoleName=role.name, PolicyName=POLICY_NAME)


def widen_policy(iam: Any, role: Role) -> None:
    """Grants more than is needed."""
    everything = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
    }
    iam.put_role_policy(
        RoleName=role.name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(everything)
    )


def change_trust(iam: Any, role: Role) -> None:
    """Lets another service assume the role."""
    iam.update_assume_role_policy(RoleName=role.name, PolicyDocument=OTHER_TRUST)


@pytest.mark.parametrize(
    ("drift", "named"),
    [(drop_policy, "permissions"), (widen_policy, "permissions"), (change_trust, "trust policy")],
)
def test_drifted_roles_are_restored_and_named(
    ready: Any, tmp_path: Path, drift: Callable[[Any, Role], None], named: str
) -> None:
    drifted = ("GLUE_SERVICE_ROLE", "STEP_FUNCTIONS_ROLE_ARN", "LAMBDA_ROLE", "SCHEDULER_ROLE")
    for key in drifted:
        drift(ready.aws.client("iam"), role(ready, key))
    changes = run_step_1(ready, tmp_path)
    assert {key for key, change in changes.items() if change == f"restored ({named})"} == set(
        drifted
    )
    assert changes["EMR_SERVICE_ROLE"] == "unchanged"
    assert set(run_step_1(ready, tmp_path).values()) == {"unchanged"}


def test_a_detached_managed_policy_is_attached_again(ready: Any, tmp_path: Path) -> None:
    service = role(ready, "EMR_SERVICE_ROLE")
    ready.aws.client("iam").detach_role_policy(RoleName=service.name, PolicyArn=service.managed[0])
    assert (
        run_step_1(ready, tmp_path)["EMR_SERVICE_ROLE"]
        == "restored (AmazonEMRServicePolicy_v2 attached)"
    )


def test_the_flag_switches_between_the_managed_policies_of_emr(ready: Any, tmp_path: Path) -> None:
    older = run_step_1(ready, tmp_path, emr_policy="v1")["EMR_SERVICE_ROLE"]
    assert (
        older
        == "restored (AmazonElasticMapReduceRole attached, AmazonEMRServicePolicy_v2 detached)"
    )
    # without the flag, as main.py runs the step
    assert run_step_1(ready, tmp_path)["EMR_SERVICE_ROLE"] == "unchanged"
    newer = run_step_1(ready, tmp_path, emr_policy="v2")["EMR_SERVICE_ROLE"]
    assert (
        newer
        == "restored (AmazonEMRServicePolicy_v2 attached, AmazonElasticMapReduceRole detached)"
    )


def test_an_instance_profile_without_its_role_is_restored(ready: Any, tmp_path: Path) -> None:
    name = ready.settings.emr_ec2_instance_profile
    ready.aws.client("iam").remove_role_from_instance_profile(
        InstanceProfileName=name, RoleName=name
    )
    assert (
        run_step_1(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
        == "restored (role in the instance profile)"
    )


def test_an_instance_profile_with_another_role_is_corrected(ready: Any, tmp_path: Path) -> None:
    iam, name = ready.aws.client("iam"), ready.settings.emr_ec2_instance_profile
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.add_role_to_instance_profile(
        InstanceProfileName=name, RoleName=ready.settings.glue_service_role
    )
    change = run_step_1(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
    other_role = ready.settings.glue_service_role
    assert (
        change
        == f"restored ({other_role} out of the instance profile, role in the instance profile)"
    )


def test_a_deleted_instance_profile_is_created_again(ready: Any, tmp_path: Path) -> None:
    iam, name = ready.aws.client("iam"), ready.settings.emr_ec2_instance_profile
    iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=name)
    iam.delete_instance_profile(InstanceProfileName=name)
    change = run_step_1(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
    assert change == "restored (instance profile, role in the instance profile)"


def test_policies_that_somebody_attached_are_kept(ready: Any, tmp_path: Path) -> None:
    iam, name = ready.aws.client("iam"), ready.settings.emr_ec2_instance_profile
    added = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    iam.attach_role_policy(RoleName=name, PolicyArn=added)
    assert run_step_1(ready, tmp_path)["EMR_EC2_INSTANCE_PROFILE"] == "unchanged"
    assert [
        policy["PolicyArn"]
        for policy in iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    ] == [added]


def test_a_foreign_role_is_left_alone_unless_adopted(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    name = project.settings.emr_service_role
    project.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=OTHER_TRUST)
    assert run_step_1(project, tmp_path)["EMR_SERVICE_ROLE"] == "left alone"
    assert (
        f"! {name} existed before and lacks the project's tags" in project.err.getvalue()
        and "--adopt" in project.err.getvalue()
    )
    assert project.aws.client("iam").get_role(RoleName=name)["Role"][
        "AssumeRolePolicyDocument"
    ] == json.loads(OTHER_TRUST)
    assert project.aws.client("iam").list_role_policies(RoleName=name)["PolicyNames"] == []
    adopted = run_step_1(project, tmp_path, adopt=True)["EMR_SERVICE_ROLE"]
    assert (
        adopted == "restored (tags, trust policy, permissions, AmazonEMRServicePolicy_v2 attached)"
    )
    assert run_step_1(project, tmp_path)["EMR_SERVICE_ROLE"] == "unchanged"


def test_a_role_with_a_path_has_to_be_set_by_its_arn(
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
        run_step_1(project, tmp_path)
    project_with_arn = new_project(
        ENVIRONMENT=project.settings.environment, EMR_EC2_INSTANCE_PROFILE=arn
    )
    assert run_step_1(project_with_arn, tmp_path)["EMR_EC2_INSTANCE_PROFILE"].startswith(
        "restored (instance profile"
    )
    passed = [
        statement["Resource"]
        for key in ("EMR_SERVICE_ROLE", "STEP_FUNCTIONS_ROLE_ARN")
        for statement in role(project_with_arn, key).policy["Statement"]
        if statement["Sid"] == "GiveTheNodesTheirRole"
    ]
    assert passed == [arn, arn]


def test_roles_of_another_region_are_an_error(
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
        run_step_1(elsewhere, tmp_path)
    after = ready.aws.client("iam").get_role_policy(
        RoleName=role(ready, "LAMBDA_ROLE").name, PolicyName=POLICY_NAME
    )
    assert after["PolicyDocument"] == before["PolicyDocument"]


def test_a_role_without_the_region_tag_gets_it(ready: Any, tmp_path: Path) -> None:
    ready.aws.client("iam").untag_role(RoleName=role(ready, "LAMBDA_ROLE").name, TagKeys=["Region"])
    assert run_step_1(ready, tmp_path)["LAMBDA_ROLE"] == "restored (tags)"


def test_a_foreign_role_of_the_nodes_gets_only_its_instance_profile(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    name = project.settings.emr_ec2_instance_profile
    project.aws.client("iam").create_role(RoleName=name, AssumeRolePolicyDocument=OTHER_TRUST)
    assert (
        run_step_1(project, tmp_path)["EMR_EC2_INSTANCE_PROFILE"]
        == "restored (instance profile, role in the instance profile)"
    )
    assert project.aws.client("iam").list_role_policies(RoleName=name)["PolicyNames"] == []


def test_a_changed_bucket_name_updates_the_policies_that_contain_it(
    ready: Any, new_project: Callable[..., Any], tmp_path: Path
) -> None:
    other_project = new_project(
        ENVIRONMENT=ready.settings.environment,
        S3_BUCKET_NAME="another-lake",
        SCHEDULE_EXPRESSION="rate(1 day)",
    )
    changes = run_step_1(other_project, tmp_path)
    touched = {key for key, change in changes.items() if change == "restored (permissions)"}
    assert touched == {"EMR_EC2_INSTANCE_PROFILE", "GLUE_SERVICE_ROLE", "STEP_FUNCTIONS_ROLE_ARN"}


def test_the_file_contains_the_arns_by_setting(ready: Any, tmp_path: Path) -> None:
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
    assert content["roles"] == {role.key: role.shown_arn for role in roles_of(ready)}
    assert (
        content["roles"]["EMR_EC2_INSTANCE_PROFILE"].split(":")[5].startswith("instance-profile/")
    )


class TestRolesFile:
    """The file iam_roles.json."""

    CONTENT = RolesFile(
        "000000000000", "us-east-1", "dev", None, {"A_ROLE": "arn:aws:iam::000000000000:role/A"}
    )
    OTHER = RolesFile(
        ACCOUNT, "us-east-1", "dev", None, {"A_ROLE": f"arn:aws:iam::{ACCOUNT}:role/A"}
    )
    LOCAL = RolesFile(ACCOUNT, "us-east-1", "dev", "http://127.0.0.1:5000", {})

    def test_the_file_of_another_account_is_renamed_and_reported(self, tmp_path: Path) -> None:
        file = tmp_path / "iam_roles.json"
        assert save(file, self.CONTENT) == []
        (note,) = save(file, self.OTHER)
        assert "kept as iam_roles.000000000000.dev.json" in note
        aside = json.loads(
            (tmp_path / "iam_roles.000000000000.dev.json").read_text(encoding="utf-8")
        )
        assert aside["roles"] == self.CONTENT.roles
        assert json.loads(file.read_text(encoding="utf-8"))["roles"] == self.OTHER.roles

    def test_the_file_of_aws_is_kept_and_that_of_a_stand_in_is_overwritten(
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
    def test_an_unreadable_file_is_replaced(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "iam_roles.json").write_text(text, encoding="utf-8")
        assert save(tmp_path / "iam_roles.json", self.CONTENT) == []
        assert (
            json.loads((tmp_path / "iam_roles.json").read_text(encoding="utf-8"))["account_id"]
            == "000000000000"
        )
        assert [path.name for path in tmp_path.iterdir()] == ["iam_roles.json"]


def deny(project: Any, operation: str, code: str = "AccessDenied") -> None:
    """Makes IAM deny ``operation`` from now on."""

    def refuse(**_: Any) -> None:
        raise ClientError(
            {"Error": {"Code": code, "Message": f"not authorized to perform: iam:{operation}"}},
            operation,
        )

    project.aws.client("iam").meta.events.register(f"before-call.iam.{operation}", refuse)


@pytest.mark.parametrize("operation", step.ACTIONS)
def test_a_denied_operation_names_the_action_the_role_and_all_needed_actions(
    new_project: Callable[..., Any], tmp_path: Path, operation: str
) -> None:
    project = new_project()
    prepare_call_of(project, operation, tmp_path)
    deny(project, operation)
    with pytest.raises(DataLakeError) as caught:
        run_step_1(project, tmp_path, adopt=True, emr_policy="v1")
    assert caught.value.where == f"setup_iam_roles ({operation})"
    assert f"iam:{operation} on arn:aws:iam::{ACCOUNT}:role/" in caught.value.fix
    assert all(f"iam:{action}" in caught.value.details[0] for action in step.ACTIONS)


def prepare_call_of(project: Any, operation: str, folder: Path) -> None:
    """Changes the roles so that the step has to call ``operation``."""
    iam, nodes = project.aws.client("iam"), project.settings.emr_ec2_instance_profile
    if operation in ("DetachRolePolicy", "RemoveRoleFromInstanceProfile"):
        run_step_1(project, folder)
    if operation == "RemoveRoleFromInstanceProfile":
        iam.remove_role_from_instance_profile(InstanceProfileName=nodes, RoleName=nodes)
        iam.add_role_to_instance_profile(
            InstanceProfileName=nodes, RoleName=project.settings.glue_service_role
        )
    if operation in ("TagRole", "UpdateAssumeRolePolicy"):
        iam.create_role(
            RoleName=project.settings.emr_service_role, AssumeRolePolicyDocument=OTHER_TRUST
        )


def test_any_other_error_of_iam_is_raised_unchanged(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    deny(project, "CreateRole", "LimitExceeded")
    with pytest.raises(ClientError, match="LimitExceeded"):
        run_step_1(project, tmp_path)


def test_a_role_of_another_account_is_an_error_before_anything_is_created(
    new_project: Callable[..., Any], tmp_path: Path
) -> None:
    project = new_project()
    role_arn = "arn:aws:iam::000000000000:role/Mine"
    assert project.aws.account_id == ACCOUNT
    # without an endpoint, as on AWS
    project.aws.settings = Settings(step_functions_role_arn=role_arn)
    with pytest.raises(
        ConfigError, match=f"STEP_FUNCTIONS_ROLE_ARN is {role_arn}.*belong to {ACCOUNT}"
    ):
        step.setup_iam_roles(project.aws, project.console, file=tmp_path / "iam_roles.json")
    assert not (tmp_path / "iam_roles.json").exists()


def test_the_command_prints_each_role_and_the_path_of_the_file(
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
    printed = capsys.readouterr().out
    assert f"{project.settings.emr_service_role}: created" in printed
    assert f"written to {tmp_path / 'iam_roles.json'}" in printed


@pytest.mark.skipif(os.name != "posix", reason="a shell script")
def test_the_shell_wrapper_works_from_any_folder_and_passes_its_arguments(tmp_path: Path) -> None:
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
    result = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "['--region', 'us-east-1', 'a b']"
