"""The settings: precedence, types, problems, placeholders, unknown names, environments."""

import re
from decimal import Decimal

import pytest
from car_rental.config import ROOT, Settings, load_settings, setting_fields
from car_rental.errors import ConfigError, ExitStatus
from dotenv import dotenv_values


@pytest.fixture
def env_file(tmp_path):
    def write(text):
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_the_command_line_overrides_the_environment_which_overrides_the_file(env_file):
    path = env_file("S3_BUCKET_NAME=from-file\nAWS_REGION=eu-west-1\nGLUE_DATABASE_NAME=from_file")
    settings = load_settings(
        {"S3_BUCKET_NAME": "from-shell", "AWS_REGION": "eu-west-2"},
        path,
        {"AWS_REGION": "eu-west-3"},
    )
    assert (settings.glue_database_name, settings.s3_bucket_name, settings.aws_region) == (
        "from_file",
        "from-shell",
        "eu-west-3",
    )


def test_the_cli_s_default_region_counts_only_if_no_region_is_set(env_file):
    assert (
        load_settings({"AWS_DEFAULT_REGION": "eu-west-1"}, env_file("")).aws_region == "eu-west-1"
    )
    assert (
        load_settings(
            {"AWS_DEFAULT_REGION": "eu-west-1"}, env_file("AWS_REGION=us-west-2")
        ).aws_region
        == "us-west-2"
    )


def test_values_are_converted_to_their_types(env_file):
    settings = load_settings(
        {}, env_file("EMR_CORE_INSTANCE_COUNT=5\nMAX_REJECT_RATE=0.1\nDATA_DIR=elsewhere")
    )
    assert settings.emr_core_instance_count == 5
    assert settings.max_reject_rate == Decimal("0.1")
    assert settings.data_dir == ROOT / "elsewhere"


def test_all_problems_are_reported_at_once_with_value_origin_and_allowed_values(env_file):
    path = env_file("EMR_CORE_INSTANCE_COUNT=two\nS3_BUCKET_NAME=Upper_Case")
    with pytest.raises(ConfigError) as caught:
        load_settings({"MAX_REJECT_RATE": "5"}, path)
    assert caught.value.exit_status == ExitStatus.USAGE
    text = "\n".join(caught.value.details)
    assert len(caught.value.details) == 3
    assert (
        "EMR_CORE_INSTANCE_COUNT = 'two' (from .env): allowed is a whole number from 1 to 1000"
        in text
    )
    assert (
        "S3_BUCKET_NAME = 'Upper_Case' (from .env): allowed is 3 to 63 lower-case letters" in text
    )
    assert "MAX_REJECT_RATE = '5' (from the environment): allowed is a share from 0 to 1" in text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("S3_BUCKET_NAME", "ab"),
        ("S3_BUCKET_NAME", "192.168.0.1"),
        ("S3_BUCKET_NAME", "a..b"),
        ("AWS_REGION", "us east"),
        ("EMR_RELEASE_LABEL", "6.10.0"),
        ("EMR_MASTER_INSTANCE_TYPE", "m5"),
        ("EMR_CORE_MARKET", "cheap"),
        ("EMR_SPARK_CONF", "spark.executor.memory 8g"),
        ("EMR_SPARK_CONF", "executor.memory=8g"),
        ("KMS_KEY_ID", "alias/lake"),
        ("EMR_CORE_INSTANCE_COUNT", "0"),
        ("EMR_CORE_INSTANCE_COUNT", "2.5"),
        ("EMR_DEPLOY_MODE", "local"),
        ("EMR_IDLE_TIMEOUT_SECONDS", "599"),
        ("STEP_FUNCTIONS_ROLE_ARN", "StepFunctionsExecutionRole"),
        ("GLUE_DATABASE_NAME", "car-rental"),
        ("STEP_FUNCTIONS_STATE_MACHINE_NAME", "a b"),
        ("ENVIRONMENT", "Prod!"),
        ("MAX_REJECT_RATE", "NaN"),
        ("AWS_ENDPOINT_URL", "localhost:5000"),
        ("EMR_SUBNET_ID", "subnet"),
    ],
)
def test_an_invalid_value_is_an_error(env_file, name, value):
    with pytest.raises(ConfigError, match="1 setting is wrong") as caught:
        load_settings({name: value}, env_file(""))
    assert caught.value.details[0].startswith(
        f"{name} = {value!r} (from the environment): allowed is "
    )


@pytest.mark.parametrize("label", ["emr-6.10.0", "emr-7.13.0", "emr-spark-8.1.0"])
def test_every_form_of_release_label_is_accepted(env_file, label):
    assert load_settings({"EMR_RELEASE_LABEL": label}, env_file("")).emr_release_label == label


