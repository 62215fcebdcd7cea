"""An entity of a dump, from what the server shows of it."""

from __future__ import annotations

from pipeline.gateways.kong.entities import Fields
from pipeline.model.kinds import SERVER_MADE, kind_of
from pipeline.model.made_up import name_of
from pipeline.model.route import Entity
from pipeline.model.secret_fields import Marks, sealed


def to_entity(kind: str, found: Fields, marks: Marks = frozenset()) -> Entity:
    """An entity of a dump: what the server makes is kept apart, secrets are Secrets. `marks` are its schema's."""
    row = kind_of(kind)
    created_at = found.get("created_at")
    body = dict(found)
    for name in (*SERVER_MADE, *row.server_made):
        body.pop(name, None)
    return Entity(
        kind=kind,
        id=str(found["id"]),
        name=name_of(found),
        body=sealed(row, body, marks) if row.secrets or row.hides_secrets else body,
        created_at=created_at if isinstance(created_at, (int, float)) else 0,
    )
