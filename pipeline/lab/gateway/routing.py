"""Between the entities and the proxy: keeps the router in step with the store, and says where a request goes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from pipeline.lab.gateway.balancer import Balancer
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.router import Router
from pipeline.lab.gateway.rule import Asked, PathReader
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.targets import TargetStyle
from pipeline.lab.gateway.uris import escaped, joined, normalised

Refusal = tuple[int, str | None, tuple[tuple[str, str], ...]]
"""A status, a message (None: no body) and headers."""

_PROXIED = frozenset({"http", "https", "grpc", "grpcs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """A request's route and service, the path that goes upstream, the prefix that was stripped, and its habits."""

    route: Entity
    service: Entity
    target: bytes
    prefix: bytes | None
    preserve_host: bool
    buffers: bool


class Routes(Protocol):
    """What the proxy asks of a version's routing."""

    balancer: Balancer

    def match(self, head: Head) -> Match | None:
        """Where a request goes, or None."""

    def refusal(self, match: Match | None, head: Head) -> Refusal | None:
        """Why a request that has a route is not forwarded, or None."""


class Routing:
    """Follows the store: a route is found from the moment at which it has been saved."""

    def __init__(self, store: Store, targets: TargetStyle, path_of: PathReader) -> None:
        self._store = store
        self._router = Router(path_of)
        self.balancer = Balancer(store, targets)
        store.listen(self._follow)

    def _follow(self, kind: str, before: Entity | None, after: Entity | None) -> None:
        if kind == "routes":
            self._refresh((after or before or {})["id"], after)
        elif kind == "services" and after is not None and before is not None and before["enabled"] != after["enabled"]:
            routes = self._store.collections["routes"]
            for key in routes.children("service", after["id"]):
                self._refresh(key, routes.entities[key])

    def _refresh(self, key: str, route: Entity | None) -> None:
        if route is None or not self._in_use(route):
            self._router.remove(key)
        else:
            self._router.put(route, self._store.collections["routes"].moments[key])

    def _in_use(self, route: Entity) -> bool:
        reference = route["service"]
        service = self._store.find("services", reference["id"]) if reference is not None else None
        return service is None or service["enabled"] is not False

    def match(self, head: Head) -> Match | None:
        """Where a request goes, or None."""
        path = normalised(head.path)
        host = (head.value(b"host") or b"").decode("utf-8", "surrogateescape")
        rule = self._router.find(Asked(method=head.method, path=path, host=host, headers=_lowered(head)))
        if rule is None:
            return None
        route = rule.route
        reference = route["service"]
        service = self._store.find("services", reference["id"]) if reference is not None else None
        prefix, rest = rule.parts(path)
        base = ((service or {}).get("path") or "/").encode("utf-8", "surrogateescape")
        upstream_path = joined(base, rest, path, strip=route["strip_path"], concatenates=route["path_handling"] == "v1")
        target = escaped(upstream_path) + (b"?" + head.query if b"?" in head.target else b"")
        return Match(
            route=route,
            service=service or {},
            target=target,
            prefix=prefix if route["strip_path"] else None,
            preserve_host=route["preserve_host"],
            buffers=route["request_buffering"],
        )

    def refusal(self, match: Match | None, head: Head) -> Refusal | None:
        """Why a request that has a route is not forwarded, or None."""
        if match is None:
            return None
        protocols = match.route["protocols"]
        if "grpc" in protocols or "grpcs" in protocols:
            return (426, "Please use HTTP2 protocol", (("Connection", "Upgrade"), ("Upgrade", "HTTP/2")))
        if "http" not in protocols:
            return _to_https(match.route["https_redirect_status_code"], head)
        if not match.service or match.service["protocol"] not in _PROXIED:
            return (503, "no Service found with those values", ())
        return None


def _to_https(status: int, head: Head) -> Refusal:
    if status == 426:
        return (426, "Please use HTTPS protocol", (("Upgrade", "TLS/1.2, HTTP/1.1"),))
    host = (head.value(b"host") or b"").decode("utf-8", "surrogateescape").partition(":")[0]
    location = "https://" + host + head.target.decode("utf-8", "surrogateescape")
    return (status, None, (("Location", location),))


def _lowered(head: Head) -> dict[str, tuple[str, ...]]:
    headers: dict[str, tuple[str, ...]] = {}
    for name, value in head.headers:
        key = name.decode("latin-1").lower()
        headers[key] = (*headers.get(key, ()), value.decode("utf-8", "surrogateescape").lower())
    headers.pop("host", None)
    return headers
