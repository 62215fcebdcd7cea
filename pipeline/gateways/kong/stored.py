"""An entity of a dump, from what the server shows of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pipeline.model.kinds import Kind
from pipeline.model.made_up import name_of
from pipeline.model.route import Entity
from pipeline.model.secret_fields import NO_MARKS, Marks, seal


def to_entity(kind: Kind, found: dict[str, object], marks: Marks = NO_MARKS) -> Entity:
    """As `to_entities`, of one."""
    (entity,) = to_entities(kind, [found], {str(found.get("name")): marks}).values()
    return entity


def to_entities(kind: Kind, page: Iterable[dict[str, object]], marks: Mapping[str, Marks]) -> dict[str, Entity]:
    """Entities of a dump by id: what the server makes is kept apart, secrets are Secrets. What was found becomes their
    bodies: of ten thousands no copies are made. `marks` are those of the schemas, by name."""
    made = {}
    hides = bool(kind.secrets or kind.hides_secrets)
    for found in page:
        name = found.get("name")
        if not name or not isinstance(name, str):
            name = name_of(found)
        key, created_at = str(found.pop("id")), found.pop("created_at", 0)
        found.pop("updated_at", None)
        for gone in kind.server_made:
            found.pop(gone, None)
        if hides:
            seal(kind, found, marks.get(name, NO_MARKS))
        created_at = created_at if isinstance(created_at, (int, float)) else 0
        made[key] = Entity(kind=kind.name, id=key, name=name, body=found, created_at=created_at)
    return made
