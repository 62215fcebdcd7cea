"""A Kong read as a whole: one listing for each kind, upstream and consumer group, several at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from queue import SimpleQueue

from pipeline.edge.collector import collector_paused
from pipeline.errors import Failed, GatewayAnswered, Refused
from pipeline.gateways.kong.client import AdminClient, Page
from pipeline.gateways.kong.entities import SERVICES, Fields, environments
from pipeline.gateways.kong.references import Key, all_referred, dangling
from pipeline.gateways.kong.stored import to_entities
from pipeline.model.kinds import KINDS, Kind, is_known
from pipeline.model.made_up import membership_id
from pipeline.model.plain_fields import wants_schema
from pipeline.model.route import Entity, Excluded, GatewayIdentity, GatewayState
from pipeline.model.secret_fields import Marks, schema_marks

CONCURRENCY = 8
_SWITCHED_OFF = (400, 405, 501)
_TRIES = 3
_NO_ENTITIES = ("tags", "cache", "proxy-cache")
_ISSUED = ("oauth2_tokens", "sessions", "acme_storage")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """One collection: its entities by name and id, what was left away and why, and the ids that the server listed; the
    ids of what they refer to, by kind, and the environments that they name."""

    kind: str
    entities: Sequence[Entity] = ()
    excluded: tuple[Excluded, ...] = ()
    listed: Set[str]
    referred: Mapping[str, set[str]] = field(default_factory=dict)
    environments: Set[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """One pass over all collections: entities in the order of kinds, names and ids."""

    entities: tuple[Entity, ...]
    excluded: tuple[Excluded, ...]
    listed: int
    dangling: frozenset[Key]
    environments: tuple[str, ...]


def read_state(admin: AdminClient) -> GatewayState:
    """Everything, consistent in itself, sorted. Requests: `GET /`, `GET /endpoints`, one listing per kind, upstream and
    consumer group, one more for each further thousand, and one schema for each plugin in use whose configuration has
    texts in fields that are not known to be plain (model/plain_fields.py).

    A reference to what was not listed means that someone wrote meanwhile: all is read anew. The same one found again
    is a fault of the gateway's, and its entity is left away by name. Failed when the gateway does not hold still,
    Refused when the dump would not be all that the server listed.
    """
    version = str(admin.root()["version"])
    unknown = _unknown_collections(admin)
    before: frozenset[Key] | None = None
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
    entities = reading.entities
    if reading.dangling:
        entities = tuple(one for one in entities if (one.kind, one.id) not in reading.dangling)
    lost = Counter(kind for kind, _ in reading.dangling)
    reason = "refer to what the gateway does not have"
    excluded = (*reading.excluded, *(Excluded(kind=kind, count=count, reason=reason) for kind, count in lost.items()))
    told = len(entities) + sum(one.count for one in excluded)
    if told != reading.listed:
        raise Refused(
            f"the gateway at {admin.url} listed {reading.listed} entities, the dump would hold or name {told} of them",
            hint="Something in front of the Admin API may change its answers: ask it directly, and report this.",
        )
    return GatewayState(
        identity=GatewayIdentity(product="kong", version=version, environments=reading.environments),
        entities=entities,
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
    parts = _all_parts(admin, unknown)
    if not any(part.kind == "services" for part in parts):
        raise Failed(
            f"the Kong at {admin.url} has no /services: it is older than 0.13",
            hint="Set gateway.dialect of the environment to apis, or leave it out.",
        )
    by_kind: dict[str, list[Sequence[Entity]]] = defaultdict(list)
    for part in sorted(parts, key=attrgetter("kind")):
        by_kind[part.kind].append(part.entities)
    entities = tuple(chain.from_iterable(_joined(sequences) for sequences in by_kind.values()))
    # As a rule nothing dangles: whole sets are compared first, single entities only where that fails. What has others
    # refer to it has one collection.
    there = {part.kind: part.listed for part in parts}
    whole = all(ids <= there.get(kind, set()) for part in parts for kind, ids in part.referred.items())
    return _Reading(
        entities=entities,
        excluded=_merged(one for part in parts for one in part.excluded),
        listed=sum(len(part.listed) for part in parts),
        dangling=frozenset() if whole else dangling(entities),
        environments=tuple(sorted({one for part in parts for one in part.environments})),
    )


def _joined(sequences: list[Sequence[Entity]]) -> Sequence[Entity]:
    return sequences[0] if len(sequences) == 1 else _sorted(list(chain.from_iterable(sequences)))


def _sorted(entities: list[Entity]) -> list[Entity]:
    """By name and id. A sort by one text is several times faster than one by both; most names are there once."""
    if len({one.name for one in entities}) < len(entities):
        entities.sort(key=attrgetter("id"))
    entities.sort(key=attrgetter("name"))
    return entities


def _all_parts(admin: AdminClient, unknown: tuple[str, ...]) -> list[_Part]:
    """All collections, and for each upstream and consumer group what is below it, as soon as that is known. Entities
    are made where they are listed, while other threads wait for answers."""
    below = {kind.references[kind.parent]: kind for kind in KINDS if kind.parent}
    parts: list[_Part] = []
    done: SimpleQueue[Future[_Part | None]] = SimpleQueue()
    with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="dump") as pool:

        def begin(listing: Callable[..., _Part | None], *words: object) -> int:
            pool.submit(listing, admin, *words).add_done_callback(done.put)
            return 1

        running = sum(begin(_part, kind, "", kind.name) for kind in KINDS if not kind.parent)
        running += sum(begin(_of_no_kind, name) for name in unknown)
        try:
            while running:
                part = done.get().result()
                running -= 1
                if part is not None:
                    parts.append(part)
                    if child := below.get(part.kind):
                        running += sum(
                            begin(_part, child, one.id, part.kind, one.id, *child.listing) for one in part.entities
                        )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return parts


def _part(admin: AdminClient, kind: Kind, parent: str, *words: str) -> _Part | None:
    """What is listed there of a kind; None where the server has no such collection. Each page is worked on when it
    comes."""
    referred: dict[str, set[str]] = defaultdict(set)
    named: set[str] = set()
    schemas = _Schemas(admin)

    def made(page: Page) -> dict[str, Entity]:
        if kind.membership:
            return {str(one.get("id")): _member(kind, parent, one) for one in page}
        for other, ids in all_referred(kind, page):
            referred[other] |= ids
        if kind.name == SERVICES:
            named.update(environments(page))
        return to_entities(kind, page, schemas.marks(page) if kind.name == "plugins" else {})

    found = admin.collect(made, *words)
    if found is None:
        return None
    kept = _newest(found.values()) if kind.name == "targets" else list(found.values())
    left = len(found) - len(kept)
    reason = "replaced by a newer one of the same address"
    return _Part(
        kind=kind.name,
        entities=_sorted(kept),
        excluded=(Excluded(kind=kind.name, count=left, reason=reason),) if left else (),
        listed=found.keys(),
        referred=referred,
        environments=named,
    )


def _of_no_kind(admin: AdminClient, name: str) -> _Part | None:
    """What is in a collection that we do not know; None for one that is switched off (Kong 3.4 answers 400 to
    /filter-chains without wasm) or is no collection."""
    try:
        found = admin.listing(name)
    except GatewayAnswered as error:
        if error.status in _SWITCHED_OFF:
            return None
        raise
    if found is None:
        return None
    ids = {str(one.get("id")) for one in found}
    return _Part(kind=name, excluded=tuple(_of_unknown(name, found)), listed=ids)


class _Schemas:
    """What the server's schemas call secret, of each plugin that has texts which may be; each asked once."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin
        self._known: dict[str, Marks] = {}

    def marks(self, plugins: Page) -> Mapping[str, Marks]:
        """Those of these plugins and of earlier ones, by name."""
        new: dict[str, None] = {}
        for one in plugins:
            name = str(one.get("name"))
            if name not in self._known and name not in new and wants_schema(name, one.get("config")):
                new[name] = None
        if new:
            with ThreadPoolExecutor(CONCURRENCY, thread_name_prefix="dump") as pool:
                schemas = pool.map(lambda name: self._admin.find("schemas", "plugins", name), new)
                self._known |= {name: schema_marks(schema) for name, schema in zip(new, schemas, strict=True)}
        return self._known


