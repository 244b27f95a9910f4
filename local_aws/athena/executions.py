"""One query as the API knows it: its states, its times, its result."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from local_aws.athena.results import Result

QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED = "QUEUED", "RUNNING", "SUCCEEDED", "FAILED", "CANCELLED"
ENDED = (SUCCEEDED, FAILED, CANCELLED)


@dataclass
class Execution:
    """A query from its start; times are epoch seconds."""

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
    begun: float | None = None
    ended: float | None = None
    reason: str | None = None
    error: dict[str, Any] | None = None
    result: Result = field(default_factory=Result)
    cursor: Any = None
    cancelled: threading.Event = field(default_factory=threading.Event)

    @property
    def output_location(self) -> str:
        """Where the results file lies."""
        return f"{self.output_folder}{self.query_id}{self.suffix}"

    @property
    def manifest_location(self) -> str | None:
        """Where the list of written objects lies, if the statement wrote any."""
        return None if self.result.manifest is None else f"{self.output_folder}{self.query_id}-manifest.csv"

    def end(self, state: str, reason: str | None = None, error: dict[str, Any] | None = None) -> None:
        """The query's last state."""
        self.reason, self.error, self.ended = reason, error, time.time()
        self.state = state

    def described(self) -> dict[str, Any]:
        """As GetQueryExecution shows it."""
        shown = {
            "QueryExecutionId": self.query_id,
            "Query": self.request["QueryString"],
            "StatementType": self.statement_type,
            "SubstatementType": self.substatement,
            "ResultConfiguration": {**(self.request.get("ResultConfiguration") or {}), "OutputLocation": self.output_location},
            "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
            "QueryExecutionContext": self._context(),
            "Status": self._status(),
            "EngineVersion": {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"},
            "Statistics": self.statistics(),
            "WorkGroup": self.workgroup,
        }
        if self.request.get("ExecutionParameters"):
            shown["ExecutionParameters"] = self.request["ExecutionParameters"]
        return shown

    def _context(self) -> dict[str, str]:
        given = self.request.get("QueryExecutionContext") or {}
        return {key.title(): value.lower() for key, value in given.items() if key in ("Database", "Catalog")}

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
        """Times in milliseconds and the bytes that were scanned."""
        now = self.ended or time.time()
        begun = self.begun or now
        shown = {
            "EngineExecutionTimeInMillis": _millis(now - begun),
            "DataScannedInBytes": self.result.scanned_bytes,
            "TotalExecutionTimeInMillis": _millis(now - self.submitted),
            "QueryQueueTimeInMillis": _millis(begun - self.submitted),
            "ServicePreProcessingTimeInMillis": 0,
            "QueryPlanningTimeInMillis": 0,
            "ServiceProcessingTimeInMillis": 0,
            "ResultReuseInformation": {"ReusedPreviousResult": False},
        }
        if self.manifest_location:
            shown["DataManifestLocation"] = self.manifest_location
        return shown


def _millis(seconds: float) -> int:
    return round(seconds * 1000)
