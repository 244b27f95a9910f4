"""The notebook's queries: starts them all at once, and returns each answer when it is ready."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import pandas as pd
from IPython import get_ipython
from IPython.display import display

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))  # for car_rental

from botocore.exceptions import BotoCoreError, ClientError
from car_rental.athena.client import Athena, QueryResult
from car_rental.athena.named_queries import NamedQuery, named_queries
from car_rental.aws import Aws, if_exists
from car_rental.config import Settings
from car_rental.emr.spark_outcomes import read_summary
from car_rental.errors import DataLakeError
from car_rental.failures import as_failure
from car_rental.report.settings_env import received

# MIME type of the error in a failed notebook's output; scripts/analyze.py reads it
ERROR = "application/vnd.car-rental.error+json"


@dataclass(frozen=True)
class Answer:
    """A query and its rows."""

    query: NamedQuery
    result: QueryResult

    @cached_property
    def frame(self) -> pd.DataFrame:
        """The rows as a data frame."""
        return self.result.frame()

    @property
    def first(self) -> pd.Series:
        """The first row; queries sort so that it answers the question."""
        return self.frame.iloc[0]


class Lake:
    """The published tables, through the queries of notebooks/queries."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.aws = Aws(settings)
        self._athena = Athena(self.aws)
        self._queries = named_queries()
        self._waiting: dict[str, str] = {}
        self._answers: dict[str, Answer] = {}

    @classmethod
    def open(cls) -> Lake:
        """Opens the lake that `.env` and the environment name.

        `main.py --analyze` runs this notebook with its own settings in the environment.
        """
        return cls(received(os.environ))

    def ask_all(self) -> None:
        """Starts every query at once: Athena runs them concurrently.

        The query about rejected rentals is left out: a run's rejected rentals are in the catalog
        only after step 7 or 10.
        """
        for name in self._queries:
            if name != "rejected_rentals":
                self._ask(name)

    def _ask(self, name: str) -> None:
        self._waiting[name] = self._athena.start(self._queries[name].sql)

    def answer(self, name: str) -> Answer:
        """Waits for the answer to a query. If it fails, the other running queries are stopped."""
        if name not in self._answers:
            if name not in self._waiting:
                self._ask(name)
            try:
                result = self._athena.finish(self._waiting.pop(name), name)
            except BaseException:  # Ctrl-C too: the other answers are no longer needed
                self._stop_waiting()
                raise
            self._answers[name] = Answer(self._queries[name], result)
        return self._answers[name]

    def _stop_waiting(self) -> None:
        while self._waiting:
            self._athena.stop(self._waiting.popitem()[1])

    def rejected_rentals(self, run_id: str) -> int | None:
        """The number of rentals that the newest run rejected.

        None if the catalog does not have them.
        """
        if not self._shows("rejected_rentals", run_id):
            return None
        reasons = self.answer("rejected_rentals").frame
        return 0 if reasons.empty else int(reasons.rejected_in_all.iloc[0])

    def master_rows(self, run_id: str) -> dict[str, str]:
        """The counts of each master table of a run: rows kept, rejected by reason, and duplicates.

        Empty if the run has no record of them.
        """
        summary = if_exists(partial(read_summary, self.aws, run_id), "NoSuchKey") or {}
        masters = summary.get("masters", {})
        return {f"Rows of {table}": _row_counts(counts) for table, counts in masters.items()}

    def _shows(self, table: str, run_id: str) -> bool:
        database = self.settings.glue_database_name
        get = partial(
            self.aws.client("glue").get_partition,
            DatabaseName=database,
            TableName=table,
            PartitionValues=[run_id],
        )
        return if_exists(get, "EntityNotFoundException") is not None

    def bill(self) -> dict[str, str]:
        """The engine, the bytes read and the cost of all queries. Waits for running ones."""
        results = [self.answer(name).result for name in [*self._answers, *self._waiting]]
        scanned = sum(result.scanned_bytes for result in results)
        dollars = sum((result.dollars for result in results), Decimal(0))
        local = self.settings.is_local
        return {
            "Database": f"{self.settings.glue_database_name} in {self.settings.aws_region}",
            "Engine": results[0].engine + (" (local stand-in)" if local else ""),
            "Bytes scanned": f"{scanned:,} by {len(results)} queries",
            "Cost of the queries": f"nothing here; ${dollars:.5f} on AWS"
            if local
            else f"${dollars:.5f}",
        }


def _row_counts(counts: Mapping[str, Any]) -> str:
    reasons = ", ".join(f"{name} {rows:,}" for name, rows in counts["rejected_by_reason"].items())
    parts = [
        f"{counts['rows']:,} read",
        f"{counts['kept']:,} kept",
        f"{counts['rejected']:,} rejected",
    ]
    parts[-1] += f" ({reasons})" if reasons else ""
    if counts["duplicates"]:
        parts.append(f"{counts['duplicates']:,} duplicate" + "s" * (counts["duplicates"] > 1))
    return ", ".join(parts)


def show_errors_briefly() -> None:
    """Makes the notebook show a DataLakeError as text instead of a traceback."""

    def show(
        shell: Any, kind: type[Exception], error: Exception, trace: Any, tb_offset: Any = None
    ) -> None:
        failure = as_failure(error, "analysis")
        fields = {
            "where": failure.where,
            "what": failure.what,
            "fix": failure.fix,
            "details": list(failure.details),
        }
        lines = [f"{failure.where}: {failure.what}", *failure.details, failure.fix]
        display({"text/plain": "\n".join(line for line in lines if line), ERROR: fields}, raw=True)  # type: ignore[no-untyped-call]

    get_ipython().set_custom_exc((DataLakeError, ClientError, BotoCoreError), show)
