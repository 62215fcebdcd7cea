"""The driver for Kongs with the legacy /apis: names and no tags, so Kong 0.10 – 0.14 (recorded: 0.14.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipeline.errors import Failed
from pipeline.gateways.kong.apis_entities import APIS, found_api, legacy_entity, plan_api
from pipeline.gateways.kong.by_uri import plan_on_apis
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import Fields
from pipeline.gateways.kong.wording import PLUGINS, ApisWording
from pipeline.gateways.kong.writes import Writes
from pipeline.model.dialect import Dialect
from pipeline.model.plan import Change, writing
from pipeline.model.route import Excluded, FoundRoute, GatewayIdentity, GatewayState, Route
from pipeline.model.uri_route import UriRoute

if TYPE_CHECKING:
    from pipeline.gateways.kong.apis_restorer import ApisRestorer
    from pipeline.gateways.kong.custody import ApisCustody

_SCOPED = "on consumers, services or routes"
_OTHERS = "of an /apis gateway only apis and their plugins are dumped"
_NOT_EXPORTED = (
    "services",
    "routes",
    "consumers",
    "key-auths",
    "basic-auths",
    "hmac-auths",
    "jwts",
    "oauth2",
    "acls",
    "upstreams",
    "certificates",
    "snis",
)
_TRIES = 3
_SIZE = 1000


class ApisGateway:
    """A Kong, by /apis of its Admin API (gateways.base.Gateway). `environment` is whose gateway it is: nothing in it
    can say so."""

    def __init__(self, admin: AdminClient, *, environment: str) -> None:
        self._admin = admin
        self._environment = environment
        self._writes = Writes(admin, ApisWording())

    def identity(self) -> GatewayIdentity:
        """As Gateway.identity; one request. No environment: apis carry none."""
        return GatewayIdentity(product="kong", version=str(self._admin.root()["version"]), dialect=Dialect.APIS)

    def routes(self) -> tuple[FoundRoute, ...]:
        """As Gateway.routes, sorted by name and id: one request, one more for each further thousand, and one."""
        found = (found_api(api, self._environment) for api in self._whole(APIS))
        return tuple(sorted(found, key=lambda route: (route.name, route.id)))

    def plan(self, wanted: Route) -> tuple[Change, ...]:
        """As Gateway.plan: one request for a new service, else two."""
        return self.plan_from(wanted, self._admin.find(APIS, wanted.service))

    def plan_from(self, wanted: Route, api: Fields | None) -> tuple[Change, ...]:
        """The plan, when the api of the service's name was read already."""
        changes = plan_api(wanted, api, self._plugins_of(wanted.service) if api else ())
        if writing(changes):
            self._admin.require_uris()
        return changes

    def plan_uri(self, wanted: UriRoute) -> tuple[Change, ...]:
        """As GatewayByUri.plan_uri; one request, two for more than a thousand apis."""
        return plan_on_apis(wanted, self._whole(APIS))

    def apply(self, changes: Sequence[Change]) -> None:
        """As Gateway.apply."""
        self._writes.apply(changes)

    def revert(self, changes: Sequence[Change]) -> None:
        """As Gateway.revert."""
        self._writes.revert(changes)

    def dump(self) -> GatewayState:
        """As Gateway.dump: apis, and plugins that are on an api or on everything. The rest is counted."""
        apis, plugins = self._whole(APIS), self._whole(PLUGINS)
        known = {str(api["id"]) for api in apis}
        exported = [one for one in plugins if _is_exported(one, known)]
        entities = [legacy_entity(APIS, one) for one in apis] + [legacy_entity(PLUGINS, one) for one in exported]
        left = [Excluded(kind=PLUGINS, count=len(plugins) - len(exported), reason=_SCOPED)]
        left += [Excluded(kind=kind, count=self._count(kind), reason=_OTHERS) for kind in _NOT_EXPORTED]
        return GatewayState(
            identity=self.identity(),
            entities=tuple(sorted(entities, key=lambda entity: (entity.kind, entity.name, entity.id))),
            excluded=tuple(sorted(one for one in left if one.count)),
        )

    @property
    def restorer(self) -> ApisRestorer:
        """What a restore writes with."""
        from pipeline.gateways.kong.apis_restorer import ApisRestorer

        return ApisRestorer(self._admin)

    @property
    def custody(self) -> ApisCustody:
        """Whose its apis are."""
        from pipeline.gateways.kong.custody import ApisCustody

        return ApisCustody(self._admin, self._whole)

    def close(self) -> None:
        """Lets the connection go."""
        self._admin.close()

    def _whole(self, kind: str) -> tuple[Fields, ...]:
        """Every entity, each once. Pages have no defined order there and may overlap (0.14.1: 226 distinct of 250), so
        the server's own total decides; what is missing comes with one page as long as the list."""
        size = _SIZE
        for _ in range(_TRIES):
            found, total = self._walk(kind, size)
            if len(found) >= total:
                return tuple(found.values())
            size = total + _SIZE
        raise Failed(
            f"the list {self._admin.url}/{kind} came {_TRIES} times with fewer entities than its own total",
            hint="Run it again when nobody writes to the gateway.",
        )

    def _walk(self, kind: str, size: int) -> tuple[dict[str, Fields], int]:
        """What the pages of a list hold, by id, and how many there should be. A repeated offset is the end."""
        found: dict[str, Fields] = {}
        offsets = [""]
        while True:
            page = self._page(kind, size, offsets[-1])
            data, total, offset = page.get("data"), page.get("total"), page.get("offset")
            found |= {str(one["id"]): one for one in data if "id" in one} if isinstance(data, list) else {}
            if not isinstance(offset, str) or offset in offsets:
                return found, total if isinstance(total, int) else len(found)
            offsets.append(offset)

    def _page(self, kind: str, size: int, offset: str) -> Fields:
        page = self._admin.find(kind, size=size, offset=offset)
        if page is None:
            raise Failed(
                f"the Kong at {self._admin.url} has no /{kind}: it is 0.15 or newer",
                hint="Set gateway.dialect of the environment to services, or leave it out.",
            )
        return page

    def _plugins_of(self, service: str) -> tuple[Fields, ...]:
        page = self._admin.find(APIS, service, PLUGINS, size=_SIZE)
        data = page.get("data") if page else None
        return tuple(data) if isinstance(data, list) else ()

    def _count(self, kind: str) -> int:
        page = self._admin.find(kind, size=_SIZE)
        if page is None:
            return 0
        total = page.get("total")
        return total if isinstance(total, int) else len(self._admin.listing(kind) or ())


def _is_exported(plugin: Fields, apis: set[str]) -> bool:
    scoped = any(plugin.get(scope) for scope in ("consumer_id", "service_id", "route_id"))
    on_an_api = plugin.get("api_id") is None or str(plugin["api_id"]) in apis
    return not scoped and on_an_api
