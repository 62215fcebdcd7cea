"""An entity of a dump, from what the server shows of it."""

from __future__ import annotations

from pipeline.model.kinds import Kind
from pipeline.model.made_up import name_of
from pipeline.model.route import Entity
from pipeline.model.secret_fields import NO_MARKS, Marks, seal


def to_entity(kind: Kind, found: dict[str, object], marks: Marks = NO_MARKS) -> Entity:
    """An entity of a dump: what the server makes is kept apart, secrets are Secrets. `found` becomes its body: of ten
    thousands no copies are made. `marks` are its schema's."""
    name = name_of(found)
    key, created_at = found.pop("id"), found.pop("created_at", 0)
    found.pop("updated_at", None)
    for gone in kind.server_made:
        found.pop(gone, None)
    if kind.secrets or kind.hides_secrets:
        seal(kind, found, marks)
    return Entity(
        kind=kind.name,
        id=str(key),
        name=name,
        body=found,
        created_at=created_at if isinstance(created_at, (int, float)) else 0,
    )
