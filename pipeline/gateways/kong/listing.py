"""A Kong read as a whole: one listing for each kind, upstream and consumer group, several at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from operator import attrgetter

from pipeline.edge.collector import collector_paused
from pipeline.errors import Failed, GatewayAnswered, Refused
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import Fields, environments
from pipeline.gateways.kong.stored import to_entity
from pipeline.model.kinds import KINDS, Kind, is_known, kind_of
from pipeline.model.made_up import membership_id
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState
from pipeline.model.secret_fields import Marks, schema_marks

CONCURRENCY = 8
_SWITCHED_OFF = (400, 405, 501)
_TRIES = 3
_NO_ENTITIES = ("tags", "cache", "proxy-cache")
_ISSUED = ("oauth2_tokens", "sessions", "acme_storage")
_Listed = dict[tuple[str, str], tuple[Fields, ...] | None]
"""Kind and parent's id (empty for the kinds that have a collection) → what was listed; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One pass over all collections: entities by kind, what was left away and why, how many the server listed."""

    entities: tuple[Entity, ...]
    excluded: tuple[Excluded, ...]
    listed: int
    dangling: frozenset[tuple[str, str]]


def read_state(admin: AdminClient) -> GatewayState:
    """Everything, consistent in itself, sorted. Requests: `GET /`, `GET /endpoints`, one listing per kind, upstream and
    consumer group, one more for each further thousand, and one schema for each plugin in use that has texts to judge.

    A reference to what was not listed means that someone wrote meanwhile: all is read anew. The same one found again
    is a fault of the gateway's, and its entity is left away by name. Failed when the gateway does not hold still,
    Refused when the dump would not be all that the server listed.
    """
    version = str(admin.root()["version"])
    unknown = _unknown_collections(admin)
    before: frozenset[tuple[str, str]] | None = None
    for _ in range(_TRIES):
        with collector_paused():
            reading = _read(admin, unknown)
            if not reading.dangling or reading.dangling == before:
                return _state(admin, version, reading)
        before = reading.dangling
    raise Failed(
        f"the gateway at {admin.url} changed each of {_TRIES} times while it was read",
        hint="Run it again when nobody writes to the gateway.",
    )


def _state(admin: AdminClient, version: str, reading: _Reading) -> GatewayState:
    lost_ones = reading.dangling
    entities = (
        [one for one in reading.entities if (one.kind, one.id) not in lost_ones]
        if lost_ones
        else list(reading.entities)
    )
    lost = Counter(kind for kind, _ in reading.dangling)
    reason = "refer to what the gateway does not have"
    excluded = (*reading.excluded, *(Excluded(kind=kind, count=count, reason=reason) for kind, count in lost.items()))
    told = len(entities) + sum(one.count for one in excluded)
    if told != reading.listed:
        raise Refused(
            f"the gateway at {admin.url} listed {reading.listed} entities, the dump would hold or name {told} of them",
            hint="Something in front of the Admin API may change its answers: ask it directly, and report this.",
        )
    # By kind, name and id; three stable sorts by one text each take a third of one by all of them.
    for name in ("id", "name", "kind"):
        entities.sort(key=attrgetter(name))
    found = tuple(one.body for one in entities if one.kind == "services")
    return GatewayState(
        identity=GatewayIdentity(product="kong", version=version, environments=environments(found)),
        entities=tuple(entities),
        excluded=tuple(sorted(excluded)),
    )


def _unknown_collections(admin: AdminClient) -> tuple[str, ...]:
    """Collections that the server has and this toolkit does not know, by its own list of URLs (none before Kong 2.1):
    `/things` with a `/things/{…}` below it."""
    page = admin.find("endpoints")
    urls = page.get("data") if page is not None else None
    parts = [str(url).strip("/").split("/") for url in urls] if isinstance(urls, list) else []
    items = {words[0] for words in parts if len(words) == 2 and words[1].startswith("{")}
    names = {words[0] for words in parts if len(words) == 1} & items
    return tuple(sorted(name for name in names if not is_known(name) and name not in _NO_ENTITIES))


def _read(admin: AdminClient, unknown: tuple[str, ...]) -> _Reading:
    listed = _list_all(admin, unknown)
    if listed["services", ""] is None:
        raise Failed(
            f"the Kong at {admin.url} has no /services: it is older than 0.13",
            hint="Kongs with /apis are not supported yet.",
        )
    marks = _marks(admin, listed)
    entities: list[Entity] = []
    excluded: list[Excluded] = []
    count = 0
    for (name, parent), found in sorted(listed.items()):
        if found is None:
            continue
        count += len(found)
        if not is_known(name):
            excluded += _of_unknown(name, found)
            continue
        kind = kind_of(name)
        kept = _newest(found) if name == "targets" else found
        if len(kept) < len(found):
            left = len(found) - len(kept)
            excluded.append(Excluded(kind=name, count=left, reason="replaced by a newer one of the same address"))
        entities += [_entity(kind, parent, one, marks) for one in kept]
    return _Reading(entities=tuple(entities), excluded=_merged(excluded), listed=count, dangling=_dangling(entities))


