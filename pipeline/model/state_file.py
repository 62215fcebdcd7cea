"""A gateway's state as one JSON document, written and read. Same state, same bytes; no secret is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from typing import Any

from pipeline.errors import BadInput
from pipeline.model.dialect import dialect_of
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState
from pipeline.model.secret_fields import Path, Variable, named_secrets, with_hidden

SCHEMA_VERSION = 1
_HINT = "Only what `invoke dump --format json` wrote is read."
_KEYS = {"schema_version", "gateway", "environment", "variables", "excluded", "entities"}
_ANY: frozenset[str] = frozenset()
_ENTITY_KEYS = {"kind", "id", "name", "created_at", "body", "secrets"}


def state_file(state: GatewayState, environment: str) -> str:
    """The document's text."""
    return json.dumps(state_document(state, environment), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def state_document(state: GatewayState, environment: str) -> dict[str, object]:
    """The document. Where a secret belongs stands null, and `secrets` says which variable has it."""
    named = named_secrets(state)
    by_entity: dict[tuple[str, str], list[dict[str, object]]] = {}
    for one in named:
        listed = by_entity.setdefault((one.entity.kind, one.entity.id), [])
        listed.append({"path": list(one.path), "variable": one.variable})
    return {
        "schema_version": SCHEMA_VERSION,
        "gateway": {"product": state.identity.product, "version": state.identity.version},
        "environment": environment,
        "variables": sorted({one.variable for one in named}),
        "excluded": [{"kind": one.kind, "count": one.count, "reason": one.reason} for one in state.excluded],
        "entities": [_written(entity, by_entity.get((entity.kind, entity.id), [])) for entity in state.entities],
    }


def _written(entity: Entity, secrets: list[dict[str, object]]) -> dict[str, object]:
    return {
        "kind": entity.kind,
        "id": entity.id,
        "name": entity.name,
        "created_at": entity.created_at,
        "body": with_hidden(entity.body, lambda _, __: None),
        "secrets": sorted(secrets, key=str),
    }


def read_state_file(text: str, *, file: str) -> tuple[GatewayState, str]:
    """The state and the environment that it was made for. Raises BadInput with the path of the mistake."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{file} is not JSON: {error}", hint=_HINT) from error
    _require(document, dict, _KEYS, file)
    if document["schema_version"] != SCHEMA_VERSION:
        raise BadInput(
            f"{file} has schema_version {document['schema_version']!r}, this toolkit reads {SCHEMA_VERSION}",
            hint="Write it anew with this version of the toolkit.",
        )
    _require(document["gateway"], dict, {"product", "version"}, f"{file}: gateway")
    environment = str(document["environment"])
    listed = _require(document["entities"], list, _ANY, f"{file}: entities")
    entities = tuple(_entity(one, f"{file}: entities.{index}") for index, one in enumerate(listed))
    identity = GatewayIdentity(
        product=str(document["gateway"]["product"]),
        version=str(document["gateway"]["version"]),
        environments=(environment,) if environment else (),
        dialect=dialect_of(one.kind for one in entities),
    )
    return GatewayState(identity=identity, entities=entities, excluded=_excluded(document, file)), environment


def _excluded(document: Mapping[str, Any], file: str) -> tuple[Excluded, ...]:
    found = []
    for one in _require(document["excluded"], list, _ANY, f"{file}: excluded"):
        _require(one, dict, {"kind", "count", "reason"}, f"{file}: excluded")
        found.append(Excluded(kind=str(one["kind"]), count=int(one["count"]), reason=str(one["reason"])))
    return tuple(found)


def _entity(found: Any, where: str) -> Entity:
    _require(found, dict, _ENTITY_KEYS, where)
    _require(found["body"], dict, _ANY, f"{where}.body")
    created_at = found["created_at"]
    if not isinstance(created_at, int | float):
        raise BadInput(f"{where}.created_at: {created_at!r} is not a time", hint=_HINT)
    for secret in _require(found["secrets"], list, _ANY, f"{where}.secrets"):
        _require(secret, dict, {"path", "variable"}, f"{where}.secrets")
        _put(found["body"], tuple(secret["path"]), Variable(str(secret["variable"])), where)
    return Entity(
        kind=str(found["kind"]),
        id=str(found["id"]),
        name=str(found["name"]),
        body=found["body"],
        created_at=created_at,
    )


def _put(body: Any, path: Path, variable: Variable, where: str) -> None:
    place = body
    try:
        for word in path[:-1]:
            place = place[word]
        place[path[-1]] = variable
    except (LookupError, TypeError) as error:
        raise BadInput(f"{where}.secrets: there is no field {path!r}", hint=_HINT) from error


def _require(value: Any, kind: type[Any], keys: Set[str], where: str) -> Any:
    if not isinstance(value, kind):
        raise BadInput(f"{where} should be {'a list' if kind is list else 'an object'}", hint=_HINT)
    if keys and set(value) != set(keys):
        raise BadInput(f"{where}: {', '.join(sorted(set(value) ^ set(keys)))}: missing or not known", hint=_HINT)
    return value
