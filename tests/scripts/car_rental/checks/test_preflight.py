"""The checks before a run that costs money: each finds its fault and passes without it."""

from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import Stubber
from car_rental.checks import preflight, preflight_cluster, state_machine
from car_rental.checks.findings import Finding, Level, ok, problem, warning
from car_rental.checks.preflight import Check, require_ready
from car_rental.checks.preflight import preflight as run_checks
from car_rental.config import ROOT
from car_rental.errors import ConfigError, DataLakeError, ExitStatus
from car_rental.s3.lake_bucket import ensure_bucket
from car_rental.s3.raw_data import RAW_COLUMNS, header_problem
from car_rental.sample.generator import generate
from car_rental.state_machine import definition as state_machine_definition

PROBLEM, WARNING, OK = Level.PROBLEM, Level.WARNING, Level.OK


def levels(findings):
    return [finding.level for finding in findings]


def only(findings):
    (finding,) = findings
    return finding


@contextmanager
def stubbed(project, service, **operations):
    """Stubs ``service`` with these responses in their order; a string is an error's code."""
    with Stubber(project.aws.client(service)) as stub:
        for operation, answer in operations.items():
            if isinstance(answer, str):
                stub.add_client_error(operation, answer)
            else:
                stub.add_response(operation, answer)
        yield
        stub.assert_no_pending_responses()


# --- running the checks


def test_a_problem_stops_the_run_and_is_shown_with_its_remedy(new_project, monkeypatch):
    project = new_project()
    found = [
        ok("fine"),
        warning("odd", "It may matter.", "Look."),
        problem("bad", "It matters.", "Mend it."),
    ]
    monkeypatch.setattr(preflight, "CHECKS", ())
    monkeypatch.setattr(preflight, "preflight", lambda *_, **__: found)
    with pytest.raises(ConfigError, match="1 problem, and nothing was done") as caught:
        require_ready(project.aws, project.console, local=False)
    assert caught.value.exit_status == ExitStatus.USAGE
    assert [line.split(maxsplit=1) for line in project.out.getvalue().splitlines()][:2] == [
        ["ok", "fine"],
        ["warning", "odd"],
    ]
    assert "-> Mend it." in project.out.getvalue()


def test_warnings_do_not_stop_a_run_and_a_quiet_check_shows_only_warnings(new_project, monkeypatch):
    project = new_project()
    monkeypatch.setattr(
        preflight,
        "preflight",
        lambda *_, **__: [ok("fine"), warning("odd", "It may matter.", "Look.")],
    )
    require_ready(project.aws, project.console, local=False, quiet=True)
    assert "odd" in project.out.getvalue() and "fine" not in project.out.getvalue()


def test_local_mode_names_the_checks_that_need_aws_and_runs_the_others(new_project):
    project = new_project()
    generate(rentals=50, folder=project.settings.data_dir)
    findings = run_checks(project.aws, local=True)
    (unchecked,) = [finding for finding in findings if finding.level is Level.UNCHECKED]
    assert all(
        name in unchecked.what for name in ("identity", "bucket", "vCPU quota", "network", "rights")
    )
    assert "local mode" in unchecked.why
    # raw data, job sources, end of support, and the definition, which the stand-in validates
    assert levels(findings).count(OK) == 4


def test_no_other_check_runs_without_an_identity(new_project):
    project = new_project()
    calls = []
    checks = (
        Check("identity", preflight.identity),
        Check("bucket", lambda *_: calls.append(1) or []),
    )
    with stubbed(project, "sts", get_caller_identity="ExpiredToken"):
        findings = run_checks(project.aws, local=False, checks=checks)
    assert levels(findings) == [PROBLEM, Level.UNCHECKED]
    assert "expired" in findings[0].fix
    assert calls == []


@pytest.mark.parametrize(
    "error",
    [
        ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "DescribeVpcs"),
        EndpointConnectionError(endpoint_url="https://ec2"),
    ],
)
def test_a_check_that_aws_denies_is_a_warning_and_the_others_run(new_project, error):
    def failing_check(*_):
        raise error

    project = new_project()
    findings = run_checks(
        project.aws,
        local=False,
        checks=(Check("network", failing_check), Check("next", lambda *_: [ok("x")])),
    )
    assert levels(findings) == [WARNING, OK]
    assert (
        "network" in findings[0].what
        and "could not be checked" in findings[0].what
        and findings[0].fix
    )


