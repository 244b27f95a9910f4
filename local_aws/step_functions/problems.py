"""What is wrong with a definition: one finding each, worded as Step Functions words it."""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA = "SCHEMA_VALIDATION_FAILED"
TARGET = "MISSING_TRANSITION_TARGET"
NOT_LOCAL = "LocalAwsNotSupported"  # AWS does this, the stand-in cannot


@dataclass(frozen=True)
class Problem:
    """One finding; ``location`` is a path into the definition, ``/States/Work/Next``."""

    code: str
    message: str
    location: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message} at {self.location}"

    def diagnostic(self) -> dict[str, str]:
        """As ValidateStateMachineDefinition answers it."""
        return {"severity": "ERROR", "code": self.code, "message": self.message, "location": self.location}


def not_local(what: str, location: str) -> Problem:
    """The finding for what AWS does and this stand-in cannot."""
    return Problem(NOT_LOCAL, what, location)
