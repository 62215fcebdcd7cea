"""Apis as the services and routes that mean the same, for decK: it knows no /apis, and no newer Kong does."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from pipeline.model.dialect import Dialect
from pipeline.model.route import Entity, GatewayIdentity, GatewayState

_PORTS = {"http": 80, "https": 443}
_SAME_ON_ROUTES = {
    "uris": "paths",
    "hosts": "hosts",
    "methods": "methods",
    "strip_uri": "strip_path",
    "preserve_host": "preserve_host",
}
_SAME_ON_SERVICES = {
    "retries": "retries",
    "upstream_connect_timeout": "connect_timeout",
    "upstream_send_timeout": "write_timeout",
    "upstream_read_timeout": "read_timeout",
}


def for_deck(state: GatewayState) -> GatewayState:
    """The state in entities that decK has."""
    return as_services(state) if state.identity.dialect is Dialect.APIS else state


def as_services(state: GatewayState) -> GatewayState:
    """The state with a service and a route in place of each api. Plugins stay behind: their configurations changed
    between these versions. The way to a newer Kong, not the way back."""
    made = [entity for api in state.of("apis") for entity in (_service(api), _route(api))]
    identity = GatewayIdentity(product=state.identity.product, version=state.identity.version, dialect=Dialect.SERVICES)
    return GatewayState(
        identity=identity,
        entities=tuple(sorted(made, key=lambda entity: (entity.kind, entity.name))),
        excluded=state.excluded,
    )


def _service(api: Entity) -> Entity:
    upstream = urlsplit(str(api.body.get("upstream_url", "")))
    body: dict[str, object] = {
        "name": api.name,
        "protocol": upstream.scheme,
        "host": upstream.hostname or "",
        "port": _port(upstream),
        "path": upstream.path or None,
    }
    return Entity(kind="services", id=api.id, name=api.name, body=body | _renamed(api.body, _SAME_ON_SERVICES))


def _port(upstream: SplitResult) -> int:
    """0.14.1 takes ports that there are none: such an api leads nowhere, and goes on doing so."""
    try:
        return upstream.port or _PORTS.get(upstream.scheme, 80)
    except ValueError:
        return 0


def _route(api: Entity) -> Entity:
    body: dict[str, object] = {
        "name": api.name,
        "service": {"id": api.id},
        "protocols": ["https"] if api.body.get("https_only") is True else ["http", "https"],
    }
    return Entity(kind="routes", id=api.id, name=api.name, body=body | _renamed(api.body, _SAME_ON_ROUTES))


def _renamed(body: Mapping[str, object], names: Mapping[str, str]) -> dict[str, object]:
    return {new: body[old] for old, new in names.items() if body.get(old) not in (None, [])}