def test_a_project_error_in_a_check_becomes_a_problem_with_its_remedy(new_project):
    def broken(*_):
        raise DataLakeError("bucket", "is taken.", "Choose another.")

    project = new_project()
    findings = run_checks(project.aws, local=False, checks=(Check("bucket", broken),))
    assert findings == [problem("bucket: is taken.", "", "Choose another.")]


# --- identity, region, credentials


def test_the_root_user_is_a_warning(new_project):
    project = new_project()
    answer = {"Account": "000000000000", "Arn": "arn:aws:iam::000000000000:root", "UserId": "x"}
    with stubbed(project, "sts", get_caller_identity=answer):
        assert levels(preflight.identity(project.aws)) == [OK, WARNING]


@pytest.mark.parametrize(
    ("region", "level"),
    [("eu-west-1", OK), ("us-gov-west-1", OK), ("cn-north-1", PROBLEM), ("eu-wset-1", WARNING)],
)
def test_an_unknown_region_is_a_warning_and_an_unsupported_one_a_problem(
    new_project, region, level
):
    project = new_project(AWS_REGION=region)
    assert levels(preflight.region(project.aws)) == [level]


@pytest.mark.parametrize(
    ("remaining", "level"),
    [(timedelta(hours=5), OK), (timedelta(minutes=20), WARNING), (timedelta(minutes=-1), PROBLEM)],
)
def test_temporary_credentials_have_to_outlast_a_run(new_project, monkeypatch, remaining, level):
    project = new_project()
    monkeypatch.setattr(type(project.aws), "has_session_token", True)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", (datetime.now(UTC) + remaining).isoformat())
    assert levels(preflight.credentials(project.aws)) == [level]


def test_temporary_credentials_of_unknown_expiry_are_a_warning(new_project, monkeypatch):
    project = new_project()
    monkeypatch.delenv("AWS_CREDENTIAL_EXPIRATION", raising=False)
    assert levels(preflight.credentials(project.aws)) == [OK]
    monkeypatch.setattr(type(project.aws), "has_session_token", True)
    assert levels(preflight.credentials(project.aws)) == [WARNING]


# --- roles


def test_roles_of_another_region_or_with_a_path_are_problems(new_project):
    project = new_project()
    check = (Check("roles", preflight.existing_roles),)
    assert levels(run_checks(project.aws, local=False, checks=check)) == [OK]
    iam = project.aws.client("iam")
    trust = {"AssumeRolePolicyDocument": "{}"}
    iam.create_role(RoleName=project.settings.glue_service_role, Path="/service-role/", **trust)
    elsewhere = [*project.aws.tag_list, {"Key": "Region", "Value": "eu-west-1"}]
    iam.create_role(RoleName=project.settings.emr_service_role, Tags=elsewhere, **trust)
    by_region, by_path = run_checks(project.aws, local=False, checks=check)
    assert by_path.level is PROBLEM and "has a path" in by_path.what
    assert f"role/service-role/{project.settings.glue_service_role} alone" in by_path.what
    assert (
        by_region.level is PROBLEM
        and f"serves ENVIRONMENT={project.settings.environment} in eu-west-1" in by_region.what
    )


# --- bucket and data


def test_a_bucket_name_that_another_account_owns_is_a_problem(new_project):
    project = new_project()
    check = (Check("bucket", preflight.bucket),)
    assert "its name is free" in only(run_checks(project.aws, local=False, checks=check)).what
    ensure_bucket(project.aws)
    assert "exists and is yours" in only(run_checks(project.aws, local=False, checks=check)).what
    with Stubber(project.aws.client("s3")) as stub:
        stub.add_client_error("head_bucket", "403", http_status_code=403)
        finding = only(run_checks(project.aws, local=False, checks=check))
    assert (
        finding.level is PROBLEM
        and "belongs to another account" in finding.what
        and "S3_BUCKET_NAME" in finding.fix
    )


