"""The crawler API of Glue: one crawl at a time per crawler, with AWS's states, errors and log."""

from __future__ import annotations

import copy
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from local_aws.clients import ACCOUNT_ID, Clients
from local_aws.glue import settings
from local_aws.glue.catalog_writer import CatalogWriter, Changes
from local_aws.glue.crawl_log import LOG_GROUP, CrawlLog
from local_aws.glue.layout import FoundTable, find_tables
from local_aws.glue.listing import S3File, data_files
from local_aws.glue.schema import FileSchema, read_schema
from local_aws.keys import access_key_of
from local_aws.overlay import AwsError, Call, Handler
from local_aws.roles import may_assume

log = logging.getLogger(__name__)

READERS = 8  # schemas read in parallel


class Cancelled(Exception):
    """StopCrawler has cancelled the crawl."""


@dataclass
class Crawl:
    """One run of a crawler; times are epoch seconds."""

    crawler: str
    crawl_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: float = field(default_factory=time.time)
    ended: float | None = None
    status: str = "RUNNING"
    error: str | None = None
    changes: Changes = field(default_factory=Changes)
    cancel: threading.Event = field(default_factory=threading.Event)

    def raise_if_cancelled(self) -> None:
        """Raises ``Cancelled`` if StopCrawler was called."""
        if self.cancel.is_set():
            raise Cancelled

    def last_crawl(self) -> dict[str, Any]:
        """The crawl as in the API's ``Crawler.LastCrawl``."""
        described = {
            "Status": self.status,
            "LogGroup": LOG_GROUP,
            "LogStream": self.crawler,
            "MessagePrefix": self.crawl_id,
            "StartTime": self.started,
        }
        return described | ({"ErrorMessage": self.error} if self.error else {})


@dataclass
class Crawler:
    request: dict[str, Any]
    region: str
    created: float = field(default_factory=time.time)
    updated: float = field(default_factory=time.time)
    version: int = 1
    state: str = "READY"
    crawls: list[Crawl] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.request["Name"])

    @property
    def finished(self) -> list[Crawl]:
        """The crawls that have ended, oldest first."""
        return [crawl for crawl in self.crawls if crawl.ended is not None]

    def describe(self) -> dict[str, Any]:
        """The crawler as GetCrawler returns it."""
        described = {
            **_DEFAULTS,
            **{key: value for key, value in self.request.items() if key != "Tags"},
            "State": self.state,
            "CrawlElapsedTime": self._elapsed_millis(),
            "CreationTime": self.created,
            "LastUpdated": self.updated,
            "Version": self.version,
        }
        if self.finished:
            described["LastCrawl"] = self.finished[-1].last_crawl()
        return described

    def _elapsed_millis(self) -> int:
        return 0 if self.state == "READY" else int((time.time() - self.crawls[-1].started) * 1000)


_DEFAULTS: dict[str, Any] = {
    "Classifiers": [],
    "RecrawlPolicy": {"RecrawlBehavior": "CRAWL_EVERYTHING"},
    "SchemaChangePolicy": {
        "UpdateBehavior": "UPDATE_IN_DATABASE",
        "DeleteBehavior": "DEPRECATE_IN_DATABASE",
    },
    "LineageConfiguration": {"CrawlerLineageSettings": "DISABLE"},
    "LakeFormationConfiguration": {"UseLakeFormationCredentials": False, "AccountId": ""},
}


_UNSUPPORTED = (
    "ListCrawls",
    "StartCrawlerSchedule",
    "StopCrawlerSchedule",
    "UpdateCrawlerSchedule",
)