def test_placeholders_and_blank_values_count_as_unset(env_file):
    path = env_file(
        "AWS_ACCESS_KEY_ID=your_access_key_here\nAWS_SECRET_ACCESS_KEY=your_secret_key_here\nAWS_REGION="
    )
    settings = load_settings({}, path)
    assert (settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_region) == (
        "",
        "",
        "us-east-1",
    )


@pytest.mark.parametrize("most", ["1", "2"])
def test_managed_scaling_needs_a_maximum_above_the_core_count(env_file, most):
    with pytest.raises(ConfigError) as caught:
        load_settings(
            {}, env_file(f"EMR_CORE_INSTANCE_COUNT=2\nEMR_MAX_CORE_INSTANCE_COUNT={most}")
        )
    assert "more than EMR_CORE_INSTANCE_COUNT (2)" in caught.value.details[0]


def test_an_access_key_without_its_secret_is_an_error(env_file):
    with pytest.raises(ConfigError) as caught:
        load_settings({}, env_file("AWS_ACCESS_KEY_ID=AKIDEXAMPLE"))
    assert caught.value.details == (
        (
            "AWS_SECRET_ACCESS_KEY is not set, but AWS_ACCESS_KEY_ID is (from .env): allowed is"
            " both there, or neither"
        ),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            'S3_BUCKET_NAME="my-lake-1\nAWS_REGION=eu-west-1',
            'line 1: the value of S3_BUCKET_NAME begins with " ',
        ),
        (
            "S3_BUCKET_NAME='my-lake-1\nAWS_REGION=eu-west-1",
            "line 1: the value of S3_BUCKET_NAME begins with ' ",
        ),
        (
            "\n# words\n\nS3_BUCKET_NAME='my-lake-1",
            "line 4: the value of S3_BUCKET_NAME begins with '",
        ),
        (
            'S3_BUCKET_NAME="my-lake-1\nAWS_REGION=eu-west-1"',
            'line 1: the value of S3_BUCKET_NAME begins with "',
        ),
        (
            'S3_BUCKET_NAME="my-lake-1" or another',
            'line 1: the value of S3_BUCKET_NAME begins with "',
        ),
        ('OF_OTHERS="never closed', 'line 1: the value of OF_OTHERS begins with "'),
        ("S3_BUCKET_NAME", "line 1: is not a setting"),
        ("AWS_REGION=eu-west-1\nS3_BUCKET_NAME: my-lake-1", "line 2: is not a setting"),
        ("set S3_BUCKET_NAME=my-lake-1", "line 1: is not a setting"),
        ("[default]", "line 1: is not a setting"),
        ("=my-lake-1", "line 1: is not a setting"),
    ],
)
def test_an_invalid_line_is_a_problem_with_its_number(env_file, text, problem):
    with pytest.raises(ConfigError, match="1 setting is wrong") as caught:
        load_settings({}, env_file(text))
    assert caught.value.exit_status == ExitStatus.USAGE
    (detail,) = caught.value.details
    assert detail.startswith(f".env, {problem}")


def test_a_secret_with_an_unclosed_quote_is_a_single_problem(env_file):
    text = 'AWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY="abc\n'
    with pytest.raises(ConfigError, match="1 setting is wrong") as caught:
        load_settings({}, env_file(text))
    (problem,) = caught.value.details
    assert "close the quote" in problem and "abc" not in problem


def test_invalid_lines_are_reported_with_the_other_problems(env_file):
    with pytest.raises(ConfigError, match="3 settings are wrong") as caught:
        load_settings({}, env_file("my lake\nAWS_REGION=nowhere\n<<<<<<< mine\n"))
    assert [detail[:12] for detail in caught.value.details] == [
        ".env, line 1",
        ".env, line 3",
        "AWS_REGION =",
    ]


@pytest.mark.parametrize(
    "line",
    [
        "export AWS_REGION=eu-west-1",
        "export\tAWS_REGION=eu-west-1",
        "AWS_REGION = eu-west-1  # Ireland",
        "  AWS_REGION='eu-west-1'",
        'AWS_REGION="eu-west-1" # Ireland\r',
        "'AWS_REGION'=eu-west-1",
    ],
)
def test_the_usual_forms_of_a_setting_are_accepted(env_file, line):
    settings = load_settings({}, env_file(f"# words\n\n{line}\n"))
    assert (settings.aws_region, settings.notes) == ("eu-west-1", ())


def test_a_dollar_sign_in_a_value_is_kept(env_file):
    path = env_file("x=no\nAWS_ACCESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY=abc${x}def$HOME")
    assert load_settings({"x": "no"}, path).aws_secret_access_key == "abc${x}def$HOME"


