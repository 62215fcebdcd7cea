"""A gateway's entities as a declarative file of Kong's own, which may say that hashes are hashes already."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.model.kinds import kind_of
from pipeline.model.restore_script import restore_order, written_body
from pipeline.model.route import GatewayState


def declarative_content(state: GatewayState) -> dict[str, object]:
    """Flat lists as `kong config db_export` writes them, with `_transform: false`: what is loaded by `kong config
    db_import` (or POST /config without a database) is not hashed again. Secrets are Secrets: the file holds them.
    """
    major = state.identity.version.partition(".")[0]
    version = "3.0" if major.isdecimal() and int(major) >= 3 else "2.1"
    content: dict[str, object] = {"_format_version": version, "_transform": False}
    found: dict[str, list[dict[str, object]]] = {}
    for entity in sorted(state.entities, key=restore_order):
        kind = kind_of(entity.kind)
        name = "consumer_group_consumers" if kind.membership else kind.deck
        fields = {key: _reference(value, key in kind.references) for key, value in written_body(entity).items()}
        set_fields = {key: value for key, value in fields.items() if value is not None}
        found.setdefault(name, []).append(set_fields if kind.membership else {"id": entity.id, **set_fields})
    return content | dict(found)


def _reference(value: object, refers: bool) -> object:
    return str(value.get("id")) if refers and isinstance(value, Mapping) else value
