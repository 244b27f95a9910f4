"""SQL from the command line: rows in each format, the newest run by default, saved queries, errors,
and Ctrl-C."""

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
    """The flags that mean the lake of this module."""
    file = tmp_path / "x.env"
    file.write_text(f"AWS_ENDPOINT_URL={lake.settings.aws_endpoint_url}\nENVIRONMENT=sql\n")
    return ["--env", str(file)]


def test_in_a_pipe_it_prints_csv_of_the_newest_run_and_the_facts_on_stderr(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([TYPES, *env]) == 0
    out, err = capsys.readouterr()
    assert out == "vehicle_type,total_revenue\nbasic,20.00\nhigh_end,10.10\n"
    assert "2 rows of the newest run, r2" in err and "bytes read" in err and "$0.00005" in err


def test_a_query_that_names_run_id_sees_every_run(
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
def test_the_newest_run_is_meant_however_the_table_is_named(
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


def test_the_table_for_people_has_numbers_on_the_right(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([TYPES, "--format", "table", *env]) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.strip().splitlines()]
    assert lines == [
        "vehicle_type  total_revenue",
        "  basic                 20.00",
        "  high_end              10.10",
    ]


def test_rows_too_wide_for_a_table_are_printed_a_value_a_line(
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


def test_a_table_shows_numbers_as_sql_takes_them(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["SELECT 4711 AS id", "--format", "table", *env]) == 0
    assert capsys.readouterr().out.split() == ["id", "4711"]


def test_describe_lists_columns_and_types_and_is_free(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["DESCRIBE vehicle_type_metrics", *env]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[:2] == ["col_name,data_type,comment", "vehicle_type,string,"]
    assert 'total_revenue,"decimal(38,2)",' in out.splitlines()
    assert "free" in err and "$" not in err


def test_on_a_terminal_it_is_a_table(env: list[str]) -> None:
    parent, child = pty.openpty()
    command = [sys.executable, str(ROOT / "scripts/query_lake.py"), TYPES, *env]
    done = subprocess.run(command, stdout=child, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(child)
    shown = os.read(parent, 10_000).decode()
    os.close(parent)
    assert done.returncode == 0, done.stderr
    assert "vehicle_type  total_revenue" in re.sub(r"\x1b\[[\d;]*m", "", shown)


def test_a_wrong_column_is_marked_in_the_line_that_was_typed(
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


def test_sql_that_cannot_be_read_is_marked_too(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["SELECT vehicle_type FRO vehicle_type_metrics WHERE", *env]) == 1
    assert "line 1:" in capsys.readouterr().err


def test_a_saved_query_is_asked_by_its_name(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top_locations", *env]) == 0
    assert "Harbour" in capsys.readouterr().out


def test_a_query_that_somebody_saved_in_the_workgroup_is_asked_by_its_name(
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


def test_an_unknown_name_is_wrong_usage_and_the_nearest_is_named(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["top_location", *env]) == 2
    assert "Did you mean top_locations?" in capsys.readouterr().err


def test_without_sql_the_saved_queries_are_listed_and_nothing_is_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main([]) == 0
    assert "Which locations earn the most?" in capsys.readouterr().out


def test_a_file_and_standard_input_hold_a_query(
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


def test_a_reader_that_has_enough_is_no_failure(env: list[str]) -> None:
    sql = "SELECT a, b FROM UNNEST(sequence(1, 200)) AS t (a), UNNEST(sequence(1, 200)) AS u (b)"
    command = [sys.executable, str(ROOT / "scripts/query_lake.py"), sql, *env]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline() == "a,b\n"
        process.stdout.close()
        words = process.stderr.read()
    assert process.returncode == 0, words
    assert "Traceback" not in words and "BrokenPipe" not in words


def test_ctrl_c_cancels_the_query(lake: PublishedLake, env: list[str]) -> None:
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
        _, words = process.communicate(timeout=30)
    assert process.returncode == 130, words
    wait_for("CANCELLED")
    assert "has been stopped" in words


def test_a_table_that_nothing_publishes_is_not_promised_by_processing(
    env: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["SELECT * FROM nope", *env]) == 1
    err = capsys.readouterr().err
    assert "SHOW TABLES" in err and "--process" not in err


def test_a_lake_without_tables_names_the_step_to_run(
    stand_in: LocalAws, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.env").write_text(f"AWS_ENDPOINT_URL={stand_in.url}\nENVIRONMENT=nothing\n")
    assert main([TYPES, "--env", str(tmp_path / "x.env")]) == 1
    assert "setup_glue_crawlers.py" in capsys.readouterr().err
