#!/usr/bin/env python3
"""Removes the project's resources on AWS: lists them, asks, and removes them in the right order.

Only resources with the project's tags are removed. The bucket and its data stay, unless
--delete-data is given; then you have to type the bucket's name. Resources that are not removed are
listed with the reason. Run it as often as you like.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from car_rental import cli
from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Aws, error_code, explain
from car_rental.cleanup.leftovers import Kept, Resource, find_leftovers
from car_rental.config import Settings
from car_rental.display.console import Console
from car_rental.errors import ConfigError, DataLakeError, Declined

# error codes of resources that are gone: the tagging API may list them for a while
_GONE = frozenset(
    "NoSuchEntity EntityNotFoundException ResourceNotFoundException ResourceNotFound"
    " NotFoundException NotFound NoSuchBucket StateMachineDoesNotExist ExecutionDoesNotExist"
    " StateMachineDeleting".split()
)
_OF_AWS = (
    "AWS's services keep what they made for themselves, at no cost: the security groups"
    " ElasticMapReduce-*, the log group /aws-glue/crawlers, the role AWSServiceRoleForEMRCleanup."
    " Others in this account may use them."
)
Ask = Callable[[str], str]


@dataclass(frozen=True)
class TeardownResult:
    """The resources removed, and those not removed with the reason.

    ``failed`` are those that could not be removed.
    """

    removed: list[str]
    kept: list[Kept]
    failed: list[Kept]

    def summary(self) -> str:
        """One line for the summary."""
        return f"{len(self.removed)} removed, {len(self.kept) + len(self.failed)} not removed"


def teardown(
    aws: Aws, console: Console, *, delete_data: bool = False, yes: bool = False, ask: Ask = input
) -> TeardownResult:
    """Lists, asks, and removes.

    Continues after a failure, and raises ``DataLakeError`` at the end if something is left.
    """
    with console.waiting("looking for the project's resources"):
        things, kept = find_leftovers(aws, console, delete_data=delete_data)
    _show(things, kept, console)
    if not things:
        console.note("There is nothing to remove.")
        return TeardownResult([], kept, [])
    if not yes:
        _confirm(aws.settings, delete_data and any(thing.kind == "bucket" for thing in things), ask)
    removed, failed = [], []
    for thing in things:
        reason = _remove(thing, console)
        if reason:
            failed.append(Kept(thing.kind, thing.name, reason))
        else:
            removed.append(f"{thing.kind} {thing.name}")
    console.note(_OF_AWS)
    _raise_if_left(failed)
    return TeardownResult(removed, kept, failed)


def _show(things: Sequence[Resource], kept: Sequence[Kept], console: Console) -> None:
    if things:
        console.table(
            "To be removed", ("kind", "name"), [(thing.kind, thing.name) for thing in things]
        )
    if kept:
        console.table(
            "Not to be removed",
            ("kind", "name", "why"),
            [(entry.kind, entry.name, entry.reason) for entry in kept],
        )


def _confirm(settings: Settings, with_bucket: bool, ask: Ask) -> None:
    """Raises ``Declined`` unless the user types yes; for the bucket, unless they type its name."""
    wanted, question = "yes", "Remove all this? Type yes"
    if with_bucket:
        wanted = settings.s3_bucket_name
        question = (
            f"The data cannot be restored. Type the bucket's name ({wanted}) to remove all this"
        )
    try:
        answer = ask(f"{question}: ").strip()
    except EOFError:
        raise ConfigError(
            "teardown", "there was no answer.", "Without a terminal, use --yes."
        ) from None
    if answer != wanted:
        raise Declined(
            "teardown", f"nothing was removed: you answered {answer!r}, and not {wanted!r}."
        )


def _remove(thing: Resource, console: Console) -> str:
    """Removes one resource. Returns the reason if it could not be removed."""
    try:
        with console.waiting(f"removing {thing.kind} {thing.name}"):
            thing.remove()
    except (ClientError, BotoCoreError) as error:
        if isinstance(error, ClientError) and error_code(error) in _GONE:
            return ""
        failure = explain(error, "teardown")
        console.warn(f"{thing.kind} {thing.name}: {failure.what}")
        return f"{failure.what} {failure.fix}".strip()
    except DataLakeError as failure:
        console.warn(f"{thing.kind} {thing.name}: {failure.what}")
        return f"{failure.what} {failure.fix}".strip()
    console.note(f"removed {thing.kind} {thing.name}")
    return ""


def _raise_if_left(failed: Sequence[Kept]) -> None:
    if failed:
        raise DataLakeError(
            "teardown",
            f"{len(failed)} could not be removed:",
            "Fix the cause and run it again.",
            details=tuple(f"{entry.kind} {entry.name}: {entry.reason}" for entry in failed),
        )


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    console.result(
        teardown(aws, console, delete_data=arguments.delete_data, yes=arguments.yes).summary()
    )


def add_arguments(parser: argparse._ActionsContainer) -> None:
    """Adds the flags that ``main.py --teardown`` takes too."""
    parser.add_argument(
        "--delete-data", action="store_true", help="teardown: the bucket with all its data too"
    )
    parser.add_argument("--yes", action="store_true", help="teardown and --check --fix: do not ask")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    add_arguments(parser)
    return cli.run(parser, argv, _act)


if __name__ == "__main__":
    sys.exit(main())
