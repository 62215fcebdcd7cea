"""`GET /schemas`: the schema tables in the words of Kong's own."""

from __future__ import annotations

from typing import Any

from pipeline.lab.gateway.schema import Auto, Entity, Field, Kind, Schema, Subschema


def described_schema(schema: Schema) -> Entity:
    """The fields of an entity type."""
    return {"fields": [{field.name: _described(field)} for field in schema.fields]}


def described_plugin(plugin: Subschema) -> Entity:
    """What a plugin's schema lays down."""
    order = ("consumer", "protocols", "config")
    return {"fields": [{name: _described(plugin.fields[name])} for name in order if name in plugin.fields]}


def described_config(plugin: Subschema) -> Entity:
    """The fields of a plugin's configuration."""
    return {"fields": _members(plugin.fields["config"])}


def _members(field: Field) -> list[Entity]:
    return [{inner.name: _described(inner)} for inner in field.fields]


def _described(field: Field) -> Entity:
    if field.kind is Kind.RECORD and not field.fields:
        return {"type": "record", "abstract": True}
    words: Entity = {"type": field.kind.value}
    if field.required:
        words["required"] = True
    if field.has_default:
        words["default"] = field.default
    if field.unique:
        words["unique"] = True
    if field.uuid:
        words["uuid"] = True
    if field.auto is not None:
        words["auto"] = True
    if field.auto in (Auto.CREATED, Auto.UPDATED):
        words["timestamp"] = True
    if field.kind is Kind.FOREIGN:
        words["reference"] = field.reference
        if field.cascades:
            words["on_delete"] = "cascade"
    for rule in field.rules:
        if rule.key and not (field.kind is Kind.SET and rule.key == "eq"):
            words[rule.key] = rule.value
    words.update(_nested(field))
    return words


def _nested(field: Field) -> Entity:
    nested: dict[str, Any] = {}
    for name, inner in (("elements", field.elements), ("keys", field.keys), ("values", field.values)):
        if inner is not None:
            nested[name] = _described(inner)
    if field.kind is Kind.RECORD:
        nested["fields"] = _members(field)
        if field.at_least_one_of:
            nested["entity_checks"] = [{"at_least_one_of": list(field.at_least_one_of)}]
    return nested
