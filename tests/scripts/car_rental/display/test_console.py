"""The console: results on stdout, words on stderr, plain lines wherever it is not a terminal."""

import io
import re
import time
from contextlib import nullcontext
from datetime import UTC, datetime
from decimal import Decimal
from xml.etree import ElementTree

import pytest
from car_rental.display.console import Console
from car_rental.display.rendering import is_plain
from car_rental.errors import DataLakeError, Interrupted, StillRunning
from car_rental.steps import STEPS, StepRun

import main


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


@pytest.fixture
def terminal(monkeypatch):
    """A console on a terminal of 80 columns; ``screen()`` is what it wrote, without control
    codes."""
    for name in ("CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    return (
        Console(stream, stream),
        lambda: re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue()),
        stream,
    )


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


def test_words_that_are_broken_stay_indented_on_a_terminal(terminal):
    it, screen, _ = terminal
    it.note("word " * 30)
    it.warn("word " * 30)
    assert all(line.startswith("  ") for line in screen().splitlines())


def test_text_behind_a_label_is_broken_beside_it_on_a_terminal_and_nowhere_in_a_pipe(
    terminal, console
):
    it, screen, _ = terminal
    it.labelled("problem", ["word " * 30, "-> mend it"])
    assert [line[:8].strip() for line in screen().splitlines()] == ["problem", "", "", ""]
    it, out, _ = console
    it.labelled("problem", ["word " * 30, "-> mend it"])
    assert out.getvalue() == f"{'problem':<12} {'word ' * 30}\n{'':<12} -> mend it\n"


# --- the steps of a run


def run_of(console, name, *, error=None):
    """One step from begin to end, in which something is waited for."""
    run = StepRun(STEPS[name], datetime.now(UTC))
    with console.step(run):
        console.progress("crawler x", "RUNNING", 1)
        console.result("an answer")
        run.outcome, run.summary = ("failed", "") if error else ("ok", "7 tables")
        if error:
            raise error


def test_off_a_terminal_a_step_is_its_name_what_was_heard_and_how_it_ended(console):
    it, out, err = console
    with it.board([STEPS["run_glue_crawlers"]]):
        run_of(it, "run_glue_crawlers")
    assert err.getvalue().splitlines() == [
        "7 run_glue_crawlers",
        "  crawler x: RUNNING (1 s)",
        "  done in 0.0 s: 7 tables",
    ]
    it.summary()
    assert "   7 run_glue_crawlers  ok" in out.getvalue() and "\x1b" not in out.getvalue()


@pytest.mark.parametrize("error", [None, DataLakeError("x", "broke"), KeyboardInterrupt()])
def test_on_a_terminal_the_board_stays_as_it_ended_the_cursor_comes_back_and_results_follow(
    terminal, error
):
    it, screen, stream = terminal
    planned = [STEPS["run_glue_crawlers"], STEPS["terminate_emr_cluster"]]
    with pytest.raises(type(error)) if error else nullcontext(), it.board(planned):
        run_of(it, "run_glue_crawlers", error=error)
    final = screen()[screen().rindex("  result") :]
    assert ("7 run_glue_crawlers      failed" if error else "7 run_glue_crawlers      ok") in final
    assert ("crawler x: RUNNING" if error else "7 tables") in final
    assert "8 terminate_emr_cluster" in final and final.rstrip().endswith("an answer")
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
    assert max(map(len, final.splitlines())) <= 80


def test_the_board_shows_at_once_for_what_a_step_waits(terminal):
    it, screen, _ = terminal
    run = StepRun(STEPS["create_emr_cluster"], datetime.now(UTC))
    with it.board([run.step]), it.step(run), it.waiting("cluster j-1 starts"):
        pass
    assert "cluster j-1 starts" in screen()


def test_without_a_terminal_a_long_silence_says_what_is_waited_for(monkeypatch):
    monkeypatch.setattr("car_rental.display.console.QUIET_SECONDS", 0.05)
    err = io.StringIO()
    it = Console(io.StringIO(), err)
    with it.waiting("the local AWS starts"):
        time.sleep(0.3)
    with it.waiting("nothing new"):
        it.note("done already")
        time.sleep(0.3)
    assert err.getvalue() == "  ... the local AWS starts\n  done already\n"


ARN = (
    "arn:aws:states:us-east-1:123456789012:execution:CarRentalDataPipeline:"
    "run-2026-11-27T07-29-46-564Z"
)


