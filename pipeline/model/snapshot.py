"""A snapshot: all that is deployed in one environment at one moment, and what of it could not be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from pipeline.model.history import History, history_of
from pipeline.model.record import Lease, Record
from pipeline.model.route import FoundRoute, FoundUpstream, stack_of_upstream, tag_word
from pipeline.model.stack import FoundStack
from pipeline.model.surroundings import Surroundings


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """`missing` says per source why it could not be read; its part is empty then. `upstreams` are the gateway's own
    groups of targets; `tags` of registries by repository and `artifacts` are read where they are asked for; `branches`
    that exist in the repository, None when that cannot be told."""

    environment: str
    stacks: tuple[FoundStack, ...] = ()
    routes: tuple[FoundRoute, ...] = ()
    upstreams: tuple[FoundUpstream, ...] = ()
    records: tuple[Record, ...] = ()
    leases: tuple[Lease, ...] = ()
    surroundings: Surroundings = field(default_factory=Surroundings)
    branches: frozenset[str] | None = None
    missing: tuple[tuple[str, str], ...] = ()

    @property
    def now(self) -> float:
        """By the platform's clock."""
        return self.surroundings.now

    @property
    def services(self) -> tuple[str, ...]:
        """Every service that has a stack or a route of ours here."""
        environment = tag_word(self.environment)
        routed = {route.owner.service for route in self.routes if route.owner.environment == environment}
        return tuple(sorted(({stack.service for stack in self.stacks} | routed) - {""}))

    def of(self, service: str) -> tuple[FoundStack, ...]:
        return self._by_service.get(service, ())

    def is_recorded(self, service: str) -> bool:
        """Whether the records know the service at all."""
        return service in self._records_of

    def history(self, service: str) -> History:
        return history_of(service, self._records_of.get(service, ()))

    def routes_to(self, stack: FoundStack) -> tuple[FoundRoute, ...]:
        """The routes whose requests reach the stack: by its name in the upstream or in one of its targets, or by a port
        that it published and that a route with its tag leads to."""
        named = self._routes_by_stack.get(stack.name, ())
        return _once(named, tuple(one for one in self._routes_by_ports(stack) if one.owner.stack == stack.name))

    def may_reach(self, stack: FoundStack) -> tuple[FoundRoute, ...]:
        """Those, and every route to a port of that number: whose host that is cannot be told from here."""
        return _once(self._routes_by_stack.get(stack.name, ()), self._routes_by_ports(stack))

    def destinations(self, route: FoundRoute) -> tuple[str, ...]:
        """`host:port` of all that the route leads to: its upstream, or the targets behind that name."""
        return self._places[route.id]

    def named_stacks(self, route: FoundRoute) -> tuple[str, ...]:
        """The stacks that the route leads to by their names, whether they are there or not."""
        return self._named[route.id]

    def _routes_by_ports(self, stack: FoundStack) -> tuple[FoundRoute, ...]:
        ports = {outside.rpartition(":")[2] for one in stack.containers for _, outside in one.ports}
        return tuple(route for port in sorted(ports) for route in self._routes_by_port.get(port, ()))

    def _destinations(self, route: FoundRoute) -> tuple[str, ...]:
        try:
            parts = urlsplit(route.upstream)
            targets = self._targets.get(parts.hostname or "") if self.upstreams else None
        except ValueError:
            # Somebody wrote what is no URL: it leads to none of ours.
            return ()
        return targets if targets else (parts.netloc,) if parts.netloc else ()

    @cached_property
    def _places(self) -> Mapping[str, tuple[str, ...]]:
        return {route.id: self._destinations(route) for route in self.routes}

    @cached_property
    def _named(self) -> Mapping[str, tuple[str, ...]]:
        found = {}
        for key, places in self._places.items():
            names = (stack_of_upstream(f"http://{place}") for place in places)
            found[key] = tuple(dict.fromkeys(name for name in names if name))
        return found

    @cached_property
    def _by_service(self) -> Mapping[str, tuple[FoundStack, ...]]:
        found: dict[str, list[FoundStack]] = defaultdict(list)
        for stack in self.stacks:
            found[stack.service].append(stack)
        return {service: tuple(stacks) for service, stacks in found.items()}

    @cached_property
    def _records_of(self) -> Mapping[str, tuple[Record, ...]]:
        found: dict[str, list[Record]] = defaultdict(list)
        for record in self.records:
            found[record.service].append(record)
        return {service: tuple(records) for service, records in found.items()}

    @cached_property
    def _targets(self) -> Mapping[str, tuple[str, ...]]:
        return {one.name: one.targets for one in self.upstreams}

    @cached_property
    def _routes_by_stack(self) -> Mapping[str, tuple[FoundRoute, ...]]:
        found: dict[str, list[FoundRoute]] = defaultdict(list)
        for route in self.routes:
            for name in self.named_stacks(route):
                found[name].append(route)
        return {name: tuple(routes) for name, routes in found.items()}

    @cached_property
    def _routes_by_port(self) -> Mapping[str, tuple[FoundRoute, ...]]:
        found: dict[str, list[FoundRoute]] = defaultdict(list)
        known = {stack.name for stack in self.stacks}
        for route in self.routes:
            named = self.named_stacks(route)
            if len(named) == len(self.destinations(route)) and known.issuperset(named):
                continue
            for place in self.destinations(route):
                if ":" in place and stack_of_upstream(f"http://{place}") not in known:
                    found[place.rpartition(":")[2]].append(route)
        return {port: tuple(routes) for port, routes in found.items()}


def _once(one: tuple[FoundRoute, ...], other: tuple[FoundRoute, ...]) -> tuple[FoundRoute, ...]:
    return tuple(dict.fromkeys((*one, *other))) if other else one
