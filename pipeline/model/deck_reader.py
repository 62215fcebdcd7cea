"""A decK state file read back: nested or flat, with references by name or id, with or without ids."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from msgspec import structs

from pipeline.errors import BadInput
from pipeline.model.deck_variables import Find, loaded
from pipeline.model.kinds import KINDS, SERVER_MADE, Kind, kind_of, rank
from pipeline.model.made_up import made_up_id, membership_id, name_of
from pipeline.model.route import Entity, GatewayIdentity, GatewayState, owner_of
from pipeline.model.secret_fields import Variable, sealed

_HINT = "docs of decK, `deck gateway dump`, describe what a state file may hold."
_BY_DECK = {kind.deck: kind for kind in KINDS if not kind.membership}
_META = ("_format_version", "_info", "_workspace", "_plugin_configs", "_konnect")
# Fields whose default is not null: one that is absent in a whole entity is null there. Kong before 2.0 knows no
# path_handling: routes of later ones show it by another field.
_PATH_HANDLING = ("routes", "request_buffering")
_DEFAULTED = {
    "services": ("retries", "connect_timeout", "write_timeout", "read_timeout"),
    "routes": ("regex_priority", "path_handling"),
    "upstreams": ("algorithm", "hash_on", "hash_fallback", "hash_on_cookie_path", "slots"),
    "targets": ("weight",),
    "jwts": ("algorithm",),
}


def read_deck_file(text: str, *, file: str, find: Find) -> tuple[GatewayState, str]:
    """The state, and the environment that its tags name ("" for none or several). An id that is not there is made up
    from what tells the entity apart. `find` gives a variable's text; a secret whose variable is not set stays a
    Variable, anything else that lacks its value is BadInput, as is every key that is not known, by its path.
    """
    content = loaded(text, file=file, find=find)
    for key in content:
        if key not in _META and key not in _BY_DECK:
            _unknown(f"{file}: {key}")
    if content.get("_workspace") not in (None, "default"):
        raise BadInput(
            f"{file}: _workspace: {content['_workspace']!r} is not the default one",
            hint="Put the workspace into the gateway's address (KONG_ADMIN_URL=…/WORKSPACE) and take the key out.",
        )
    drafts = list(_Reader(file=file, content=content).drafts())
    entities = _finished(drafts, file)
    environment = _environment(entities)
    major = str(content.get("_format_version", "1.1")).partition(".")[0]
    identity = GatewayIdentity(product="kong", version=f"{major}.x", environments=(environment,) if environment else ())
    return GatewayState(identity=identity, entities=entities), environment


def _environment(entities: tuple[Entity, ...]) -> str:
    tags = (one.body.get("tags") for one in entities)
    found = {owner_of(tuple(map(str, one))).environment for one in tags if isinstance(one, list)} - {""}
    return found.pop() if len(found) == 1 else ""


@dataclass(slots=True, kw_only=True)
class _Draft:
    """An entity of the file before its references are resolved. `above` is the one that it is nested in."""

    kind: Kind
    fields: dict[str, Any]
    where: str
    above: _Draft | None = None
    id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reader:
    file: str
    content: Mapping[str, Any]

    def drafts(self) -> Iterator[_Draft]:
        for name, kind in _BY_DECK.items():
            yield from self._below(kind, self.content.get(name), f"{self.file}: {name}", None)

    def _below(self, kind: Kind, listed: Any, where: str, above: _Draft | None) -> Iterator[_Draft]:
        if listed is None:
            return
        if not isinstance(listed, list):
            raise BadInput(f"{where} should be a list", hint=_HINT)
        for index, one in enumerate(listed):
            place = f"{where}.{index}"
            if kind.name in ("snis", "acls") and isinstance(one, str):
                one = {"name" if kind.name == "snis" else "group": one}
            if not isinstance(one, dict):
                raise BadInput(f"{place} should be a mapping", hint=_HINT)
            yield from self._one(kind, one, place, above)

    def _one(self, kind: Kind, fields: dict[str, Any], place: str, above: _Draft | None) -> Iterator[_Draft]:
        nested = {name: fields.pop(name) for name in list(fields) if name in _nested_in(kind)}
        draft = _Draft(kind=kind, fields=self._completed(kind, fields, place), where=place, above=above)
        yield draft
        for name, listed in nested.items():
            child = _nested_in(kind)[name]
            if child.membership:
                yield from self._members(child, listed, f"{place}.{name}", draft)
            else:
                yield from self._below(child, listed, f"{place}.{name}", draft)

    def _members(self, kind: Kind, listed: Any, where: str, above: _Draft) -> Iterator[_Draft]:
        """`groups` of a consumer, `consumers` of a group."""
        other = "consumer" if above.kind.name == "consumer_groups" else "consumer_group"
        for index, one in enumerate(listed if isinstance(listed, list) else ()):
            name = one.get("id") or name_of(one) if isinstance(one, dict) else str(one)
            yield _Draft(kind=kind, fields={other: name}, where=f"{where}.{index}", above=above)

    def _completed(self, kind: Kind, fields: dict[str, Any], place: str) -> dict[str, Any]:
        """With the file's defaults, tags, shared configuration and short forms worked in."""
        info = self.content.get("_info") or {}
        given = (info.get("defaults") or {}).get(kind.word) or {}
        found = {**given, **fields}
        if info.get("select_tags") and kind.name != "targets":
            found["tags"] = list(dict.fromkeys([*(found.get("tags") or ()), *info["select_tags"]]))
        shared = found.pop("_config", None)
        if shared is not None:
            configs = self.content.get("_plugin_configs") or {}
            if shared not in configs:
                _unknown(f"{place}._config: {shared}")
            found["config"] = {**configs[shared], **(found.get("config") or {})}
        if kind.name == "services" and found.get("url") is not None:
            found |= _parts(str(found.pop("url")), place)
        return found


