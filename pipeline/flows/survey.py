"""survey: every source of an environment → Snapshot. Each is read once; one that cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar
from urllib.parse import urlsplit

from pipeline.errors import PipelineError
from pipeline.gateways.base import Custody, Gateway
from pipeline.ledgers.base import Leases, Records
from pipeline.model.adoption import adopted
from pipeline.model.record import Lease, Record
from pipeline.model.route import FoundRoute, FoundUpstream
from pipeline.model.snapshot import Snapshot
from pipeline.model.stack import FoundStack
from pipeline.model.surroundings import Surroundings
from pipeline.platforms.base import Platform, Upkeep

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where a snapshot is read; each opens its driver, which may fail. What is None is not asked: its part stays
    empty. `branches` gives those of the repository, None when it cannot tell."""

    platform: Callable[[], Platform]
    gateway: Callable[[], Gateway]
    upkeep: Callable[[], Upkeep] | None = None
    custody: Callable[[], Custody] | None = None
    records: Callable[[], Records] | None = None
    leases: Callable[[], Leases] | None = None
    branches: Callable[[], frozenset[str] | None] | None = None


def survey(environment: str, sources: Sources) -> Snapshot:
    """What is there, read side by side: the platform (its stacks, then its records), what else lies on it, the gateway
    (its routes, then what they lead through), the leases, the repository."""
    reader = _Reader()
    upkeep, held, branches = sources.upkeep, sources.leases, sources.branches
    no_leases: tuple[Lease, ...] = ()
    with ThreadPoolExecutor(max_workers=5) as pool:
        platform = pool.submit(_of_platform, reader, sources)
        gateway = pool.submit(_of_gateway, reader, sources)
        around = pool.submit(reader.read, "surroundings", upkeep and (lambda: upkeep().surroundings()), Surroundings())
        leases = pool.submit(reader.read, "leases", held and (lambda: held().all()), no_leases)
        existing = pool.submit(branches) if branches else None
    stacks, records = platform.result()
    routes, upstreams = gateway.result()
    found = around.result()
    ours, strangers = adopted(stacks, found.strangers, records, environment)
    return Snapshot(
        environment=environment,
        stacks=ours,
        routes=routes,
        upstreams=upstreams,
        records=records,
        leases=leases.result(),
        surroundings=replace(found, strangers=strangers),
        branches=existing.result() if existing else None,
        missing=tuple(sorted(reader.missing)),
    )


class _Reader:
    """Reads sources and keeps why one could not be read."""

    def __init__(self) -> None:
        self.missing: list[tuple[str, str]] = []

    def read(self, source: str, ask: Callable[[], Found] | None, nothing: Found) -> Found:
        try:
            return nothing if ask is None else ask()
        except PipelineError as error:
            self.missing.append((source, error.what))
            return nothing


def _of_platform(reader: _Reader, sources: Sources) -> tuple[tuple[FoundStack, ...], tuple[Record, ...]]:
    """One after the other: they share a connection."""
    no_stacks: tuple[FoundStack, ...] = ()
    stacks = reader.read("platform", lambda: sources.platform().stacks(), no_stacks)
    records = sources.records
    return stacks, reader.read("records", records and (lambda: records().all()), ())


def _of_gateway(reader: _Reader, sources: Sources) -> tuple[tuple[FoundRoute, ...], tuple[FoundUpstream, ...]]:
    """The second asks for names that the first has found."""
    no_routes: tuple[FoundRoute, ...] = ()
    routes = reader.read("gateway", lambda: sources.gateway().routes(), no_routes)
    no_upstreams: tuple[FoundUpstream, ...] = ()
    custody = sources.custody
    if custody is None:
        return routes, no_upstreams
    return routes, reader.read("gateway's upstreams", lambda: custody().upstreams(hosts_of(routes)), no_upstreams)


def hosts_of(routes: tuple[FoundRoute, ...]) -> frozenset[str]:
    """The hosts that routes lead to: each may be a name for several targets."""
    found = set()
    for route in routes:
        try:
            found.add(urlsplit(route.upstream).hostname or "")
        except ValueError:
            continue
    return frozenset(found - {""})
