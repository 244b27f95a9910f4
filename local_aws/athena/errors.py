"""Errors of queries with Athena's names and numbers; also for features that this stand-in lacks."""

from __future__ import annotations

USER, OTHER = 2, 3  # categories; 1 is SYSTEM, an error of Athena itself

# name of the error -> ErrorType: https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
_TYPES = {
    "TABLE_NOT_FOUND": 1110,
    "SCHEMA_NOT_FOUND": 1109,
    "SYNTAX_ERROR": 1006,
    "HIVE_BAD_DATA": 1003,
    "HIVE_PARTITION_SCHEMA_MISMATCH": 1004,
    "INSUFFICIENT_PERMISSIONS": 401,
}
_GENERIC_USER_ERROR = 1301


class QueryFailed(Exception):
    """The query ends as FAILED; ``reason`` is Athena's StateChangeReason."""

    def __init__(self, code: str, message: str, category: int = USER) -> None:
        self.code = code
        self.category = category
        self.reason = f"{code}: {message}" if code else message
        super().__init__(self.reason)

    def athena_error(self) -> dict[str, object]:
        """The error as in the API's ``QueryExecution.Status.AthenaError``."""
        return {
            "ErrorCategory": self.category,
            "ErrorType": _TYPES.get(self.code, _GENERIC_USER_ERROR),
            "Retryable": False,
            "ErrorMessage": self.reason,
        }


class InvalidSyntax(Exception):
    """A syntax error: StartQueryExecution rejects it, and there is no query."""


def unsupported(what: str) -> QueryFailed:
    """The error for a feature that Athena has and this stand-in lacks."""
    return QueryFailed("NOT_SUPPORTED", f"local_aws does not support this: {what}", OTHER)
