"""Lists of names inside of an entity that are entities of their own: the `snis` of a certificate."""

from __future__ import annotations

import time

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.schema import Entity, Inline, Schema
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.validation import filled, violation


def taken_out(schema: Schema, given: Entity) -> list[str] | None:
    """The names of a request's inline list, which is removed from it; None when it has none. Raises Fault."""
    if schema.inline is None or schema.inline.field not in given:
        return None
    names = given.pop(schema.inline.field)
    if names is None:
        return []
    if not isinstance(names, list):
        raise faults.schema_violation({schema.inline.field: "expected a set"})
    return list(dict.fromkeys(str(name) for name in names))


async def save(store: Store, schema: Schema, entity: Entity, names: list[str] | None) -> None:
    """Save an entity and, when names are given, exactly those children: all of it or nothing."""
    if schema.inline is None or names is None:
        await store.save(schema.name, entity)
        return
    inline = schema.inline
    _check(store, inline, entity, names)
    present = {child[inline.key]: child["id"] for child in _children(store, inline, entity)}
    added = [
        (inline.child, filled(store.schemas[inline.child], _child(inline, name, entity), now=time.time()))
        for name in names
        if name not in present
    ]
    gone = [(inline.child, key) for name, key in present.items() if name not in names]
    await store.save_all([(schema.name, entity), *added], gone)


def shown(store: Store, schema: Schema, entity: Entity) -> Entity:
    """An entity as it is answered: with its inline list, in the order of names."""
    if schema.inline is None:
        return entity
    names = sorted(child[schema.inline.key] for child in _children(store, schema.inline, entity))
    return {**entity, schema.inline.field: names}


def owner(store: Store, schema: Schema, name: str) -> Entity | None:
    """The entity whose inline list has a name."""
    if schema.inline is None:
        return None
    child = store.collections[schema.inline.child].by_unique(schema.inline.key, name)
    return store.find(schema.name, child[schema.inline.reference]["id"]) if child is not None else None


def _check(store: Store, inline: Inline, entity: Entity, names: list[str]) -> None:
    children = store.collections[inline.child]
    field = children.schema.field(inline.key)
    for name in names:
        wrong = violation(field, name) if field is not None else None
        if wrong is not None:
            raise faults.schema_violation({inline.field: wrong})
        taken = children.by_unique(inline.key, name)
        if taken is not None and taken[inline.reference]["id"] != entity["id"]:
            holder = taken[inline.reference]["id"]
            words = f"{name} already associated with existing {inline.reference} '{holder}'"
            raise faults.schema_violation({inline.field: words})


def _child(inline: Inline, name: str, entity: Entity) -> Entity:
    return {inline.key: name, inline.reference: {"id": entity["id"]}}


def _children(store: Store, inline: Inline, entity: Entity) -> list[Entity]:
    collection = store.collections[inline.child]
    return [collection.entities[key] for key in collection.children(inline.reference, entity["id"])]
