"""The console writes results to stdout, messages to stderr, and plain lines off a terminal."""

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
from car_rental.errors import DataLakeError, Declined, Interrupted, StillRunning
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
def test_output_is_plain_off_a_terminal_and_on_request(stream, environ, plain):
    assert is_plain(stream, environ) is plain


@pytest.fixture
def captured():
    out, err = io.StringIO(), io.StringIO()
    return Console(out, err), out, err


@pytest.fixture
def terminal(monkeypatch):
    """A console on a terminal of 80 columns, its text without control codes, and its stream."""
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


def test_messages_go_to_stderr_and_results_to_stdout(captured):
    console, out, err = captured
    console.note("working")
    console.warn("look here")
    console.result("j-1")
    console.table("T", ("a",), [("x",)])
    assert "j-1" in out.getvalue() and "x" in out.getvalue()
    assert "working" in err.getvalue() and "! look here" in err.getvalue()
    assert "working" not in out.getvalue()


def test_plain_progress_is_one_line_per_change_of_state(captured):
    console, _, err = captured
    for elapsed, state in enumerate(["PENDING", "PENDING", "RUNNING", "RUNNING"]):
        console.progress("step", state, elapsed)
    assert err.getvalue().splitlines() == ["  step: PENDING (0 s)", "  step: RUNNING (2 s)"]


def test_plain_output_has_no_escape_codes_and_no_wrapped_lines(captured):
    console, _, err = captured
    console.fail(DataLakeError("somewhere", "x" * 300))
    assert "\x1b" not in err.getvalue()
    assert "x" * 300 in err.getvalue()


def test_amounts_are_shown_to_the_cent_and_counts_with_commas(captured):
    console, out, _ = captured
    console.table("", ("n", "sum"), [(1234567, Decimal("1234.50")), (None, Decimal("0.00"))])
    assert "1,234,567" in out.getvalue()
    assert "1,234.50" in out.getvalue()
    assert "0.00" in out.getvalue()


def test_wrapped_messages_stay_indented_on_a_terminal(terminal):
    console, screen, _ = terminal
    console.note("word " * 30)
    console.warn("word " * 30)
    assert all(line.startswith("  ") for line in screen().splitlines())


def test_labelled_text_is_wrapped_beside_its_label_on_a_terminal_only(terminal, captured):
    console, screen, _ = terminal
    console.labelled("problem", ["word " * 30, "-> mend it"])
    assert [line[:8].strip() for line in screen().splitlines()] == ["problem", "", "", ""]
    console, out, _ = captured
    console.labelled("problem", ["word " * 30, "-> mend it"])
    assert out.getvalue() == f"{'problem':<12} {'word ' * 30}\n{'':<12} -> mend it\n"


# --- the steps of a run


def run_step(console, name, *, error=None):
    """Runs one step that waits for something and has a result."""
    run = StepRun(STEPS[name], datetime.now(UTC))
    with console.step(run):
        console.progress("crawler x", "RUNNING", 1)
        console.result("an answer")
        run.outcome, run.summary = ("failed", "") if error else ("ok", "7 tables")
        if error:
            raise error


def test_plain_output_of_a_step_is_its_name_progress_and_outcome(captured):
    console, out, err = captured
    with console.board([STEPS["run_glue_crawlers"]]):
        run_step(console, "run_glue_crawlers")
    assert err.getvalue().splitlines() == [
        "7 run_glue_crawlers",
        "  crawler x: RUNNING (1 s)",
        "  done in 0.0 s: 7 tables",
    ]
    console.summary()
    assert "   7 run_glue_crawlers  ok" in out.getvalue() and "\x1b" not in out.getvalue()


@pytest.mark.parametrize("error", [None, DataLakeError("x", "broke"), KeyboardInterrupt()])
def test_the_board_keeps_its_final_state_restores_the_cursor_and_is_followed_by_results(
    terminal, error
):
    console, screen, stream = terminal
    planned = [STEPS["run_glue_crawlers"], STEPS["terminate_emr_cluster"]]
    with pytest.raises(type(error)) if error else nullcontext(), console.board(planned):
        run_step(console, "run_glue_crawlers", error=error)
    final = screen()[screen().rindex("  result") :]
    assert ("7 run_glue_crawlers      failed" if error else "7 run_glue_crawlers      ok") in final
    assert ("crawler x: RUNNING" if error else "7 tables") in final
    assert "8 terminate_emr_cluster" in final and final.rstrip().endswith("an answer")
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")
    assert max(map(len, final.splitlines())) <= 80


def test_the_board_shows_immediately_what_a_step_waits_for(terminal):
    console, screen, _ = terminal
    run = StepRun(STEPS["create_emr_cluster"], datetime.now(UTC))
    with console.board([run.step]), console.step(run), console.waiting("cluster j-1 starts"):
        pass
    assert "cluster j-1 starts" in screen()