def test_a_missing_column_of_raw_data_is_named_with_its_file(new_project):
    project = new_project()
    assert "generates the sample" in only(preflight.raw_data(project.aws)).what
    generate(rentals=50, folder=project.settings.data_dir)
    assert levels(preflight.raw_data(project.aws)) == [OK]
    users = project.settings.data_dir / "users.csv"
    users.write_text(
        users.read_text(encoding="utf-8").replace("email", "mail", 1), encoding="utf-8"
    )
    finding = only(preflight.raw_data(project.aws))
    assert finding.level is PROBLEM and finding.what.startswith(
        f"{users} lacks the column email; its header has user_id"
    )


def test_the_faulty_one_of_several_raw_files_is_named(new_project):
    project = new_project()
    generate(rentals=50, folder=project.settings.data_dir)
    good, bad = (
        project.settings.data_dir / "users.csv",
        project.settings.data_dir / "users" / "2.csv",
    )
    bad.parent.mkdir()
    bad.write_text(good.read_text(encoding="utf-8").replace("email", "mail", 1), encoding="utf-8")
    assert only(preflight.raw_data(project.aws)).what.startswith(f"{bad} lacks the column email")
    bad.write_bytes(b"\xff\xfe\x00not text")
    assert (
        only(preflight.raw_data(project.aws)).what
        == f"{bad} has a header that is not UTF-8: save the file as UTF-8"
    )


def test_a_raw_table_without_files_is_a_problem(new_project):
    project = new_project()
    project.settings.data_dir.mkdir(parents=True)
    (project.settings.data_dir / "users.csv").write_text("user_id\n")
    checks = (Check("raw data", preflight.raw_data, needs_aws=False),)
    assert (
        "no CSV file for locations, vehicles"
        in only(run_checks(project.aws, local=True, checks=checks)).what
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("users.csv", "not UTF-8"),
        ("users.csv.gz", "cannot be read"),
        ("u.csv.GZ", "cannot be read"),
    ],
)
def test_an_unreadable_or_empty_header_is_a_problem_of_its_file(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"\xff\xfe\x00not text")
    assert message in header_problem("users", tmp_path / name)
    (tmp_path / "odd.csv").write_bytes(
        b"\xef\xbb\xbf\r\n\n" + ",".join(RAW_COLUMNS["users"]).encode() + b"\r\n"
    )
    # a byte order mark and blank lines are valid in the jobs too
    assert header_problem("users", tmp_path / "odd.csv") == ""
    (tmp_path / "empty.csv").touch()
    assert "is empty" in header_problem("users", tmp_path / "empty.csv")


def test_files_that_no_job_reads_are_named(new_project):
    project = new_project()
    generate(rentals=50, folder=project.settings.data_dir)
    (project.settings.data_dir / "rental_transactions.xlsx").touch()
    found = list(preflight.raw_data(project.aws))
    assert [finding.level for finding in found] == [WARNING, OK]
    assert "rental_transactions.xlsx is not read" in found[0].what


@pytest.mark.parametrize(("separator", "name"), [(";", "';'"), ("\t", "tabs"), ("|", "'|'")])
def test_a_wrong_separator_is_recognised(tmp_path, separator, name):
    (tmp_path / "users.csv").write_text(
        separator.join(f'"{column}"' for column in RAW_COLUMNS["users"]) + "\n"
    )
    assert (
        header_problem("users", tmp_path / "users.csv")
        == f"has columns separated by {name}, not by ',': save it with commas"
    )


def test_job_sources_have_to_parse_on_the_oldest_release(new_project, monkeypatch, tmp_path):
    project = new_project()
    assert levels(preflight.job_sources(project.aws)) == [OK]
    (tmp_path / "job.py").write_text("x = 1\nif (n := 5) > 3:\n    pass\n")
    monkeypatch.setattr(preflight, "job_files", lambda: [tmp_path / "job.py"])
    finding = only(preflight.job_sources(project.aws))
    assert finding.level is PROBLEM and "job.py, line 2" in finding.what


