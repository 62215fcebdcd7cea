"""A Kong of either dialect: what it answers decides which driver speaks to it, unless a setting does."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING

from pipeline.edge.json_api import Patience
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import SERVICES
from pipeline.gateways.kong.services_routes import KongGateway
from pipeline.model.address import GatewayAddress
from pipeline.model.clock import Clock
from pipeline.model.dialect import Dialect
from pipeline.model.plan import Change
from pipeline.model.route import FoundRoute, GatewayIdentity, GatewayState, Route
from pipeline.model.uri_route import UriRoute

if TYPE_CHECKING:
    from pipeline.gateways.base import Custody
    from pipeline.gateways.kong.apis import ApisGateway
    from pipeline.gateways.kong.restorer import KongRestorer

_APIS = "apis"


class AnyKong:
    """Decides once and delegates (gateways.base.GatewayByUri). `dialect` None: the server's answers decide, as
    docs/decisions/kong-dialects.md says; a plan that finds nothing to do pays no request for it."""

    def __init__(
        self,
        address: GatewayAddress,
        *,
        clock: Clock,
        environment: str,
        dialect: Dialect | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._admin = AdminClient(address, clock=clock, patience=patience)
        self._services = KongGateway(address, clock=clock, admin=self._admin)
        self._environment = environment
        self._dialect = dialect
        self._because = "gateway.dialect says so" if dialect else ""

    def identity(self) -> GatewayIdentity:
        """As Gateway.identity, with the reason for the dialect."""
        return replace(self._driver().identity(), because=self._because)

    def routes(self) -> tuple[FoundRoute, ...]:
        """As Gateway.routes; one request more when nothing was decided yet."""
        return self._driver().routes()

    def plan(self, wanted: Route) -> tuple[Change, ...]:
        """As Gateway.plan. The first request of the services dialect tells as well which dialect it is: an entity with
        tags, or an api of the name. Only for what neither has `GET /` is asked."""
        if self._dialect is not None:
            return self._driver().plan(wanted)
        service = self._admin.find(SERVICES, wanted.service)
        if service is not None and "tags" in service:
            self._choose(Dialect.SERVICES, "its services have tags")
            return self._services.plan_from(wanted, service)
        api = self._admin.find(_APIS, wanted.service)
        if api is not None:
            self._choose(Dialect.APIS, f"it has the api {wanted.service}")
            return self._apis.plan_from(wanted, api)
        if self._driver() is self._apis:
            return self._apis.plan_from(wanted, None)
        return self._services.plan_from(wanted, service)

    def plan_uri(self, wanted: UriRoute) -> tuple[Change, ...]:
        """As GatewayByUri.plan_uri; one request more when nothing was decided yet."""
        return self._driver().plan_uri(wanted)

    def apply(self, changes: Sequence[Change]) -> None:
        """As Gateway.apply."""
        self._driver().apply(changes)

    def revert(self, changes: Sequence[Change]) -> None:
        """As Gateway.revert."""
        self._driver().revert(changes)

    def dump(self) -> GatewayState:
        """As Gateway.dump."""
        return self._driver().dump()

    @property
    def restorer(self) -> KongRestorer:
        """What a restore writes with; one request when nothing was decided yet."""
        return self._driver().restorer

    @property
    def custody(self) -> Custody:
        """Of its dialect."""
        return self._driver().custody

    def close(self) -> None:
        """Lets the connection go."""
        self._admin.close()

    @cached_property
    def _apis(self) -> ApisGateway:
        from pipeline.gateways.kong.apis import ApisGateway

        return ApisGateway(self._admin, environment=self._environment)

    def _driver(self) -> KongGateway | ApisGateway:
        if self._dialect is None:
            version = str(self._admin.root()["version"])
            if version.startswith("0."):
                self._choose(Dialect.APIS, f"the routes of a Kong {version} have no names and no tags")
            else:
                self._choose(Dialect.SERVICES, f"a Kong {version} has no /apis")
        return self._services if self._dialect is Dialect.SERVICES else self._apis

    def _choose(self, dialect: Dialect, because: str) -> None:
        self._dialect, self._because = dialect, because
