"""Restore artifacts for a shell: a gateway's entities as calls of pipeline/shell/lib.sh. Same state, same bytes."""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from urllib.parse import quote

from pipeline.model.route import Entity, GatewayState, tag_word

# What refers to another entity comes after it.
_ORDER = ("services", "routes")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptHeader:
    """What a script says of itself: `subject` is what it restores, `file` how it is called."""

    subject: str
    file: str
    tool_version: str
    environment: str
    commit: str


def restore_script(state: GatewayState, header: ScriptHeader, *, library: str) -> str:
    """A POSIX shell script that puts every entity of `state` back as it is there, each by its id and with its own
    `created_at`, by which Kong decides between equal routes. Run twice it changes nothing. `library` is lib.sh's text.
    """
    entities = sorted(state.entities, key=_restore_order)
    # Values are meant as they are written: that nothing expands in them (SC2016) is the purpose.
    lines = ["#!/bin/sh", *_comment(state, header), "# shellcheck disable=SC2016", "", library.rstrip("\n"), ""]
    lines += [f"kong_not_exported {shlex.quote(kind)} {count}" for kind, count in state.not_exported]
    lines.append(f"kong_open {shlex.quote(tag_word(header.environment))}")
    lines += [_call(entity) for entity in entities]
    lines.append("kong_close")
    return "\n".join(lines) + "\n"


def is_script_of(text: str, environment: str, commit: str) -> bool:
    """Whether a script's own header says that it was written for this environment and commit."""
    return f", {_made_of(environment, commit)};" in text


def only_service(state: GatewayState, service: str) -> GatewayState:
    """The part of a gateway that makes one service's route: the entity of its name and the routes that lead to it."""
    services = tuple(entity for entity in state.of("services") if entity.name == service)
    ids = {entity.id for entity in services}
    routes = tuple(entity for entity in state.of("routes") if _parent(entity) & {*ids, service})
    return replace(state, entities=services + routes, not_exported=())


def entity_counts(state: GatewayState) -> tuple[tuple[str, int], ...]:
    """How many entities of each kind, in the order in which they are restored."""
    counts = Counter(entity.kind for entity in sorted(state.entities, key=_restore_order))
    return tuple(counts.items())


def wire_json(value: object) -> str:
    """JSON without white space and in ASCII: one word of a curl configuration needs no quotes then."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True).replace(" ", "\\u0020")


def _made_of(environment: str, commit: str) -> str:
    return f"environment {environment or 'unknown'}, commit {commit or 'unknown'}"


def _comment(state: GatewayState, header: ScriptHeader) -> list[str]:
    counts = ", ".join(f"{count} {kind}" for kind, count in entity_counts(state)) or "nothing"
    lines = [
        f"Restores {header.subject}: {counts}.",
        f"From {state.identity.product} {state.identity.version}, {_made_of(header.environment, header.commit)}; "
        f"written by invoke-pipeline {header.tool_version}.",
        f"Run: KONG_ADMIN_URL=http://127.0.0.1:8001 sh {shlex.quote(header.file)}",
        "Also: KONG_ADMIN_TOKEN; KONG_CLIENT_CERT, KONG_CLIENT_KEY, KONG_CA_CERT (PEM files);",
        "FORCE=1 writes to a gateway that carries another environment's name.",
    ]
    lines += [f"Not in this file: {count} {kind}." for kind, count in state.not_exported]
    return [f"# {re.sub(r'[^ -~]', '?', line)}" for line in lines]


def _call(entity: Entity) -> str:
    """Plain words where the shell needs no quotes; a name is quoted like any other value."""
    label = f"{entity.kind} {entity.name or entity.id}"
    body = dict(entity.body) | ({"created_at": entity.created_at} if entity.created_at else {})
    words = (f"/{quote(entity.kind, safe='')}/{quote(entity.id, safe='')}", label, wire_json(body))
    return " ".join(["kong_put", *map(shlex.quote, words)])


def _restore_order(entity: Entity) -> tuple[int, str, str, str]:
    place = _ORDER.index(entity.kind) if entity.kind in _ORDER else len(_ORDER)
    return place, entity.kind, entity.name, entity.id


def _parent(entity: Entity) -> set[str]:
    service = entity.body.get("service")
    return {str(service.get("id"))} if isinstance(service, Mapping) else {str(service)}
