"""The record of a run: there after each step, true about how it ended, and plain JSON."""

import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from car_rental.emr.costs import Usage
from car_rental.errors import ConfigError, DataLakeError, Interrupted, StillRunning
from car_rental.runs.records import RunRecord
from car_rental.steps import STEPS


@dataclass(frozen=True)
class Result:
    """The result of a step."""

    run_id: str = "r1"
    counts: dict[str, Any] = field(
        default_factory=lambda: {"tables": {"user_metrics": {"rows": 7}}}
    )

    def summary(self):
        return "well done"


@pytest.fixture
def record(new_project, tmp_path):
    made = RunRecord(["--all"])
    made.belongs_to(new_project(RUNS_DIR=str(tmp_path / "runs")).settings)
    return made


@contextmanager
def spark_jobs(record):
    """Inside, step 6 runs."""
    run = record.begin(STEPS["run_spark_jobs"])
    with record.recording_outcome(run):
        yield run


def saved(record):
    return json.loads(record.file.read_text(encoding="utf-8"))


def test_a_step_that_runs_is_in_the_file_before_it_ends(record):
    with spark_jobs(record) as run:
        assert [(step["name"], step["outcome"]) for step in saved(record)["steps"]] == [
            ("run_spark_jobs", "running")
        ]
        record.record_result(run, Result())
    (step,) = saved(record)["steps"]
    assert (step["outcome"], step["summary"], step["number"], step["phase"]) == (
        "ok",
        "well done",
        6,
        "process",
    )
    assert step["seconds"] >= 0 and step["result"]["run_id"] == "r1"


def test_a_run_that_was_killed_stays_running(record):
    assert (saved(record)["outcome"], saved(record)["exit_code"]) == ("running", None)


def test_ids_and_rows_are_found_at_the_top(record):
    with spark_jobs(record) as run:
        record.record_result(run, Result())
    assert saved(record)["ids"] == {"run_id": "r1"}
    assert saved(record)["tables"] == {"user_metrics": 7}


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (DataLakeError("Spark", "broke", "Mend it.", log="s3://b/log"), "failed", 1),
        (ConfigError("x", "wrong"), "failed", 2),
        (StillRunning("x", "goes on"), "still running", 3),
        (Interrupted("x", "stopped"), "interrupted", 130),
        (KeyboardInterrupt(), "interrupted", 130),
        (RuntimeError("bug"), "failed", 1),
    ],
)
def test_how_it_ended_is_written_down_and_the_error_passes(record, error, outcome, code):
    with pytest.raises(type(error)), record.recording_end(), spark_jobs(record):
        raise error
    assert (saved(record)["outcome"], saved(record)["exit_code"]) == (outcome, code)
    assert saved(record)["steps"][0]["outcome"] == outcome
    assert saved(record)["ended"] >= saved(record)["started"]


def test_a_failure_says_where_what_and_what_to_do(record):
    with pytest.raises(DataLakeError), record.recording_end():
        raise DataLakeError("Spark", "broke", "Mend it.", log="s3://b/log", details=("a", "b"))
    expected = {
        "where": "Spark",
        "what": "broke",
        "fix": "Mend it.",
        "log": "s3://b/log",
        "details": ["a", "b"],
    }
    assert saved(record)["error"] == expected


def test_a_good_end_has_no_error(record):
    with record.recording_end():
        pass
    assert (saved(record)["outcome"], saved(record)["exit_code"], saved(record)["error"]) == (
        "ok",
        0,
        None,
    )


def test_money_keeps_every_digit(record):
    record.record_usage(Usage({"m5.xlarge": Decimal("1.50")}, Decimal("0.360"), False))
    assert saved(record)["cost"] == {
        "hours": {"m5.xlarge": "1.50"},
        "dollars": "0.360",
        "with_spot": False,
    }


def test_the_file_is_named_by_the_start_and_nothing_else_is_left_behind(record):
    record.save()
    assert [path.name for path in record.folder.iterdir()] == [record.file.name]
    assert record.file.name.startswith(f"{record.started:%Y-%m-%dT%H-%M-%S}")


def test_before_the_settings_are_known_there_is_no_file_but_a_record(tmp_path):
    record = RunRecord(["--all"])
    with pytest.raises(ConfigError), record.recording_end():
        raise ConfigError("configuration", "2 settings are wrong:")
    assert record.file is None
    assert json.loads(record.as_json())["outcome"] == "failed"


def test_secrets_are_in_no_record(new_project, tmp_path):
    it = new_project(
        RUNS_DIR=str(tmp_path), AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="very-secret"
    )
    record = RunRecord([])
    record.belongs_to(it.settings)
    assert "very-secret" not in record.as_json() and "AKIDEXAMPLE" not in record.as_json()