KEYS_OF_FILE = "AWS_ACCESS_KEY_ID=AKIAFILE\nAWS_SECRET_ACCESS_KEY=filesecret"
KEYS_OF_SHELL = {"AWS_ACCESS_KEY_ID": "AKIASHELL", "AWS_SECRET_ACCESS_KEY": "shellsecret"}


def credentials(settings: Settings) -> tuple[str, str, str]:
    return settings.aws_access_key_id, settings.aws_secret_access_key, settings.aws_session_token


def test_keys_of_the_file_are_used_without_the_shell_s_session_token(env_file):
    settings = load_settings({"AWS_SESSION_TOKEN": "tok-of-shell"}, env_file(KEYS_OF_FILE))
    assert credentials(settings) == ("AKIAFILE", "filesecret", "")
    assert settings.notes == (
        "AWS_SESSION_TOKEN of the environment is not used: key and secret come from .env.",
    )


def test_keys_of_the_shell_are_used_without_the_file_s_session_token(env_file):
    path = env_file(f"{KEYS_OF_FILE}\nAWS_SESSION_TOKEN=tok-of-file")
    assert credentials(load_settings(KEYS_OF_SHELL, path)) == ("AKIASHELL", "shellsecret", "")
    assert credentials(load_settings({}, path)) == ("AKIAFILE", "filesecret", "tok-of-file")
    with_token = {**KEYS_OF_SHELL, "AWS_SESSION_TOKEN": "tok-of-shell"}
    assert credentials(load_settings(with_token, path)) == (
        "AKIASHELL",
        "shellsecret",
        "tok-of-shell",
    )


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_an_incomplete_key_pair_of_the_shell_is_not_completed_by_the_file(env_file, name):
    with pytest.raises(ConfigError, match="1 setting is wrong") as caught:
        load_settings({name: KEYS_OF_SHELL[name]}, env_file(KEYS_OF_FILE))
    assert f"but {name} is (from the environment)" in caught.value.details[0]


def test_a_profile_beside_keys_is_ignored_with_a_warning(env_file):
    settings = load_settings({"AWS_PROFILE": "nosuch"}, env_file(KEYS_OF_FILE))
    assert settings.notes == (
        "the profile 'nosuch' (from the environment) is not used: a key is set (.env).",
    )


@pytest.mark.parametrize(
    ("values", "counting", "bucket"),
    [
        (("lake-1", "lake-2"), "line 2 counts", "lake-2"),
        (("lake-1", ""), "line 1 counts", "lake-1"),
        (("lake-1", "lake-1"), "line 2 counts", "lake-1"),
        (("", ""), "none of them counts", "car-rental-data-lake"),
    ],
)
def test_a_duplicate_setting_is_a_warning_and_an_empty_one_is_ignored(
    env_file, values, counting, bucket
):
    settings = load_settings({}, env_file("".join(f"S3_BUCKET_NAME={value}\n" for value in values)))
    assert settings.notes == (f".env: S3_BUCKET_NAME is set in lines 1, 2; {counting}.",)
    assert settings.s3_bucket_name == bucket


def test_messages_and_repr_contain_no_secret(env_file):
    settings = load_settings(
        {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush-hush"}, env_file("")
    )
    assert "hush" not in repr(settings)
    with pytest.raises(ConfigError) as caught:
        load_settings(
            {"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "hush\x01hush"},
            env_file(""),
        )
    assert "hush" not in "".join(caught.value.details)


def test_an_unknown_name_is_reported_with_the_nearest_known_one(env_file):
    notes = load_settings({}, env_file("S3_BUCKETNAME=x-y-z\nCOMPLETELY_ELSE=1")).notes
    assert notes == (
        ".env: S3_BUCKETNAME is not a setting of this project. Did you mean S3_BUCKET_NAME?",
        ".env: COMPLETELY_ELSE is not a setting of this project.",
    )


def test_names_that_have_to_be_unique_contain_the_environment(env_file):
    path = env_file("")
    dev, prod = load_settings({}, path), load_settings({"ENVIRONMENT": "prod"}, path)
    assert dev.step_functions_state_machine_name == "CarRentalDataPipeline"
    assert prod.step_functions_state_machine_name == "prod-CarRentalDataPipeline"
    assert prod.glue_database_name == "prod_car_rental_db"
    assert prod.s3_bucket_name == "prod-car-rental-data-lake"
    assert prod.step_functions_role_name == "prod-StepFunctionsExecutionRole"
    assert prod.emr_release_label == dev.emr_release_label


def test_role_arns_from_the_roles_file_are_reduced_to_names(env_file):
    arn = "arn:aws:iam::000000000000:role/prod-EMR_DefaultRole"
    assert (
        load_settings(
            {"EMR_SERVICE_ROLE": arn, "ENVIRONMENT": "prod"}, env_file("")
        ).emr_service_role
        == "prod-EMR_DefaultRole"
    )


@pytest.mark.parametrize(("environment", "expected"), [("dev", "Mine"), ("prod", "prod-Mine")])
def test_a_role_arn_with_a_path_is_kept(env_file, environment, expected):
    arn = "arn:aws:iam::000000000000:role/service-role/"
    settings = load_settings(
        {"GLUE_SERVICE_ROLE": f"{arn}Mine", "ENVIRONMENT": environment}, env_file("")
    )
    assert settings.glue_service_role == arn + expected


def test_a_name_that_the_environment_makes_too_long_is_an_error(env_file):
    with pytest.raises(ConfigError, match="S3_BUCKET_NAME becomes 'prod-a"):
        load_settings({"ENVIRONMENT": "prod", "S3_BUCKET_NAME": "a" * 60}, env_file(""))


def test_a_foreign_role_arn_is_used_in_every_environment(env_file):
    foreign_role = "arn:aws:iam::000000000000:role/team/Mine"
    settings = load_settings(
        {"STEP_FUNCTIONS_ROLE_ARN": foreign_role, "ENVIRONMENT": "prod"}, env_file("")
    )
    assert settings.step_functions_role_is_given
    assert (settings.step_functions_role_arn, settings.step_functions_role_name) == (
        foreign_role,
        "Mine",
    )


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:5000", True),
        ("http://localhost:1", True),
        ("https://s3.example.com", False),
        ("", False),
    ],
)
def test_only_an_endpoint_on_this_machine_is_local(env_file, url, local):
    assert load_settings({"AWS_ENDPOINT_URL": url}, env_file("")).is_local is local


