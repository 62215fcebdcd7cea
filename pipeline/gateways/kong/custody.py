"""Whose a Kong's routes are, in both dialects (gateways.base.Custody): taking over, and removing what leads nowhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from pipeline.errors import Failed, Refused
from pipeline.gateways.kong.apis_entities import APIS
from pipeline.gateways.kong.client import AdminClient
from pipeline.gateways.kong.entities import ROUTES, SERVICES, Fields, is_our_tag, service_id, tags_of
from pipeline.gateways.kong.writes import agrees
from pipeline.model.kinds import SERVER_MADE
from pipeline.model.plan import Change, Verb
from pipeline.model.route import FoundRoute, FoundUpstream, Owner, tags_of_owner

_UPSTREAMS = "upstreams"
Whole = Callable[[str], tuple[Fields, ...]]
"""Lists a collection to its real end."""


class ServicesCustody:
    """Services and routes: a route is taken over with the Kong service that only it leads to."""

    def __init__(self, admin: AdminClient) -> None:
        self._admin = admin

    def upstreams(self, names: Collection[str]) -> tuple[FoundUpstream, ...]:
        return found_upstreams(self._admin, lambda kind: self._admin.listing(kind) or (), names)

    def plan_removal(self, route: FoundRoute) -> tuple[Change, ...]:
        """As Custody.plan_removal; what the Kong service carries (plugins) goes with it on the server."""
        found = self._admin.find(ROUTES, route.id)
        if found is None:
            return ()
        service, shared = self._service_of(found)
        name = str(service.get("name") or service["id"]) if service else ""
        gone = [_removal(ROUTES, found, parent=name)]
        if service and not shared:
            gone.append(_removal(SERVICES, service))
        return tuple(gone)

    def plan_adoption(self, route: FoundRoute, owner: Owner) -> tuple[Change, ...]:
        found = self._admin.find(ROUTES, route.id)
        service, shared = self._service_of(found) if found else (None, False)
        if found is None or service is None:
            raise Failed(f"the gateway's route {route.label!r} is gone", hint="Run the same again.")
        if shared:
            raise Refused(
                f"the gateway's service {service.get('name') or service['id']} has routes beside {route.label!r}, "
                "which would change hands with it",
                hint="Give the route a service of its own there.",
            )
        tags = tags_of_owner(owner)
        self._refuse_taken(SERVICES, owner.service, service)
        self._refuse_taken(ROUTES, owner.service, found)
        wanted = [(ROUTES, found, tags[:-1]), (SERVICES, service, tags)]
        planned = (_taking_over(kind, entity, owner.service, ours) for kind, entity, ours in wanted)
        return tuple(change for change in planned if change is not None)

    def _service_of(self, route: Fields) -> tuple[Fields | None, bool]:
        """The Kong service that a route leads to, and whether others lead to it too."""
        key = service_id(route)
        service = self._admin.find(SERVICES, key) if key else None
        under_it = (self._admin.listing(SERVICES, key, ROUTES) or ()) if service else ()
        return service, any(one["id"] != route["id"] for one in under_it)

    def _refuse_taken(self, kind: str, name: str, entity: Fields) -> None:
        _refuse_taken(kind, name, entity, self._admin.find(kind, name))


class ApisCustody:
    """The legacy /apis: names and no tags, so taking over is renaming. `whole` lists them, whose pages overlap."""

    def __init__(self, admin: AdminClient, whole: Whole) -> None:
        self._admin = admin
        self._whole = whole

    def upstreams(self, names: Collection[str]) -> tuple[FoundUpstream, ...]:
        return found_upstreams(self._admin, self._whole, names)

    def plan_removal(self, route: FoundRoute) -> tuple[Change, ...]:
        found = self._admin.find(APIS, route.id)
        return (_removal(APIS, found),) if found else ()

    def plan_adoption(self, route: FoundRoute, owner: Owner) -> tuple[Change, ...]:
        found = self._admin.find(APIS, route.id)
        if found is None:
            raise Failed(f"the gateway's api {route.label!r} is gone", hint="Run the same again.")
        _refuse_taken(APIS, owner.service, found, self._admin.find(APIS, owner.service))
        change = _taking_over(APIS, found, owner.service, ())
        return () if change is None else (change,)


def found_upstreams(admin: AdminClient, whole: Whole, names: Collection[str]) -> tuple[FoundUpstream, ...]:
    """One listing, and one for each that a route leads through; all targets, those of weight 0 as well."""
    found = []
    for upstream in whole(_UPSTREAMS) if names else ():
        name = str(upstream.get("name"))
        if name in names:
            key = str(upstream["id"])
            targets = (
                admin.listing(_UPSTREAMS, key, "targets", "all") or admin.listing(_UPSTREAMS, key, "targets") or ()
            )
            places = dict.fromkeys(str(target.get("target")) for target in targets)
            found.append(FoundUpstream(name=name, targets=tuple(places)))
    return tuple(found)


def _removal(kind: str, found: Fields, parent: str = "") -> Change:
    before = {key: value for key, value in found.items() if key not in SERVER_MADE}
    return Change(
        verb=Verb.DELETE,
        kind=kind,
        key=str(found.get("name") or found["id"]),
        id=str(found["id"]),
        before=before,
        after={},
        reason="it leads nowhere",
        parent=parent,
    )


def _taking_over(kind: str, found: Fields, name: str, ours: tuple[str, ...]) -> Change | None:
    after: dict[str, object] = {"name": name}
    if ours:
        after["tags"] = [*(tag for tag in tags_of(found) if not is_our_tag(tag)), *ours]
    if agrees(found, after):
        return None
    return Change(
        verb=Verb.UPDATE,
        kind=kind,
        key=str(found.get("name") or found["id"]),
        id=str(found["id"]),
        before={key: found.get(key) for key in after},
        after=after,
        reason=f"from now on it is {name}'s",
    )


def _refuse_taken(kind: str, name: str, entity: Fields, there: Mapping[str, object] | None) -> None:
    if there is not None and there["id"] != entity["id"]:
        raise Refused(
            f"the gateway has another of its {kind} called {name!r}, with id {there['id']}",
            hint="Rename or remove that one there, or give the service another pipeline.name.",
        )
