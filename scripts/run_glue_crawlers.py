#!/usr/bin/env python3
"""Step 7: runs the Glue crawlers, waits, and lists the tables and their partitions.

This publishes the run: until the crawler has registered a run's partitions, readers see the
previous run.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from car_rental import cli
from botocore.exceptions import BotoCoreError, ClientError
from car_rental.aws import Answer, Aws, error_code, if_exists
from car_rental.data_contract import contract
from car_rental.display.console import Console
from car_rental.errors import DataLakeError, Interrupted
from car_rental.glue.crawlers import Crawler, crawlers, wait_until_idle
from car_rental.glue.published import registered_runs
from car_rental.glue.rejected_table import register_rejected_rentals
from car_rental.s3.lake_bucket import object_keys, require_bucket, run_folders
from car_rental.s3.lake_lock import LakeLock, lake_lock
from car_rental.waiting import Pace, States, Wait, wait_until

DEADLINE_MINUTES = 30.0
_WHERE = "run_glue_crawlers"
# object in a run's staging folder that exists while publish_run moves the tables
_PUBLISHING = f"/{contract.INTENT}"
_LOG_LINES = 10
_GOING = frozenset({"RUNNING", "STOPPING", "not started"})
_BAD = frozenset({"FAILED", "CANCELLED"})


@dataclass(frozen=True)
class CrawlResult:
    """The registered partitions of each published table, oldest first."""

    partitions: dict[str, list[str]]

    @property
    def newest(self) -> str:
        """The run that readers see now."""
        return max(max(runs) for runs in self.partitions.values())

    def summary(self) -> str:
        """One line for the summary."""
        return f"{len(self.partitions)} tables, newest run {self.newest}"


def run_glue_crawlers(
    aws: Aws,
    console: Console,
    *,
    deadline_minutes: float = DEADLINE_MINUTES,
    wait: bool = False,
    lock: LakeLock | None = None,
) -> CrawlResult:
    """Runs every crawler.

    Raises ``DataLakeError`` unless each table of the newest run is registered.

    Takes the lake's lock, unless the caller holds it (``lock``). With ``wait``, waits for another
    writer to end.
    """
    require_bucket(aws, _WHERE)
    with lake_lock(aws, console, _WHERE, wait=wait, held=lock) as held:
        held.check()
        return _crawl_all(aws, console, deadline_minutes)


def _crawl_all(aws: Aws, console: Console, deadline_minutes: float) -> CrawlResult:
    partitions: dict[str, list[str]] = {}
    pace = Pace(aws.settings.timing.poll_seconds, deadline_minutes * 60)
    for crawler in crawlers(aws.settings):
        published = published_runs(aws, crawler)
        _crawl(aws, console, crawler, pace)
        partitions |= {
            table: _registered(aws, crawler, table, runs) for table, runs in published.items()
        }
    register_rejected_rentals(
        aws, sorted(set.intersection(*(set(runs) for runs in partitions.values())))
    )
    return CrawlResult(partitions)


def published_runs(aws: Aws, crawler: Crawler) -> dict[str, set[str]]:
    """Table -> the runs with folders in the published zone.

    Raises ``DataLakeError`` if there is no run, or if a run is only partly published.
    """
    half = [
        key.split("/")[1].removeprefix(contract.RUN_FOLDER)
        for key in object_keys(aws, aws.settings.s3_bucket_name, f"{contract.STAGING}/")
        if key.endswith(_PUBLISHING)
    ]
    if half:
        raise DataLakeError(
            _WHERE,
            f"run {', '.join(half)} was interrupted while it was being published; a crawl would"
            " show half of it.",
            "Run the Spark jobs again (python scripts/run_spark_jobs.py): that rolls it back"
            " first.",
        )
    runs = {table: run_folders(aws, f"{crawler.prefix}/{table}/") for table in crawler.tables}
    if not all(runs.values()):
        raise DataLakeError(
            _WHERE,
            f"{aws.settings.s3(crawler.prefix, '')} holds no run yet.",
            "Run step 6 first: python scripts/run_spark_jobs.py",
        )
    return runs


def _crawl(aws: Aws, console: Console, crawler: Crawler, pace: Pace) -> None:
    with console.waiting(f"crawler {crawler.name}"):
        before = _start(aws, console, crawler, pace)
        try:
            wait_until(_end_of_crawl(aws, crawler, before), pace, console.progress)
        except KeyboardInterrupt:
            raise _stopped(aws, crawler) from None


def _stopped(aws: Aws, crawler: Crawler) -> Interrupted:
    """Stops the crawl, unless it has just ended."""
    try:
        aws.client("glue").stop_crawler(Name=crawler.name)
    except ClientError as error:
        if error_code(error) not in ("CrawlerNotRunningException", "CrawlerStoppingException"):
            raise
    again = "Run step 7 again: python scripts/run_glue_crawlers.py"
    return Interrupted(f"crawler {crawler.name}", "interrupted; the crawl has been stopped.", again)


def _start(aws: Aws, console: Console, crawler: Crawler, pace: Pace) -> datetime | None:
    """Starts the crawler. Returns the start time of the previous crawl.

    A crawl that is already running may have started before the data was complete: waits for its
    end, and starts another.
    """
    _describe(aws, crawler)
    again = "Another crawl is running; run this step again when it has ended."
    wait_until_idle(
        aws, console, crawler.name, deadline_seconds=pace.deadline_seconds, resume=again
    )
    before = _last_start(_describe(aws, crawler))
    try:
        aws.client("glue").start_crawler(Name=crawler.name)
    except ClientError as error:
        if error_code(error) != "CrawlerRunningException":
            raise
        return _start(aws, console, crawler, pace)  # another crawl was started first
    return before


def _describe(aws: Aws, crawler: Crawler) -> Answer:
    answer = if_exists(
        lambda: aws.client("glue").get_crawler(Name=crawler.name), "EntityNotFoundException"
    )
    if answer is None:
        raise DataLakeError(
            _WHERE,
            f"the crawler {crawler.name} does not exist.",
            "Run step 3 first: python scripts/setup_glue_crawlers.py",
        )
    return answer["Crawler"]


def _last_start(described: Answer) -> datetime | None:
    start: datetime | None = described.get("LastCrawl", {}).get("StartTime")
    return start


def _end_of_crawl(aws: Aws, crawler: Crawler, before: datetime | None) -> Wait[Answer]:
    """Waits for the end of *this* crawl.

    An idle crawler still shows the status of the previous one.
    """

    def state(described: Answer) -> str:
        if described["State"] != "READY":
            return str(described["State"])
        if _last_start(described) == before:
            return "not started"
        return str(described["LastCrawl"]["Status"])

    return Wait(
        what=f"crawler {crawler.name}",
        describe=lambda: _describe(aws, crawler),
        state=state,
        states=States(going=_GOING, good=frozenset({"SUCCEEDED"}), bad=_BAD),
        explain=lambda described: crawl_failure(aws, crawler, described["LastCrawl"]),
        resume="It goes on by itself; run this step again to wait for it.",
    )


def crawl_failure(aws: Aws, crawler: Crawler, last: Answer) -> DataLakeError:
    """A failed crawl as an error: Glue's reason, and the last lines of the crawler's log."""
    group, stream = last.get("LogGroup", "/aws-glue/crawlers"), last.get("LogStream", crawler.name)
    return DataLakeError(
        f"crawler {crawler.name}",
        f"ended {last['Status']}: {last.get('ErrorMessage', 'no reason given')}",
        "Check the bucket's paths and the rights of GLUE_SERVICE_ROLE (step 1 restores them).",
        log=f"CloudWatch {group} {stream}",
        details=_last_lines(aws, group, stream),
    )


def _last_lines(aws: Aws, group: str, stream: str) -> tuple[str, ...]:
    """The end of a log.

    Empty if there is none or access is denied: the failure itself matters more.
    """
    try:
        events = aws.client("logs").get_log_events(
            logGroupName=group, logStreamName=stream, limit=_LOG_LINES
        )["events"]
    except (ClientError, BotoCoreError):
        return ()
    return tuple(str(event["message"]).strip() for event in events)


def _registered(aws: Aws, crawler: Crawler, table: str, published: set[str]) -> list[str]:
    """The run ids that the catalog has for ``table``. Raises if the newest run is missing."""
    database, runs = aws.settings.glue_database_name, registered_runs(aws, table) or []
    if max(published) not in runs:
        raise DataLakeError(
            f"crawler {crawler.name}",
            f"succeeded, but {database}.{table} does not show run {max(published)}.",
            f"Look at {aws.settings.s3(crawler.prefix, table, '')} and the crawler's log in"
            " CloudWatch: /aws-glue/crawlers",
        )
    return runs


def _act(arguments: argparse.Namespace, aws: Aws, console: Console) -> None:
    result = run_glue_crawlers(
        aws, console, deadline_minutes=arguments.timeout_minutes, wait=arguments.wait
    )
    rows = [(table, len(runs), runs[-1]) for table, runs in result.partitions.items()]
    console.table(f"Tables in {aws.settings.glue_database_name}", ("table", "runs", "newest"), rows)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit code."""
    parser = cli.parser(__doc__)
    cli.add_timeout(parser, DEADLINE_MINUTES)
    cli.add_wait(parser)
    return cli.run(parser, argv, _act)


if __name__ == "__main__":
    sys.exit(main())
