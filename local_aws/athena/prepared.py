"""Prepared statements by workgroup: texts with question marks for parameters."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

from local_aws.overlay import AwsError, Call, Handler


class PreparedStatements:
    """The operations on prepared statements; PREPARE and EXECUTE use the same store."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._statements: dict[tuple[str, str, str], dict[str, Any]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "AmazonAthena.CreatePreparedStatement": self._create,
            "AmazonAthena.UpdatePreparedStatement": self._update,
            "AmazonAthena.GetPreparedStatement": lambda call: {
                "PreparedStatement": self._get(call, call.body["StatementName"])
            },
            "AmazonAthena.BatchGetPreparedStatement": self._batch_get,
            "AmazonAthena.DeletePreparedStatement": self._delete,
            "AmazonAthena.ListPreparedStatements": self._list,
        }

    def put(
        self, region: str, workgroup: str, name: str, text: str, description: str | None = None
    ) -> None:
        statement = {
            "StatementName": name,
            "QueryStatement": text,
            "WorkGroupName": workgroup,
            "LastModifiedTime": time.time(),
        }
        with self._lock:
            self._statements[region, workgroup, name] = statement | (
                {"Description": description} if description else {}
            )

    def text(self, region: str, workgroup: str, name: str) -> str | None:
        statement = self._statements.get((region, workgroup, name))
        return None if statement is None else str(statement["QueryStatement"])

    def drop(self, region: str, workgroup: str, name: str) -> bool:
        """Removes a statement; returns whether it existed."""
        with self._lock:
            return self._statements.pop((region, workgroup, name), None) is not None

    def _create(self, call: Call) -> dict[str, Any]:
        if self.text(call.region, call.body["WorkGroup"], call.body["StatementName"]) is not None:
            raise AwsError(
                "InvalidRequestException",
                f"Prepared statement {call.body['StatementName']} already exists",
            )
        return self._put(call)

    def _update(self, call: Call) -> dict[str, Any]:
        self._get(call, call.body["StatementName"])
        return self._put(call)

    def _put(self, call: Call) -> dict[str, Any]:
        body = call.body
        self.put(
            call.region,
            body["WorkGroup"],
            body["StatementName"],
            body["QueryStatement"],
            body.get("Description"),
        )
        return {}

    def _get(self, call: Call, name: str) -> dict[str, Any]:
        statement = self._statements.get((call.region, call.body["WorkGroup"], name))
        if statement is None:
            raise AwsError(
                "ResourceNotFoundException",
                f"PreparedStatement {name} was not found in workGroup {call.body['WorkGroup']}",
            )
        return statement

    def _batch_get(self, call: Call) -> dict[str, Any]:
        names, place = call.body["PreparedStatementNames"], (call.region, call.body["WorkGroup"])
        return {
            "PreparedStatements": [
                self._statements[(*place, name)]
                for name in names
                if (*place, name) in self._statements
            ],
            "UnprocessedPreparedStatementNames": [
                {
                    "StatementName": name,
                    "ErrorCode": "STATEMENT_NOT_FOUND",
                    "ErrorMessage": f"PreparedStatement {name} was not found",
                }
                for name in names
                if (*place, name) not in self._statements
            ],
        }

    def _delete(self, call: Call) -> dict[str, Any]:
        self._get(call, call.body["StatementName"])
        self.drop(call.region, call.body["WorkGroup"], call.body["StatementName"])
        return {}

    def _list(self, call: Call) -> dict[str, Any]:
        place = (call.region, call.body["WorkGroup"])
        listed = [
            statement for key, statement in sorted(self._statements.items()) if key[:2] == place
        ]
        shown = ("StatementName", "LastModifiedTime")
        return {
            "PreparedStatements": [{key: statement[key] for key in shown} for statement in listed]
        }
