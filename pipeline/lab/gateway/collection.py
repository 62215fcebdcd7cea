"""All entities of one type in memory, with the indexes that lookups, lists and references need."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Sequence
from typing import Any

from pipeline.lab.gateway.schema import Entity, Schema, reference


class Collection:
    """The entities of one schema by id, by unique value, by parent and by tag; every list is in the order of ids."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.entities: dict[str, Entity] = {}
        self.moments: dict[str, float] = {}
        self.keys: list[str] = []
        self._unique: dict[str, dict[Any, str]] = {name: {} for name in schema.unique}
        self._together: dict[tuple[Any, ...], str] = {}
        self._children: dict[str, dict[str, list[str]]] = {field.name: {} for field in schema.foreign}
        self._tagged: dict[str, list[str]] = {}

    def put(self, entity: Entity, moment: float) -> Entity | None:
        """Add or replace by id; answers with what was there."""
        key = entity["id"]
        before = self.entities.get(key)
        if before is None:
            insort(self.keys, key)
        else:
            self._unindex(before)
        self.entities[key] = entity
        self.moments[key] = moment
        self._index(entity)
        return before

    def remove(self, key: str) -> Entity | None:
        """Take out by id; answers with what was there. A second time does nothing."""
        before = self.entities.pop(key, None)
        if before is not None:
            del self.moments[key]
            del self.keys[bisect_left(self.keys, key)]
            self._unindex(before)
        return before

    def by_unique(self, name: str, value: Any) -> Entity | None:
        """The entity whose unique field has this value."""
        key = self._unique[name].get(value)
        return self.entities[key] if key is not None else None

    def clash(self, entity: Entity) -> Entity | None:
        """The unique fields (as name → value) that another entity already has, or None."""
        for name, taken in self._unique.items():
            value = entity.get(name)
            if value is not None and taken.get(value, entity["id"]) != entity["id"]:
                return {name: value}
        if self.schema.unique_together:
            values = self._together_of(entity)
            if self._together.get(values, entity["id"]) != entity["id"]:
                return {name: entity.get(name) for name in self.schema.unique_together}
        return None

    def twin(self, entity: Entity) -> Entity | None:
        """The entity that has the same values in the fields that only together may not repeat."""
        key = self._together.get(self._together_of(entity))
        return self.entities[key] if key is not None else None

    def children(self, field: str, parent: str) -> Sequence[str]:
        """Ids of the entities whose `field` refers to `parent`."""
        return self._children[field].get(parent, [])

    def tagged(self, tag: str) -> Sequence[str]:
        """Ids of the entities that carry a tag."""
        return self._tagged.get(tag, [])

    def _together_of(self, entity: Entity) -> tuple[Any, ...]:
        values = (entity.get(name) for name in self.schema.unique_together)
        return tuple(reference(value) for value in values)

    def _index(self, entity: Entity) -> None:
        key = entity["id"]
        for name, taken in self._unique.items():
            if entity.get(name) is not None:
                taken[entity[name]] = key
        if self.schema.unique_together:
            self._together[self._together_of(entity)] = key
        for name, parents in self._children.items():
            if entity.get(name) is not None:
                insort(parents.setdefault(reference(entity[name]), []), key)
        for tag in entity.get("tags") or ():
            insort(self._tagged.setdefault(tag, []), key)

    def _unindex(self, entity: Entity) -> None:
        key = entity["id"]
        for name, taken in self._unique.items():
            taken.pop(entity.get(name), None)
        if self.schema.unique_together:
            self._together.pop(self._together_of(entity), None)
        for name, parents in self._children.items():
            if entity.get(name) is not None:
                _drop(parents, reference(entity[name]), key)
        for tag in entity.get("tags") or ():
            _drop(self._tagged, tag, key)


def _drop(lists: dict[str, list[str]], name: str, key: str) -> None:
    members = lists[name]
    del members[bisect_left(members, key)]
    if not members:
        del lists[name]


def page(keys: Sequence[str], after: str | None, size: int) -> tuple[Sequence[str], bool]:
    """Up to `size` keys after a key, and whether more follow."""
    start = bisect_right(keys, after) if after is not None else 0
    return keys[start : start + size], start + size < len(keys)
