"""Athena's API: runs queries on threads, stores their results, and reads the catalog."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from local_aws.athena.executions import CANCELLED, ENDED, FAILED, SUCCEEDED, Execution
from local_aws.athena.named_queries import NamedQueries, update_work_group, work_group
from local_aws.clients import ACCOUNT_ID, Clients
from local_aws.overlay import AwsError, Call, Handler
from local_aws.pages import page

# DuckDB, pyarrow and sqlglot are imported at the first query, not at the server's start
if TYPE_CHECKING:
    from local_aws.athena.engine import Engine
    from local_aws.athena.statements import Statement

log = logging.getLogger(__name__)

AT_ONCE = 4  # queries in parallel
PAGE = 1000  # maximum number of rows in a page of GetQueryResults
DATA_CATALOG = "AwsDataCatalog"


def invalid(message: str) -> AwsError:
    return AwsError("InvalidRequestException", message)


class AthenaComponent:
    """Answers for queries, named queries and catalog metadata; moto keeps the workgroups."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._lock = threading.RLock()
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="athena")
        self._executions: dict[tuple[str, str], Execution] = {}
        self._tokens: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {}
        self._engine: Engine | None = None
        self._named = NamedQueries()

    def handlers(self) -> Mapping[str, Handler]:
        operations: dict[str, Handler] = {
            "StartQueryExecution": self._start,
            "GetQueryExecution": lambda call: {"QueryExecution": self._get(call).describe()},
            "BatchGetQueryExecution": self._batch_get,
            "ListQueryExecutions": self._list,
            "StopQueryExecution": self._stop,
            "GetQueryResults": self._results,
            "ListDataCatalogs": self._list_catalogs,
            "GetDataCatalog": self._get_catalog,
            "ListDatabases": self._list_databases,
            "GetDatabase": self._get_database,
            "ListTableMetadata": self._list_tables,
            "GetTableMetadata": self._get_table,
            "GetWorkGroup": lambda call: {"WorkGroup": work_group(call, call.body["WorkGroup"])},
            "UpdateWorkGroup": update_work_group,
        }
        own = {f"AmazonAthena.{name}": handler for name, handler in operations.items()}
        return {**own, **self._named.handlers()}

    def close(self) -> None:
        """Interrupts running queries and ends their threads."""
        with self._lock:
            running = [
                execution for execution in self._executions.values() if execution.state not in ENDED
            ]
        for execution in running:
            execution.cancel()
        self._pool.shutdown(wait=True)
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _client(self, service: str, call: Call) -> Any:
        """A client that signs as the caller, because Athena acts on behalf of the caller.

        https://docs.aws.amazon.com/athena/latest/ug/security-iam-athena.html
        """
        return self._clients.signing_as(call.principal).client(service, call.region)

    def _loaded_engine(self) -> Engine:
        from local_aws.athena.engine import Engine

        with self._lock:
            if self._engine is None:
                self._engine = Engine()
            return self._engine

    # starting and stopping

    def _start(self, call: Call) -> dict[str, Any]:
        body = {key: value for key, value in call.body.items() if key != "ClientRequestToken"}
        token = call.body.get("ClientRequestToken")
        _ensure_default_database(self._clients.client("glue", call.region))
        with self._lock:
            known = self._tokens.get((call.region, token)) if token else None
            if known is not None:
                if known[1] != body:
                    raise invalid("Idempotent parameters do not match")
                return {"QueryExecutionId": known[0]}
            execution, statement = self._accepted(call, body)
            earlier = next(
                (one for one in reversed(self._executions.values()) if one.can_answer(execution)),
                None,
            )
            self._executions[call.region, execution.query_id] = execution
            if token:
                self._tokens[call.region, token] = (execution.query_id, body)
        if earlier is not None:
            execution.reuse(earlier)
        else:
            self._pool.submit(self._run, execution, statement, call)
        return {"QueryExecutionId": execution.query_id}

    def _accepted(self, call: Call, body: dict[str, Any]) -> tuple[Execution, Statement]:
        from local_aws.athena.errors import InvalidSyntax, QueryFailed
        from local_aws.athena.statements import parse

        catalog = (body.get("QueryExecutionContext") or {}).get("Catalog", DATA_CATALOG)
        if catalog.lower() != DATA_CATALOG.lower():
            raise invalid(f"local_aws does not support this: the data catalog {catalog}")
        workgroup = self._workgroup(call, body.get("WorkGroup") or "primary")
        folder = self._output_folder(call, body, workgroup)
        try:
            statement = parse(body["QueryString"], body.get("ExecutionParameters") or ())
            if statement.substatement == "DESCRIBE_TABLE":
                self._check_described(call, statement, _database_of(body))
        except (InvalidSyntax, QueryFailed) as error:
            raise invalid(str(error)) from error
        names = statement.type, statement.substatement, statement.file_suffix
        return Execution(body, call.region, workgroup["Name"], folder, *names), statement

    def _check_described(self, call: Call, statement: Statement, database: str) -> None:
        """Raises if DESCRIBE names a missing table: StartQueryExecution rejects it, as on AWS."""
        from local_aws.athena.ddl import described_table, hive_reader

        reader = hive_reader(statement.text)
        reader.token("DESCRIBE")
        database, name = described_table(reader, database)
        try:
            self._client("glue", call).get_table(DatabaseName=database, Name=name)
        except ClientError as error:
            raise invalid(not_found(error)) from error

    def _workgroup(self, call: Call, name: str) -> dict[str, Any]:
        found = work_group(call, name)
        if found.get("State") == "DISABLED":
            raise invalid(f"WorkGroup {name} is disabled.")
        return found

    def _output_folder(self, call: Call, body: dict[str, Any], workgroup: dict[str, Any]) -> str:
        """The folder for results: the request's, else the workgroup's.

        A workgroup that enforces its configuration overrides the request.
        """
        settings = workgroup.get("Configuration") or {}
        own = (settings.get("ResultConfiguration") or {}).get("OutputLocation")
        requested = (body.get("ResultConfiguration") or {}).get("OutputLocation")
        location = (
            own if settings.get("EnforceWorkGroupConfiguration") and own else requested or own
        )
        if not location:
            raise invalid(
                "No output location provided. An output location is required either through the"
                " Workgroup result configuration setting or as an API input."
            )
        if not location.startswith("s3://"):
            raise invalid("outputLocation is not a valid S3 path.")
        bucket = location[5:].partition("/")[0]
        try:
            self._client("s3", call).head_bucket(Bucket=bucket)
        except ClientError as error:
            raise invalid(f"Unable to verify/create output bucket {bucket}") from error
        return f"{location.rstrip('/')}/"

    def _stop(self, call: Call) -> dict[str, Any]:
        execution = self._get(call)
        if execution.state not in ENDED:
            execution.cancel()
        return {}

    # running

    def _run(self, execution: Execution, statement: Statement, call: Call) -> None:
        try:
            if execution.start():
                self._execute(execution, statement, call)
                execution.end(SUCCEEDED)
        except Exception as failure:  # noqa: BLE001 - every error ends the query
            execution.end(*_ending(execution, failure))
        finally:
            execution.cursor = None
            execution.finished.set()

    def _execute(self, execution: Execution, statement: Statement, call: Call) -> None:
        from local_aws.athena.engine import Session
        from local_aws.athena.results import file_text
        from local_aws.athena.statements import Runner

        engine = self._loaded_engine()
        glue, s3 = (self._client(service, call) for service in ("glue", "s3"))
        session = Session(
            glue=glue,
            s3=s3,
            database=_database_of(execution.request),
            started=datetime.fromtimestamp(execution.submitted, UTC),
            user=call.principal or "local",
            cutoff_bytes=self._cutoff(call, execution.workgroup),
            cancelled=execution.cancelled,
        )
        with engine.cursor() as cursor:
            execution.cursor = cursor
            tables = f"{execution.output_folder}tables/{execution.query_id}/"
            execution.result = Runner(engine, session, cursor, tables).run(statement)
            execution.cursor = None
        session.raise_if_cancelled()
        if execution.result.manifest is None:
            self._put(s3, execution.output_location, file_text(execution.result))
        else:  # a statement that writes has no results file, only a manifest
            self._put(
                s3,
                execution.manifest_location,
                "".join(f"{url}\n" for url in execution.result.manifest),
            )

    def _cutoff(self, call: Call, workgroup: str) -> int | None:
        cutoff: int | None = (self._workgroup(call, workgroup).get("Configuration") or {}).get(
            "BytesScannedCutoffPerQuery"
        )
        return cutoff

    def _put(self, s3: Any, location: str, text: str) -> None:
        from local_aws.athena.errors import QueryFailed

        bucket, _, key = location.removeprefix("s3://").partition("/")
        try:
            s3.put_object(Bucket=bucket, Key=key, Body=text.encode())
        except ClientError as error:
            reason = (
                f"Access denied when writing output to url: {location}:"
                f" {error.response['Error'].get('Message')}"
            )
            raise QueryFailed("", reason) from error

    # reading results

    def _get(self, call: Call) -> Execution:
        query_id = call.body["QueryExecutionId"]
        found = self._executions.get((call.region, query_id))
        if found is None:
            raise invalid(f"QueryExecution {query_id} was not found")
        return found

    def _batch_get(self, call: Call) -> dict[str, Any]:
        ids = call.body["QueryExecutionIds"]
        found = {query_id: self._executions.get((call.region, query_id)) for query_id in ids}
        return {
            "QueryExecutions": [
                execution.describe() for execution in found.values() if execution is not None
            ],
            "UnprocessedQueryExecutionIds": [
                {
                    "QueryExecutionId": query_id,
                    "ErrorCode": "INVALID_INPUT",
                    "ErrorMessage": f"QueryExecution {query_id} was not found",
                }
                for query_id, execution in found.items()
                if execution is None
            ],
        }

    def _list(self, call: Call) -> dict[str, Any]:
        workgroup = call.body.get("WorkGroup") or "primary"
        ids = [
            execution.query_id
            for (region, _), execution in reversed(self._executions.items())
            if region == call.region and execution.workgroup == workgroup
        ]
        return _page(call, "QueryExecutionIds", ids, 50)

    def _results(self, call: Call) -> dict[str, Any]:
        from local_aws.athena.results import api_row, api_rows, column_info

        execution = self._get(call)
        if execution.state == CANCELLED:
            raise invalid("Could not find results")
        if execution.state == FAILED:
            raise invalid("Query did not finish successfully. Final query state: FAILED")
        if execution.state != SUCCEEDED:
            raise invalid(f"Query has not yet finished. Current state: {execution.state}")
        if call.body.get("MaxResults", PAGE) > PAGE:
            raise invalid(f"MaxResults is more than maximum allowed length {PAGE}")
        rows = _page(call, "Rows", api_rows(execution.result), PAGE)
        columns = [column_info(name, kind) for name, kind in execution.result.columns]
        answer = {
            "ResultSet": {
                "Rows": [api_row(row) for row in rows.pop("Rows")],
                "ResultSetMetadata": {"ColumnInfo": columns},
            },
            "UpdateCount": execution.result.update_count or 0,
        }
        return answer | rows

    # the catalog

    def _list_catalogs(self, call: Call) -> dict[str, Any]:
        own = {"CatalogName": DATA_CATALOG, "Type": "GLUE"}
        return {"DataCatalogsSummary": [own, *call.forward().get("DataCatalogsSummary", [])]}

    def _get_catalog(self, call: Call) -> dict[str, Any]:
        if call.body["Name"].lower() != DATA_CATALOG.lower():
            return call.forward()
        return {
            "DataCatalog": {
                "Name": DATA_CATALOG,
                "Type": "GLUE",
                "Parameters": {"catalog-id": ACCOUNT_ID},
            }
        }

    def _list_databases(self, call: Call) -> dict[str, Any]:
        pages = self._client("glue", call).get_paginator("get_databases").paginate()
        found = [_database(database) for page in pages for database in page["DatabaseList"]]
        return _page(call, "DatabaseList", found, 50)

    def _get_database(self, call: Call) -> dict[str, Any]:
        with _Translated():
            found = self._client("glue", call).get_database(Name=call.body["DatabaseName"])
            return {"Database": _database(found["Database"])}

    def _list_tables(self, call: Call) -> dict[str, Any]:
        glue, wanted = self._client("glue", call), call.body.get("Expression")
        request = {"DatabaseName": call.body["DatabaseName"]} | (
            {"Expression": wanted} if wanted else {}
        )
        with _Translated():
            pages = glue.get_paginator("get_tables").paginate(**request)
            found = [_table(table) for page in pages for table in page["TableList"]]
        return _page(call, "TableMetadataList", found, 50)

    def _get_table(self, call: Call) -> dict[str, Any]:
        names = {"DatabaseName": call.body["DatabaseName"], "Name": call.body["TableName"]}
        with _Translated():
            return {"TableMetadata": _table(self._client("glue", call).get_table(**names)["Table"])}


