"""main.py: the phases for each flag, the cluster's end after a failure, and its messages."""

import io
import json
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError
from car_rental.display.console import Console
from car_rental.emr.costs import Prices, Usage
from car_rental.errors import DataLakeError, StillRunning
from car_rental.runs import cluster_costs
from car_rental.runs.records import RunRecord
from car_rental.runs.run import Run
from car_rental.runs.selection import shown_on_board, steps_to_run
from car_rental.s3.uploads import UploadResult
from car_rental.steps import STEPS

import main

WITHOUT_SETUP = [name for name, step in STEPS.items() if step.phase != "setup"]


def phases_of(*flags):
    """The phases that main.py would run for these flags."""
    return main.phases(main.command_line(None).parse_args(flags))


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--setup"], ["setup"]),
        (["--process"], ["process"]),
        (["--orchestrate"], ["orchestrate"]),
        (["--analyze"], ["analyze"]),
        (["--analyze", "--setup"], ["setup", "analyze"]),
        (["--all"], ["setup", "process", "analyze"]),
        (["--all", "--orchestrate"], ["setup", "orchestrate", "analyze"]),
        (["--setup", "--orchestrate", "--analyze"], ["setup", "orchestrate", "analyze"]),
        ([], []),
    ],
)
def test_phases_of_combined_flags_keep_their_order(flags, expected):
    assert phases_of(*flags) == expected


def test_without_a_flag_help_is_shown(capsys):
    assert main.main([]) == 0
    assert "--setup" in capsys.readouterr().out


def test_local_without_a_phase_is_a_usage_error(capsys):
    assert main.main(["--local"]) == 2


@pytest.fixture
def uploads(monkeypatch):
    """A list with one entry for each upload of files; no test here has a bucket."""
    calls = []
    monkeypatch.setattr(main, "require_bucket", lambda aws, where: None)
    monkeypatch.setattr(
        main, "upload_files", lambda aws, console: calls.append(1) or UploadResult(1, 2, 3)
    )
    return calls


@pytest.fixture
def run(uploads):
    settings = SimpleNamespace(is_local=True, emr_idle_timeout_seconds=1800)
    return Run(
        SimpleNamespace(settings=settings),
        Console(io.StringIO(), io.StringIO()),
        RunRecord([]),
        WITHOUT_SETUP,
    )


@dataclass
class Result:
    """The result of a fake step."""

    cluster_id: str = "j-1"

    def summary(self):
        return "done"


@pytest.fixture
def steps(monkeypatch, uploads):
    """Replaces steps 5 to 8 and the lake's lock by fakes.

    ``steps.fail`` names the step that raises. ``steps.ran`` lists the steps that ran, and
    ``steps.locked`` those that ran under the lock.
    """
    log = SimpleNamespace(
        ran=[],
        locked=[],
        fail=None,
        error=DataLakeError("x", "broke"),
        terminated=[],
        has_made="j-1",
        is_locked=False,
    )

    @contextmanager
    def lock(*_, **__):
        log.is_locked = True
        try:
            yield SimpleNamespace()
        finally:
            log.is_locked = False

    def fake(name):
        def step(*_, **arguments):
            log.ran.append(name)
            log.locked += [name] if log.is_locked else []
            if "on_created" in arguments and log.has_made:
                arguments["on_created"](log.has_made)
            if name == log.fail:
                raise log.error
            return Result()

        step.__name__ = name
        return step

    for name in (
        "create_emr_cluster",
        "run_spark_jobs",
        "run_glue_crawlers",
        "terminate_emr_cluster",
    ):
        monkeypatch.setattr(main, name, fake(name))
    monkeypatch.setattr(
        "car_rental.emr.clusters.terminate",
        lambda aws, cluster_id: log.terminated.append(cluster_id),
    )
    monkeypatch.setattr(main, "lake_lock", lock)
    return log


def test_processing_uploads_changed_files_and_runs_steps_5_to_8(run, steps, uploads):
    main.process(run)
    assert uploads == [1]
    assert steps.ran == [
        "create_emr_cluster",
        "run_spark_jobs",
        "run_glue_crawlers",
        "terminate_emr_cluster",
    ]
    assert [(step_run.step.name, step_run.outcome) for step_run in run.record.steps] == [
        (name, "ok") for name in steps.ran
    ]


@pytest.mark.parametrize("fail", [None, "run_spark_jobs"])
def test_every_processing_step_runs_under_the_lake_s_lock(run, steps, fail):
    steps.fail = fail
    with pytest.raises(DataLakeError) if fail else nullcontext():
        main.process(run)
    assert steps.locked == steps.ran and not steps.is_locked


