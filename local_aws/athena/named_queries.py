"""Named queries and updates of workgroups; moto implements only a part of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from local_aws.overlay import AwsError, Call, Handler
from local_aws.pages import page

_MOST_LISTED = 50
_CHANGEABLE = ("Name", "Description", "QueryString")


class NamedQueries:
    """The operations on named queries; names are not unique, as on AWS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queries: dict[tuple[str, str], dict[str, Any]] = {}

    def handlers(self) -> Mapping[str, Handler]:
        return {
            "AmazonAthena.CreateNamedQuery": self._create,
            "AmazonAthena.UpdateNamedQuery": self._update,
            "AmazonAthena.DeleteNamedQuery": self._delete,
            "AmazonAthena.GetNamedQuery": lambda call: {"NamedQuery": self._get(call)},
            "AmazonAthena.BatchGetNamedQuery": self._batch_get,
            "AmazonAthena.ListNamedQueries": self._list,
        }

    def _create(self, call: Call) -> dict[str, Any]:
        from moto.moto_api._internal import mock_random

        group = call.body.get("WorkGroup", "primary")
        work_group(call, group)
        # an id from moto's seeded generator, so that a restarted server recreates the same id
        query_id = str(mock_random.uuid4())
        fields = ("Name", "Description", "Database", "QueryString")
        query: dict[str, Any] = {key: call.body[key] for key in fields if key in call.body}
        with self._lock:
            self._queries[call.region, query_id] = {
                **query,
                "NamedQueryId": query_id,
                "WorkGroup": group,
            }
        return {"NamedQueryId": query_id}

    def _get(self, call: Call) -> dict[str, Any]:
        query_id = call.body["NamedQueryId"]
        query = self._queries.get((call.region, query_id))
        if query is None:
            raise AwsError("InvalidRequestException", f"NamedQuery {query_id} is not found")
        return query

    def _update(self, call: Call) -> dict[str, Any]:
        query = self._get(call)
        with self._lock:
            query.update({key: call.body[key] for key in _CHANGEABLE if key in call.body})
        return {}

    def _delete(self, call: Call) -> dict[str, Any]:
        with self._lock:
            self._queries.pop((call.region, self._get(call)["NamedQueryId"]))
        return {}

    def _batch_get(self, call: Call) -> dict[str, Any]:
        found = {
            query_id: self._queries.get((call.region, query_id))
            for query_id in call.body["NamedQueryIds"]
        }
        return {
            "NamedQueries": [query for query in found.values() if query],
            "UnprocessedNamedQueryIds": [
                {"NamedQueryId": query_id} for query_id, query in found.items() if not query
            ],
        }

    def _list(self, call: Call) -> dict[str, Any]:
        place = (call.region, call.body.get("WorkGroup", "primary"))
        ids = [
            query_id
            for (region, query_id), query in self._queries.items()
            if (region, query["WorkGroup"]) == place
        ]
        token, size = (
            ("NextToken", call.body.get("NextToken")),
            call.body.get("MaxResults", _MOST_LISTED),
        )
        return page(
            "NamedQueryIds",
            ids,
            size,
            token,
            AwsError("InvalidRequestException", "The pagination token is not valid"),
        )


def work_group(call: Call, name: str) -> dict[str, Any]:
    """A workgroup; raises AWS's error if there is none (moto returns an empty response)."""
    found: dict[str, Any] | None = call.forward({"WorkGroup": name}, "GetWorkGroup").get(
        "WorkGroup"
    )
    if not found:
        raise AwsError("InvalidRequestException", f"WorkGroup {name} is not found.")
    return found


def update_work_group(call: Call) -> dict[str, Any]:
    """Deletes the workgroup and creates it again; nothing else refers to moto's object."""
    name = call.body["WorkGroup"]
    group = work_group(call, name)
    wanted = {
        "Name": name,
        "Description": call.body.get("Description", group.get("Description", "")),
        "Configuration": changed(
            group.get("Configuration", {}), call.body.get("ConfigurationUpdates", {})
        ),
    }
    call.forward({"WorkGroup": name, "RecursiveDeleteOption": True}, "DeleteWorkGroup")
    return call.forward(wanted, "CreateWorkGroup")


def changed(configuration: Mapping[str, Any], updates: Mapping[str, Any]) -> dict[str, Any]:
    """Applies UpdateWorkGroup's updates: ``XUpdates`` changes ``X``, ``RemoveX`` removes it."""
    result = dict(configuration)
    for key, value in updates.items():
        if key.endswith("Updates"):
            inner = key.removesuffix("Updates")
            result[inner] = changed(result.get(inner, {}), value)
        elif key.startswith("Remove"):
            if value:
                result.pop(key.removeprefix("Remove"), None)
        else:
            result[key] = value
    return result