def _database_of(request: dict[str, Any]) -> str:
    database = str((request.get("QueryExecutionContext") or {}).get("Database", "default"))
    return database.lower().strip("`")  # awswrangler quotes the name, and AWS accepts quotes


def _ensure_default_database(glue: Any) -> None:
    """Creates the database ``default``, which Athena uses for queries without a database."""
    try:
        glue.get_database(Name="default")
    except glue.exceptions.EntityNotFoundException:
        with suppress(glue.exceptions.AlreadyExistsException):  # another query has just created it
            glue.create_database(DatabaseInput={"Name": "default"})


def _ending(execution: Execution, failure: Exception) -> tuple[str, str, dict[str, Any] | None]:
    """The final state, reason and error of a failed query."""
    from local_aws.athena.engine import ScanLimitReached
    from local_aws.athena.errors import InvalidSyntax, QueryFailed

    if execution.cancelled.is_set():
        return CANCELLED, "Query cancelled by user", None
    if isinstance(failure, ScanLimitReached):
        return CANCELLED, "Query cancelled! : Bytes scanned limit was exceeded", None
    if isinstance(failure, InvalidSyntax):
        failure = QueryFailed("SYNTAX_ERROR", str(failure))
    elif not isinstance(failure, QueryFailed):
        log.error("query %s failed in local_aws", execution.query_id, exc_info=failure)
        failure = QueryFailed(
            "", f"local_aws has a bug: {type(failure).__name__}: {failure}", category=1
        )
    return FAILED, failure.reason, failure.athena_error()


