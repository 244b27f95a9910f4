"""The console: results on stdout, words on stderr, plain lines wherever it is not a terminal."""

import io
from decimal import Decimal

import pytest
from console import Console, is_plain
from errors import DataLakeError


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "plain"),
    [
        (Terminal(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, True),
        (Terminal(), {"CI": "true"}, True),
        (Terminal(), {"TERM": "dumb"}, True),
        (io.StringIO(), {}, True),
    ],
)
def test_lines_are_plain_off_a_terminal_and_when_asked_for(stream, environ, plain):
    assert is_plain(stream, environ) is plain


@pytest.fixture
def console():
    out, err = io.StringIO(), io.StringIO()
    return Console(out, err), out, err


def test_words_go_to_stderr_and_results_to_stdout(console):
    it, out, err = console
    it.note("working")
    it.warn("look here")
    it.result("j-1")
    it.table("T", ("a",), [("x",)])
    assert "j-1" in out.getvalue() and "x" in out.getvalue()
    assert "working" in err.getvalue() and "! look here" in err.getvalue()
    assert "working" not in out.getvalue()


def test_progress_is_a_line_a_change_of_state(console):
    it, _, err = console
    for elapsed, state in enumerate(["PENDING", "PENDING", "RUNNING", "RUNNING"]):
        it.progress("step", state, elapsed)
    assert err.getvalue().splitlines() == ["  step: PENDING (0 s)", "  step: RUNNING (2 s)"]


def test_plain_output_has_no_escape_codes_and_no_broken_lines(console):
    it, _, err = console
    it.fail(DataLakeError("somewhere", "x" * 300))
    assert "\x1b" not in err.getvalue()
    assert "x" * 300 in err.getvalue()


def test_money_is_shown_to_the_cent_and_counts_with_commas(console):
    it, out, _ = console
    it.table("", ("n", "sum"), [(1234567, Decimal("1234.50")), (None, Decimal("0.00"))])
    assert "1,234,567" in out.getvalue()
    assert "1,234.50" in out.getvalue()
    assert "0.00" in out.getvalue()
