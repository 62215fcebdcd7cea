"""What a restore will do, decided before its first write: a file's state against a gateway's, step by step."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from msgspec import structs

from pipeline.model.kinds import kind_of, rank, referred
from pipeline.model.route import Entity, GatewayState, owner_of
from pipeline.model.secret import Secret
from pipeline.model.secret_fields import Variable, hidden_in, lacks_secret

_SHOWN_LENGTH = 200


class Act(StrEnum):
    """What becomes of an entity. Refuse: it cannot be restored, because nobody but its owner knows its secret."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    KEEP = "keep"
    REFUSE = "refuse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One field that is not as it should be."""

    field: str
    before: object
    after: object

    def __str__(self) -> str:
        return f"{self.field}: {_shown(self.before)} → {_shown(self.after)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What is done with one entity, and why. `entity` is what it will be (deleted or kept: what it is), `before` what
    it is. `whole`: all of it is known, so that it may be replaced; else only `differences` are written."""

    act: Act
    entity: Entity
    before: Entity | None = None
    differences: tuple[Difference, ...] = ()
    reason: str = ""
    whole: bool = True

    def __str__(self) -> str:
        return f"{self.act} {self.entity.label}: {self.reason or '; '.join(map(str, self.differences))}"

    @property
    def label(self) -> str:
        return self.entity.label

    @property
    def writes(self) -> bool:
        return self.act in (Act.CREATE, Act.CHANGE, Act.DELETE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """A finished plan: one step for every entity of the file and of the gateway."""

    steps: tuple[Step, ...]
    levels: tuple[tuple[Step, ...], ...] = field(repr=False)

    @property
    def refused(self) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.act is Act.REFUSE)

    @property
    def pending(self) -> bool:
        return bool(self.levels)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What may be deleted: nothing, with `exact` what is ours by tag and not in the file, with `everything` all that
    is not in the file."""

    exact: bool = False
    everything: bool = False


def plan_restore(wanted: GatewayState, found: GatewayState, scope: Scope) -> RestorePlan:
    """The steps from `found` to `wanted`. An entity that the gateway has under another id, told by what nobody else may
    have, keeps that id. Steps of one level do not depend on each other; deletions come last, children first."""
    entities = _adopted(wanted.entities, found)
    there = {(one.kind, one.id): one for one in found.entities}
    steps = [_step(one, there.get((one.kind, one.id))) for one in entities]
    named = {(one.kind, one.id) for one in entities}
    rest = [one for key, one in there.items() if key not in named]
    steps += _leavings(rest, entities, scope)
    steps.sort(key=lambda step: (rank(step.entity.kind), step.entity.kind, step.entity.name, step.entity.id))
    return RestorePlan(steps=tuple(steps), levels=_levels(steps))


def differences(wanted: Entity, found: Entity) -> tuple[Difference, ...]:
    """The fields in which they differ: those that `wanted` names, and of a whole one those that it leaves unset."""
    kind = kind_of(wanted.kind)
    skipped = (*kind.volatile, *kind.hashed)
    told = [name for name in wanted.body if name not in skipped]
    if not wanted.partial:
        told += [name for name in kind.nullable if name not in wanted.body and found.body.get(name) is not None]
    differing = [
        Difference(field=name, before=found.body.get(name), after=wanted.body.get(name))
        for name in sorted(told)
        if not _same(wanted.body.get(name), found.body.get(name), loosely=wanted.partial)
    ]
    if wanted.created_at and wanted.created_at != found.created_at:
        differing.append(Difference(field="created_at", before=found.created_at, after=wanted.created_at))
    return tuple(differing)


def _same(wanted: object, found: object, *, loosely: bool) -> bool:
    """Equal as a gateway shows it. Loosely: fields that `wanted` does not name may be anything."""
    if isinstance(wanted, Secret) != isinstance(found, Secret):
        one, other = (wanted, found) if isinstance(wanted, Secret) else (found, wanted)
        return isinstance(other, str) and one == Secret(other)
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        names = set(wanted) if loosely else {*wanted, *found}
        return all(_same(wanted.get(name), found.get(name), loosely=loosely) for name in names)
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        pairs = zip(wanted, found, strict=False)
        return len(wanted) == len(found) and all(_same(one, other, loosely=loosely) for one, other in pairs)
    # To Python True is 1.
    return wanted == found and isinstance(wanted, bool) == isinstance(found, bool)