def test_plain_output_names_a_long_wait(monkeypatch):
    monkeypatch.setattr("car_rental.display.console.QUIET_SECONDS", 0.05)
    err = io.StringIO()
    console = Console(io.StringIO(), err)
    with console.waiting("the local AWS starts"):
        time.sleep(0.3)
    with console.waiting("nothing new"):
        console.note("done already")
        time.sleep(0.3)
    assert err.getvalue() == "  ... the local AWS starts\n  done already\n"


ARN = (
    "arn:aws:states:us-east-1:123456789012:execution:CarRentalDataPipeline:"
    "run-2026-11-27T07-29-46-564Z"
)


def test_an_arn_is_not_wrapped(terminal):
    console, _, stream = terminal
    console.note(f"execution {ARN}")
    console.fail(
        DataLakeError(
            "execution", "FAILED.", "Look at it.", details=("short", ARN), log=f"s3://bucket/{ARN}"
        )
    )
    printed = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", stream.getvalue())
    assert printed.count(f"execution {ARN}\n") == 1
    assert f"\n{ARN}\nlog: s3://bucket/{ARN}\n" in printed.replace("\r", "")
    assert "short" in printed


def test_a_warning_is_printed_above_the_board(terminal):
    console, screen, _ = terminal
    with console.board([STEPS["analyze"]]):
        console.warn("look here")
    assert screen().rindex("look here") < screen().rindex("10 analyze")


def test_results_are_printed_after_the_board_also_into_a_pipe(terminal):
    _, _, stream = terminal
    out = io.StringIO()
    console = Console(out, stream)
    with console.board([STEPS["run_glue_crawlers"]]):
        run_step(console, "run_glue_crawlers")
        assert out.getvalue() == ""
    console.summary()
    assert (
        out.getvalue().splitlines()[0] == "an answer"
        and "7 run_glue_crawlers  ok" in out.getvalue()
    )


def test_a_skipped_step_is_on_the_board(terminal):
    console, screen, _ = terminal
    with console.board([STEPS["analyze"]]):
        console.left_out(STEPS["analyze"], "--from begins later")
    assert "10 analyze  left out" in screen()


# --- the picture of a run


def test_the_picture_shows_the_final_state_without_progress(captured, tmp_path):
    console, _, _ = captured
    with console.board([STEPS["run_glue_crawlers"]]):
        run_step(console, "run_glue_crawlers")
    console.fail(DataLakeError("Spark job x", "broke & burnt", "Mend it.", log="s3://b/log"))
    console.save_picture(tmp_path / "run.svg", "python main.py --all")
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


def test_the_picture_of_a_failed_run_shows_the_last_progress_and_full_results(captured, tmp_path):
    console, _, _ = captured
    long = StepRun(
        STEPS["setup_iam_roles"], datetime.now(UTC), outcome="ok", summary="word " * 30 + "end"
    )
    with (
        pytest.raises(DataLakeError),
        console.board([STEPS["setup_iam_roles"], STEPS["run_glue_crawlers"]]),
    ):
        with console.step(long):
            pass
        run_step(console, "run_glue_crawlers", error=DataLakeError("x", "broke"))
    console.save_picture(tmp_path / "run.svg", "python main.py --all")
    text = "".join(
        ElementTree.fromstring((tmp_path / "run.svg").read_text(encoding="utf-8")).itertext()
    ).replace("\xa0", " ")
    assert (
        "crawler x: RUNNING" in text
        and "(1 s)" not in text
        and "word end" in text
        and "last heard" not in text
    )


def test_the_picture_loads_no_external_resource(captured, tmp_path):
    console, _, _ = captured
    console.save_picture(tmp_path / "run.svg", "python main.py")
    assert "url(" not in re.sub(
        r"url\(#[^)]*\)", "", (tmp_path / "run.svg").read_text(encoding="utf-8")
    )


def test_a_picture_path_that_cannot_be_written_is_a_usage_error(tmp_path, capsys):
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
        (Declined("x", "y"), "NOT DONE x"),
        (Interrupted("x", "y"), "INTERRUPTED x"),
    ],
)
def test_each_kind_of_end_has_its_own_heading(terminal, error, word):
    console, screen, _ = terminal
    console.fail(error)
    assert f"╭─ {word} ─" in screen()


def test_the_board_leaves_three_columns_for_the_echo_of_ctrl_c(terminal):
    console, screen, _ = terminal
    with console.board([STEPS["analyze"]]):
        run = StepRun(STEPS["analyze"], datetime.now(UTC), outcome="ok", summary="word " * 40)
        with console.step(run):
            pass
    assert max(len(line) for line in screen().splitlines()) <= 77