# --- rights


def simulation(*decisions):
    results = [
        {"EvalActionName": action, "EvalDecision": decision} for action, decision in decisions
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def test_denied_actions_of_a_session_s_role_are_a_warning(new_project):
    project = new_project()
    role = {"Path": "/x/", "RoleName": "Admin", "RoleId": "A" * 16, "CreateDate": datetime.now(UTC)}
    arn = "arn:aws:iam::123456789012:role/x/Admin"
    with Stubber(project.aws.client("sts")) as sts, Stubber(project.aws.client("iam")) as iam:
        session = {
            "Account": "123456789012",
            "UserId": "x",
            "Arn": "arn:aws:sts::123456789012:assumed-role/Admin/me",
        }
        for _ in range(2):
            sts.add_response("get_caller_identity", session)
        iam.add_response("get_role", {"Role": {**role, "Arn": arn}}, {"RoleName": "Admin"})
        for decision in ("allowed", "implicitDeny", "allowed", "explicitDeny"):
            iam.add_response("simulate_principal_policy", simulation((f"x:{decision}", decision)))
        finding = only(preflight.rights(project.aws))
        iam.assert_no_pending_responses()
    assert finding.level is WARNING and finding.what.endswith("x:implicitDeny, x:explicitDeny")


# --- the cluster


@pytest.mark.parametrize(
    ("label", "level"),
    [
        ("emr-6.10.0", WARNING),
        ("emr-7.3.0", WARNING),
        ("emr-7.13.0", OK),
        ("emr-spark-8.0.0", OK),
        ("emr-spark-8.1.0", OK),
    ],
)
def test_a_release_near_its_end_of_support_is_a_warning(new_project, label, level):
    project = new_project(EMR_RELEASE_LABEL=label)
    assert levels(preflight_cluster.release_support(project.aws, date(2026, 11, 23))) == [level]


def test_a_release_of_unknown_end_of_support_has_no_finding(new_project):
    project = new_project(EMR_RELEASE_LABEL="emr-9.0.0")
    assert list(preflight_cluster.release_support(project.aws)) == []


def test_a_release_has_to_exist_and_to_contain_spark(new_project):
    project = new_project()
    spark, hive = [{"Name": "Spark", "Version": "4.1.1"}], [{"Name": "Hive", "Version": "3"}]
    for answer, level in ((spark, OK), (hive, PROBLEM)):
        with stubbed(project, "emr", describe_release_label={"Applications": answer}):
            assert levels(preflight_cluster.applications(project.aws)) == [level]
    with stubbed(project, "emr", describe_release_label="ValidationException"):
        finding = only(preflight_cluster.applications(project.aws))
    assert finding.level is PROBLEM and "does not know the release emr-7.13.0" in finding.what


def test_instance_types_have_to_be_offered_in_the_region_and_supported_by_emr(new_project):
    project = new_project(EMR_RELEASE_LABEL="emr-7.9.0", EMR_CORE_INSTANCE_TYPE="m9.xlarge")
    offered, unknown = preflight_cluster.instance_types(project.aws)
    assert offered.level is OK and "m5.xlarge is offered in us-east-1" in offered.what
    assert unknown.level is PROBLEM and "us-east-1 does not offer m9.xlarge" in unknown.what


def test_an_instance_type_missing_on_every_page_of_supported_types_is_a_problem(
    new_project, monkeypatch
):
    project = new_project()
    pages = [
        {"SupportedInstanceTypes": [{"Type": "m4.large"}], "Marker": "x"},
        {"SupportedInstanceTypes": [{"Type": "z"}]},
    ]
    with Stubber(project.aws.client("emr")) as stub:
        for page in pages:
            stub.add_response("list_supported_instance_types", page)
        finding = only(preflight_cluster.instance_types(project.aws))
        stub.assert_no_pending_responses()
    assert finding.level is PROBLEM and "does not support m5.xlarge" in finding.what


def test_instance_types_have_to_be_offered_in_the_subnet_s_zone(new_project, subnet):
    project = new_project(EMR_SUBNET_ID=subnet["SubnetId"], EMR_RELEASE_LABEL="emr-7.9.0")
    assert subnet["AvailabilityZone"] in only(preflight_cluster.instance_types(project.aws)).what


RUNNING = [
    {"InstanceType": "m5.large", "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}},
    {
        "InstanceType": "m5.xlarge",
        "CpuOptions": {"CoreCount": 2, "ThreadsPerCore": 2},
        "InstanceLifecycle": "spot",
    },
    # GPU families have a quota of their own
    {"InstanceType": "p4d.24xlarge", "CpuOptions": {"CoreCount": 48, "ThreadsPerCore": 2}},
]
XLARGE = {"InstanceTypes": [{"InstanceType": "m5.xlarge", "VCpuInfo": {"DefaultVCpus": 4}}]}


@pytest.mark.parametrize(
    ("market", "quotas", "found"),
    [
        ("on_demand", [14.0], [(OK, "on-demand vCPUs: 12 needed, 2 running, 14 allowed")]),
        (
            "on_demand",
            [13.0],
            [
                (
                    PROBLEM,
                    (
                        "the cluster needs 12 on-demand vCPUs, 2 run already, and the account may"
                        " run 13"
                    ),
                )
            ],
        ),
        (
            "spot",
            [6.0, 12.0],
            [(OK, "on-demand vCPUs: 4 needed, 2 running"), (OK, "Spot vCPUs: 8 needed, 4 running")],
        ),
        (
            "spot",
            [6.0, 11.0],
            [(OK, "on-demand"), (PROBLEM, "the cluster needs 8 Spot vCPUs, 4 run already")],
        ),
    ],
)
def test_the_vcpu_quota_of_the_market_has_to_fit_the_cluster_beside_running_instances(
    new_project, market, quotas, found
):
    project = new_project(EMR_CORE_MARKET=market)  # three m5.xlarge of 4 vCPUs each
    with (
        Stubber(project.aws.client("ec2")) as ec2,
        Stubber(project.aws.client("service-quotas")) as limits,
    ):
        ec2.add_response("describe_instance_types", XLARGE)
        for code, quota in zip(("L-1216C47A", "L-34B43A08"), quotas, strict=False):
            ec2.add_response("describe_instances", {"Reservations": [{"Instances": RUNNING}]})
            parameters = {"ServiceCode": "ec2", "QuotaCode": code}
            limits.add_response("get_service_quota", {"Quota": {"Value": quota}}, parameters)
        findings = list(preflight_cluster.vcpu_quota(project.aws))
        limits.assert_no_pending_responses()
    assert [
        (finding.level, words in finding.what)
        for finding, (_, words) in zip(findings, found, strict=True)
    ] == [(level, True) for level, _ in found]


def test_spot_instances_need_the_service_linked_role_of_ec2(new_project):
    assert list(preflight_cluster.spot_role(new_project().aws)) == []
    project = new_project(EMR_CORE_MARKET="spot")
    with stubbed(project, "iam", get_role="NoSuchEntity"):
        assert "create-service-linked-role" in only(preflight_cluster.spot_role(project.aws)).fix


def test_the_key_pair_has_to_exist_in_the_region(new_project, client):
    assert levels(preflight_cluster.key_pair(new_project().aws)) == [OK]
    client("ec2").create_key_pair(KeyName="there")
    for name, level in (("there", OK), ("nowhere", PROBLEM)):
        project = new_project(EMR_EC2_KEY_NAME=name)
        assert levels(preflight_cluster.key_pair(project.aws)) == [level]


@pytest.fixture
def subnet(client):
    """A subnet of a new VPC, without tags and without a route to the internet."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]
    return ec2.create_subnet(VpcId=vpc["VpcId"], CidrBlock="10.9.1.0/24")["Subnet"]


@pytest.fixture
def internet_route(client, subnet):
    """Gives the subnet's VPC an internet gateway and a default route to it."""
    ec2 = client("ec2")
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=subnet["VpcId"])
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [subnet["VpcId"]]}])[
        "RouteTables"
    ]
    ec2.create_route(
        RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway
    )