def _step(wanted: Entity, found: Entity | None) -> Step:
    kind = kind_of(wanted.kind)
    if found is None and lacks_secret(wanted):
        names = ", ".join(one.name for _, one in hidden_in(wanted.body) if isinstance(one, Variable))
        reason = f"the gateway gave a hash of its secret only; to issue it anew, set {names} to a new one"
        return Step(act=Act.REFUSE, entity=wanted, reason=reason)
    if found is None:
        return Step(act=Act.CREATE, entity=wanted, reason="the gateway does not have it")
    differing = () if kind.membership else differences(wanted, found)
    if not differing:
        return Step(act=Act.KEEP, entity=found, before=found, reason="it is as it should be")
    whole = not (wanted.partial or kind.hashed or kind.creates_by_post)
    # Written whole without its time, it would get a new one.
    timed = structs.replace(wanted, created_at=wanted.created_at or found.created_at)
    return Step(act=Act.CHANGE, entity=timed, before=found, differences=differing, whole=whole)


def _leavings(rest: list[Entity], wanted: tuple[Entity, ...], scope: Scope) -> Iterator[Step]:
    """What the file does not have. Nothing is deleted that something which stays refers to: it would go with it."""
    if not scope.exact:
        yield from (Step(act=Act.KEEP, entity=one, before=one, reason="not in the file") for one in rest)
        return
    kept = {(one.kind, one.id): "someone else's" for one in rest if not (scope.everything or _is_ours(one))}
    while True:
        staying = [*wanted, *(one for one in rest if (one.kind, one.id) in kept)]
        needed = {(kind, key): one.label for one in staying for _, kind, key in referred(kind_of(one.kind), one.body)}
        more = {
            (one.kind, one.id): f"{needed[one.kind, one.id]} refers to it"
            for one in rest
            if (one.kind, one.id) in needed and (one.kind, one.id) not in kept
        }
        if not more:
            break
        kept |= more
    for one in rest:
        reason = kept.get((one.kind, one.id))
        act = Act.KEEP if reason else Act.DELETE
        yield Step(act=act, entity=one, before=one, reason=reason or "not in the file")


def _is_ours(entity: Entity) -> bool:
    tags = entity.body.get("tags")
    return owner_of(tuple(map(str, tags)) if isinstance(tags, list | tuple) else ()).ours


def _levels(steps: list[Step]) -> tuple[tuple[Step, ...], ...]:
    writes = [step for step in steps if step.writes and step.act is not Act.DELETE]
    deletes = [step for step in steps if step.act is Act.DELETE]
    ranks = sorted({rank(step.entity.kind) for step in steps})
    levels = [tuple(step for step in writes if rank(step.entity.kind) == one) for one in ranks]
    levels += [tuple(step for step in deletes if rank(step.entity.kind) == one) for one in reversed(ranks)]
    return tuple(level for level in levels if level)


def _adopted(wanted: tuple[Entity, ...], found: GatewayState) -> tuple[Entity, ...]:
    """The file's entities under the ids that the gateway has them by, what refers to them too."""
    there = {(one.kind, one.id) for one in found.entities}
    asked = {(one.kind, one.id) for one in wanted}
    free = {key: one.id for one in found.entities if (one.kind, one.id) not in asked and (key := _natural(one))}
    ids: dict[tuple[str, str], str] = {}
    adopted = []
    for one in sorted(wanted, key=lambda entity: rank(entity.kind)):
        entity = _redirected(one, ids) if ids else one
        key = _natural(entity)
        if (entity.kind, entity.id) not in there and key in free:
            ids[entity.kind, entity.id] = free[key]
            entity = structs.replace(entity, id=free[key])
        adopted.append(entity)
    return tuple(adopted)


def _natural(entity: Entity) -> tuple[object, ...] | None:
    """What no second entity of the kind may have; None for those of which there may be several."""
    kind = kind_of(entity.kind)
    values = [entity.body.get(name) for name in (*kind.key, *kind.ids)]
    plain = tuple(str(one.get("id")) if isinstance(one, Mapping) else one for one in values)
    if kind.name == "consumers":
        plain = plain[:1] if plain[0] else plain[1:]
    if kind.name == "certificates" or plain[0] in (None, "") or not all(_is_word(one) for one in plain):
        return None
    return (entity.kind, *plain)


def _is_word(value: object) -> bool:
    return value is None or isinstance(value, str | Secret)


def _redirected(entity: Entity, ids: Mapping[tuple[str, str], str]) -> Entity:
    """With references to the ids that others got."""
    kind = kind_of(entity.kind)
    changed = dict(entity.body)
    for name, other, key in referred(kind, entity.body):
        target = ids.get((other, key))
        if target is None:
            continue
        if name in kind.lists:
            listed = changed[name]
            changed[name] = [target if one == key else one for one in listed] if isinstance(listed, list) else listed
        elif name in kind.ids:
            changed[name] = target
        else:
            changed[name] = {"id": target}
    return structs.replace(entity, body=changed)


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}…"
