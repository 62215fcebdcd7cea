"""Restore artifacts for a shell: a gateway's entities as calls of pipeline/shell/lib.sh. Same state, same bytes."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import groupby
from urllib.parse import quote

from pipeline.model.artifact import made_of
from pipeline.model.dialect import Dialect
from pipeline.model.kinds import kind_of, rank
from pipeline.model.route import Entity, GatewayState, tag_word
from pipeline.model.secret_fields import Hidden, Named, Path, hidden_in, named_secrets, with_hidden

MARKER = "# The entities:"
VARIABLES = "# Variables that have to be set, each to a secret of the gateway:"
OPTIONAL = (
    "# The gateway keeps a hash of these only; set to a new secret, they are issued anew, else they have to exist:"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptHeader:
    """What a script says of itself: `subject` is what it restores, `file` how it is called. Without `tool_version` the
    same gateway gives the same bytes whichever version wrote it."""

    subject: str
    file: str
    tool_version: str
    environment: str
    commit: str


def restore_script(state: GatewayState, header: ScriptHeader, *, library: str) -> str:
    """A POSIX shell script that puts every entity of `state` back as it is there, each by its id and with its own
    `created_at`, by which Kong decides between equal routes. Run twice it changes nothing. `library` is lib.sh's text.
    """
    named = named_secrets(state)
    variables = {(one.entity.kind, one.entity.id, one.path): one.variable for one in named}
    # Values are meant as they are written: that nothing expands in them (SC2016) is the purpose.
    lines = ["#!/bin/sh", *_comment(state, header, named), "# shellcheck disable=SC2016", "", library.rstrip("\n"), ""]
    lines += [MARKER, *(_words("kong_excluded", one.kind, str(one.count), one.reason) for one in state.excluded)]
    needs = sorted({(one.reissues, one.variable) for one in named})
    lines += [_words("kong_may_need" if optional else "kong_needs", name) for optional, name in needs]
    legacy = state.identity.dialect is Dialect.APIS
    # Apis carry no environment's name that could be compared.
    lines.append(_words("kong_open", "" if legacy else tag_word(header.environment)))
    for _, entities in groupby(sorted(state.entities, key=restore_order), key=lambda one: rank(one.kind)):
        lines += [*((_legacy_call if legacy else _call)(entity, variables) for entity in entities), "kong_flush"]
    lines.append("kong_close")
    return "\n".join(lines) + "\n"


def only_service(state: GatewayState, service: str) -> GatewayState:
    """The part of a gateway that makes one service's route: the entity of its name and the routes that lead to it; of
    one with /apis, the api and its plugins."""
    if state.identity.dialect is Dialect.APIS:
        apis = tuple(entity for entity in state.of("apis") if entity.name == service)
        plugins = tuple(one for one in state.of("plugins") if one.body.get("api_id") in {api.id for api in apis})
        return replace(state, entities=apis + plugins, excluded=())
    services = tuple(entity for entity in state.of("services") if entity.name == service)
    ids = {entity.id for entity in services}
    routes = tuple(entity for entity in state.of("routes") if _parent(entity) & {*ids, service})
    return replace(state, entities=services + routes, excluded=())


def entity_counts(state: GatewayState) -> tuple[tuple[str, int], ...]:
    """How many entities of each kind, in the order in which they are restored."""
    counts = Counter(entity.kind for entity in sorted(state.entities, key=restore_order))
    return tuple(counts.items())


def restore_order(entity: Entity) -> tuple[int, str, str, str]:
    """What refers to another entity comes after it."""
    return rank(entity.kind), entity.kind, entity.name, entity.id


def entity_path(entity: Entity) -> str:
    """Where the Admin API has it."""
    return _path(entity.kind, entity.id)


def written_body(entity: Entity) -> dict[str, object]:
    """All fields that are written, with its own time of creation."""
    return dict(entity.body) | ({"created_at": entity.created_at} if entity.created_at else {})


def wire_json(value: object) -> str:
    """JSON without white space and in ASCII: one word of a curl configuration needs no quotes then."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).replace(" ", "\\u0020")


