"""Checks an entity against its schema and brings it into its stored form."""

from __future__ import annotations

import math
import secrets
import string
import uuid
from dataclasses import replace
from typing import Any

from pipeline.lab.gateway.rules import is_uuid
from pipeline.lab.gateway.schema import Auto, Entity, Errors, Field, Kind, Schema, Subschema

REQUIRED = "required field missing"
_WRONG_TYPE = {
    Kind.STRING: "expected a string",
    Kind.INTEGER: "expected an integer",
    Kind.NUMBER: "expected a number",
    Kind.BOOLEAN: "expected a boolean",
    Kind.ARRAY: "expected an array",
    Kind.SET: "expected a set",
    Kind.MAP: "expected a map",
    Kind.RECORD: "expected a record",
}


def filled(schema: Schema, given: Entity, *, now: float) -> Entity:
    """The entity that a POST or PUT describes: defaults, times and an id where the request has none."""
    chosen = subschema(schema, given)
    entity = dict(given)
    for field in effective(schema, chosen):
        entity[field.name] = _filled_value(field, given, now, whole_seconds=not schema.fraction_of_second)
    return entity


def merged(schema: Schema, existing: Entity, given: Entity, *, now: float) -> Entity:
    """The entity that a PATCH leaves behind: what it names is replaced, records are merged, `id` stays."""
    entity = dict(existing)
    for name, value in given.items():
        field = schema.field(name)
        if field is not None and field.auto is Auto.UUID:
            continue
        if field is not None and field.kind is Kind.RECORD and isinstance(value, dict):
            entity[name] = _merged_record(existing.get(name), value)
        else:
            entity[name] = tidy(field, value) if field is not None else value
    for field in effective(schema, subschema(schema, entity)):
        if field.kind is Kind.RECORD and isinstance(entity.get(field.name), dict):
            entity[field.name] = _filled_record(field, entity[field.name], now)
        if field.auto is Auto.UPDATED:
            entity[field.name] = round(now, 3) if schema.fraction_of_second else int(now)
    return entity


def violations(schema: Schema, entity: Entity) -> Errors:
    """All that is wrong with an entity, cross-field rules included; empty when it is right."""
    chosen = subschema(schema, entity)
    if schema.subschemas is not None and chosen is None:
        return {schema.subschema_key: _no_subschema(schema, entity)}
    errors: Errors = {}
    known = {field.name: field for field in effective(schema, chosen)}
    for name in entity:
        if name not in known:
            errors[name] = "unknown field"
    for name, field in known.items():
        error = violation(field, entity.get(name))
        if error is not None:
            errors[name] = error
    for check in (*schema.checks, *(chosen.checks if chosen is not None else ())):
        check(entity, errors)
    return errors


def effective(schema: Schema, chosen: Subschema | None) -> tuple[Field, ...]:
    """The fields that hold for one subschema."""
    if chosen is None:
        return schema.fields
    return tuple(chosen.fields.get(field.name, field) for field in schema.fields)


def subschema(schema: Schema, entity: Entity) -> Subschema | None:
    """The subschema that an entity falls under."""
    if schema.subschemas is None:
        return None
    field = schema.field(schema.subschema_key)
    key = entity.get(schema.subschema_key, field.default if field is not None else None)
    if isinstance(key, list):
        key = key[0] if key else None
    return schema.subschemas.get(key) if isinstance(key, str) else None


def _no_subschema(schema: Schema, entity: Entity) -> str:
    key = entity.get(schema.subschema_key)
    if key is None:
        return REQUIRED
    if isinstance(key, list):
        key = key[0] if key else "nil"
    return schema.subschema_error.format(key)


def violation(field: Field, value: Any) -> Any:
    """What is wrong with one value: None, a message, or the errors of its members."""
    only_null = next((rule for rule in field.rules if rule.key == "eq"), None)
    if only_null is not None:
        return only_null.check(value)
    if value is None:
        return REQUIRED if field.required else None
    if field.kind is Kind.FOREIGN:
        return _foreign_violation(field, value)
    if not _has_type(field.kind, value):
        return _WRONG_TYPE[field.kind]
    inner = _member_violation(field, value)
    if inner is not None:
        return inner
    if field.uuid and not is_uuid(value):
        return "expected a valid UUID"
    broken = (rule.check(value) for rule in field.rules)
    return next((message for message in broken if message is not None), None)


