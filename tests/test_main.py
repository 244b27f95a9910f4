"""The phases: which run for which flags, and that a cluster never outlives a failure."""

import io
from types import SimpleNamespace

import pytest
from console import Console
from errors import DataLakeError

import main


def names(*flags):
    """The phases that main.py would run for these flags."""
    return [phase.__name__ for phase in main.phases(main._parser().parse_args(flags))]


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--setup"], ["setup"]),
        (["--process"], ["process"]),
        (["--orchestrate"], ["orchestrate"]),
        (["--analyze"], ["analyze_tables"]),
        (["--analyze", "--setup"], ["setup", "analyze_tables"]),
        (["--all"], ["setup", "process", "analyze_tables"]),
        (["--all", "--orchestrate"], ["setup", "orchestrate", "analyze_tables"]),
        (["--setup", "--orchestrate", "--analyze"], ["setup", "orchestrate", "analyze_tables"]),
        ([], []),
    ],
)
def test_flags_combine_and_phases_keep_their_order(flags, expected):
    assert names(*flags) == expected


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--process"], ["setup", "process"]),
        (["--analyze"], ["setup", "process", "analyze_tables"]),
        (["--orchestrate"], ["setup", "orchestrate"]),
        (["--setup"], ["setup"]),
    ],
)
def test_the_local_aws_begins_empty_so_earlier_phases_run_too(flags, expected):
    assert names("--local", *flags) == expected


def test_no_flag_shows_help(capsys):
    assert main.main([]) == 0
    assert "--setup" in capsys.readouterr().out


def test_local_without_a_phase_is_wrong_usage(capsys):
    assert main.main(["--local"]) == 2


@pytest.fixture
def run():
    return main.Run(SimpleNamespace(), SimpleNamespace(), Console(io.StringIO(), io.StringIO()))


@pytest.fixture
def steps(monkeypatch):
    """Puts fakes in the place of steps 5 to 8; ``steps.fail`` names the one that raises, ``steps.ran`` who ran."""
    log = SimpleNamespace(ran=[], fail=None, error=DataLakeError("x", "broke"), terminated=[])

    def fake(name):
        def step(*_, **arguments):
            log.ran.append(name)
            if name == log.fail:
                raise log.error
            return SimpleNamespace(cluster_id="j-1", summary=lambda: name)

        step.__name__ = name
        return step

    for name in ("create_emr_cluster", "run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"):
        monkeypatch.setattr(main, name, fake(name))
    monkeypatch.setattr(main, "terminate", lambda aws, cluster_id: log.terminated.append(cluster_id))
    return log


def test_processing_runs_steps_5_to_8(run, steps):
    main.process(run)
    assert steps.ran == ["create_emr_cluster", "run_spark_jobs", "run_glue_crawlers", "terminate_emr_cluster"]
    assert [name for name, _, _ in run.done] == [f"{5 + index} {name}" for index, name in enumerate(steps.ran)]


@pytest.mark.parametrize("error", [DataLakeError("x", "broke"), KeyboardInterrupt(), RuntimeError("bug")])
@pytest.mark.parametrize("where", ["run_spark_jobs", "run_glue_crawlers"])
def test_whatever_goes_wrong_the_cluster_is_terminated_and_the_failure_is_passed_on(run, steps, where, error):
    steps.fail, steps.error = where, error
    with pytest.raises(type(error)):
        main.process(run)
    assert steps.terminated == ["j-1"]


def test_a_cluster_that_did_not_come_is_not_terminated_twice(run, steps):
    steps.fail = "create_emr_cluster"
    with pytest.raises(DataLakeError):
        main.process(run)
    assert steps.terminated == []


def test_a_cluster_that_cannot_be_terminated_is_named_and_the_first_failure_stays(run, steps, monkeypatch):
    def refuse(*_):
        raise RuntimeError("no rights")

    monkeypatch.setattr(main, "terminate", refuse)
    err = io.StringIO()
    run.console = Console(io.StringIO(), err)
    steps.fail = "run_spark_jobs"
    with pytest.raises(DataLakeError, match="broke"):
        main.process(run)
    assert "j-1 could not be terminated and may still cost money: no rights" in err.getvalue()
    assert "terminate_emr_cluster.py --cluster-id j-1" in err.getvalue()
