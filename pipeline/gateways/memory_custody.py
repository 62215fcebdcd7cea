"""Whose the routes of a gateway in memory are (gateways.base.Custody)."""

from __future__ import annotations

from collections.abc import Collection

from pipeline.errors import Refused
from pipeline.gateways.memory import MemoryGateway
from pipeline.model.plan import Change, Verb
from pipeline.model.route import FoundRoute, FoundUpstream, Owner, tags_of_owner


class MemoryCustody:
    """Of a memory gateway. `groups` are its names for several targets."""

    def __init__(self, gateway: MemoryGateway, groups: tuple[FoundUpstream, ...] = ()) -> None:
        self._gateway = gateway
        self._groups = groups

    def upstreams(self, names: Collection[str]) -> tuple[FoundUpstream, ...]:
        return tuple(one for one in self._groups if one.name in names)

    def plan_removal(self, route: FoundRoute) -> tuple[Change, ...]:
        return tuple(
            Change(
                verb=Verb.DELETE,
                kind=entity.kind,
                key=entity.name,
                id=entity.id,
                before={key: value for key, value in entity.body.items() if key not in ("name", "service")},
                after={},
                reason="it leads nowhere",
                parent=entity.name if entity.kind == "routes" else "",
            )
            for entity in self._gateway.dump().entities
            if entity.kind in ("routes", "services") and entity.name == route.name
        )

    def plan_adoption(self, route: FoundRoute, owner: Owner) -> tuple[Change, ...]:
        entities = [one for one in self._gateway.dump().entities if one.kind in ("routes", "services")]
        if owner.service != route.name and any(one.name == owner.service for one in entities):
            raise Refused(f"the gateway has another {owner.service!r}", hint="Rename one of them.")
        tags = tags_of_owner(owner)
        found = []
        for entity in entities:
            wanted = {"name": owner.service, "tags": tags if entity.kind == "services" else tags[:-1]}
            before = {"name": entity.name, "tags": entity.body.get("tags") or ()}
            if entity.name == route.name and before != wanted:
                found.append(
                    Change(
                        verb=Verb.UPDATE,
                        kind=entity.kind,
                        key=entity.name,
                        id=entity.id,
                        before=before,
                        after=wanted,
                        reason=f"it is {owner.service}'s",
                    )
                )
        return tuple(found)