class _Translated:
    """Translates Glue's errors into Athena's MetadataException."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ClientError):
            raise AwsError("MetadataException", not_found(error)) from error


def not_found(error: ClientError) -> str:
    """Glue's error in Athena's format; clients recognize a missing table by this text."""
    found, metadata = error.response["Error"], error.response["ResponseMetadata"]
    what = (
        "Entity Not Found"
        if found["Code"] == "EntityNotFoundException"
        else found.get("Message", "")
    )
    return (
        f"{what} (Service: AmazonDataCatalog; Status Code: {metadata['HTTPStatusCode']}; Error"
        f" Code: {found['Code']}; Request ID: {metadata.get('RequestId', '')}; Proxy: null)"
    )


def _page(call: Call, name: str, items: list[Any], most: int) -> dict[str, Any]:
    """The page of ``items`` that the request's NextToken and MaxResults select."""
    size = min(call.body.get("MaxResults") or most, most)
    return page(
        name,
        items,
        size,
        ("NextToken", call.body.get("NextToken")),
        invalid("The pagination token is not valid"),
    )


def _database(found: dict[str, Any]) -> dict[str, Any]:
    description = {
        "Name": found["Name"],
        "Description": found.get("Description"),
        "Parameters": found.get("Parameters"),
    }
    return {key: value for key, value in description.items() if value}


def _table(found: dict[str, Any]) -> dict[str, Any]:
    descriptor = found.get("StorageDescriptor") or {}
    serde = descriptor.get("SerdeInfo") or {}
    describe = {
        "inputformat": descriptor.get("InputFormat"),
        "outputformat": descriptor.get("OutputFormat"),
        "location": descriptor.get("Location"),
        "serde.serialization.lib": serde.get("SerializationLibrary"),
        **{f"serde.param.{key}": value for key, value in (serde.get("Parameters") or {}).items()},
    }
    return {
        "Name": found["Name"],
        "CreateTime": found.get("CreateTime", 0),
        "LastAccessTime": found.get("LastAccessTime", 0),
        "TableType": found.get("TableType", ""),
        "Columns": descriptor.get("Columns", []),
        "PartitionKeys": found.get("PartitionKeys", []),
        "Parameters": {
            **found.get("Parameters", {}),
            **{key: value for key, value in describe.items() if value},
        },
    }
