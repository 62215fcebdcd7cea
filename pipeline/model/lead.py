"""Where a gateway's routes lead, told from its dump alone: no second listing, and the same moment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pipeline.model.dialect import Dialect
from pipeline.model.route import Entity, GatewayState, owner_of, stack_of_upstream
from pipeline.model.stack import FoundStack


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """One route: what it matches, and the URLs that its requests may be sent to (of an upstream, its targets').
    `matches` is all that tells two routes apart for the gateway; `stack` is the owner's by the tags."""

    label: str
    paths: tuple[str, ...]
    hosts: tuple[str, ...]
    methods: tuple[str, ...]
    urls: tuple[str, ...]
    stack: str
    matches: tuple[tuple[str, ...], ...]


def leads(state: GatewayState) -> tuple[Lead, ...]:
    """Of every route that the dump has, in its order."""
    if state.identity.dialect is Dialect.APIS:
        return tuple(map(_of_api, state.of("apis")))
    services = {one.id: one for one in state.of("services")}
    targets = _targets(state)
    return tuple(
        _of_route(route, services.get(_id(route.body.get("service"))), targets) for route in state.of("routes")
    )


def serving(stack: FoundStack, found: tuple[Lead, ...]) -> tuple[Lead, ...]:
    """The routes whose requests reach the stack: by its name in the URL, or by a port that it published."""
    ports = {outside.rpartition(":")[2] for one in stack.containers for _, outside in one.ports}
    return tuple(
        lead
        for lead in found
        if any(stack_of_upstream(url) == stack.name for url in lead.urls)
        or (lead.stack == stack.name and any(url.rpartition(":")[2] in ports for url in lead.urls))
    )


def _of_api(api: Entity) -> Lead:
    url = str(api.body.get("upstream_url") or "")
    words = {key: _texts(api.body.get(key)) for key in ("uris", "hosts", "methods")}
    return Lead(
        label=api.name or api.id,
        paths=words["uris"],
        hosts=words["hosts"],
        methods=words["methods"],
        urls=(url,),
        stack=stack_of_upstream(url),
        matches=(words["uris"], words["hosts"], words["methods"]),
    )


def _of_route(route: Entity, service: Entity | None, targets: Mapping[str, tuple[str, ...]]) -> Lead:
    body = service.body if service else {}
    host, scheme = str(body.get("host") or ""), body.get("protocol") or "http"
    owner = owner_of(_texts(body.get("tags"))) if service else owner_of(())
    places = targets.get(host, (f"{host}:{body.get('port')}",) if host else ())
    paths, hosts, methods = (_texts(route.body.get(key)) for key in ("paths", "hosts", "methods"))
    return Lead(
        label=route.name or route.id,
        paths=paths,
        hosts=hosts,
        methods=methods,
        urls=tuple(f"{scheme}://{place}" for place in places),
        stack=owner.stack,
        matches=(paths, hosts, methods, *_others(route)),
    )


def _others(route: Entity) -> Iterator[tuple[str, ...]]:
    """What else a route may match by: headers, names of TLS, addresses, protocols."""
    for key in ("headers", "snis", "sources", "destinations", "protocols", "expression", "priority", "regex_priority"):
        yield (str(route.body.get(key) or ""),)


def _targets(state: GatewayState) -> dict[str, tuple[str, ...]]:
    """The name of each upstream → its targets."""
    names = {one.id: str(one.body.get("name") or "") for one in state.of("upstreams")}
    found: dict[str, tuple[str, ...]] = dict.fromkeys(names.values(), ())
    for one in state.of("targets"):
        name = names.get(_id(one.body.get("upstream")), "")
        found[name] = (*found.get(name, ()), str(one.body.get("target") or ""))
    return found


def _id(value: object) -> str:
    return str(value.get("id") or "") if isinstance(value, Mapping) else ""


def _texts(value: object) -> tuple[str, ...]:
    return tuple(sorted(map(str, value))) if isinstance(value, list | tuple) else ()
