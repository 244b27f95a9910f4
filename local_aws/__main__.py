"""The stand-in for AWS as a command: `python -m local_aws [--port N]` serves until Ctrl-C.

It answers the AWS API on 127.0.0.1 and executes EMR Spark steps, Glue crawlers, Athena SQL and Step
Functions. It rejects by name what it cannot do. With --data-dir the lake persists in that folder:
the next server continues with it, and its objects are plain files there. Without --data-dir
everything is deleted when the server ends.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, MutableMapping, Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from local_aws import data_dir
from local_aws.errors import StartError

if TYPE_CHECKING:
    from local_aws.server import LocalAws

log = logging.getLogger("local_aws")

_SETTINGS_OF_OTHERS = ("AWS_", "BOTO_", "MOTO_")
_ENDING_SECONDS = 15.0  # the longest time that a server needs to end its steps and itself
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code: 0 (Ctrl-C, or the parent ended), 128 + signal, 1 (no start)."""
    options = _parser().parse_args(argv)
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="local_aws: %(levelname)s %(message)s"
    )
    threading.excepthook = _log_thread_error
    forget_aws_settings(os.environ)
    try:
        return _prepare() if options.prepare else _serve(options)
    except StartError as error:
        if options.traceback:
            raise
        if options.die_with_parent:  # the parent rewords the parts of the error for its own users
            print(f"FAILED {error.flag or '-'} {error}", flush=True)
        else:
            print(f"local_aws: {error}{error.flag and f' ({error.flag})'}", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local_aws", description=__doc__)
    parser.add_argument(
        "--port", type=_port, default=0, metavar="N", help="port on 127.0.0.1 (default: a free one)"
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        metavar="DIR",
        help="folder in which the lake persists (default: temporary)",
    )
    parser.add_argument("--fresh", action="store_true", help="delete the lake in --data-dir first")
    parser.add_argument(
        "--die-with-parent", action="store_true", help="end when standard input ends; for programs"
    )
    parser.add_argument(
        "--shared",
        action="store_true",
        help="with --die-with-parent: other programs may use it too",
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="only create the archive of Spark's classes (15 s, once)",
    )
    parser.add_argument("--traceback", action="store_true", help="show the traceback of an error")
    return parser


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65535:
        raise argparse.ArgumentTypeError(f"{port} is not from 0 to 65535")
    return port


def forget_aws_settings(environ: MutableMapping[str, str]) -> None:
    """Removes the user's AWS settings and proxies: nothing here may reach the real AWS."""
    for name in list(environ):
        if name.startswith(_SETTINGS_OF_OTHERS) or name.upper() in _PROXIES:
            del environ[name]
    environ["AWS_CONFIG_FILE"] = environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    environ["AWS_EC2_METADATA_DISABLED"] = "true"
    environ["NO_PROXY"] = "*"


def _prepare() -> int:
    from local_aws.emr.class_archive import ClassArchive
    from local_aws.emr.spark import Spark
    from local_aws.java import find_java

    with data_dir.temporary() as nowhere:
        return 0 if ClassArchive(Spark.installed(find_java()), nowhere).make() else 1


def _serve(options: argparse.Namespace) -> int:
    with contextlib.ExitStack() as stack:
        try:
            folder = stack.enter_context(_folder(options))
        except data_dir.InUse as error:
            if not (options.die_with_parent and error.url and not options.fresh):
                raise
            # another server uses this lake; the parent may use that server
            print(f"RUNS {error.url}", flush=True)
            return 0
        ended = _Ended()
        server = stack.enter_context(_running(folder, options.port))
        if options.die_with_parent:
            threading.Thread(target=ended.with_standard_input, daemon=True).start()
            data_dir.announce(folder, server.url if options.shared else "")
            print(
                "".join(f"NOTE {note}\n" for note in server.notes) + f"READY {server.url}",
                flush=True,
            )
        else:
            data_dir.announce(folder, server.url)
            _greet(server, folder, persists=options.data_dir is not None)
        return ended.wait()


def _folder(options: argparse.Namespace) -> contextlib.AbstractContextManager[Path]:
    if not options.data_dir:
        return data_dir.temporary()
    # A run killed a moment ago may have left a server that is still ending its steps.
    patience = _ENDING_SECONDS if options.die_with_parent else 0.0
    return data_dir.locked(options.data_dir, wait_seconds=patience, fresh=options.fresh)


@contextlib.contextmanager
def _running(folder: Path, port: int) -> Iterator[LocalAws]:
    # Imports moto and boto3, which read the environment: only after it has been cleaned.
    from local_aws.server import LocalAws

    try:
        server = LocalAws(folder, port)
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise StartError(
            f"cannot listen on 127.0.0.1:{port}: {why}; choose another port", "--port N"
        ) from error
    try:
        server.start()
        yield server
    finally:
        server.stop()


class _Ended:
    """Waits for a signal or for the end of standard input, whichever comes first."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._code = 0
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._on_signal)

    def wait(self) -> int:
        """Blocks until the server has to end; returns its exit code."""
        self._event.wait()
        return self._code

    def with_standard_input(self) -> None:
        """Ends the wait when standard input ends."""
        while os.read(0, 4096):
            pass
        self._event.set()

    def _on_signal(self, signum: int, _frame: FrameType | None) -> None:
        self._code = 0 if signum == signal.SIGINT else 128 + signum
        self._event.set()


def _greet(server: LocalAws, folder: Path, *, persists: bool) -> None:
    """Prints settings for .env on stdout, and explanations on stderr."""
    from local_aws.clients import REGION

    lines = {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": server.keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": server.keys.secret_access_key,
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
    }
    print("\n".join(f"{name}={value}" for name, value in lines.items()), flush=True)
    end = "The lake persists when it ends" if persists else "The lake is deleted when it ends"
    words = [
        "The local AWS is ready: put these lines into .env, or export them for the AWS CLI.",
        (
            "It runs Spark steps (EMR), crawlers (Glue), SQL (Athena) and state machines (Step"
            " Functions) on S3 and IAM."
        ),
        (
            "It cannot run jars, Hive, Glue jobs, or functions in languages other than Python, and"
            f" refuses them by name. {end}."
        ),
        *server.notes,
        f"Files: {folder}   End: Ctrl-C",
    ]
    print("\n".join(words), file=sys.stderr)


def _log_thread_error(hook: threading.ExceptHookArgs) -> None:
    assert hook.exc_value
    name = hook.thread.name if hook.thread else "a thread"
    log.critical(
        "unhandled error in %s", name, exc_info=(hook.exc_type, hook.exc_value, hook.exc_traceback)
    )


if __name__ == "__main__":
    sys.exit(main())
