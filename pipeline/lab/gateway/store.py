"""The gateway's entities: checked, changed in memory and on the disk, and told to whoever serves them."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.collection import Collection
from pipeline.lab.gateway.disk import Change, Disk
from pipeline.lab.gateway.schema import Entity, Schema, reference

Listener = Callable[[str, Entity | None, Entity | None], None]
"""Told of each change: the kind, the entity before, the entity after."""


class Store:
    """All collections over one state file. Reads are from memory; a write returns when it is on the disk."""

    def __init__(self, schemas: Iterable[Schema], path: Path, version: str) -> None:
        self.collections = {schema.name: Collection(schema) for schema in schemas}
        self.schemas = {name: collection.schema for name, collection in self.collections.items()}
        self._disk = Disk(path, version)
        self._listeners: list[Listener] = []
        for change in self._disk.load():
            if change.entity is not None and change.kind in self.collections:
                self.collections[change.kind].put(change.entity, change.moment)

    def listen(self, listener: Listener) -> None:
        """Call the listener for everything that is there, then for every change."""
        self._listeners.append(listener)
        for kind, collection in self.collections.items():
            for entity in collection.entities.values():
                listener(kind, None, entity)

    def close(self) -> None:
        """Write what waits and let go of the file."""
        self._disk.close()

    def find(self, kind: str, key: str) -> Entity | None:
        """An entity by its id."""
        return self.collections[kind].entities.get(key)

    async def save(self, kind: str, entity: Entity) -> None:
        """Add or replace an entity by its id. Raises Fault for a value that is taken or a reference to nothing."""
        self.check(kind, entity)
        await self._apply((self._change(kind, entity),))

    async def save_all(self, kind_and_entity: list[tuple[str, Entity]], gone: list[tuple[str, str]]) -> None:
        """Add, replace and remove together: all of it or, on a Fault, nothing."""
        coming = frozenset(entity["id"] for _, entity in kind_and_entity)
        for kind, entity in kind_and_entity:
            self.check(kind, entity, coming)
        changes = [Change(kind=kind, key=key) for kind, key in gone]
        changes += [self._change(kind, entity) for kind, entity in kind_and_entity]
        await self._apply(tuple(changes))

    async def delete(self, kind: str, key: str) -> None:
        """Remove an entity with what cascades from it. Raises Fault while something else refers to it."""
        await self._apply(tuple(Change(kind=name, key=one) for name, one in self._doomed(kind, key)))

    def check(self, kind: str, entity: Entity, coming: frozenset[str] = frozenset()) -> None:
        """Raise the Fault that saving this entity would meet; the ids in `coming` will be there by then."""
        collection = self.collections[kind]
        clash = collection.clash(entity)
        if clash is not None:
            raise faults.unique_violation(clash)
        for field in collection.schema.foreign:
            value = entity.get(field.name)
            if value is not None and field.reference in self.collections and not field.dangling:
                parent = reference(value)
                if parent not in coming and parent not in self.collections[field.reference].entities:
                    raise faults.foreign_key_violation(field.name, parent, field.reference)

    def _doomed(self, kind: str, key: str) -> list[tuple[str, str]]:
        doomed = [(kind, key)]
        for name, collection in self.collections.items():
            for field in collection.schema.foreign:
                if field.reference != kind:
                    continue
                children = collection.children(field.name, key)
                if children and not field.cascades:
                    raise faults.still_referenced(kind, name)
                for child in tuple(children):
                    doomed = self._doomed(name, child) + doomed
        return doomed

    def _change(self, kind: str, entity: Entity) -> Change:
        collection = self.collections[kind]
        before = collection.entities.get(entity["id"])
        moment = collection.moments.get(entity["id"], 0.0)
        if before is None or before.get("created_at") != entity.get("created_at"):
            moment = time.time()
        return Change(kind=kind, key=entity["id"], entity=entity, moment=moment)

    async def _apply(self, changes: tuple[Change, ...]) -> None:
        undo = [(change.kind, change.key, self._remember(change)) for change in changes]
        waiting = self._disk.keep(changes)
        try:
            await waiting
        except sqlite3.Error as error:
            for kind, key, (before, moment) in reversed(undo):
                self._turn(kind, key, before, moment)
            raise faults.unexpected() from error

    def _remember(self, change: Change) -> tuple[Entity | None, float]:
        collection = self.collections[change.kind]
        before = collection.entities.get(change.key)
        moment = collection.moments.get(change.key, 0.0)
        self._turn(change.kind, change.key, change.entity, change.moment)
        return before, moment

    def _turn(self, kind: str, key: str, entity: Entity | None, moment: float) -> None:
        collection = self.collections[kind]
        before = collection.remove(key) if entity is None else collection.put(entity, moment)
        for listener in self._listeners:
            listener(kind, before, entity)
