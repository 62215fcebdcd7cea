"""The driver for Kongs with services and routes: names and tags, so Kong ≥ 1.1 (recorded: 2.8.5 and 3.4.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.edge.json_api import Patience
from pipeline.errors import Failed, Refused
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import (
    ROUTES,
    SERVICES,
    Fields,
    environments,
    find_ours,
    found_route,
    plan_changes,
    refuse_foreign,
    service_id,
)
from pipeline.gateways.kong.plugins import TagMarks, kept_plugins, plan_plugins, with_plugins
from pipeline.gateways.kong.wording import PLUGINS, ServicesWording
from pipeline.gateways.kong.writes import Writes
from pipeline.model.address import GatewayAddress
from pipeline.model.clock import Clock
from pipeline.model.plan import Change, writing
from pipeline.model.route import PIPELINE_TAG, FoundRoute, GatewayIdentity, GatewayState, Route
from pipeline.model.uri_route import UriRoute

if TYPE_CHECKING:
    from pipeline.gateways.kong.custody import ServicesCustody
    from pipeline.gateways.kong.restorer import KongRestorer


class KongGateway:
    """A Kong, by its Admin API (gateways.base.Gateway)."""

    def __init__(
        self,
        address: GatewayAddress,
        *,
        clock: Clock,
        patience: Patience | None = None,
        admin: AdminClient | None = None,
    ) -> None:
        self._admin = admin or AdminClient(address, clock=clock, patience=patience)
        self._writes = Writes(self._admin, ServicesWording())

    def identity(self) -> GatewayIdentity:
        """As Gateway.identity; two requests, one more for each further thousand services of ours."""
        version = str(self._admin.root()["version"])
        ours = self._list(SERVICES, tags=PIPELINE_TAG)
        return GatewayIdentity(product="kong", version=version, environments=environments(ours))

    def routes(self) -> tuple[FoundRoute, ...]:
        """As Gateway.routes, sorted by name and id: two requests, one more for each further thousand."""
        services = {str(service["id"]): service for service in self._list(SERVICES)}
        found = (found_route(route, services.get(service_id(route))) for route in self._list(ROUTES))
        return tuple(sorted(found, key=lambda route: (route.name, route.id)))

    def plan(self, wanted: Route) -> tuple[Change, ...]:
        """As Gateway.plan: three requests when nothing differs or the upstream does, up to three more for what is
        new or differs."""
        return self.plan_from(wanted, self._admin.find(SERVICES, wanted.service))

    def plan_from(self, wanted: Route, service: Fields | None) -> tuple[Change, ...]:
        """The plan, when the Kong service of the service's name was read already."""
        if service is None or "tags" not in service:
            self._admin.require_writable()
        plugins: tuple[Fields, ...] = ()
        if service is None:
            route = self._elsewhere(wanted, service)
        else:
            refuse_foreign(wanted, SERVICES, service)
            under_it = self._admin.listing(SERVICES, wanted.service, ROUTES) or ()
            route = find_ours(wanted, under_it) or self._elsewhere(wanted, service)
            plugins = self._admin.listing(SERVICES, wanted.service, PLUGINS) or ()
        steps = with_plugins(plan_changes(wanted, service, route), plan_plugins(wanted, plugins, TagMarks()))
        if writing(steps):
            self._admin.require_writable()
            return (*self._on_route(wanted, route), *steps)
        return steps

    def plan_uri(self, wanted: UriRoute) -> tuple[Change, ...]:
        """As GatewayByUri.plan_uri; two requests, one more for each further thousand entities."""
        from pipeline.gateways.kong.by_uri import plan_on_services

        changes = plan_on_services(wanted, self._list(SERVICES), self._list(ROUTES))
        if changes:
            self._admin.require_writable()
        return changes

    def apply(self, changes: Sequence[Change]) -> None:
        """As Gateway.apply."""
        self._writes.apply(changes)

    def revert(self, changes: Sequence[Change]) -> None:
        """As Gateway.revert."""
        self._writes.revert(changes)

    def dump(self) -> GatewayState:
        """As Gateway.dump; the requests are listed at `read_state`."""
        from pipeline.gateways.kong.listing import read_state

        return read_state(self._admin)

    @property
    def restorer(self) -> KongRestorer:
        """What a restore writes with."""
        from pipeline.gateways.kong.restorer import KongRestorer

        return KongRestorer(self._admin)

    @property
    def custody(self) -> ServicesCustody:
        """Whose its routes are."""
        from pipeline.gateways.kong.custody import ServicesCustody

        return ServicesCustody(self._admin)

    def close(self) -> None:
        """Lets the connection go."""
        self._admin.close()

    def _list(self, kind: str, *, tags: str = "") -> tuple[Fields, ...]:
        found = self._admin.listing(kind, tags=tags)
        if found is None:
            raise Failed(
                f"the Kong at {self._admin.url} has no /{kind}: it is older than 0.13",
                hint="Set gateway.dialect of the environment to apis, or leave it out.",
            )
        return found

    def _on_route(self, wanted: Route, route: Fields | None) -> tuple[Change, ...]:
        """The plugins that someone set on our route, where we set none. Asked only when something is written."""
        found = self._admin.listing(ROUTES, str(route["id"]), PLUGINS) if route else None
        return tuple(kept_plugins(wanted, found or (), "the route"))

    def _elsewhere(self, wanted: Route, service: Fields | None) -> Fields | None:
        """A route of our name that is not under our Kong service: ours, detached by hand, or someone else's."""
        found = self._admin.find(ROUTES, wanted.service)
        if found is None:
            return None
        refuse_foreign(wanted, ROUTES, found)
        if service is None:
            raise Refused(
                f"the gateway has the route {wanted.service!r} of this service, and not the Kong service it belongs to",
                hint=f"Restore the gateway from its last artifact, or remove the route {found['id']}.",
            )
        return found
