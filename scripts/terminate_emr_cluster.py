#!/usr/bin/env python3
"""Step 8: terminates the EMR cluster and waits for its end. Does nothing if it has ended already.

Without --cluster-id, the one active cluster of this project is used.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from car_rental import cli
from car_rental.aws import Aws
from car_rental.display.console import Console
from car_rental.emr.clusters import find_cluster, require_ours, terminate, wait_until_ended
from car_rental.errors import Interrupted

DEADLINE_MINUTES = 20.0


@dataclass(frozen=True)
class TerminationResult:
    """The terminated cluster and its final state."""

    cluster_id: str
    state: str

    def summary(self) -> str:
        """One line for the summary."""
        return f"{self.cluster_id} {self.state}"


def terminate_emr_cluster(
    aws: Aws,
    console: Console,
    *,
    cluster_id: str | None = None,
    deadline_minutes: float = DEADLINE_MINUTES,
) -> TerminationResult:
    """Terminates the cluster and waits for its end.

    Raises ``ConfigError`` for a cluster of another project.
    """
    target = str(require_ours(aws, cluster_id)["Id"]) if cluster_id else find_cluster(aws, None)
    terminate(aws, target)
    try:
        with console.waiting(f"cluster {target} terminates"):
            ended = wait_until_ended(aws, console, target, deadline_minutes)
    except KeyboardInterrupt:
        raise Interrupted(
            f"cluster {target}", "interrupted; its termination goes on by itself."
        ) from None
    return TerminationResult(target, str(ended["Status"]["State"]))


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    result = terminate_emr_cluster(
        aws, console, cluster_id=arguments.cluster_id, deadline_minutes=arguments.timeout_minutes
    )
    console.result(result.summary())


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    cli.add_cluster_id(parser)
    cli.add_timeout(parser, DEADLINE_MINUTES)
    return cli.run(parser, argv, _act)


if __name__ == "__main__":
    sys.exit(main())
