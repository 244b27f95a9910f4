"""The shared part of the scripts' command lines: common flags, error messages and exit codes."""

from __future__ import annotations

import argparse
import os
import textwrap
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from car_rental import prerequisites  # noqa: F401 - first: it checks the packages

# isort: split
from car_rental.aws import Aws
from car_rental.config import Settings, load_settings
from car_rental.display.console import Console
from car_rental.errors import ExitStatus
from car_rental.failures import as_failure
from car_rental.signals import signals_as_ctrl_c

Action = Callable[[argparse.Namespace, Aws, Console], None]


class HelpFormatter(argparse.HelpFormatter):
    """Wraps a docstring to the terminal's width, paragraph by paragraph.

    Indented paragraphs such as examples stay as they are.
    """

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip("\n").split("\n\n")
        return "\n\n".join(
            one if one.startswith(" ") else "\n".join(self._split_lines(one, width))
            for one in paragraphs
        )

    def _split_lines(self, text: str, width: int) -> list[str]:
        # keeps flags in one piece
        return textwrap.wrap(" ".join(text.split()), width, break_on_hyphens=False)


def parser(description: str | None) -> argparse.ArgumentParser:
    """A parser without flags. ``description`` is the script's docstring."""
    return argparse.ArgumentParser(description=description, formatter_class=HelpFormatter)


def add_common(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that every script has."""
    common = parser.add_argument_group("common")
    common.add_argument(
        "--env", type=Path, metavar="FILE", help="settings file to read instead of .env"
    )
    common.add_argument("--region", help="AWS region, over AWS_REGION")
    common.add_argument("--profile", help="AWS profile, over AWS_PROFILE")
    common.add_argument(
        "--traceback", action="store_true", help="show the whole traceback of a failure"
    )


def add_timeout(parser: argparse.ArgumentParser, default_minutes: float) -> None:
    """Adds ``--timeout-minutes``. After a timeout, the work that the script waits for goes on."""
    parser.add_argument(
        "--timeout-minutes",
        type=_minutes,
        default=default_minutes,
        metavar="N",
        help="how long to wait (default: %(default)g)",
    )


def add_wait(parser: argparse._ActionsContainer) -> None:
    """Adds ``--wait``: wait for another writer of the lake instead of failing."""
    parser.add_argument(
        "--wait",
        action="store_true",
        help="wait while another run writes the lake instead of failing",
    )


def add_cluster_id(parser: argparse.ArgumentParser) -> None:
    """Adds the optional ``--cluster-id``."""
    parser.add_argument(
        "--cluster-id",
        metavar="j-...",
        help="the cluster (default: the one active cluster of this project)",
    )


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 < value <= 7 * 24 * 60:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {7 * 24 * 60}")
    return value


def run(parser: argparse.ArgumentParser, argv: Sequence[str] | None, action: Action) -> int:
    """Parses the command line, loads the settings and runs ``action``.

    Returns the exit code; raises nothing.

    The common flags are added here, so that they come last in the help.
    """
    add_common(parser)
    arguments = parser.parse_args(argv)
    where = Path(parser.prog).stem
    return guard(
        where, arguments.traceback, Console(), lambda console: _act(arguments, console, action)
    )


def _act(arguments: argparse.Namespace, console: Console, action: Action) -> None:
    settings = settings_of(arguments, console)
    action(arguments, Aws(settings), console)


def settings_of(arguments: argparse.Namespace, console: Console) -> Settings:
    """Loads the settings and shows the notes on them.

    Flags of the command line take precedence.
    """
    flags = {"AWS_REGION": arguments.region, "AWS_PROFILE": arguments.profile}
    settings = load_settings(
        os.environ, arguments.env, {name: value for name, value in flags.items() if value}
    )
    for note in settings.notes:
        console.warn(note)
    return settings


def guard(
    where: str, show_traceback: bool, console: Console, work: Callable[[Console], None]
) -> int:
    """Runs ``work`` and turns any exception into one message and an exit code.

    SIGTERM and SIGHUP count as Ctrl-C.
    """
    try:
        with signals_as_ctrl_c():
            work(console)
    except KeyboardInterrupt:
        console.warn("Interrupted.")
        return ExitStatus.INTERRUPTED
    # the top level: every error becomes a message here, and the program ends
    except Exception as error:  # noqa: BLE001
        if show_traceback:
            traceback.print_exc()
        failure = as_failure(error, where)
        console.fail(failure)
        return failure.exit_status
    return ExitStatus.OK