class CrawlerComponent:
    """The crawler operations of Glue; moto keeps the catalog."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._lock = threading.RLock()
        self._crawlers: dict[tuple[str, str], Crawler] = {}
        self._threads: list[threading.Thread] = []
        # cached by bucket, key, size and ETag: an unchanged file is read only once
        self._schemas: dict[S3File, FileSchema] = {}

    def handlers(self) -> Mapping[str, Handler]:
        """``"AWSGlue.Operation"`` -> its handler, for all crawler operations."""
        operations: dict[str, Handler] = {
            "CreateCrawler": self._create,
            "UpdateCrawler": self._update,
            "DeleteCrawler": self._delete,
            "GetCrawler": lambda call: {"Crawler": self._get(call).describe()},
            "GetCrawlers": lambda call: {
                "Crawlers": [crawler.describe() for crawler in self._all(call)]
            },
            "ListCrawlers": lambda call: {
                "CrawlerNames": [crawler.name for crawler in self._all(call)]
            },
            "BatchGetCrawlers": self._batch_get,
            "StartCrawler": self._start,
            "StopCrawler": self._stop,
            "GetCrawlerMetrics": self._metrics,
            **dict.fromkeys(_UNSUPPORTED, _reject),
        }
        return {f"AWSGlue.{name}": self._locked(handler) for name, handler in operations.items()}

    def close(self) -> None:
        """Cancels running crawls and waits for their threads."""
        with self._lock:
            for crawler in self._crawlers.values():
                if crawler.crawls:
                    crawler.crawls[-1].cancel.set()
            threads, self._threads = self._threads, []
        for thread in threads:
            thread.join(timeout=10)

    def _locked(self, handler: Handler) -> Handler:
        def answer(call: Call) -> dict[str, Any]:
            with self._lock:
                return handler(call)

        return answer

    # operations

    def _create(self, call: Call) -> dict[str, Any]:
        if (call.region, call.body["Name"]) in self._crawlers:
            raise AwsError(
                "AlreadyExistsException", f"Crawler with name {call.body['Name']} already exists"
            )
        settings.check(call.body)
        self._check_role(call.body["Role"], call.region)
        crawler = Crawler(copy.deepcopy(call.body), call.region)
        self._crawlers[call.region, crawler.name] = crawler
        if crawler.request.get("Tags"):
            arn = f"arn:aws:glue:{call.region}:{ACCOUNT_ID}:crawler/{crawler.name}"
            call.forward({"ResourceArn": arn, "TagsToAdd": crawler.request["Tags"]}, "TagResource")
        return {}

    def _update(self, call: Call) -> dict[str, Any]:
        crawler = self._get(call)
        self._must_be_ready(crawler)
        wanted = {**crawler.request, **call.body}
        settings.check(wanted)
        self._check_role(wanted["Role"], call.region)
        crawler.request = copy.deepcopy(wanted)
        crawler.version += 1
        crawler.updated = time.time()
        return {}

    def _delete(self, call: Call) -> dict[str, Any]:
        self._must_be_ready(self._get(call))
        del self._crawlers[call.region, call.body["Name"]]
        return {}

    def _batch_get(self, call: Call) -> dict[str, Any]:
        known = {crawler.name: crawler for crawler in self._all(call)}
        names = call.body["CrawlerNames"]
        return {
            "Crawlers": [known[name].describe() for name in names if name in known],
            "CrawlersNotFound": [name for name in names if name not in known],
        }

    def _start(self, call: Call) -> dict[str, Any]:
        crawler = self._get(call)
        self._must_be_ready(crawler, "has already started")
        crawl = Crawl(crawler.name)
        crawler.crawls.append(crawl)
        crawler.state = "RUNNING"
        thread = threading.Thread(
            target=self._run, args=(crawler, crawl), name=f"crawl-{crawler.name}", daemon=True
        )
        self._threads = [other for other in self._threads if other.is_alive()] + [thread]
        thread.start()
        return {}

    def _stop(self, call: Call) -> dict[str, Any]:
        crawler = self._get(call)
        if crawler.state == "READY":
            raise AwsError(
                "CrawlerNotRunningException", f"Crawler with name {crawler.name} isn't running"
            )
        if crawler.state == "STOPPING":
            raise AwsError(
                "CrawlerStoppingException", f"Crawler with name {crawler.name} is already stopping"
            )
        crawler.state = "STOPPING"
        crawler.crawls[-1].cancel.set()
        return {}

    def _metrics(self, call: Call) -> dict[str, Any]:
        names = call.body.get("CrawlerNameList")
        return {
            "CrawlerMetricsList": [
                _metrics_of(crawler)
                for crawler in self._all(call)
                if not names or crawler.name in names
            ]
        }

    def _all(self, call: Call) -> list[Crawler]:
        return [
            crawler
            for (region, _), crawler in sorted(self._crawlers.items())
            if region == call.region
        ]

    def _get(self, call: Call, name: str | None = None) -> Crawler:
        wanted = name or call.body["Name"]
        if (call.region, wanted) not in self._crawlers:
            raise AwsError(
                "EntityNotFoundException", f"Crawler entry with name {wanted} does not exist"
            )
        return self._crawlers[call.region, wanted]

    def _must_be_ready(self, crawler: Crawler, why: str = "is running") -> None:
        if crawler.state != "READY":
            raise AwsError("CrawlerRunningException", f"Crawler with name {crawler.name} {why}")

    def _check_role(self, role: str, region: str) -> None:
        if not may_assume(self._clients.client("iam", region), "glue", role):
            raise settings.invalid(
                "Service is unable to assume provided role. Please verify role's TrustPolicy"
            )

    def _client(self, service: str, crawler: Crawler) -> Any:
        """A client that signs as the crawler's role."""
        return self._clients.signing_as(access_key_of(crawler.request["Role"])).client(
            service, crawler.region
        )

    # a crawl

    def _run(self, crawler: Crawler, crawl: Crawl) -> None:
        crawl_log = CrawlLog(crawl.crawl_id)
        try:
            self._crawl(crawler, crawl, crawl_log)
            status, error = "SUCCEEDED", None
        except Cancelled:
            status, error = "CANCELLED", None
        except ClientError as failure:
            status, error = "FAILED", _aws_message(failure)
        # a bug in the stand-in: the crawl fails, and its message says so
        except Exception as bug:
            log.exception("crawl of %s failed", crawler.name)
            status, error = (
                "FAILED",
                f"Internal Service Exception (local_aws: {type(bug).__name__}: {bug})",
            )
        self._finish(crawler, crawl, status, error, crawl_log)

    def _crawl(self, crawler: Crawler, crawl: Crawl, crawl_log: CrawlLog) -> None:
        crawl_log.note(f"BENCHMARK : Running Start Crawl for Crawler {crawler.name}")
        request = copy.deepcopy(crawler.request)
        glue = self._client("glue", crawler)
        _ensure_database(glue, request["DatabaseName"])
        s3 = self._client("s3", crawler)
        files = {target: data_files(s3, target) for target in settings.targets_of(request)}
        crawl.raise_if_cancelled()
        schemas = self._read(crawler, [file for found in files.values() for file in found], crawl)
        grouping = settings.grouping_of(request)
        tables: dict[str, FoundTable] = {}
        for target, found in files.items():
            for table in find_tables(target, {file: schemas[file] for file in found}, grouping):
                tables.setdefault(table.location, table)  # overlapping targets find the same table
        crawl.raise_if_cancelled()
        crawl_log.note(
            "BENCHMARK : Classification complete, writing results to database"
            f" {request['DatabaseName']}"
        )
        catalog = CatalogWriter(glue, settings.policy_of(request), crawl.crawl_id)
        crawl.changes = catalog.changes
        catalog.write(list(tables.values()))
        crawl_log.note_changes(crawl.changes)

    def _read(
        self, crawler: Crawler, files: list[S3File], crawl: Crawl
    ) -> dict[S3File, FileSchema]:
        s3 = self._client("s3", crawler)

        def schema(file: S3File) -> FileSchema:
            crawl.raise_if_cancelled()
            if file not in self._schemas:
                self._schemas[file] = read_schema(s3, file)
            return self._schemas[file]

        with ThreadPoolExecutor(READERS) as pool:
            return dict(zip(files, pool.map(schema, files), strict=True))

    def _finish(
        self, crawler: Crawler, crawl: Crawl, status: str, error: str | None, crawl_log: CrawlLog
    ) -> None:
        with self._lock:
            crawler.state = "STOPPING"
        if error:
            crawl_log.note(f"ERROR : {error}")
        crawl_log.note(
            "BENCHMARK : Crawler has finished running and is in state"
            f" {'READY' if status != 'FAILED' else 'FAILED'}"
        )
        crawl_log.write(self._client("logs", crawler), crawler.name)
        with self._lock:
            crawl.status, crawl.error, crawl.ended = status, error, time.time()
            crawler.state = "READY"