@pytest.mark.parametrize(
    "error", [DataLakeError("x", "broke"), KeyboardInterrupt(), RuntimeError("bug")]
)
@pytest.mark.parametrize(
    "where", ["create_emr_cluster", "run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"]
)
def test_a_failure_in_any_step_terminates_the_cluster_and_is_raised(run, steps, where, error):
    steps.fail, steps.error = where, error
    with pytest.raises(type(error)):
        main.process(run)
    assert steps.terminated == ["j-1"]


def test_a_failure_before_a_cluster_exists_terminates_nothing(run, steps):
    steps.fail, steps.has_made = "create_emr_cluster", None
    with pytest.raises(DataLakeError):
        main.process(run)
    assert steps.terminated == []


def test_files_are_not_uploaded_again_after_a_setup_in_the_same_run(run, steps, uploads):
    run.steps = [*STEPS]
    main.process(run)
    assert uploads == []


def test_an_aws_error_names_its_step(run, steps):
    steps.fail = "run_glue_crawlers"
    steps.error = ClientError(
        {"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetCrawler"
    )
    with pytest.raises(DataLakeError) as caught:
        main.process(run)
    assert caught.value.where == "run_glue_crawlers (GetCrawler)"


def test_a_failed_termination_is_reported_and_the_first_failure_raised(run, steps, monkeypatch):
    def raise_error(*_):
        raise RuntimeError("no rights")

    monkeypatch.setattr("car_rental.emr.clusters.terminate", raise_error)
    stderr = io.StringIO()
    run.console = Console(io.StringIO(), stderr)
    steps.fail = "run_spark_jobs"
    with pytest.raises(DataLakeError, match="broke"):
        main.process(run)
    assert "j-1 could not be terminated and may still cost money: no rights" in stderr.getvalue()
    assert "terminate_emr_cluster.py --cluster-id j-1" in stderr.getvalue()


@pytest.mark.parametrize(("keep", "kind"), [(False, DataLakeError), (True, StillRunning)])
def test_jobs_past_the_deadline_continue_only_on_a_kept_cluster(run, steps, priced, keep, kind):
    error = StillRunning("Spark", "still runs after 240 minutes; it goes on by itself.", "Look.")
    run.keep_cluster, steps.fail, steps.error = keep, "run_spark_jobs", error
    with pytest.raises(kind) as caught:
        main.process(run)
    assert type(caught.value) is kind and steps.terminated == ([] if keep else ["j-1"])
    assert ("goes on by itself" in caught.value.what) == keep


# --- kept clusters, resumed runs, costs


@pytest.fixture
def priced(monkeypatch):
    """A cluster of one node at half a dollar per hour."""
    monkeypatch.setattr(cluster_costs, "cluster_nodes", lambda settings: {"m5.xlarge": 1})
    monkeypatch.setattr(
        cluster_costs,
        "find_prices",
        lambda aws, types: Prices({"m5.xlarge": Decimal("0.5")}, "a test"),
    )
    monkeypatch.setattr(
        cluster_costs, "hour_of_cluster", lambda settings, prices: prices.per_hour["m5.xlarge"]
    )


@pytest.mark.parametrize("fail", [None, "run_spark_jobs"])
def test_a_kept_cluster_is_reported_with_its_price_and_termination_command(
    run, steps, priced, fail
):
    run.keep_cluster, steps.fail, stderr = True, fail, io.StringIO()
    run.aws.settings.is_local, run.console = False, Console(io.StringIO(), stderr)
    with pytest.raises(DataLakeError) if fail else nullcontext():
        main.process(run)
    assert "terminate_emr_cluster" not in steps.ran and steps.terminated == []
    assert "j-1 is kept. On AWS an hour of it costs: $0.50" in stderr.getvalue()
    assert "terminate_emr_cluster.py --cluster-id j-1" in stderr.getvalue()


def test_a_kept_local_cluster_is_reported_with_its_lifetime(run, steps):
    run.keep_cluster, stderr = True, io.StringIO()
    run.console = Console(io.StringIO(), stderr)
    main.process(run)
    assert (
        "j-1 is kept as long as the local AWS runs" in stderr.getvalue() and steps.terminated == []
    )


@pytest.mark.parametrize(
    ("first", "active", "expected"),
    [
        (
            "setup_iam_roles",
            [],
            ["create_emr_cluster", "run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"],
        ),
        (
            "run_spark_jobs",
            [],
            ["create_emr_cluster", "run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"],
        ),
        (
            "run_spark_jobs",
            [{"Id": "j-0"}],
            ["run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"],
        ),
        ("run_glue_crawlers", [], ["run_glue_crawlers"]),
        ("analyze", [], []),
    ],
)
def test_a_run_is_resumed_at_the_given_step(run, steps, monkeypatch, first, active, expected):
    monkeypatch.setattr(main, "find_cluster", lambda aws, cluster_id: active[0]["Id"])
    run.steps = steps_to_run(["process"], first, keep_cluster=False, has_cluster=bool(active))
    main.run_phases(run, ["process"])
    assert steps.ran == expected


@pytest.mark.parametrize(
    ("first", "skipped"),
    [
        ("run_spark_jobs", ["5 create_emr_cluster"]),
        ("run_glue_crawlers", ["5 create_emr_cluster", "6 run_spark_jobs"]),
        ("analyze", ["5 create_emr_cluster", "6 run_spark_jobs", "7 run_glue_crawlers"]),
    ],
)
def test_skipped_steps_of_a_resumed_run_are_named(run, steps, monkeypatch, first, skipped):
    monkeypatch.setattr(main, "find_cluster", lambda aws, cluster_id: "j-0")
    run.steps, stderr = (
        steps_to_run(["process"], first, keep_cluster=False, has_cluster=True),
        io.StringIO(),
    )
    run.console = Console(io.StringIO(), stderr)
    main.run_phases(run, ["process"])
    lines = stderr.getvalue().splitlines()
    assert [step for step, next_line in pairwise(lines) if "left out" in next_line] == skipped
    assert [done.step.name for done in run.record.steps] == run.steps
    on_board = [step.name for step in shown_on_board(run.steps, ["process"])]
    assert ("terminate_emr_cluster" in on_board) == (first == "run_spark_jobs")


def test_the_summary_on_aws_shows_the_cluster_s_cost(run, steps, monkeypatch):
    run.aws.settings.is_local = False
    out = io.StringIO()
    run.console = Console(out, io.StringIO())
    usage = Usage({"m5.xlarge": Decimal("1.5")}, Decimal("0.36"), False)
    monkeypatch.setattr(cluster_costs, "used", lambda aws, cluster_id: usage)
    main.process(run)
    main.show_summary(run)
    assert "1.50 h of m5.xlarge: $0.36" in out.getvalue()
    assert run.record.cost["dollars"] == Decimal("0.36")


def test_an_unknown_cost_does_not_fail_a_good_run(run, steps, monkeypatch):
    def raise_error(aws, cluster_id):
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListInstances")

    run.aws.settings.is_local, stderr = False, io.StringIO()
    run.console = Console(io.StringIO(), stderr)
    monkeypatch.setattr(cluster_costs, "used", raise_error)
    main.process(run)
    assert "cannot be determined" in stderr.getvalue() and run.usage is None


def on_aws(run, monkeypatch, usage):
    """Turns the run into one on AWS whose cluster used ``usage``; returns its stderr.

    If ``usage`` is an exception, reading the usage raises it.
    """

    def usage_of_cluster(aws, cluster_id):
        if isinstance(usage, BaseException):
            raise usage
        return usage

    run.aws.settings.is_local, stderr = False, io.StringIO()
    run.console = Console(io.StringIO(), stderr)
    monkeypatch.setattr(cluster_costs, "used", usage_of_cluster)
    return stderr


USAGE = Usage({"m5.xlarge": Decimal("0.3")}, Decimal("0.072"), False)


@pytest.mark.parametrize("error", [DataLakeError("x", "broke"), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["create_emr_cluster", "run_spark_jobs", "terminate_emr_cluster"])
def test_a_failed_run_on_aws_shows_and_records_its_cluster_s_cost(
    run, steps, monkeypatch, where, error
):
    steps.fail, steps.error, stderr = where, error, on_aws(run, monkeypatch, USAGE)
    with pytest.raises(type(error)):
        main.process(run)
    assert "cluster j-1 has used so far: 0.30 h of m5.xlarge: $0.07" in stderr.getvalue()
    assert run.record.cost["dollars"] == Decimal("0.072")
    assert run.record.ids["cluster_id"] == "j-1"


@pytest.mark.parametrize(
    "error",
    [ClientError({"Error": {"Code": "AccessDenied"}}, "x"), KeyError("bug"), KeyboardInterrupt()],
)
def test_an_unknown_cost_does_not_hide_the_failure(run, steps, monkeypatch, error):
    steps.fail, stderr = "run_spark_jobs", on_aws(run, monkeypatch, error)
    with pytest.raises(DataLakeError, match="broke"):
        main.process(run)
    assert "cannot be determined" in stderr.getvalue() and steps.terminated == ["j-1"]


def test_a_failed_execution_on_aws_shows_its_cluster_s_cost(run, monkeypatch):
    def execute_step_functions(*_, on_created):
        on_created("arn:of:execution")
        raise DataLakeError("execution", "broke")

    stderr = on_aws(run, monkeypatch, USAGE)
    monkeypatch.setattr(main, "execute_step_functions", execute_step_functions)
    monkeypatch.setattr(
        cluster_costs, "describe", lambda aws, arn: {"executionArn": arn, "startDate": None}
    )
    monkeypatch.setattr(
        cluster_costs, "clusters_of", lambda aws, arn, started, active_only: [{"Id": "j-2"}]
    )
    with pytest.raises(DataLakeError, match="broke"):
        main.orchestrate(run)
    assert "cluster j-2 has used so far: 0.30 h" in stderr.getvalue()
    assert run.record.ids == {"execution_arn": "arn:of:execution"}


# --- checks and records


@pytest.fixture
def env_file(tmp_path):
    path = tmp_path / "x.env"
    path.write_text(f"DATA_DIR={tmp_path}/data\nRUNS_DIR={tmp_path}/runs\n")
    return str(path)


def test_the_check_of_local_mode_needs_no_aws_and_names_omitted_checks(env_file, capsys):
    assert main.main(["--check", "--local", "--env", env_file]) == 0
    assert "not checked" in capsys.readouterr().out


def test_the_check_of_local_mode_ignores_the_profile(env_file, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "nosuch")
    assert main.main(["--check", "--local", "--env", env_file]) == 0


def test_fix_runs_before_the_check_and_not_in_local_mode(env_file, monkeypatch):
    done = []
    monkeypatch.setattr(main, "apply_fixes", lambda *_, yes: done.append(("mended", yes)))
    monkeypatch.setattr(main, "require_ready", lambda *_, local: done.append(("checked", local)))
    assert main.main(["--check", "--fix", "--yes", "--env", env_file]) == 0
    assert main.main(["--check", "--fix", "--local", "--env", env_file]) == 0
    assert done == [("mended", True), ("checked", False), ("checked", True)]


def test_a_problem_fails_the_check_with_exit_code_2(env_file, tmp_path, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "users.csv").write_text("user_id\n")
    assert main.main(["--check", "--local", "--env", env_file]) == 2
    assert "no CSV file for locations" in capsys.readouterr().out


def test_the_check_reports_all_invalid_settings_at_once(tmp_path, capsys):
    (tmp_path / "x.env").write_text("AWS_REGION=nowhere\nEMR_CORE_INSTANCE_COUNT=many\n")
    assert main.main(["--check", "--env", str(tmp_path / "x.env")]) == 2
    assert (
        "AWS_REGION" in (stderr := capsys.readouterr().err) and "EMR_CORE_INSTANCE_COUNT" in stderr
    )


@pytest.mark.parametrize(
    "flags",
    [
        ["--all", "--fresh"],
        ["--fresh", "--local", "--plan"],
        ["--fresh", "--local", "--all", "--from", "analyze"],
    ],
)
def test_fresh_is_accepted_only_for_a_whole_local_run(flags, capsys):
    with pytest.raises(SystemExit) as caught:
        main.main(flags)
    assert caught.value.code == 2
    assert "--fresh" in capsys.readouterr().err


def test_with_json_stdout_contains_only_the_record(steps, env_file, monkeypatch, capsys):
    # nothing is sent there, because the steps are fakes
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    steps.fail = "run_glue_crawlers"
    assert main.main(["--process", "--json", "--env", env_file]) == 1
    record = json.loads(capsys.readouterr().out)
    assert (record["outcome"], record["exit_code"]) == ("failed", 1)
    assert "broke" in record["error"]["what"] and record["flags"][0] == "--process"


def test_a_failed_run_names_the_flag_that_resumes_it(steps, env_file, monkeypatch, capsys):
    # nothing is sent there, because the steps are fakes
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    steps.fail = "run_glue_crawlers"
    assert main.main(["--process", "--env", env_file]) == 1
    assert "the same command with --from run_glue_crawlers" in capsys.readouterr().err


def test_a_failure_in_the_first_step_suggests_no_resuming(steps, env_file, monkeypatch, capsys):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    steps.fail = "create_emr_cluster"
    assert main.main(["--process", "--env", env_file]) == 1
    assert "--from" not in capsys.readouterr().err
