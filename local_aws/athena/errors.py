"""How a query fails: Athena's error names, their numbers, and what this stand-in refuses by name."""

from __future__ import annotations

USER, OTHER = 2, 3  # categories; 1 is SYSTEM, a fault of Athena itself

# ErrorType by name: https://docs.aws.amazon.com/athena/latest/ug/error-reference.html
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
        """As ``QueryExecution.Status.AthenaError`` shows it."""
        return {
            "ErrorCategory": self.category,
            "ErrorType": _TYPES.get(self.code, _GENERIC_USER_ERROR),
            "Retryable": False,
            "ErrorMessage": self.reason,
        }


class Malformed(Exception):
    """The text is no statement: Athena refuses it at StartQueryExecution, no query comes to be."""


def not_done(what: str) -> QueryFailed:
    """What Athena could do and this stand-in cannot."""
    return QueryFailed("NOT_SUPPORTED", f"local_aws does not do this: {what}", OTHER)
