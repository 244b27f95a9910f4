"""The log of a crawl in CloudWatch Logs, in the format of AWS's crawlers."""

from __future__ import annotations

import logging
import time
from typing import Any

from local_aws.glue.catalog_writer import Changes
from local_aws.log_groups import write_events

log = logging.getLogger(__name__)

LOG_GROUP = "/aws-glue/crawlers"

_DONE = {"ADD": "Created", "UPDATE": "Updated", "DELETE": "Deleted"}


class CrawlLog:
    """Collects the log lines of one crawl; ``write`` sends them to CloudWatch Logs."""

    def __init__(self, crawl_id: str) -> None:
        self._crawl_id = crawl_id
        self._events: list[dict[str, Any]] = []

    def note(self, line: str) -> None:
        self._events.append(
            {"timestamp": int(time.time() * 1000), "message": f"[{self._crawl_id}] {line}"}
        )

    def note_changes(self, changes: Changes) -> None:
        """Adds a line for each table and partition that the crawl changed."""
        for verb, kind, names in changes.listed():
            for name in names:
                self.note(f"INFO : {_DONE[verb]} {kind.lower()} {name}")

    def write(self, logs: Any, stream: str) -> None:
        """Writes the lines; an error here does not fail the crawl."""
        try:
            write_events(logs, LOG_GROUP, stream, self._events)
        except Exception:
            log.exception("the log of crawl %s could not be written", self._crawl_id)