def _comment(state: GatewayState, header: ScriptHeader, named: Iterable[Named]) -> list[str]:
    counts = ", ".join(f"{count} {kind}" for kind, count in entity_counts(state)) or "nothing"
    lines = [
        f"Restores {header.subject}: {counts}.",
        f"From {state.identity.product} {state.identity.version}, {made_of(header.environment, header.commit)}; "
        f"written by {' '.join(filter(None, ('invoke-pipeline', header.tool_version)))}.",
        f"Run: KONG_ADMIN_URL=http://127.0.0.1:8001 sh {shlex.quote(header.file)}",
        "Also: KONG_ADMIN_TOKEN; KONG_CLIENT_CERT, KONG_CLIENT_KEY, KONG_CA_CERT (PEM files);",
        "FORCE=1 writes to a gateway that carries another environment's name.",
    ]
    if state.identity.dialect is Dialect.APIS:
        lines[-1] = "Apis carry no environment's name: KONG_ADMIN_URL alone says which gateway is written to."
    lines += [f"Not in this file: {one.count} {one.kind} ({one.reason})." for one in state.excluded]
    for words, optional in ((VARIABLES, False), (OPTIONAL, True)):
        told = [f"  {one.variable}  {_where(one)}" for one in named if one.reissues is optional]
        lines += [words.removeprefix("# "), *told] if told else []
    return [f"# {_shown(line)}" for line in lines]


def _where(named: Named) -> str:
    return f"{'.'.join(map(str, named.path))} of {named.entity.label}"


def _shown(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)


def _words(*words: str) -> str:
    return " ".join(map(shlex.quote, words))


def _call(entity: Entity, variables: Mapping[tuple[str, str, Path], str]) -> str:
    """One line. Plain words where the shell needs no quotes; a name is quoted like any other value."""
    kind, label = kind_of(entity.kind), _shown(entity.label)
    body = written_body(entity)
    pieces = _pieces(body, lambda path: variables[entity.kind, entity.id, path])
    path = _path(entity.kind, entity.id)
    if kind.creates_by_post:
        collection = _path(kind.references[kind.parent], _reference(entity, kind.parent), kind.listing[0])
        if kind.membership:
            return _words("kong_post", collection, "", label, wire_json({"consumer": _reference(entity, "consumer")}))
        return _words("kong_post", collection, entity.id, label, *_pieces({**body, "id": entity.id}, _no_variable))
    hashed = [variables[entity.kind, entity.id, one] for one, _ in hidden_in(body) if one[0] in kind.hashed]
    if hashed:
        lookup = _path(entity.kind, entity.name)
        return _words("kong_hashed", path, lookup, label, hashed[0], *pieces)
    return _words("kong_put", path, label, *pieces)


def _legacy_call(entity: Entity, variables: Mapping[tuple[str, str, Path], str]) -> str:
    """The id is in the body: PUT is on the collection there. `created_at` as well, without which it is refused."""
    body = {**written_body(entity), "id": entity.id}
    pieces = _pieces(body, lambda path: variables[entity.kind, entity.id, path])
    return _words("kong_put_legacy", _path(entity.kind), _shown(entity.label), *pieces)


def _pieces(body: Mapping[str, object], variable: Callable[[Path], str]) -> list[str]:
    """The body's JSON, cut at its secrets: piece, variable, piece, …"""
    if not any(True for _ in hidden_in(body)):
        return [wire_json(body)]
    marks: list[str] = []
    stem = "secret"
    while stem in wire_json(with_hidden(body, lambda _, __: "")):
        stem += "-"

    def mark(path: Path, _: Hidden) -> str:
        marks.append(variable(path))
        return f"{stem}{len(marks) - 1};"

    text = wire_json(with_hidden(body, mark))
    pieces: list[str] = []
    for part in re.split(f'"{re.escape(stem)}([0-9]+);"', text):
        pieces.append(marks[int(part)] if len(pieces) % 2 else part)
    return pieces


def _no_variable(path: Path) -> str:
    raise KeyError(path)


def _reference(entity: Entity, field: str) -> str:
    value = entity.body.get(field)
    return str(value.get("id")) if isinstance(value, Mapping) else ""


def _path(*words: str) -> str:
    return "/" + "/".join(quote(word, safe="") for word in words)


def _parent(entity: Entity) -> set[str]:
    service = entity.body.get("service")
    return {str(service.get("id"))} if isinstance(service, Mapping) else {str(service)}
