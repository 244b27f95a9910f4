"""SQL from the command line: formats, the newest run by default, saved queries, errors, Ctrl-C."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from car_rental.config import ROOT
from query_lake import main
from support.published_lake import MASTERS, PublishedLake

from local_aws.server import LocalAws

FIRST = ["R1,U1,V1,2024-01-01 10:00:00,2024-01-01 12:00:00,1,2,20.00"]
SECOND = [*FIRST, "R2,U2,V2,2024-01-02 10:00:00,2024-01-02 11:00:00,2,1,10.10"]
TYPES = "SELECT vehicle_type, total_revenue FROM vehicle_type_metrics ORDER BY 1"


@pytest.fixture(scope="module")
def lake(stand_in: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> PublishedLake:
    lake = PublishedLake.new(stand_in.url, "sql", tmp_path_factory.mktemp("sql_lake"))
    lake.publish("r1", {**MASTERS, "rental_transactions": FIRST})
    lake.publish("r2", {**MASTERS, "rental_transactions": SECOND})
    lake.crawl()
    return lake


@pytest.fixture
def env(lake: PublishedLake, tmp_path: Path) -> list[str]:
    """The flags that select this module's lake."""
    file = tmp_path / "x.env"
    file.write_text(f"AWS_ENDPOINT_URL={lake.settings.aws_endpoint_url}\nENVIRONMENT=sql\n")
    return ["--env", str(file)]


