"""A restore script read back: its calls are parsed as words, strictly, and nothing of it is run."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from pipeline.errors import BadInput
from pipeline.model.dialect import dialect_of
from pipeline.model.kinds import KINDS, Kind, is_known, kind_of
from pipeline.model.made_up import membership_id, name_of
from pipeline.model.restore_script import MARKER
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState
from pipeline.model.secret_fields import Variable

_ORIGIN = re.compile(r"^# From (\S+) (\S+), environment (\S+), commit (\S+);", re.MULTILINE)
_QUOTE = "'\"'\"'"
_WORD = re.compile(f"'(?:[^']|{_QUOTE})*'|[A-Za-z0-9@%+=:,./_-]+")
_HINT = "Only a script that `invoke dump` or `invoke register` wrote is read; run an edited one with sh."


def is_restore_script(text: str) -> bool:
    return text.startswith("#!/bin/sh\n") and f"\n{MARKER}\n" in text


def read_restore_script(text: str, *, file: str) -> tuple[GatewayState, str]:
    """The state that a script restores, and the environment that it was made for (as in tags). Raises BadInput naming
    the line that is no call of the library in exactly the quoting that the writer uses."""
    head, _, calls = text.partition(f"\n{MARKER}\n")
    origin = _ORIGIN.search(head)
    if origin is None:
        raise BadInput(f"{file} does not say which gateway it was made from", hint=_HINT)
    first = head.count("\n") + 2
    entities: list[Entity] = []
    excluded: list[Excluded] = []
    environment = ""
    for number, line in enumerate(calls.splitlines(), first + 1):
        words = _words(line, f"{file}, line {number}")
        match words:
            case ["kong_needs" | "kong_may_need", _] | ["kong_flush"] | ["kong_close"]:
                continue
            case ["kong_open", name]:
                environment = name
            case ["kong_excluded", kind, count, reason] if count.isdecimal():
                excluded.append(Excluded(kind=kind, count=int(count), reason=reason))
            case _:
                entities.append(_entity(words, f"{file}, line {number}"))
    identity = GatewayIdentity(
        product=origin[1],
        version=origin[2],
        environments=(environment,) if environment else (),
        dialect=dialect_of(one.kind for one in entities),
    )
    ordered = tuple(sorted(entities, key=lambda one: (one.kind, one.name, one.id)))
    return GatewayState(identity=identity, entities=ordered, excluded=tuple(sorted(excluded))), environment


def _words(line: str, where: str) -> list[str]:
    """The words of a line of plain words and texts in single quotes, as shlex.quote writes them; nothing else."""
    words = _WORD.findall(line)
    if " ".join(words) != line:
        raise BadInput(f"{where} is not a plain call: {line[:80]!r}", hint=_HINT)
    return [word[1:-1].replace(_QUOTE, "'") if word.startswith("'") else word for word in words]


def _entity(words: Sequence[str], where: str) -> Entity:
    match words:
        case ["kong_put", path, _, *pieces]:
            kind, key = _collection_and_id(path, where)
            return _made(kind, key, _body(pieces, where))
        case ["kong_hashed", path, _, _, _, *pieces]:
            kind, key = _collection_and_id(path, where)
            return _made(kind, key, _body(pieces, where))
        case ["kong_put_legacy", path, _, *pieces]:
            return _legacy(path, _body(pieces, where), where)
        case ["kong_post", path, key, _, *pieces]:
            return _posted(path, key, _body(pieces, where), where)
    raise BadInput(f"{where} is not a call that restores something: {' '.join(words)[:80]!r}", hint=_HINT)


def _posted(path: str, key: str, body: dict[str, object], where: str) -> Entity:
    parts = [unquote(word) for word in path.strip("/").split("/")]
    found = [
        kind
        for kind in KINDS
        if kind.parent and len(parts) == 3 and (kind.references[kind.parent], kind.listing[0]) == (parts[0], parts[2])
    ]
    if not found:
        raise BadInput(f"{where} writes to {path}, which is not known", hint=_HINT)
    (kind,) = found
    if kind.membership:
        consumer = str(body.get("consumer"))
        body = {"consumer": {"id": consumer}, "consumer_group": {"id": parts[1]}}
        return Entity(kind=kind.name, id=membership_id(parts[1], consumer), name=consumer, body=body)
    body.pop("id", None)
    return _made(kind, key, body)


def _legacy(path: str, body: dict[str, object], where: str) -> Entity:
    """Its id is in its body."""
    name = path.strip("/")
    if not is_known(name) or not isinstance(body.get("id"), str):
        raise BadInput(f"{where} writes to {path}, which is not known", hint=_HINT)
    return _made(kind_of(name), str(body.pop("id")), body)


def _collection_and_id(path: str, where: str) -> tuple[Kind, str]:
    parts = [unquote(word) for word in path.strip("/").split("/")]
    if len(parts) != 2 or not is_known(parts[0]):
        raise BadInput(f"{where} writes to {path}, which is not known", hint=_HINT)
    return kind_of(parts[0]), parts[1]


def _made(kind: Kind, key: str, body: dict[str, object]) -> Entity:
    created_at = body.pop("created_at", 0)
    return Entity(
        kind=kind.name,
        id=key,
        name=name_of(body),
        body=body,
        created_at=created_at if isinstance(created_at, int | float) else 0,
    )


def _body(pieces: Sequence[str], where: str) -> dict[str, object]:
    """The JSON of pieces with variables between them."""
    stem = "variable"
    while any(stem in piece for piece in pieces[::2]):
        stem += "-"
    text = "".join(json.dumps(f"{stem}{piece}") if index % 2 else piece for index, piece in enumerate(pieces))
    try:
        body = json.loads(text)
    except ValueError as error:
        raise BadInput(f"{where} holds no JSON: {error}", hint=_HINT) from error
    if not isinstance(body, dict):
        raise BadInput(f"{where} holds no entity", hint=_HINT)
    return {key: _with_variables(value, stem) for key, value in body.items()} if len(pieces) > 1 else body


def _with_variables(value: object, stem: str) -> object:
    if isinstance(value, str) and value.startswith(stem):
        return Variable(value.removeprefix(stem))
    if isinstance(value, Mapping):
        return {key: _with_variables(one, stem) for key, one in value.items()}
    return [_with_variables(one, stem) for one in value] if isinstance(value, list) else value