def _ensure_database(glue: Any, name: str) -> None:
    """Creates the crawler's database if it does not exist."""
    try:
        glue.get_database(Name=name)
    except glue.exceptions.EntityNotFoundException:
        with suppress(glue.exceptions.AlreadyExistsException):  # another crawl has just created it
            glue.create_database(DatabaseInput={"Name": name})


def _aws_message(failure: ClientError) -> str:
    error = failure.response["Error"]
    status = failure.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    where = f" ({failure.response['Error'].get('BucketName')})" if "BucketName" in error else ""
    return f"{error.get('Message')}{where} (Status Code: {status}; Error Code: {error.get('Code')})"


def _metrics_of(crawler: Crawler) -> dict[str, Any]:
    ended = [crawl.ended - crawl.started for crawl in crawler.crawls if crawl.ended is not None]
    changes = crawler.crawls[-1].changes if crawler.crawls else Changes()
    return {
        "CrawlerName": crawler.name,
        "TimeLeftSeconds": 0.0,
        "StillEstimating": crawler.state == "RUNNING",
        "LastRuntimeSeconds": ended[-1] if ended else 0.0,
        "MedianRuntimeSeconds": sorted(ended)[len(ended) // 2] if ended else 0.0,
        "TablesCreated": len(changes.tables_created),
        "TablesUpdated": len(changes.tables_updated),
        "TablesDeleted": len(changes.tables_deleted),
    }


def _reject(call: Call) -> dict[str, Any]:
    raise settings.unsupported(call.operation)