def _member_violation(field: Field, value: Any) -> Any:
    if field.elements is not None:
        found = [violation(field.elements, element) for element in value]
        if field.first_error_only:
            return next((error for error in found if error is not None), None)
        while found and found[-1] is None:
            found.pop()
        return found or None
    if field.kind is Kind.MAP and field.keys is not None and field.values is not None:
        if isinstance(value, list):
            return _WRONG_TYPE[Kind.STRING] if value else None
        pairs = ((field.keys, field.values, key, member) for key, member in value.items())
        errors = (violation(keys, key) or violation(values, member) for keys, values, key, member in pairs)
        return next((error for error in errors if error is not None), None)
    if field.kind is Kind.RECORD:
        return _record_violation(field, value)
    return None


def _record_violation(field: Field, value: Entity) -> Errors | None:
    known = {inner.name: inner for inner in field.fields}
    errors: Errors = {name: "unknown field" for name in value if name not in known}
    for name, inner in known.items():
        error = violation(inner, value.get(name))
        if error is not None:
            errors[name] = error
    if field.at_least_one_of and all(value.get(name) is None for name in field.at_least_one_of):
        names = ", ".join(f"'{name}'" for name in field.at_least_one_of)
        errors["@entity"] = [f"at least one of these fields must be non-empty: {names}"]
    return errors or None


def _foreign_violation(field: Field, value: Any) -> Errors | None:
    if not isinstance(value, dict) or value.get("id") is None:
        return {"id": field.null_id if isinstance(value, dict) and "id" in value else "missing primary key"}
    return None if is_uuid(value["id"]) else {"id": "expected a valid UUID"}


def _has_type(kind: Kind, value: Any) -> bool:
    if kind is Kind.STRING:
        return isinstance(value, str)
    if kind is Kind.BOOLEAN:
        return isinstance(value, bool)
    if kind in (Kind.ARRAY, Kind.SET):
        return isinstance(value, list) or value == {}
    if kind is Kind.MAP:
        return isinstance(value, dict | list)
    if kind is Kind.RECORD:
        return isinstance(value, dict)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return kind is Kind.NUMBER or isinstance(value, int)


def tidy(field: Field, value: Any) -> Any:
    """A value in its stored form, where it has one: whole numbers, sets without duplicates, small ids."""
    if isinstance(value, float) and math.isfinite(value) and value == int(value):
        return int(value) if field.kind in (Kind.INTEGER, Kind.NUMBER) else value
    if field.uuid and isinstance(value, str):
        return value.lower()
    if field.kind in (Kind.ARRAY, Kind.SET) and value == {}:
        return []
    if field.elements is not None and isinstance(value, list):
        members = [_tidy_element(field.elements, member) for member in value]
        return _distinct(members) if field.kind is Kind.SET else members
    if field.kind is Kind.MAP and value == []:
        return {}
    if field.empties_become_objects and isinstance(value, dict):
        # An empty list inside of a map comes back from Kong's database as an object.
        return {key: {} if member == [] else member for key, member in value.items()}
    if field.kind is Kind.FOREIGN and isinstance(value, dict) and isinstance(value.get("id"), str):
        return {"id": value["id"].lower()}
    return value


def _tidy_element(field: Field, value: Any) -> Any:
    if field.kind is Kind.RECORD and isinstance(value, dict):
        return {**{inner.name: None for inner in field.fields}, **value}
    return tidy(field, value)


def _distinct(members: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for member in members:
        if member not in kept:
            kept.append(member)
    return kept


def _filled_value(field: Field, given: Entity, now: float, *, whole_seconds: bool) -> Any:
    value = given.get(field.name)
    if field.auto is Auto.UPDATED or (field.auto is Auto.CREATED and value is None):
        return int(now) if whole_seconds else round(now, 3)
    if field.auto is Auto.UUID and value is None:
        return str(uuid.uuid4())
    if field.auto is Auto.KEY and value is None:
        return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(32))
    if field.kind is Kind.RECORD and (isinstance(value, dict) or (field.required and field.name not in given)):
        return _filled_record(field, value if isinstance(value, dict) else {}, now)
    if field.name not in given and field.has_default:
        return list(field.default) if isinstance(field.default, list) else field.default
    return tidy(field, value)


def _filled_record(field: Field, given: Entity, now: float) -> Entity:
    entity = dict(given)
    for inner in field.fields:
        entity[inner.name] = _filled_value(inner, given, now, whole_seconds=True)
    return entity


def _merged_record(existing: Any, given: Entity) -> Entity:
    entity = dict(existing) if isinstance(existing, dict) else {}
    for name, value in given.items():
        if isinstance(value, dict) and isinstance(entity.get(name), dict):
            entity[name] = _merged_record(entity[name], value)
        else:
            entity[name] = value
    return entity


def relaxed(field: Field) -> Field:
    """The same field, allowed to be missing."""
    return replace(field, required=False)
