"""The command line of every script: exit codes, one message per failure, a traceback on request."""

import io
import os
import signal
import subprocess
import sys
import time

import pytest
from car_rental import cli
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from car_rental.config import ROOT
from car_rental.display.console import Console
from car_rental.errors import ConfigError, DataLakeError, Declined, Interrupted, StillRunning
from car_rental.signals import ctrl_c_deferred
from documents.commands import docstring, help_text, scripts


def outcome(error, show_traceback=False):
    """Runs a script that raises ``error``; returns its exit code and stderr."""
    err = io.StringIO()

    def work(_):
        if error:
            raise error

    return int(cli.guard("step", show_traceback, Console(io.StringIO(), err), work)), err.getvalue()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (None, 0),
        (DataLakeError("x", "broke"), 1),
        (ConfigError("x", "wrong"), 2),
        (Declined("x", "the answer was no"), 1),
        (StillRunning("x", "runs"), 3),
        (Interrupted("x", "stopped"), 130),
        (KeyboardInterrupt(), 130),
        (RuntimeError("unforeseen"), 1),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error, code):
    assert outcome(error)[0] == code


def test_a_failure_shows_place_cause_details_remedy_and_log():
    _, text = outcome(
        DataLakeError(
            "Spark job x", "step s-1 FAILED.", "Mend it.", log="s3://b/log", details=("line 7",)
        )
    )
    assert text.splitlines() == [
        "FAILED Spark job x",
        "step s-1 FAILED.",
        "  line 7",
        "-> Mend it.",
        "log: s3://b/log",
    ]


def test_text_in_brackets_is_not_interpreted_as_markup():
    assert "[red]x[/red]" in outcome(DataLakeError("a", "[red]x[/red]"))[1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ClientError({"Error": {"Code": "ExpiredToken", "Message": "old"}}, "PutObject"),
            ["step (PutObject)", "AWS answered ExpiredToken: old", "have expired"],
        ),
        (
            ClientError({"Error": {"Code": "AccessDenied", "Message": "not you"}}, "CreateRole"),
            ["CreateRole", "administrator"],
        ),
        (NoCredentialsError(), ["no usable AWS credentials", "--all --local"]),
        (
            EndpointConnectionError(endpoint_url="http://127.0.0.1:1/"),
            ["does not answer at http://127.0.0.1:1/", "make serve"],
        ),
        (
            EndpointConnectionError(endpoint_url="https://x.amazonaws.com/"),
            ["could not be reached", "AWS_REGION"],
        ),
        (PermissionError(13, "Permission denied", "/somewhere"), ["/somewhere: Permission denied"]),
        (RuntimeError("unforeseen"), ["RuntimeError: unforeseen", "--traceback"]),
    ],
)
def test_errors_of_libraries_become_one_message(error, words):
    _, text = outcome(error)
    for word in words:
        assert word in text
    assert "Traceback" not in text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_sigterm_and_sighup_count_as_ctrl_c(number):
    def work(_):
        os.kill(os.getpid(), number)
        time.sleep(5)

    before = signal.getsignal(number)
    assert cli.guard("step", False, Console(io.StringIO(), io.StringIO()), work) == 130
    assert signal.getsignal(number) == before


def test_sighup_is_ignored_under_nohup():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        hang_up = lambda _: os.kill(os.getpid(), signal.SIGHUP)  # noqa: E731
        assert cli.guard("step", False, Console(io.StringIO(), io.StringIO()), hang_up) == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_flag_traceback_shows_the_traceback(capsys):
    outcome(RuntimeError("unforeseen"), show_traceback=True)
    assert "Traceback (most recent call last)" in capsys.readouterr().err


def test_wrong_settings_are_a_usage_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("EMR_CORE_INSTANCE_COUNT", "many")
    (tmp_path / "x.env").touch()
    code = cli.run(
        cli.parser("x"), ["--env", str(tmp_path / "x.env")], lambda *_: pytest.fail("must not run")
    )
    assert code == 2
    assert "EMR_CORE_INSTANCE_COUNT = 'many'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "script",
    ["main.py --check", "main.py --plan", "main.py --teardown", "scripts/query_lake.py brands"],
)
def test_every_command_prints_warnings_about_the_settings(script, tmp_path):
    path = tmp_path / "x.env"
    path.write_text(
        "S3_BUCKET_NAMES=my-lake\nAWS_REGION=eu-west-1\nAWS_REGION=eu-west-2\n", encoding="utf-8"
    )
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    command = [sys.executable, *script.split(), "--env", str(path)]
    run = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False
    )
    assert "Did you mean S3_BUCKET_NAME?" in run.stderr
    assert "AWS_REGION is set in lines 2, 3; line 3 counts." in run.stderr


@pytest.mark.parametrize("text", ["0", "-1", "soon", "1e9"])
def test_an_invalid_timeout_is_a_usage_error(text, capsys):
    parser = cli.parser("x")
    cli.add_timeout(parser, 5)
    with pytest.raises(SystemExit) as caught:
        parser.parse_args(["--timeout-minutes", text])
    assert caught.value.code == 2


def test_a_deferred_ctrl_c_is_raised_after_the_block_and_a_second_one_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), ctrl_c_deferred():
        os.kill(os.getpid(), signal.SIGINT)
        done.append("answer")
    with pytest.raises(KeyboardInterrupt), ctrl_c_deferred():
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        done.append("never")
    assert done == ["answer"]
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_help_is_wrapped_to_the_terminal_except_examples_and_flags(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    text = cli.parser(
        "One two three four five six --seven-eight.\n\n  an example    stays\n\nNine."
    ).format_help()
    assert (
        "\nOne two three four five six\n--seven-eight.\n\n  an example    stays\n\nNine.\n" in text
    )


@pytest.mark.parametrize("script", scripts())
def test_every_script_has_help(script):
    assert len(help_text(script).splitlines()) > 6


@pytest.mark.parametrize("script", scripts())
def test_examples_in_help_fit_80_columns(script):
    assert all(len(line) <= 80 for line in docstring(script).splitlines() if line.startswith(" "))
