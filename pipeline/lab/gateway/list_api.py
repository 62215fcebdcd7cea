"""The Admin API's lists: all entities of a type, or those below a parent, page by page."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.collection import Collection
from pipeline.lab.gateway.entity_api import EntityApi, Outcome
from pipeline.lab.gateway.lists import ListStyle, Paging, asked, following, listed
from pipeline.lab.gateway.resources import ListOf
from pipeline.lab.gateway.schema import Entity


class ListApi:
    """Answers GET on lists."""

    def __init__(self, entities: EntityApi, style: ListStyle) -> None:
        self._entities = entities
        self._style = style

    def get(self, resource: ListOf, query: bytes) -> Outcome:
        """One page. Raises Fault for a parent that is not there and for a malformed query."""
        collection = self._entities.store.collections[resource.schema.name]
        if resource.parent is None:
            paging = asked(query, self._style)
            keys = _filtered(collection, paging)
            if keys is not None and self._style.bare_filters:
                return 200, {"data": [_without_nulls(collection.entities[key]) for key in keys] or {}}
            entities, rest = listed(collection, collection.keys if keys is None else keys, paging, list_url(resource))
            return 200, {"data": entities, **rest}
        parent = self._entities.parent(resource.parent)
        keys = collection.children(resource.parent.field.name, parent["id"])
        url = list_url(resource, parent["id"] if self._style.names_parent_by_id else resource.parent.key)
        if resource.schema.newest_first:
            return 200, self._newest_first(collection, keys, query, url)
        # Kong's nested lists ignore tags.
        paging = asked(_without(query, b"tags"), self._style)
        entities, rest = listed(collection, keys, paging, url, nested=True)
        shown = entities if self._style.shows_nested_nulls else [_without_nulls(entity) for entity in entities]
        return 200, {"data": shown, **rest}

    def _newest_first(self, collection: Collection, keys: Sequence[str], query: bytes, url: str) -> Entity:
        """Targets: the last one first, without those of weight 0, and with a number as offset."""
        offsets = [part.partition(b"=")[2] for part in query.split(b"&") if part.partition(b"=")[0] == b"offset"]
        paging = asked(_without(query, b"offset", b"tags"), self._style)
        start = int(offsets[0]) if offsets and offsets[0].isdigit() else 0
        if offsets and not offsets[0].isdigit():
            raise faults.invalid_offset(offsets[0].decode("utf-8", "replace"), "bad json encoding")
        ordered = sorted(keys, key=lambda key: collection.moments[key], reverse=True)
        active = [entity for key in ordered if (entity := collection.entities[key])["weight"] > 0]
        shown = active[start : start + paging.size]
        more = start + paging.size < len(active)
        return {"data": shown, **following(str(start + paging.size) if more else None, url)}


def list_url(resource: ListOf, parent_key: str = "") -> str:
    """The path that `next` repeats; `parent_key` names the parent in it."""
    if resource.parent is None:
        return f"/{resource.schema.url_name}"
    parent = resource.parent
    name = resource.schema.nested_name or resource.schema.name
    return f"/{parent.schema.url_name}/{quote(parent_key, safe='', errors='surrogateescape')}/{name}"


def _filtered(collection: Collection, paging: Paging) -> Sequence[str] | None:
    """The keys that a filter leaves, None when there is no filter."""
    for name, value in paging.filters:
        if name in collection.schema.filters:
            found = collection.by_unique(name, value)
            return [found["id"]] if found is not None else []
    return None


def _without_nulls(entity: Entity) -> Entity:
    return {name: value for name, value in entity.items() if value is not None}


def _without(query: bytes, *names: bytes) -> bytes:
    return b"&".join(part for part in query.split(b"&") if part.partition(b"=")[0] not in names)