def network(new_project, subnet_id):
    project = new_project(EMR_SUBNET_ID=subnet_id)
    return list(preflight_cluster.network(project.aws))


def test_a_missing_subnet_and_one_without_a_route_out_are_problems(new_project, subnet):
    assert (
        "there is no subnet-0123456789abcdef0"
        in only(network(new_project, "subnet-0123456789abcdef0")).what
    )
    finding, _ = network(new_project, subnet["SubnetId"])
    assert (
        finding.level is PROBLEM and f"no route leads out of {subnet['SubnetId']}" in finding.what
    )


def test_an_untagged_network_is_a_problem_with_the_command_that_tags_it(
    new_project, subnet, internet_route, client
):
    route, tag = network(new_project, subnet["SubnetId"])
    assert (route.level, tag.level) == (OK, PROBLEM)
    both = [subnet["SubnetId"], subnet["VpcId"]]
    assert (
        f"--resources {' '.join(both)} --tags"
        " Key=for-use-with-amazon-emr-managed-policies,Value=true" in tag.fix
    )
    client("ec2").create_tags(Resources=both, Tags=[preflight_cluster.EMR_MANAGED_POLICY_TAG])
    assert levels(network(new_project, subnet["SubnetId"])) == [OK, OK]


@pytest.mark.parametrize(
    ("policies", "found"),
    [
        (["AmazonElasticMapReduceRole"], [OK]),
        (["AmazonEMRServicePolicy_v2"], [OK, PROBLEM]),
        # a second policy may allow what v2 does not
        (["AmazonEMRServicePolicy_v2", "AmazonElasticMapReduceRole"], [OK, WARNING]),
    ],
)
def test_the_network_tag_is_required_only_with_the_v2_policy(
    new_project, subnet, internet_route, client, policies, found
):
    project = new_project(EMR_SUBNET_ID=subnet["SubnetId"])
    role = {"RoleName": project.settings.emr_service_role}
    client("iam").create_role(**role, AssumeRolePolicyDocument="{}")
    for policy in policies:
        client("iam").attach_role_policy(
            **role, PolicyArn=f"arn:aws:iam::aws:policy/service-role/{policy}"
        )
    assert levels(preflight_cluster.network(project.aws)) == found


