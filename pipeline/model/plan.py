"""What will be done, decided before the first step: changes in a gateway, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Verb(StrEnum):
    """What a change does to its entity."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    KEEP = "keep"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One write to a gateway: the entity, what it holds now (`before`, empty for a new one) and what it will hold
    (`after`, empty for one that goes). One that is kept writes nothing: it is in a plan for its reason.

    `before` and `after` have only the fields that are written, all of them for an entity that goes. `key` is the name
    that people and new entities go by, `id` the gateway's own where it exists or one that it is to take, `parent` the
    name of the entity that a new one belongs to, `reason` is for people.
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


def writing(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Those that write something, in their order."""
    return tuple(change for change in changes if change.verb is not Verb.KEEP)


def kept(changes: Sequence[Change]) -> tuple[Change, ...]:
    """What was found and stays as it is, for its reasons."""
    return tuple(change for change in changes if change.verb is Verb.KEEP)
