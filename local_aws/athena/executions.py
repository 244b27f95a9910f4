"""One query execution: states, times, result."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from local_aws.athena.results import Result

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = (
    "QUEUED",
    "RUNNING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
)
ENDED = (SUCCEEDED, FAILED, CANCELLED)
_NO_REUSE = {"ResultReuseByAgeConfiguration": {"Enabled": False}}
_SAME_REQUEST = ("QueryString", "QueryExecutionContext", "ExecutionParameters")


@dataclass
class Execution:
    """A query execution; times are epoch seconds."""

    request: dict[str, Any]
    region: str
    workgroup: str
    output_folder: str
    statement_type: str
    substatement: str
    suffix: str
    query_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    state: str = QUEUED
    submitted: float = field(default_factory=time.time)
    started: float | None = None
    ended: float | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    result: Result = field(default_factory=Result)
    reused: Execution | None = None  # the earlier execution whose result this one returns
    cursor: Any = None
    cancelled: threading.Event = field(default_factory=threading.Event)
    # set when the query's thread is done
    finished: threading.Event = field(default_factory=threading.Event)
    _lock: Any = field(default_factory=threading.Lock, repr=False)

    @property
    def output_location(self) -> str:
        if self.reused is not None:
            return self.reused.output_location
        return f"{self.output_folder}{self.query_id}{self.suffix}"

    @property
    def manifest_location(self) -> str:
        """The location of the manifest, which lists the objects that a statement wrote."""
        return f"{self.output_folder}{self.query_id}-manifest.csv"

    def end(
        self, state: str, reason: str | None = None, error: dict[str, Any] | None = None
    ) -> None:
        """Sets the final state; a second call changes nothing."""
        with self._lock:
            if self.state not in ENDED:
                self.reason, self.error, self.ended = reason, error, time.time()
                self.state = state

    def start(self) -> bool:
        """Starts the execution; returns False if it was cancelled in the queue."""
        with self._lock:
            if self.state in ENDED:
                return False
            self.started, self.state = time.time(), RUNNING
            return True

    def cancel(self) -> None:
        """Sets the state to CANCELLED at once, then interrupts DuckDB until the query stops.

        One interrupt is not enough: DuckDB ignores it between two statements.
        """
        self.cancelled.set()
        self.end(CANCELLED, "Query cancelled by user")
        threading.Thread(
            target=self._interrupt, name=f"cancel-{self.query_id}", daemon=True
        ).start()

    def _interrupt(self) -> None:
        import duckdb

        while not self.finished.wait(0.02):
            cursor = self.cursor
            if cursor is not None:
                with suppress(duckdb.Error):  # the cursor was closed a moment ago
                    cursor.interrupt()

    def can_answer(self, query: Execution) -> bool:
        """Returns whether ``query`` may return this execution's result instead of running.

        The request of ``query`` has to enable result reuse.
        """
        age = (query.request.get("ResultReuseConfiguration") or {}).get(
            "ResultReuseByAgeConfiguration"
        ) or {}
        recent = self.ended is not None and query.submitted - self.ended <= 60 * age.get(
            "MaxAgeInMinutes", 60
        )
        same = all(self.request.get(key) == query.request.get(key) for key in _SAME_REQUEST)
        places = [(execution.region, execution.workgroup) for execution in (self, query)]
        selects = self.state == SUCCEEDED and self.substatement == "SELECT"
        return bool(age.get("Enabled")) and selects and recent and same and places[0] == places[1]

    def reuse(self, earlier: Execution) -> None:
        """Ends the execution with the result of ``earlier``."""
        self.reused = earlier.reused or earlier
        self.result = replace(earlier.result, scanned_bytes=0)
        self.start()
        self.end(SUCCEEDED)
        self.finished.set()

    def describe(self) -> dict[str, Any]:
        """The execution as GetQueryExecution returns it."""
        description = {
            "QueryExecutionId": self.query_id,
            "Query": self.request["QueryString"],
            "StatementType": self.statement_type,
            "SubstatementType": self.substatement,
            "ResultConfiguration": {
                **(self.request.get("ResultConfiguration") or {}),
                "OutputLocation": self.output_location,
            },
            "ResultReuseConfiguration": self.request.get("ResultReuseConfiguration") or _NO_REUSE,
            "QueryExecutionContext": self._context(),
            "Status": self._status(),
            "EngineVersion": {
                "SelectedEngineVersion": "AUTO",
                "EffectiveEngineVersion": "Athena engine version 3",
            },
            "Statistics": self.statistics(),
            "WorkGroup": self.workgroup,
        }
        if self.request.get("ExecutionParameters"):
            description["ExecutionParameters"] = self.request["ExecutionParameters"]
        return description

    def _context(self) -> dict[str, str]:
        given = self.request.get("QueryExecutionContext") or {}
        return {
            key.title(): value.lower()
            for key, value in given.items()
            if key in ("Database", "Catalog")
        }

    def _status(self) -> dict[str, Any]:
        status = {
            "State": self.state,
            "SubmissionDateTime": self.submitted,
            "CompletionDateTime": self.ended,
            "StateChangeReason": self.reason,
            "AthenaError": self.error,
        }
        return {key: value for key, value in status.items() if value is not None}

    def statistics(self) -> dict[str, Any]:
        """Times in milliseconds, and scanned bytes."""
        now = self.ended or time.time()
        started = self.started or now
        description = {
            "EngineExecutionTimeInMillis": _millis(now - started),
            "DataScannedInBytes": self.result.scanned_bytes,
            "TotalExecutionTimeInMillis": _millis(now - self.submitted),
            "QueryQueueTimeInMillis": _millis(started - self.submitted),
            "ServicePreProcessingTimeInMillis": 1,
            "QueryPlanningTimeInMillis": 1,
            "ServiceProcessingTimeInMillis": 1,
            "ResultReuseInformation": {"ReusedPreviousResult": self.reused is not None},
        }
        if self.result.manifest is not None:
            description["DataManifestLocation"] = self.manifest_location
        return description


def _millis(seconds: float) -> int:
    """Milliseconds, at least 1: clients read 0 as unknown."""
    return max(1, round(seconds * 1000))
