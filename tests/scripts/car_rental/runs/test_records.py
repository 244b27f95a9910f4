"""The record of a run is saved after each step, in plain JSON, with the correct outcome."""

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
    record = RunRecord(["--all"])
    record.belongs_to(new_project(RUNS_DIR=str(tmp_path / "runs")).settings)
    return record


@contextmanager
def spark_jobs(record):
    """Runs step 6 around the block."""
    run = record.begin(STEPS["run_spark_jobs"])
    with record.recording_outcome(run):
        yield run


def saved_record(record):
    return json.loads(record.file.read_text(encoding="utf-8"))


def test_a_running_step_is_in_the_file_before_its_end(record):
    with spark_jobs(record) as run:
        assert [(step["name"], step["outcome"]) for step in saved_record(record)["steps"]] == [
            ("run_spark_jobs", "running")
        ]
        record.record_result(run, Result())
    (step,) = saved_record(record)["steps"]
    assert (step["outcome"], step["summary"], step["number"], step["phase"]) == (
        "ok",
        "well done",
        6,
        "process",
    )
    assert step["seconds"] >= 0 and step["result"]["run_id"] == "r1"


def test_the_record_of_a_killed_run_says_running(record):
    assert (saved_record(record)["outcome"], saved_record(record)["exit_code"]) == ("running", None)


def test_ids_and_row_counts_are_at_the_top_level(record):
    with spark_jobs(record) as run:
        record.record_result(run, Result())
    assert saved_record(record)["ids"] == {"run_id": "r1"}
    assert saved_record(record)["tables"] == {"user_metrics": 7}


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
def test_the_outcome_is_recorded_and_the_error_is_raised(record, error, outcome, code):
    with pytest.raises(type(error)), record.recording_end(), spark_jobs(record):
        raise error
    assert (saved_record(record)["outcome"], saved_record(record)["exit_code"]) == (outcome, code)
    assert saved_record(record)["steps"][0]["outcome"] == outcome
    assert saved_record(record)["ended"] >= saved_record(record)["started"]


def test_a_recorded_failure_has_place_cause_and_remedy(record):
    with pytest.raises(DataLakeError), record.recording_end():
        raise DataLakeError("Spark", "broke", "Mend it.", log="s3://b/log", details=("a", "b"))
    expected = {
        "where": "Spark",
        "what": "broke",
        "fix": "Mend it.",
        "log": "s3://b/log",
        "details": ["a", "b"],
    }
    assert saved_record(record)["error"] == expected


def test_a_successful_run_has_no_error(record):
    with record.recording_end():
        pass
    assert (
        saved_record(record)["outcome"],
        saved_record(record)["exit_code"],
        saved_record(record)["error"],
    ) == ("ok", 0, None)


def test_amounts_keep_every_digit(record):
    record.record_usage(Usage({"m5.xlarge": Decimal("1.50")}, Decimal("0.360"), False))
    assert saved_record(record)["cost"] == {
        "hours": {"m5.xlarge": "1.50"},
        "dollars": "0.360",
        "with_spot": False,
    }


def test_the_file_is_named_by_the_start_time_and_is_the_only_one(record):
    record.save()
    assert [path.name for path in record.folder.iterdir()] == [record.file.name]
    assert record.file.name.startswith(f"{record.started:%Y-%m-%dT%H-%M-%S}")


def test_a_run_that_fails_before_its_settings_are_known_has_a_record_but_no_file(tmp_path):
    record = RunRecord(["--all"])
    with pytest.raises(ConfigError), record.recording_end():
        raise ConfigError("configuration", "2 settings are wrong:")
    assert record.file is None
    assert json.loads(record.as_json())["outcome"] == "failed"


def test_a_record_contains_no_secret(new_project, tmp_path):
    project = new_project(
        RUNS_DIR=str(tmp_path), AWS_ACCESS_KEY_ID="AKIDEXAMPLE", AWS_SECRET_ACCESS_KEY="very-secret"
    )
    record = RunRecord([])
    record.belongs_to(project.settings)
    assert "very-secret" not in record.as_json() and "AKIDEXAMPLE" not in record.as_json()
