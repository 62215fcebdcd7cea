"""The Admin API's verbs on the old data layer's entities (source: api/crud_helpers.lua and dao/dao.lua of 0.14.1)."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Iterator, Mapping

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.entity_api import EntityApi, Outcome
from pipeline.lab.gateway.legacy_lists import checked_filters, in_force, page_of, shown, url_of
from pipeline.lab.gateway.legacy_schema import LegacyType, Mode
from pipeline.lab.gateway.legacy_validation import SelfCheckFailed, problems
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.resources import ItemOf, ListOf, ParentOf
from pipeline.lab.gateway.rules import is_uuid
from pipeline.lab.gateway.schema import Entity, reference


class LegacyApi:
    """Verbs on lists and items. Every verb answers with an Outcome or raises a Fault."""

    def __init__(self, entities: EntityApi, types: Mapping[str, LegacyType]) -> None:
        self._entities = entities
        self._store = entities.store
        self._types = types

    def page(self, resource: ListOf, head: Head) -> Outcome:
        """One page."""
        legacy = self._types[resource.schema.name]
        scope = self._scope(resource)
        rows = self._made_in_order(legacy.name)
        if legacy.append_only:
            rows = in_force(row for row in rows if row["upstream_id"] == scope["upstream_id"])
            return 200, {"data": [shown(row) for row in rows], "total": len(rows)}
        return 200, page_of(legacy.record, rows, head.query, scope, url_of(head))

    async def post(self, resource: ListOf, given: Entity) -> Outcome:
        """Create."""
        legacy = self._types[resource.schema.name]
        entity = {**given, **self._scope(resource)}
        if legacy.append_only:
            await self._clean(entity["upstream_id"])
        return 201, shown(await self._insert(legacy, entity))

    async def put_list(self, resource: ListOf, given: Entity) -> Outcome:
        """Replace what has the id in the body; without one, create. There is no PUT by name."""
        legacy = self._types[resource.schema.name]
        entity = {**given, **self._scope(resource)}
        if any(entity.get(name) is None for name in legacy.primary):
            return 201, shown(await self._insert(legacy, entity))
        self._check(legacy, entity, Mode.FULL)
        self._existing(legacy, entity)
        return 200, shown(await self._save(legacy, entity))

    def get(self, resource: ItemOf) -> Outcome:
        """Show."""
        return 200, shown(self.present(resource))

    async def patch(self, resource: ItemOf, given: Entity) -> Outcome:
        """Change what is named; null unsets. What is not named is checked again too."""
        legacy = self._types[resource.schema.name]
        found = copy.deepcopy(self.present(resource))
        named = {**given, **self._scope(resource)}
        if not legacy.key:
            named.setdefault("id", resource.key)
        if not named:
            raise faults.plain(400, "empty body")
        entity = {**{name: value for name, value in found.items() if value is not None}, **named}
        self._check(legacy, entity, Mode.PARTIAL)
        old = self._existing(legacy, entity)
        for field in legacy.record.fields:
            if field.record is not None and old.get(field.name) is not None:
                entity[field.name] = _merged(old[field.name], entity.get(field.name))
        return 200, shown(await self._save(legacy, entity))

    async def delete(self, resource: ItemOf) -> Outcome:
        """Remove; what is not there is a 404. A target is not removed: a newer one of weight 0 stands for its end."""
        legacy = self._types[resource.schema.name]
        found = self.present(resource)
        if legacy.append_only:
            upstream = self._scope(resource)["upstream_id"]
            await self._clean(upstream)
            await self._insert(legacy, {"target": found["target"], "upstream_id": upstream, "weight": 0})
        else:
            await self._store.delete(legacy.name, found["id"])
        return 204, None

    def get_parent(self, resource: ParentOf) -> Outcome:
        """Show what an entity refers to, without nulls."""
        child = self.present(ItemOf(schema=resource.child, key=resource.key))
        found = self._store.find(resource.schema.name, reference(child.get(resource.field.name)))
        if found is None:
            raise faults.not_found()
        return 200, {name: value for name, value in found.items() if value is not None}

    def present(self, resource: ItemOf) -> Entity:
        """The entity that a URL names, below its parent. Raises Fault when it is not there."""
        legacy = self._types[resource.schema.name]
        scope = self._scope(resource)
        if not legacy.key:
            checked_filters(legacy.record, {"id": resource.key})
        found = next((row for row in self._named(legacy, resource.key) if _within(row, scope, legacy)), None)
        if found is None:
            raise faults.not_found()
        return found

    def _named(self, legacy: LegacyType, key: str) -> Iterator[Entity]:
        collection = self._store.collections[legacy.name]
        by_id = collection.entities.get(key.lower()) if is_uuid(key) else None
        if by_id is not None:
            yield by_id
        elif legacy.key in collection.schema.unique:
            by_name = collection.by_unique(legacy.key, key)
            if by_name is not None:
                yield by_name
        elif legacy.key:
            yield from (row for row in collection.entities.values() if row[legacy.key] == key)

    def _scope(self, resource: ListOf | ItemOf) -> Entity:
        """What a URL's parent adds to an entity below it."""
        if resource.parent is None:
            return {}
        parent = resource.parent
        if parent.schema.name in self._types:
            return {parent.field.name: self.present(ItemOf(schema=parent.schema, key=parent.key))["id"]}
        return {parent.field.name: self._entities.parent(parent)["id"]}

    def _made_in_order(self, name: str) -> list[Entity]:
        collection = self._store.collections[name]
        return [collection.entities[key] for key in sorted(collection.keys, key=collection.moments.__getitem__)]

    async def _insert(self, legacy: LegacyType, entity: Entity) -> Entity:
        self._check(legacy, entity, Mode.INSERT)
        now = time.time()
        entity.setdefault("id", str(uuid.uuid4()))
        entity.setdefault("created_at", int(now) * 1000 if legacy.whole_seconds else int(now * 1000))
        if not is_uuid(entity["id"]):
            # The database refuses it, and Kong takes that for a failure of its own.
            raise faults.unexpected()
        if self._store.find(legacy.name, entity["id"].lower()) is not None:
            raise faults.Fault(409, {"id": f"already exists with value '{entity['id']}'"})
        return await self._save(legacy, entity)

    def _check(self, legacy: LegacyType, entity: Entity, mode: Mode) -> None:
        try:
            errors = problems(legacy.record, entity, mode)
        except SelfCheckFailed as failure:
            raise faults.plain(400, str(failure)) from failure
        if errors:
            raise faults.Fault(400, errors)

    def _existing(self, legacy: LegacyType, entity: Entity) -> Entity:
        if not is_uuid(entity["id"]):
            raise faults.plain(400, f"{entity['id']} is not a valid uuid")
        old = self._store.find(legacy.name, entity["id"].lower())
        if old is None or any(old[name] != entity[name] for name in legacy.primary[1:]):
            raise faults.not_found()
        return old

    async def _save(self, legacy: LegacyType, entity: Entity) -> Entity:
        stored: Entity = {field.name: entity.get(field.name) for field in legacy.record.fields}
        stored["id"] = stored["id"].lower()
        if legacy.finish is not None:
            legacy.finish(stored, self._store.find(legacy.name, stored["id"]))
        self._refuse_taken(legacy, stored)
        await self._store.save(legacy.name, stored)
        return stored

    def _refuse_taken(self, legacy: LegacyType, entity: Entity) -> None:
        collection = self._store.collections[legacy.name]
        clash = collection.clash(entity)
        if clash is not None and legacy.twin is not None and len(clash) > 1:
            raise faults.Fault(400, dict(legacy.twin))
        for name, value in (clash or {}).items():
            raise faults.Fault(409, {name: f"already exists with value '{value}'"})
        for field in collection.schema.foreign:
            value = entity.get(field.name)
            if value is not None and not field.dangling and self._store.find(field.reference, value) is None:
                raise faults.Fault(404, {field.name: f"does not exist with value '{value}'"})

    async def _clean(self, upstream: str) -> None:
        """Forget the targets that newer ones have overruled, when they are many (source: clean_history)."""
        rows = [row for row in self._made_in_order("targets") if row["upstream_id"] == upstream]
        newest = {row["target"]: row for row in rows}
        outdated = [row for row in rows if newest[row["target"]] is not row or row["weight"] == 0]
        if outdated and len(outdated) >= 10 * max(len(newest), 1):
            for row in outdated:
                await self._store.delete("targets", row["id"])


def _merged(old: Entity, new: Entity | None) -> Entity:
    """A nested record after a PATCH: what is not named stays, what is null goes."""
    if new is None:
        # Kong looks into the null, and fails.
        raise faults.unexpected()
    merged = {**old, **new}
    for name, value in old.items():
        if isinstance(value, dict) and value and isinstance(merged.get(name), dict):
            merged[name] = _merged(value, merged[name])
    return {name: value for name, value in merged.items() if value is not None}


def _within(row: Entity, scope: Entity, legacy: LegacyType) -> bool:
    """Whether an entity is below the parent of the URL; a target is looked for below every upstream."""
    return legacy.append_only or all(row.get(name) == value for name, value in scope.items())