def _nested_in(kind: Kind) -> dict[str, Kind]:
    """decK's fields for what stands below an entity of a kind."""
    found = {
        child.deck: child
        for child in KINDS
        if child.deck_parent and child.references.get(child.deck_parent) == kind.name
    }
    if kind.name in ("services", "routes", "consumers", "consumer_groups"):
        found["plugins"] = kind_of("plugins")
    if kind.name == "consumer_groups":
        found["consumers"] = kind_of("consumer_group_consumers")
    return found


def _parts(url: str, place: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if not parts.scheme or not parts.hostname:
        raise BadInput(f"{place}.url: {url!r} is not a URL", hint="It should look like http://host:80/path.")
    port = parts.port or (443 if parts.scheme in ("https", "grpcs") else 80)
    return {"protocol": parts.scheme, "host": parts.hostname, "port": port, "path": parts.path or None}


def _finished(drafts: list[_Draft], file: str) -> tuple[Entity, ...]:
    """Entities with ids, what is referred to before what refers to it."""
    known: dict[tuple[str, str], str] = {}
    found: dict[tuple[str, str], Entity] = {}
    present = {(draft.kind.name, name) for draft in drafts for name in draft.fields}
    for draft in sorted(drafts, key=lambda one: rank(one.kind.name)):
        if draft.above is not None:
            name = next(name for name, kind in draft.kind.references.items() if kind == draft.above.kind.name)
            draft.fields[name] = {"id": draft.above.id}
        entity = _entity(draft, known, present)
        draft.id = entity.id
        if (entity.kind, entity.id) in found:
            raise BadInput(f"{draft.where}: there are two {entity.label}", hint=f"Take one of them out of {file}.")
        found[entity.kind, entity.id] = entity
        for name in _names(draft):
            known[entity.kind, name] = entity.id
    return tuple(sorted(found.values(), key=lambda one: (one.kind, one.name, one.id)))


def _names(draft: _Draft) -> set[str]:
    keys = ("name", "username", "custom_id")
    return {str(draft.fields[key]) for key in keys if draft.fields.get(key)} | {draft.id}


def _entity(draft: _Draft, known: Mapping[tuple[str, str], str], present: set[tuple[str, str]]) -> Entity:
    kind, fields = draft.kind, dict(draft.fields)
    for name, other in kind.references.items():
        if fields.get(name) is not None:
            fields[name] = {"id": _resolved(fields[name], other, known, f"{draft.where}.{name}")}
    if kind.membership:
        group, consumer = fields["consumer_group"]["id"], fields["consumer"]["id"]
        return Entity(kind=kind.name, id=membership_id(group, consumer), name=consumer, body=fields)
    given, created_at = fields.pop("id", None), fields.pop("created_at", None)
    whole = isinstance(created_at, int | float)
    for name in _DEFAULTED.get(kind.name, ()) if whole else ():
        if name not in fields and (name != "path_handling" or _PATH_HANDLING in present):
            fields[name] = None
    body = sealed(kind, {key: value for key, value in fields.items() if key not in SERVER_MADE})
    entity = Entity(kind=kind.name, id=str(given or ""), name=name_of(body), body=body, partial=not whole)
    if whole:
        entity = structs.replace(entity, created_at=created_at)
    return entity if given else structs.replace(entity, id=made_up_id(kind.name, *_key(kind, fields)), made_up=True)


def _key(kind: Kind, fields: Mapping[str, Any]) -> tuple[str, ...]:
    """What tells an entity apart that has no id, as words."""
    values = [fields.get(name) for name in kind.key]
    plain = [str(one.get("id")) if isinstance(one, Mapping) else one for one in values]
    words = [one.name if isinstance(one, Variable) else "" if one is None else str(one) for one in plain]
    return tuple(words) if any(words) else (json.dumps(fields, sort_keys=True, default=repr),)


def _resolved(value: Any, kind: str, known: Mapping[tuple[str, str], str], where: str) -> str:
    word = (value.get("id") or name_of(value)) if isinstance(value, Mapping) else value
    found = known.get((kind, str(word)))
    if found is not None:
        return found
    if isinstance(word, str) and len(word) == 36 and word.count("-") == 4:
        return word
    raise BadInput(
        f"{where}: there are no {kind} {word!r} in the file", hint="Add the entity, or refer to it by its id."
    )


def _unknown(where: str) -> NoReturn:
    raise BadInput(f"{where} is not known", hint=_HINT)
