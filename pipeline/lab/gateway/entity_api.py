"""The Admin API's verbs on entities: what GET, POST, PUT, PATCH and DELETE do, for every schema alike."""

from __future__ import annotations

import time

from pipeline.lab.gateway import faults, inline
from pipeline.lab.gateway.resources import ItemOf, ListOf, Parent, ParentOf
from pipeline.lab.gateway.rules import is_uuid
from pipeline.lab.gateway.schema import Entity, Errors, Field, Schema
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.styles import EntityStyle
from pipeline.lab.gateway.validation import filled, merged, relaxed, tidy, violation, violations

Outcome = tuple[int, Entity | None]
"""A status and the answer's body, None when there is none."""


class EntityApi:
    """Verbs on lists, items and parents. Every verb answers with an Outcome or raises a Fault."""

    def __init__(self, store: Store, style: EntityStyle) -> None:
        self.store = store
        self._style = style

    async def post(self, resource: ListOf, given: Entity) -> Outcome:
        """Create."""
        schema = resource.schema
        if resource.parent is not None:
            given[resource.parent.field.name] = {"id": self.parent(resource.parent, "POST")["id"]}
        if not self._style.chooses_id:
            given.pop("id", None)
        names = inline.taken_out(schema, given)
        entity = self.described(schema, given)
        if schema.replaces_by_post:
            taken = self.store.collections[schema.name].twin(entity)
            if taken is not None:
                return await self.change(schema, taken, given)
        if self.store.find(schema.name, entity["id"]) is not None:
            raise faults.primary_key_violation(entity["id"])
        await inline.save(self.store, schema, entity, names)
        return 201, entity

    # -- items

    def get(self, resource: ItemOf) -> Outcome:
        """Show."""
        schema = resource.schema
        coded = schema.inline is not None and schema.inline.missing_id_is_coded and is_uuid(resource.key)
        if coded and self.store.find(schema.name, resource.key.lower()) is None:
            raise faults.missing("id", resource.key)
        return 200, self._shown(self.present(resource))

    async def put(self, resource: ItemOf, given: Entity) -> Outcome:
        """Create or replace; `id` stays, and all that is not named goes back to its default."""
        schema = resource.schema
        if not schema.creates_by_put:
            return await self.change(schema, self.present(resource), given)
        if resource.parent is not None:
            given[resource.parent.field.name] = {"id": self.parent(resource.parent)["id"]}
        by_name = schema.inline is not None and not is_uuid(resource.key)
        existing = inline.owner(self.store, schema, resource.key) if by_name else self.lookup(schema, resource.key)
        if is_uuid(resource.key):
            given["id"] = resource.key.lower()
        elif schema.endpoint_key is not None:
            given[schema.endpoint_key] = resource.key
        if existing is not None:
            given["id"] = existing["id"]
        names = inline.taken_out(schema, given)
        if schema.inline is not None:
            names = schema.inline.put_names(names, resource.key if by_name else None, existing is None)
        entity = self.described(schema, given)
        await inline.save(self.store, schema, entity, names)
        return 200, entity

    async def patch(self, resource: ItemOf, given: Entity) -> Outcome:
        """Change what is named."""
        schema = resource.schema
        if resource.parent is not None or schema.missing_patch_is_plain:
            return await self.change(schema, self.present(resource), given)
        existing = self.lookup(schema, resource.key)
        if existing is None:
            self.check_partly(schema, given)
            if is_uuid(resource.key) or schema.endpoint_key is None:
                raise faults.missing("id", resource.key)
            raise faults.missing(schema.endpoint_key, resource.key)
        return await self.change(schema, existing, given)

    async def delete(self, resource: ItemOf) -> Outcome:
        """Remove; what is not there is removed already."""
        schema = resource.schema
        parent = self.parent(resource.parent, "DELETE") if resource.parent is not None else None
        existing = self.lookup(schema, resource.key, resource.parent, parent)
        if existing is None:
            if parent is not None and schema.missing_nested_delete == 404:
                raise faults.not_found()
            return 204, None
        if resource.parent is not None and parent is not None and not _belongs(existing, resource.parent, parent):
            raise faults.not_found()
        await self.store.delete(schema.name, existing["id"])
        return 204, None

    # -- the parent of an item

    def get_parent(self, resource: ParentOf) -> Outcome:
        """Show what an entity refers to."""
        found = self.referred(resource)
        if found is None:
            raise faults.not_found()
        return 200, found

    async def put_parent(self, resource: ParentOf, given: Entity) -> Outcome:
        """Replace what an entity refers to."""
        found = self.referred(resource)
        if found is not None:
            given["id"] = found["id"]
        entity = self.described(resource.schema, given)
        if found is None:
            raise faults.not_found()
        await self.store.save(resource.schema.name, entity)
        return 200, entity

    async def patch_parent(self, resource: ParentOf, given: Entity) -> Outcome:
        """Change what an entity refers to."""
        found = self.referred(resource)
        if found is None:
            self.check_partly(resource.schema, given)
            raise faults.not_found()
        return await self.change(resource.schema, found, given)

    def delete_parent(self, resource: ParentOf) -> Outcome:
        """Never done through the child."""
        raise faults.method_not_allowed() if self.referred(resource) is not None else faults.not_found()

    # -- shared

    def lookup(
        self, schema: Schema, key: str, under: Parent | None = None, parent: Entity | None = None
    ) -> Entity | None:
        """The entity that a URL's segment names. Raises Fault for what cannot be an id or a name."""
        if is_uuid(key):
            return self.store.find(schema.name, key.lower())
        if schema.nested_key and under is not None and parent is not None:
            return self._by_nested_key(schema, key, under, parent)
        if schema.inline is not None:
            owner = inline.owner(self.store, schema, key)
            if owner is None:
                raise faults.plain(404, schema.inline.missing)
            return owner
        if schema.endpoint_key is None:
            raise faults.invalid_primary_key()
        field = schema.field(schema.endpoint_key)
        wrong = violation(field, key) if field is not None else None
        if isinstance(wrong, str):
            raise self._style.bad_name(wrong)
        return self.store.collections[schema.name].by_unique(schema.endpoint_key, key)

    def _by_nested_key(self, schema: Schema, key: str, under: Parent, parent: Entity) -> Entity | None:
        wanted = schema.nested_key_form(key) if schema.nested_key_form is not None else key
        collection = self.store.collections[schema.name]
        children = (collection.entities[child] for child in collection.children(under.field.name, parent["id"]))
        return next((child for child in children if child[schema.nested_key] == wanted), None)

    def parent(self, parent: Parent, method: str = "GET") -> Entity:
        """The parent that a URL names. Raises Fault when it is not there."""
        found = self.lookup(parent.schema, parent.key)
        if found is None:
            # For some, Kong goes on with the parent that it did not find, and fails.
            child = self.store.schemas[parent.child]
            raise faults.unexpected() if method in child.missing_parent_is_unexpected else faults.not_found()
        return found

    def present(self, resource: ItemOf) -> Entity:
        """The entity that a URL names, below its parent. Raises Fault when it is not there."""
        parent = self.parent(resource.parent) if resource.parent is not None else None
        found = self.lookup(resource.schema, resource.key, resource.parent, parent)
        if found is None:
            raise faults.not_found()
        if resource.parent is not None and parent is not None and not _belongs(found, resource.parent, parent):
            raise faults.not_found()
        return found

    def referred(self, resource: ParentOf) -> Entity | None:
        """The entity that a child refers to."""
        child = self.lookup(resource.child, resource.key)
        reference = child.get(resource.field.name) if child is not None else None
        return self.store.find(resource.schema.name, reference["id"]) if reference is not None else None

    def described(self, schema: Schema, given: Entity) -> Entity:
        """The whole entity that a POST or PUT describes. Raises Fault with all that is wrong."""
        errors = schema.shorthand(given) if schema.shorthand is not None else {}
        self.resolve(schema, given)
        if not self._style.keeps_created_at:
            given.pop("created_at", None)
        entity = filled(schema, given, now=time.time())
        self._refuse(errors or violations(schema, entity))
        if schema.normalise is not None:
            schema.normalise(entity, given)
        return entity

    async def change(self, schema: Schema, existing: Entity, given: Entity) -> Outcome:
        """Apply a PATCH to an entity that is there."""
        names = inline.taken_out(schema, given)
        errors = schema.shorthand(given) if schema.shorthand is not None else {}
        self._check_named(schema, given, errors)
        self.resolve(schema, given)
        entity = merged(schema, existing, given, now=time.time())
        self._refuse(errors or violations(schema, entity))
        if schema.normalise is not None:
            schema.normalise(entity, given)
        await inline.save(self.store, schema, entity, names)
        return 200, entity

    def check_partly(self, schema: Schema, given: Entity) -> None:
        """Refuse what is wrong in itself with a PATCH for which there is no entity."""
        errors: Errors = dict(schema.shorthand(given)) if schema.shorthand is not None else {}
        for name, value in given.items():
            field = schema.field(name)
            wrong = "unknown field" if field is None else violation(self._early(field), tidy(field, value))
            if wrong is not None:
                errors[name] = wrong
        self._check_named(schema, given, errors)
        self._refuse(errors)

    def _early(self, field: Field) -> Field:
        return field if self._style.checks_nulls_first else relaxed(field)

    def _check_named(self, schema: Schema, given: Entity, errors: Errors) -> None:
        for check in schema.partial_checks:
            check(given, errors)

    def resolve(self, schema: Schema, given: Entity) -> None:
        """Replace references by name with references by id. Raises Fault for a name that is not there."""
        if not self._style.resolves_names:
            return
        for field in schema.foreign:
            value = given.get(field.name)
            parents = self.store.collections.get(field.reference)
            if not isinstance(value, dict) or value.get("id") is not None or parents is None:
                continue
            for name in parents.schema.unique:
                if isinstance(value.get(name), str):
                    found = parents.by_unique(name, value[name])
                    if found is None:
                        raise faults.unresolved(field.name, name, value[name], field.reference)
                    given[field.name] = {"id": found["id"]}

    def _shown(self, entity: Entity) -> Entity:
        if self._style.shows_nulls:
            return entity
        return {name: value for name, value in entity.items() if value is not None}

    def _refuse(self, errors: Errors) -> None:
        if errors:
            raise faults.schema_violation(errors)


def _belongs(entity: Entity, parent: Parent, found: Entity) -> bool:
    reference = entity.get(parent.field.name)
    return reference is not None and reference["id"] == found["id"]