def _list_all(admin: AdminClient, unknown: tuple[str, ...]) -> _Listed:
    """All collections, and for each upstream and consumer group what is below it, as soon as that is known."""
    below = {kind.references[kind.parent]: kind for kind in KINDS if kind.parent}
    listed: _Listed = {}
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="dump") as pool:
        running: dict[Future[tuple[Fields, ...] | None], tuple[str, str]] = {
            pool.submit(admin.listing, kind.name): (kind.name, "") for kind in KINDS if not kind.parent
        }
        running |= {pool.submit(_of_no_kind, admin, name): (name, "") for name in unknown}
        try:
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    name, parent = running.pop(future)
                    listed[name, parent] = found = future.result()
                    child = below.get(name)
                    if child is None:
                        continue
                    for entity in found or ():
                        words = (name, str(entity["id"]), *child.listing)
                        running[pool.submit(admin.listing, *words)] = (child.name, str(entity["id"]))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return listed


def _of_no_kind(admin: AdminClient, name: str) -> tuple[Fields, ...] | None:
    """What is in a collection that we do not know; None for one that is switched off (Kong 3.4 answers 400 to
    /filter-chains without wasm) or is no collection."""
    try:
        return admin.listing(name)
    except GatewayAnswered as error:
        if error.status in _SWITCHED_OFF:
            return None
        raise


def _marks(admin: AdminClient, listed: _Listed) -> Mapping[str, Marks]:
    """What the server's schemas call secret, for each plugin that has texts in its configuration."""
    plugins = listed.get(("plugins", "")) or ()
    names: list[str] = []
    for one in plugins:
        if one.get("name") not in names and _has_text(one.get("config")):
            names.append(str(one.get("name")))
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="dump") as pool:
        schemas = pool.map(lambda name: admin.find("schemas", "plugins", name), names)
        return {name: schema_marks(schema) for name, schema in zip(names, schemas, strict=True)}


def _has_text(value: object) -> bool:
    if isinstance(value, str):
        return bool(value)
    if isinstance(value, dict):
        return any(map(_has_text, value.values()))
    return any(map(_has_text, value)) if isinstance(value, list) else False


def _entity(kind: Kind, parent: str, found: Fields, marks: Mapping[str, Marks]) -> Entity:
    if not kind.membership:
        return to_entity(kind.name, found, marks.get(str(found.get("name")), frozenset()))
    consumer = str(found.get("id"))
    body = {"consumer": {"id": consumer}, "consumer_group": {"id": parent}}
    return Entity(kind=kind.name, id=membership_id(parent, consumer), name=consumer, body=body)


def _newest(targets: tuple[Fields, ...]) -> tuple[Fields, ...]:
    """Kong before 2.2 keeps every target that was ever written: the last of an address counts."""
    newest: dict[object, Fields] = {}
    for target in targets:
        kept = newest.get(target.get("target"))
        if kept is None or _age(target) >= _age(kept):
            newest[target.get("target")] = target
    return tuple(newest.values())


def _age(target: Fields) -> float:
    value = target.get("created_at")
    return float(value) if isinstance(value, int | float) else 0.0


def _of_unknown(name: str, found: tuple[Fields, ...]) -> Iterator[Excluded]:
    if not found:
        return
    reason = "made at run time" if name in _ISSUED else "a kind that this toolkit does not know"
    if name == "workspaces":
        default = [one for one in found if one.get("name") == "default"]
        reason = "another workspace" if len(default) < len(found) else "the workspace that is dumped"
    yield Excluded(kind=name, count=len(found), reason=reason)


def _merged(excluded: list[Excluded]) -> tuple[Excluded, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for one in excluded:
        counts[one.kind, one.reason] += one.count
    return tuple(Excluded(kind=kind, count=count, reason=reason) for (kind, reason), count in counts.items())


def _dangling(entities: list[Entity]) -> frozenset[tuple[str, str]]:
    """Entities that refer, themselves or by what they refer to, to what is not there."""
    there: dict[str, set[str]] = {kind.name: set() for kind in KINDS}
    for entity in entities:
        there[entity.kind].add(entity.id)
    refers = {kind.name: kind for kind in KINDS if kind.references or kind.lists}
    referring = [(entity, refers[entity.kind]) for entity in entities if entity.kind in refers]
    found: set[tuple[str, str]] = set()
    while True:
        lost = [one for one, kind in referring if one.id in there[one.kind] and _is_lost(kind, one.body, there)]
        if not lost:
            return frozenset(found)
        for one in lost:
            there[one.kind].discard(one.id)
            found.add((one.kind, one.id))


def _is_lost(kind: Kind, body: Fields, there: Mapping[str, set[str]]) -> bool:
    for name, other in kind.references.items():
        value = body.get(name)
        if value and isinstance(value, dict) and value.get("id") not in there[other]:
            return True
    return any(
        not there[other].issuperset(ids)
        for name, other in kind.lists.items()
        if isinstance(ids := body.get(name), list)
    )
