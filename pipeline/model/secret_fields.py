"""Secrets inside of entities: found by field, named as variables, filled in again. Pure functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from msgspec import structs

from pipeline.model.kinds import Kind, kind_of
from pipeline.model.route import Entity, GatewayState
from pipeline.model.secret import Secret

Path = tuple[str | int, ...]
Marks = frozenset[tuple[str, ...]]
"""Fields that the server's own schema calls secret: names from the entity down, `*` for any element."""
NO_MARKS: Marks = frozenset()

_SECRET_NAME = re.compile(
    r"(password|passwd|passphrase|secrets?|token|credentials?|(private|api|secret|access|license|account|aws)[_-]?key)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"\{vault://.*\}", re.DOTALL)
_OWNER_LENGTH = 40
_NESTED = frozenset((dict, list))
_PLAIN = frozenset((str, int, float, bool, type(None)))


@dataclass(frozen=True, slots=True)
class Variable:
    """Where a file has no secret: the name of the variable that holds it."""

    name: str


Hidden = Secret | Variable


def sealed(kind: Kind, body: Mapping[str, object], marks: Marks = NO_MARKS) -> dict[str, object]:
    """The body with its secrets as Secret. A reference to a vault is none: it is restored as it is."""
    found = dict(body)
    seal(kind, found, marks)
    return found


def seal(kind: Kind, body: dict[str, object], marks: Marks = NO_MARKS) -> None:
    """As `sealed`, of a body that is nobody else's yet."""
    for name in kind.secrets:
        if name in body:
            body[name] = _hidden(body[name])
    for name in kind.hides_secrets:
        if name in body:
            body[name] = _searched(body[name], (name,), marks)


def _hidden(value: object) -> object:
    """The value with every text in it secret."""
    if isinstance(value, str):
        return Secret(value) if value and not _REFERENCE.fullmatch(value) else value
    if isinstance(value, dict):
        return {key: _hidden(one) for key, one in value.items()}
    return [_hidden(one) for one in value] if isinstance(value, list) else value


def _searched(value: object, path: tuple[str, ...], marks: Marks) -> object:
    """The value with those of its fields hidden that are secret; itself where none is."""
    if isinstance(value, list):
        below = (*path, "*")
        return [_hidden(one) if below in marks else _searched(one, below, marks) for one in value]
    if not isinstance(value, dict):
        return value
    secret = _secret_names(path, tuple(value), marks)
    if not secret and _NESTED.isdisjoint(map(type, value.values())):
        return value
    changed: dict[str, object] = {}
    for key, one in value.items():
        if key in secret:
            changed[key] = _hidden(one)
        elif type(one) in _NESTED:
            changed[key] = _searched(one, (*path, key), marks)
    return {**value, **changed} if changed else value


@lru_cache(4096)
def _secret_names(path: tuple[str, ...], names: tuple[str, ...], marks: Marks) -> tuple[str, ...]:
    """Which of the fields below `path` are secret: by name or by the schema. Ten thousand plugins have few shapes."""
    every = (*path, "*") in marks
    return tuple(name for name in names if every or (*path, name) in marks or is_called_secret(name))


@lru_cache(4096)
def is_called_secret(name: str) -> bool:
    """Whether people call secrets so: password, API key, token."""
    return _SECRET_NAME.search(name) is not None


def schema_marks(schema: object, path: tuple[str, ...] = ()) -> Marks:
    """The fields that a Kong's schema (`{"fields": [{name: {…}}]}`) marks as encrypted or referenceable."""
    found: set[tuple[str, ...]] = set()
    fields = schema.get("fields") if isinstance(schema, Mapping) else None
    for one in fields if isinstance(fields, list) else ():
        for name, described in one.items() if isinstance(one, Mapping) else ():
            found |= _marks_of(described, (*path, str(name)))
    return frozenset(found)


def _marks_of(described: object, path: tuple[str, ...]) -> set[tuple[str, ...]]:
    if not isinstance(described, Mapping):
        return set()
    found = {path} if described.get("encrypted") or described.get("referenceable") else set()
    found |= schema_marks(described, path)
    for inner in ("elements", "values"):
        found |= _marks_of(described.get(inner), (*path, "*"))
    return found


def hidden_in(value: object, path: Path = ()) -> Iterator[tuple[Path, Hidden]]:
    """Every secret and variable below a value, with the way to it, in the order of keys."""
    if isinstance(value, Secret | Variable):
        yield path, value
    elif isinstance(value, Mapping):
        for key in sorted(value):
            # Nearly all are plain: a large gateway has hundreds of thousands of them.
            if type(value[key]) not in _PLAIN:
                yield from hidden_in(value[key], (*path, key))
    elif isinstance(value, list | tuple):
        for index, one in enumerate(value):
            if type(one) not in _PLAIN:
                yield from hidden_in(one, (*path, index))


def with_hidden(value: object, change: Callable[[Path, Hidden], object], path: Path = ()) -> object:
    """The value with each secret and variable replaced by what `change` makes of it; plain JSON types otherwise."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Secret | Variable):
        return change(path, value)
    if isinstance(value, Mapping):
        return {str(key): with_hidden(one, change, (*path, key)) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [with_hidden(one, change, (*path, index)) for index, one in enumerate(value)]
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One secret of a state: whose, where in it, and the variable that stands for it in files. `reissues`: the server
    gives a hash only, the variable would hold a new password."""

    entity: Entity
    path: Path
    variable: str
    value: Hidden
    reissues: bool


def named_secrets(state: GatewayState) -> tuple[Named, ...]:
    """Every secret of a state with its variable: the same for the same entity, no two alike, sorted by name."""
    owners = {entity.id: entity.name for entity in state.entities if entity.kind == "consumers"}
    found = [
        (entity, path, value, _words(entity, path, owners))
        for entity in state.entities
        for path, value in hidden_in(entity.body)
    ]
    counts = Counter(_variable(entity, words, 8) for entity, _, _, words in found)
    named = []
    for entity, path, value, words in found:
        short = _variable(entity, words, 8)
        name = short if counts[short] == 1 else _variable(entity, words, 64)
        if isinstance(value, Variable):
            name = value.name
        reissues = str(path[0]) in kind_of(entity.kind).hashed
        named.append(Named(entity=entity, path=path, variable=name, value=value, reissues=reissues))
    ordered = sorted(named, key=lambda one: (one.variable, one.entity.id, str(one.path)))
    return tuple(_told_apart(ordered))


def _told_apart(named: list[Named]) -> Iterator[Named]:
    """Two fields that differ in signs which no variable can have get numbers; what a file named stays."""
    seen: Counter[str] = Counter()
    for one in named:
        seen[one.variable] += 1
        number = seen[one.variable]
        again = number > 1 and not isinstance(one.value, Variable)
        yield replace(one, variable=f"{one.variable}_{number}") if again else one


def filled(state: GatewayState, find: Callable[[str], Secret | None]) -> tuple[GatewayState, tuple[str, ...]]:
    """The state with its variables' values, and the names of those that are missing. One that stands for what the
    server hashes is not missing: its entity keeps the Variable, and is restored only where it is already."""
    missing: set[str] = set()

    def complete(entity: Entity) -> Entity:
        def value_of(path: Path, hidden: Hidden) -> object:
            value = find(hidden.name) if isinstance(hidden, Variable) else hidden
            if value is None and isinstance(hidden, Variable) and str(path[0]) not in kind_of(entity.kind).hashed:
                missing.add(hidden.name)
            return value or hidden

        body = with_hidden(entity.body, value_of) if any(hidden_in(entity.body)) else entity.body
        return structs.replace(entity, body=body) if isinstance(body, dict) else entity

    return replace(state, entities=tuple(map(complete, state.entities))), tuple(sorted(missing))


def lacks_secret(entity: Entity) -> bool:
    """Whether a variable of it is still without its value."""
    return any(isinstance(hidden, Variable) for _, hidden in hidden_in(entity.body))


def _words(entity: Entity, path: Path, owners: Mapping[str, str]) -> tuple[str, str]:
    """Owner and field, as words of a variable's name."""
    consumer = entity.body.get("consumer")
    owner = owners.get(str(consumer.get("id")), "") if isinstance(consumer, Mapping) else ""
    kind = kind_of(entity.kind)
    several = len(kind.secrets) > 1 or kind.hides_secrets
    return owner or entity.name, "_".join(map(str, path)) if several else ""


def _variable(entity: Entity, words: tuple[str, str], length: int) -> str:
    owner, field = words
    short_id = entity.id.replace("-", "")[:length]
    parts = ("KONG_SECRET", kind_of(entity.kind).word, owner[:_OWNER_LENGTH], short_id, field)
    return re.sub(r"[^A-Z0-9]+", "_", "_".join(part for part in parts if part).upper()).rstrip("_")
