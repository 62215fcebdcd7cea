"""What will be done, decided before the first step: steps on a platform, changes in a gateway, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What a change does to its entity."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write to a gateway: the entity, what it holds now (`before`, empty for a new one) and what it will hold.

    `after` has only the fields that are written; `reason` is for people.
    """

    verb: Verb
    kind: str
    key: str
    before: Mapping[str, object]
    after: Mapping[str, object]
    reason: str
    parent: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.kind} {self.key}: {self.reason}"
