"""The local Athena's engine gives the rows and errors of Trino's documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import pytest
from support.known_answers import Case, known_answers

from local_aws.athena.engine import Engine, Query, Session
from local_aws.athena.errors import InvalidSyntax, QueryFailed
from local_aws.athena.results import Result, java_double, java_real
from local_aws.athena.statements import parse
from local_aws.athena.syntax import Source

Run = Callable[[str], Result]
HERE = Path(__file__).parent
STARTED = datetime(2024, 3, 5, 10, 20, 30)  # the value of now() in these tests


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Runs a query that needs no table."""
    engine = Engine()
    cursor = engine.cursor()

    def rows(sql: str) -> Result:
        query = Query(engine, Session(None, None, "db", STARTED, "someone"), cursor)
        source = Source(sql)
        return query.rows(query.prepare(source, source.tree))

    yield rows
    cursor.close()
    engine.close()


@pytest.mark.parametrize("case", known_answers(HERE / "answers.sql"))
def test_a_query_returns_trino_s_rows(run: Run, case: Case) -> None:
    assert run(case.sql).rows == case.rows


@pytest.mark.parametrize("case", known_answers(HERE / "errors.sql"))
def test_an_invalid_query_fails_with_trino_s_message(run: Run, case: Case) -> None:
    with pytest.raises(QueryFailed) as caught:
        run(case.sql)
    assert case.words in caught.value.reason


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELEC 1", "line 1:1: mismatched input 'SELEC'"),
        ("SELECT 1 FROM", "line 1:14: mismatched input '<EOF>'"),
        ("SELECT x FROM t\nWHERE x = = 1", "line 2:"),
        ("SELECT a FROM t LIMIT 1 OFFSET 2", "line 1:25: mismatched input 'OFFSET'"),
        ("SELECT x::int FROM t", "mismatched input '::'"),
        ("SELECT x FROM t QUALIFY row_number() OVER () = 1", "mismatched input"),
        ("SELECT 1; SELECT 2", "Only one sql statement is allowed"),
        ("", "mismatched input '<EOF>'"),
        ("USE db", "mismatched input 'USE'"),
    ],
)
def test_a_syntax_error_is_found_by_the_parser(sql: str, message: str) -> None:
    with pytest.raises(InvalidSyntax) as caught:
        parse(sql)
    assert message in str(caught.value)


def test_unnamed_columns_are_numbered_and_named_columns_keep_their_case(run: Run) -> None:
    names = [
        name
        for name, _ in run(
            'SELECT 1, x, x AS "My Col", x + 1, x AS Foo FROM (VALUES 1) t(x)'
        ).columns
    ]
    assert names == ["_col0", "x", "My Col", "_col3", "Foo"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1.0"),
        (0.1, "0.1"),
        (1e7, "1.0E7"),
        (-1.5e-5, "-1.5E-5"),
        (0.001, "0.001"),
        (123456789.125, "1.23456789125E8"),
        (0.0, "0.0"),
    ],
)
def test_doubles_are_formatted_as_in_java(value: float, text: str) -> None:
    assert java_double(value) == text


def test_a_real_has_the_fewest_digits_that_identify_it() -> None:
    assert [java_real(value) for value in (0.10000000149011612, 16777216.0, float("nan"))] == [
        "0.1",
        "1.6777216E7",
        "NaN",
    ]