def test_an_arn_is_not_broken_over_lines(terminal):
    it, _, stream = terminal
    it.note(f"execution {ARN}")
    it.fail(
        DataLakeError(
            "execution", "FAILED.", "Look at it.", details=("short", ARN), log=f"s3://bucket/{ARN}"
        )
    )
    printed = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", stream.getvalue())
    assert printed.count(f"execution {ARN}\n") == 1
    assert f"\n{ARN}\nlog: s3://bucket/{ARN}\n" in printed.replace("\r", "")
    assert "short" in printed


def test_a_warning_stays_above_the_board(terminal):
    it, screen, _ = terminal
    with it.board([STEPS["analyze"]]):
        it.warn("look here")
    assert screen().rindex("look here") < screen().rindex("10 analyze")


def test_results_wait_until_the_board_has_ended_also_those_for_a_pipe(terminal):
    _, _, stream = terminal
    out = io.StringIO()
    it = Console(out, stream)
    with it.board([STEPS["run_glue_crawlers"]]):
        run_of(it, "run_glue_crawlers")
        assert out.getvalue() == ""
    it.summary()
    assert (
        out.getvalue().splitlines()[0] == "an answer"
        and "7 run_glue_crawlers  ok" in out.getvalue()
    )


def test_a_step_that_is_left_out_is_on_the_board(terminal):
    it, screen, _ = terminal
    with it.board([STEPS["analyze"]]):
        it.left_out(STEPS["analyze"], "--from begins later")
    assert "10 analyze  left out" in screen()


# --- a picture of it


def test_the_picture_shows_the_end_of_the_run_and_not_its_way(console, tmp_path):
    it, _, _ = console
    with it.board([STEPS["run_glue_crawlers"]]):
        run_of(it, "run_glue_crawlers")
    it.fail(DataLakeError("Spark job x", "broke & burnt", "Mend it.", log="s3://b/log"))
    it.save_picture(tmp_path / "run.svg", "python main.py --all")
    words = ElementTree.fromstring((tmp_path / "run.svg").read_text(encoding="utf-8")).itertext()
    text = " ".join("".join(words).replace("\xa0", " ").split())
    for part in (
        "python main.py --all",
        "7 run_glue_crawlers",
        "7 tables",
        "an answer",
        "broke & burnt",
        "Mend it.",
        "s3://b/log",
    ):
        assert part in text
    assert "RUNNING" not in text


def test_the_picture_of_a_failed_run_shows_what_was_heard_last_and_every_result_whole(
    console, tmp_path
):
    it, _, _ = console
    long = StepRun(
        STEPS["setup_iam_roles"], datetime.now(UTC), outcome="ok", summary="word " * 30 + "end"
    )
    with (
        pytest.raises(DataLakeError),
        it.board([STEPS["setup_iam_roles"], STEPS["run_glue_crawlers"]]),
    ):
        with it.step(long):
            pass
        run_of(it, "run_glue_crawlers", error=DataLakeError("x", "broke"))
    it.save_picture(tmp_path / "run.svg", "python main.py --all")
    text = "".join(
        ElementTree.fromstring((tmp_path / "run.svg").read_text(encoding="utf-8")).itertext()
    ).replace("\xa0", " ")
    assert (
        "crawler x: RUNNING" in text
        and "(1 s)" not in text
        and "word end" in text
        and "last heard" not in text
    )


def test_a_picture_loads_nothing_from_elsewhere(console, tmp_path):
    it, _, _ = console
    it.save_picture(tmp_path / "run.svg", "python main.py")
    assert "url(" not in re.sub(
        r"url\(#[^)]*\)", "", (tmp_path / "run.svg").read_text(encoding="utf-8")
    )


def test_a_picture_that_cannot_be_written_is_wrong_usage_before_anything_runs(tmp_path, capsys):
    for path, why in (
        (tmp_path / "none" / "x.svg", "there is no folder"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(SystemExit) as stop:
            main.main(["--all", "--local", "--record", str(path)])
        assert stop.value.code == 2 and why in capsys.readouterr().err


# --- failures


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (DataLakeError("x", "y"), "FAILED x"),
        (StillRunning("x", "y"), "STILL RUNNING x"),
        (Interrupted("x", "y"), "INTERRUPTED x"),
    ],
)
def test_only_a_failure_is_called_one(terminal, error, word):
    it, screen, _ = terminal
    it.fail(error)
    assert f"╭─ {word} ─" in screen()


def test_the_board_leaves_room_for_the_echo_of_ctrl_c(terminal):
    it, screen, _ = terminal
    with it.board([STEPS["analyze"]]):
        run = StepRun(STEPS["analyze"], datetime.now(UTC), outcome="ok", summary="word " * 40)
        with it.step(run):
            pass
    assert max(len(line) for line in screen().splitlines()) <= 77
