"""The schemas that clients build themselves from: as the caller's role and scope have them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.scope import Scope

_MODIFIERS = {
    "string": ["eq", "ne", "like", "notlike", "prefix", "null", "notnull"],
    "date": ["eq", "ne", "lt", "lte", "gt", "gte", "null", "notnull"],
    "int": ["eq", "ne", "lt", "lte", "gt", "gte", "null", "notnull"],
    "boolean": ["eq", "ne", "null", "notnull"],
}


class Schemas:
    """All schemas of a scope, made once for each way to ask."""

    def __init__(self) -> None:
        self._made: dict[tuple[str, str, bool], dict[str, dict[str, Any]]] = {}
        self._bytes: dict[tuple[str, str, bool], bytes] = {}

    def all(self, scope: Scope) -> bytes:
        key = _key(scope)
        if key not in self._bytes:
            schemas = list(self._of(scope).values())
            content = {
                "type": "collection",
                "resourceType": "schema",
                "links": {"self": f"{scope.prefix}/schemas"},
                "createTypes": {},
                "actions": {},
                "data": schemas,
                "sortLinks": {},
                "pagination": None,
                "sort": None,
                "filters": {},
                "createDefaults": {},
            }
            self._bytes[key] = json.dumps(content, separators=(",", ":")).encode()
        return self._bytes[key]

    def one(self, scope: Scope, word: str) -> dict[str, Any] | None:
        """A schema by its id or plural."""
        for schema in self._of(scope).values():
            if word.lower() in (schema["id"].lower(), schema["pluralName"].lower()):
                return schema
        return None

    def _of(self, scope: Scope) -> dict[str, dict[str, Any]]:
        key = _key(scope)
        if key not in self._made:
            self._made[key] = dict(_schemas(scope))
        return self._made[key]


def _key(scope: Scope) -> tuple[str, str, bool]:
    return scope.prefix, scope.role, scope.project is None


def _schemas(scope: Scope) -> Iterator[tuple[str, dict[str, Any]]]:
    for kind in KINDS.values():
        if not scope.methods(kind):
            continue
        yield kind.name, schema_of(kind, scope)
        if kind.name == "stack" and scope.v1:
            mask = schema_of(kind, scope)
            links = {name: link.replace("stack", "environment") for name, link in mask["links"].items()}
            yield "environment", mask | {"id": "environment", "pluralName": "environments", "links": links}


def schema_of(kind: Kind, scope: Scope) -> dict[str, Any]:
    methods = scope.methods(kind)
    collection = scope.verbs(kind, "rc")
    links = {"self": f"{scope.prefix}/schemas/{kind.name.lower()}"}
    if "GET" in collection:
        links["collection"] = f"{scope.prefix}/{kind.plural_name.lower()}"
    acting = scope.may_act() and bool(set(methods) & set("cud"))
    return {
        "id": kind.name,
        "type": "schema",
        "links": links,
        "actions": {},
        "pluralName": kind.plural_name,
        "resourceMethods": scope.verbs(kind, "rud"),
        "collectionMethods": collection,
        "resourceFields": {name: rule.schema(methods) for name, rule in kind.fields.items() if name != "id"},
        "resourceActions": {
            name: {"input": action.input or None, "output": action.output or None}
            for name, action in (kind.actions if acting else {}).items()
        },
        "collectionActions": {},
        "collectionFields": {},
        "collectionFilters": {name: {"modifiers": _modifiers(kind, name)} for name in kind.filters},
        "includeableLinks": list(kind.links),
    }


def _modifiers(kind: Kind, name: str) -> list[str]:
    rule = kind.fields.get(name)
    return _MODIFIERS.get(rule.type if rule is not None else "string", _MODIFIERS["string"])