@pytest.mark.parametrize(("answer", "expected"), [("no", [OK, PROBLEM]), ("yes", [OK, OK])])
def test_the_network_is_tagged_if_the_user_agrees(
    new_project, subnet, internet_route, monkeypatch, answer, expected
):
    project = new_project(EMR_SUBNET_ID=subnet["SubnetId"])
    questions = []
    monkeypatch.setattr(preflight, "CHECKS", (Check("network", preflight_cluster.network),))
    preflight.apply_fixes(
        project.aws,
        project.console,
        yes=False,
        ask=lambda question: questions.append(question) or answer,
    )
    assert len(questions) == 1 and "aws ec2 create-tags" in project.out.getvalue()
    assert levels(network(new_project, subnet["SubnetId"])) == expected


def test_without_a_terminal_fix_changes_nothing_and_names_the_flag_yes(new_project, monkeypatch):
    def no_terminal(_):
        raise EOFError

    project, changed = new_project(), []
    fixable = problem("x", "", "", apply_fix=lambda: changed.append(1))
    monkeypatch.setattr(preflight, "CHECKS", (Check("x", lambda *_: [fixable]),))
    with pytest.raises(ConfigError, match="use --yes"):
        preflight.apply_fixes(project.aws, project.console, yes=False, ask=no_terminal)
    assert changed == []


def test_fix_asks_nothing_if_no_problem_is_fixable(new_project, monkeypatch):
    project = new_project()
    monkeypatch.setattr(preflight, "CHECKS", (Check("x", lambda *_: [problem("x", "", "")]),))
    preflight.apply_fixes(project.aws, project.console, yes=True)
    assert "nothing for --fix to do" in project.err.getvalue()


# --- the state machine


