"""Changes of AWS resources as data: for summaries, records, and the plan of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """The outcome for one resource."""

    CREATED = "created"
    UPDATED = "updated"
    RESTORED = "restored"
    REMOVED = "removed"
    UNCHANGED = "unchanged"
    LEFT_ALONE = "left alone"


_PLANNED = {
    Verb.CREATED: "create",
    Verb.UPDATED: "change",
    Verb.RESTORED: "restore",
    Verb.REMOVED: "remove",
    Verb.UNCHANGED: "leave as it is",
    Verb.LEFT_ALONE: "leave alone",
}


@dataclass(frozen=True)
class Change:
    """The change of one resource. ``details`` names the properties that were changed."""

    kind: str
    name: str
    verb: Verb
    details: tuple[str, ...] = ()

    @classmethod
    def of(cls, kind: str, name: str, *, existed: bool, changed: Collection[str] = ()) -> Change:
        """The change of a resource whose properties ``changed`` differed from the wanted state."""
        if not existed:
            return cls(kind, name, Verb.CREATED)
        return cls(kind, name, Verb.UPDATED if changed else Verb.UNCHANGED, tuple(changed))

    @property
    def resource(self) -> str:
        """Kind and name: ``database car_rental_db``."""
        return f"{self.kind} {self.name}"

    @property
    def done(self) -> str:
        """The change in the past tense: ``updated (policy, tags)``."""
        return self._with_details(self.verb)

    @property
    def planned(self) -> str:
        """The change as a plan: ``change (policy, tags)``."""
        return self._with_details(_PLANNED[self.verb])

    def _with_details(self, verb: str) -> str:
        return f"{verb} ({', '.join(self.details)})" if self.details else verb


def summary(changes: Iterable[Change]) -> str:
    """Counts changes by kind: ``5 roles created; database unchanged``."""
    kinds: dict[str, Counter[str]] = {}
    for change in changes:
        kinds.setdefault(change.done, Counter())[change.kind] += 1
    return "; ".join(f"{_counted(counts)} {done}" for done, counts in kinds.items())


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}s" if count > 1 else kind for kind, count in counts.items())
