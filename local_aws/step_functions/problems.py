"""A problem of a definition, with Step Functions' codes and messages."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
UNSUPPORTED = "LocalAwsNotSupported"  # for features that AWS supports and the stand-in does not


@dataclass(frozen=True)
class Problem:
    """One problem; ``location`` is a path into the definition, ``/States/Work/Next``."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"

    def diagnostic(self) -> dict[str, str]:
        """The problem in the format of ValidateStateMachineDefinition."""
        return {
            "severity": "ERROR",
            "code": self.code,
            "message": self.message,
            "location": self.location,
        }


def unsupported(what: str, location: str) -> Problem:
    """The problem of a feature that AWS supports and this stand-in does not."""
    return Problem(UNSUPPORTED, what, location)