def test_a_pipe_gets_csv_of_the_newest_run_and_stderr_the_statistics(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([TYPES, *env]) == 0
    out, err = capsys.readouterr()
    assert out == "vehicle_type,total_revenue\nbasic,20.00\nhigh_end,10.10\n"
    assert "2 rows of the newest run, r2" in err and "bytes read" in err and "$0.00005" in err


def test_a_query_that_names_run_id_reads_every_run(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(
            [
                (
                    "SELECT run_id, sum(total_revenue) AS revenue FROM vehicle_type_metrics GROUP"
                    " BY 1 ORDER BY 1"
                ),
                *env,
            ]
        )
        == 0
    )
    assert capsys.readouterr().out == "run_id,revenue\nr1,20.00\nr2,30.10\n"


@pytest.mark.parametrize(
    "sql",
    [
        "WITH a AS (SELECT sum(total_revenue) AS s FROM vehicle_type_metrics) SELECT s FROM a",
        "-- a comment\n  select sum(v.total_revenue) AS s from Vehicle_Type_Metrics v;",
        "SELECT s FROM (SELECT sum(total_revenue) AS s FROM vehicle_type_metrics)",
    ],
)
def test_the_newest_run_is_the_default_in_every_form_of_a_query(
    env: list[str], capsys: pytest.CaptureFixture[str], sql: str
) -> None:
    assert main([sql, *env]) == 0
    assert capsys.readouterr().out == "s\n30.10\n"


def test_json_lines_keep_types_and_every_digit(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sql = (
        "SELECT CAST(1.10 AS DECIMAL(38, 2)) AS m, DATE '2024-02-29' AS d, 'ü\"' AS t, true AS b,"
        " NULL AS n, 2 AS i, nan() AS x"
    )
    assert main([sql, "--format", "jsonl", *env]) == 0
    out = capsys.readouterr().out
    assert '"m": 1.10' in out
    assert json.loads(out) == {
        "m": 1.1,
        "d": "2024-02-29",
        "t": 'ü"',
        "b": True,
        "n": None,
        "i": 2,
        "x": "nan",
    }


def test_a_table_aligns_numbers_to_the_right(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([TYPES, "--format", "table", *env]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    assert lines == [
        "vehicle_type  total_revenue",
        "  basic                 20.00",
        "  high_end              10.10",
    ]


def test_rows_wider_than_the_terminal_are_printed_one_value_per_line(
    env: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    sql = "SELECT * FROM location_metrics WHERE location_id = 1"
    assert main([sql, "--format", "table", *env]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["location_id", "1"],
        ["location_name", "Airport"],
    ]
    assert all(len(line) <= 80 for line in lines)


def test_a_table_shows_numbers_without_separators(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["SELECT 4711 AS id", "--format", "table", *env]) == 0
    assert capsys.readouterr().out.split() == ["id", "4711"]


def test_describe_lists_columns_and_costs_nothing(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["DESCRIBE vehicle_type_metrics", *env]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["col_name,data_type,comment", "vehicle_type,string,"]
    assert 'total_revenue,"decimal(38,2)",' in out.splitlines()
    assert "free" in err and "$" not in err


def test_a_terminal_gets_a_table(env: list[str]) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, str(ROOT / "scripts/query_lake.py"), TYPES, *env]
    result = subprocess.run(command, stdout=child, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(child)
    printed = os.read(parent, 10_000).decode()
    os.close(parent)
    assert result.returncode == 0, result.stderr
    assert "vehicle_type  total_revenue" in re.sub(r"\x1b\[[\d;]*m", "", printed)


def test_a_wrong_column_is_marked_in_its_sql_line(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["SELECT vehicle_type,\n       nonsense\nFROM vehicle_type_metrics", *env]) == 1
    out, err = capsys.readouterr()
    lines = err.splitlines()
    marked = next(index for index, line in enumerate(lines) if line.strip() == "^")
    assert "COLUMN_NOT_FOUND: line 2:8" in err
    assert lines[marked - 1].endswith("line 2:        nonsense")
    assert lines[marked].index("^") == lines[marked - 1].index("nonsense")
    assert out == ""


def test_a_syntax_error_names_its_line(env: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["SELECT vehicle_type FRO vehicle_type_metrics WHERE", *env]) == 1
    assert "line 1:" in capsys.readouterr().err


def test_a_project_query_runs_by_its_name(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top_locations", *env]) == 0
    assert "Harbour" in capsys.readouterr().out


def test_a_query_saved_by_another_user_runs_by_its_name(
    lake: PublishedLake, env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lake.aws.client("athena").create_named_query(
        Name="mine",
        QueryString="SELECT 7 AS n",
        Database=lake.settings.glue_database_name,
        WorkGroup=lake.settings.athena_workgroup,
    )
    assert main(["mine", *env]) == 0
    assert capsys.readouterr().out == "n\n7\n"


def test_an_unknown_name_is_a_usage_error_that_suggests_the_nearest(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top_location", *env]) == 2
    assert "Did you mean top_locations?" in capsys.readouterr().err


def test_without_sql_the_project_queries_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "Which locations earn the most?" in capsys.readouterr().out


def test_a_query_is_read_from_a_file_or_standard_input(
    env: list[str],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "q.sql").write_text("SELECT 1 AS n")
    assert main(["--file", str(tmp_path / "q.sql"), *env]) == 0
    with (tmp_path / "q.sql").open() as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        assert main(["--file", "-", *env]) == 0
    assert capsys.readouterr().out == "n\n1\n" * 2
    assert main(["--file", str(tmp_path / "none.sql"), *env]) == 2
    (tmp_path / "q.sql").write_text(" \n")
    assert main(["--file", str(tmp_path / "q.sql"), *env]) == 2
    assert "holds no SQL" in capsys.readouterr().err


def test_a_closed_pipe_is_not_a_failure(env: list[str]) -> None:
    sql = "SELECT a, b FROM UNNEST(sequence(1, 200)) AS t (a), UNNEST(sequence(1, 200)) AS u (b)"
    command = [sys.executable, str(ROOT / "scripts/query_lake.py"), sql, *env]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "a,b\n"
        process.stdout.close()
        stderr = process.stderr.read()
    assert process.returncode == 0, stderr
    assert "Traceback" not in stderr and "BrokenPipe" not in stderr


def test_ctrl_c_cancels_the_running_query(lake: PublishedLake, env: list[str]) -> None:
    numbers = "UNNEST(sequence(1, 10000))"
    sql = (
        f"SELECT count(*) AS cancelled FROM {numbers} AS t (a), {numbers} AS u (b), {numbers} AS v"
        " (c) WHERE a * b < c"
    )
    command = [sys.executable, str(ROOT / "scripts/query_lake.py"), sql, *env]
    athena = lake.aws.client("athena")

    def states() -> list[str]:
        ids = athena.list_query_executions(WorkGroup=lake.settings.athena_workgroup)[
            "QueryExecutionIds"
        ]
        queries = (
            athena.batch_get_query_execution(QueryExecutionIds=ids)["QueryExecutions"]
            if ids
            else []
        )
        return [query["Status"]["State"] for query in queries if query["Query"] == sql]

    def wait_for(state: str) -> None:
        deadline = time.monotonic() + 30
        while states() != [state]:
            assert time.monotonic() < deadline, states()
            time.sleep(0.1)

    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        wait_for("RUNNING")
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    wait_for("CANCELLED")
    assert "has been stopped" in stderr


def test_a_table_that_no_job_publishes_does_not_suggest_processing(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["SELECT * FROM nope", *env]) == 1
    err = capsys.readouterr().err
    assert "SHOW TABLES" in err and "--process" not in err


def test_an_empty_lake_names_the_step_to_run(
    stand_in: LocalAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.env").write_text(f"AWS_ENDPOINT_URL={stand_in.url}\nENVIRONMENT=nothing\n")
    assert main([TYPES, "--env", str(tmp_path / "x.env")]) == 1
    assert "setup_glue_crawlers.py" in capsys.readouterr().err