def test_the_definition_is_valid_for_step_functions_in_local_mode_too(new_project):
    project = new_project()
    found = run_checks(project.aws, local=True, checks=(preflight.STATE_MACHINE,))
    assert levels(found) == [OK] and "accepts the definition" in found[0].what


def test_an_unknown_field_in_the_definition_is_a_problem_that_names_its_place(
    new_project, monkeypatch
):
    project = new_project()
    original_definition = state_machine_definition.definition

    def with_unknown_field(*arguments):
        definition = original_definition(*arguments)
        definition["States"]["TakeNewLock"]["Parameters"]["IfUnheardOf"] = "*"
        return definition

    monkeypatch.setattr(state_machine_definition, "definition", with_unknown_field)
    finding = only(run_checks(project.aws, local=True, checks=(preflight.STATE_MACHINE,)))
    assert finding.level is PROBLEM
    assert "/States/TakeNewLock/Parameters" in finding.what and "IfUnheardOf" in finding.what


def test_a_step_functions_without_if_match_is_a_warning(
    new_project, step_functions_without_if_match
):
    project = new_project()
    finding = only(run_checks(project.aws, local=True, checks=(preflight.STATE_MACHINE,)))
    assert finding.level is WARNING
    assert "does not know IfMatch" in finding.what and "step 4" in finding.fix


def test_a_definition_rejected_without_a_reason_is_a_problem(new_project):
    project = new_project()
    with stubbed(
        project,
        "stepfunctions",
        validate_state_machine_definition={"result": "FAIL", "diagnostics": []},
    ):
        assert levels(state_machine.definition_is_valid(project.aws)) == [PROBLEM]


def test_the_default_vpc_is_checked_if_no_subnet_is_set(new_project):
    project = new_project()
    findings = list(preflight_cluster.network(project.aws))
    assert findings and all(isinstance(finding, Finding) for finding in findings)
    assert "subnet-" in findings[0].what


def test_a_nat_gateway_without_an_s3_endpoint_is_a_warning_with_its_price(new_project, subnet):
    project = new_project(EMR_SUBNET_ID=subnet["SubnetId"])
    nat = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}
    endpoint = {"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1", "State": "active"}
    for routes, expected in (([nat], [OK, WARNING]), ([nat, endpoint], [OK])):
        with (
            Stubber(project.aws.client("ec2")) as ec2,
            stubbed(project, "iam", list_attached_role_policies={"AttachedPolicies": []}),
        ):
            ec2.add_response("describe_subnets", {"Subnets": [subnet]})
            ec2.add_response(
                "describe_route_tables",
                {"RouteTables": [{"Associations": [{"Main": True}], "Routes": routes}]},
            )
            findings = list(preflight_cluster.network(project.aws))
        assert levels(findings) == expected
        assert any("$0.045" in finding.why for finding in findings) is (WARNING in expected)


@pytest.mark.parametrize(
    ("route", "leads_out"),
    [
        ({"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-1", "State": "active"}, True),
        ({"DestinationPrefixListId": "pl-1", "GatewayId": "vpce-1", "State": "active"}, True),
        ({"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1", "State": "blackhole"}, False),
        ({"DestinationCidrBlock": "10.0.0.0/16", "GatewayId": "local", "State": "active"}, False),
    ],
)
def test_a_subnet_needs_an_active_route_out(new_project, route, leads_out):
    project = new_project()
    tables = {"RouteTables": [{"Associations": [{"Main": True}], "Routes": [route]}]}
    with stubbed(
        project,
        "ec2",
        describe_subnets={"Subnets": [{"SubnetId": "s-1", "VpcId": "v-1"}]},
        describe_route_tables=tables,
    ):
        finding = next(preflight_cluster.network(project.aws))
    assert finding.level is (OK if leads_out else PROBLEM) and "s-1" in finding.what


def test_the_summary_of_the_checks_goes_to_stderr(new_project):
    project = new_project()
    generate(rentals=50, folder=project.settings.data_dir)
    require_ready(project.aws, project.console, local=True)
    assert "findings, no problem" in project.err.getvalue()
    assert "findings, no problem" not in project.out.getvalue()
    assert str(ROOT) not in project.out.getvalue()