def test_a_missing_settings_file_given_by_flag_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings({}, tmp_path / "nowhere.env")


@pytest.mark.parametrize(
    "make",
    [lambda path: path.mkdir(), lambda path: path.symlink_to("nowhere")],
    ids=["folder", "dangling"],
)
def test_an_unreadable_settings_file_is_an_error(tmp_path, make):
    path = tmp_path / ".env"
    make(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_settings({}, path)


def test_a_misspelt_name_is_reported_with_the_problem_that_it_causes(env_file):
    with pytest.raises(ConfigError) as caught:
        load_settings({}, env_file("AWS_ACESS_KEY_ID=AKIAEXAMPLE\nAWS_SECRET_ACCESS_KEY=abc"))
    assert (
        "AWS_ACESS_KEY_ID is not a setting of this project. Did you mean AWS_ACCESS_KEY_ID?"
        in str(caught.value.details)
    )


def test_a_file_with_a_byte_order_mark_is_read(tmp_path):
    path = tmp_path / ".env"
    path.write_bytes(b"\xef\xbb\xbfAWS_REGION=eu-west-1\n")
    assert load_settings({}, path).aws_region == "eu-west-1"


def test_the_example_contains_every_setting_once_with_its_default():
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    named = re.findall(r"^#?([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE)
    assert [name for name, _ in named] == list(setting_fields())  # in the order of docs/settings.md
    optional = dict(re.findall(r"^#([A-Z][A-Z0-9_]+)=(.*)$", text, re.MULTILINE))
    defaults = Settings()
    for name, value in optional.items():
        kind = setting_fields()[name].metadata["kind"]
        assert (kind.parse(value) if value else "") == getattr(defaults, name.lower()), name


def test_the_example_explains_every_setting_or_its_group():
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    for above, line in zip(lines, lines[1:], strict=False):
        if re.match(r"#[A-Z][A-Z0-9_]+=", line):
            assert above.startswith("# "), f"{line} has no explanation"
        if re.match(r"[A-Z][A-Z0-9_]+=", line):
            assert above, f"{line} has no explanation"


def test_the_example_is_a_valid_settings_file():
    settings = load_settings({}, ROOT / ".env.example")
    assert settings.notes == ()
    assert settings.emr_release_label == "emr-7.13.0"


def test_the_example_contains_all_settings_of_the_guide():
    guide = (
        "AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_REGION S3_BUCKET_NAME EMR_CLUSTER_NAME"
        " EMR_RELEASE_LABEL EMR_EC2_KEY_NAME EMR_MASTER_INSTANCE_TYPE EMR_CORE_INSTANCE_TYPE"
        " EMR_CORE_INSTANCE_COUNT EMR_SERVICE_ROLE EMR_EC2_INSTANCE_PROFILE GLUE_SERVICE_ROLE"
        " STEP_FUNCTIONS_ROLE_ARN GLUE_DATABASE_NAME STEP_FUNCTIONS_STATE_MACHINE_NAME"
    ).split()
    assert set(guide) <= set(dotenv_values(ROOT / ".env.example"))
