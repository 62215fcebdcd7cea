"""What will be done, decided before the first step: changes in a gateway, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What a change does to its entity."""

    CREATE = "create"
    UPDATE = "update"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write to a gateway: the entity, what it holds now (`before`, empty for a new one) and what it will hold.

    `before` and `after` have only the fields that are written. `key` is the name that people and new entities go by,
    `id` the gateway's own where it exists, `parent` the name of the entity that a new one belongs to, `reason` is for
    people.
    """

    verb: Verb
    kind: str
    key: str
    before: Mapping[str, object]
    after: Mapping[str, object]
    reason: str
    id: str = ""
    parent: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.label}: {self.reason}"

    @property
    def label(self) -> str:
        return f"{self.kind} {self.key}"
