"""Exit codes, and the tree of errors. Each error says where, what, and what to do."""

from __future__ import annotations

from enum import IntEnum


class ExitStatus(IntEnum):
    """The exit codes of the scripts; 130 is the shell's code for Ctrl-C."""

    OK = 0
    FAILED = 1
    USAGE = 2
    STILL_RUNNING = 3
    INTERRUPTED = 130


class DataLakeError(Exception):
    """An error that a person can understand and act on.

    ``where`` names the step or thing that failed, ``what`` the cause, ``fix`` the remedy. ``log``
    is the URI of a log, and ``details`` holds lines that belong to the cause, such as the last
    frames of a traceback. ``label`` is the word in front of the message.
    """

    exit_status = ExitStatus.FAILED
    label = "FAILED"

    def __init__(
        self, where: str, what: str, fix: str = "", *, log: str = "", details: tuple[str, ...] = ()
    ) -> None:
        super().__init__(f"{where}: {what}" + (f" {fix}" if fix else ""))
        self.where = where
        self.what = what
        self.fix = fix
        self.log = log
        self.details = details


class ConfigError(DataLakeError):
    """A setting or an argument is wrong. Nothing has been done."""

    exit_status = ExitStatus.USAGE


class StillRunning(DataLakeError):
    """The deadline passed while the work goes on.

    Not a failure: ``fix`` says how to pick it up again.
    """

    exit_status = ExitStatus.STILL_RUNNING
    label = "STILL RUNNING"


class Interrupted(DataLakeError):
    """Ctrl-C, after the running work has been stopped. ``what`` says how."""

    exit_status = ExitStatus.INTERRUPTED
    label = "INTERRUPTED"


class Declined(DataLakeError):
    """The user did not confirm a change. Nothing has been done, and nothing has failed."""

    label = "NOT DONE"