def _member(kind: Kind, parent: str, found: Fields) -> Entity:
    """Being in a group: of the consumer only its id counts."""
    consumer = str(found.get("id"))
    body = {"consumer": {"id": consumer}, "consumer_group": {"id": parent}}
    return Entity(kind=kind.name, id=membership_id(parent, consumer), name=consumer, body=body)


def _newest(targets: Iterable[Entity]) -> list[Entity]:
    """Kong before 2.2 keeps every target that was ever written: the last of an address counts."""
    newest: dict[object, Entity] = {}
    for target in targets:
        kept = newest.get(target.body.get("target"))
        if kept is None or target.created_at >= kept.created_at:
            newest[target.body.get("target")] = target
    return list(newest.values())


def _of_unknown(name: str, found: tuple[Fields, ...]) -> Iterator[Excluded]:
    if not found:
        return
    reason = "made at run time" if name in _ISSUED else "a kind that this toolkit does not know"
    if name == "workspaces":
        default = [one for one in found if one.get("name") == "default"]
        reason = "another workspace" if len(default) < len(found) else "the workspace that is dumped"
    yield Excluded(kind=name, count=len(found), reason=reason)


def _merged(excluded: Iterable[Excluded]) -> tuple[Excluded, ...]:
    counts: Counter[tuple[str, str]] = Counter()
    for one in excluded:
        counts[one.kind, one.reason] += one.count
    return tuple(Excluded(kind=kind, count=count, reason=reason) for (kind, reason), count in counts.items())
