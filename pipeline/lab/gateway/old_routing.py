"""Between the entities of 0.14 and its proxy: routes with their services, and apis, which are both in one."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipeline.lab.gateway.balancer import Balancer
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.old_router import OldRouter, old_rule
from pipeline.lab.gateway.routing import Match, Refusal
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.targets import TargetStyle

_TO_HTTPS: Refusal = (
    426,
    "Please use HTTPS protocol",
    (("Connection", "Upgrade"), ("Upgrade", "TLS/1.2, HTTP/1.1")),
)


class OldRouting:
    """Follows the store: a route or an api is found from the moment at which it has been saved."""

    def __init__(self, store: Store, targets: TargetStyle) -> None:
        self._store = store
        self._routes = OldRouter()
        self._apis = OldRouter()
        self.balancer = Balancer(store, targets)
        store.listen(self._follow)

    def _follow(self, kind: str, before: Entity | None, after: Entity | None) -> None:
        key = (after or before or {})["id"]
        if kind == "services" and after is not None:
            routes = self._store.collections["routes"]
            for child in routes.children("service", key):
                self._serve_route(routes.entities[child])
        if kind == "routes":
            self._serve_route(after) if after is not None else self._routes.remove(key)
        if kind == "apis":
            moment = self._store.collections["apis"].moments.get(key, 0.0)
            self._apis.put(key, old_rule(*_halves(after), moment)) if after is not None else self._apis.remove(key)

    def _serve_route(self, route: Entity) -> None:
        service = self._store.find("services", route["service"]["id"])
        if service is not None:
            moment = self._store.collections["routes"].moments[route["id"]]
            self._routes.put(route["id"], old_rule(route, service, moment))

    def match(self, head: Head) -> Match | None:
        """Where a request goes, or None. A route comes before an api; nothing is normalised."""
        host = (head.value(b"host") or b"").decode("utf-8", "surrogateescape")
        asked = (head.method, head.path, host)
        found = self._routes.find(*asked) or self._apis.find(*asked)
        if found is None:
            return None
        rule, rest = found
        strips = rule.route["strip_path"] and rest is not None and head.path != b"/"
        base = (rule.service["path"] or "/").encode("utf-8", "surrogateescape")
        target = _joined(base, rest if strips and rest is not None else head.path, head.path)
        return Match(
            route=rule.route,
            service=rule.service,
            target=target + (b"?" + head.query if b"?" in head.target else b""),
            prefix=None,
            preserve_host=bool(rule.route["preserve_host"]),
            buffers=True,
        )

    def refusal(self, match: Match | None, head: Head) -> Refusal | None:
        """Why a request that has a route is not forwarded, or None."""
        del head
        return None if match is None or "http" in match.route["protocols"] else _TO_HTTPS


def _halves(api: Entity) -> tuple[Entity, Entity]:
    """The route and the service that an api is."""
    url = urlsplit(api["upstream_url"])
    secure = url.scheme.lower() == "https"
    route = {
        "id": api["id"],
        "hosts": api["hosts"] or [],
        "paths": api["uris"] or [],
        "methods": api["methods"] or [],
        "protocols": ["https"] if api["https_only"] else ["http", "https"],
        "strip_path": api["strip_uri"],
        "preserve_host": api["preserve_host"],
        "regex_priority": 0,
        "created_at": api["created_at"],
    }
    service = {
        "protocol": "https" if secure else "http",
        "host": url.hostname or "",
        "port": _port(api["upstream_url"]) or (443 if secure else 80),
        "path": url.path or None,
        "retries": api["retries"],
        "connect_timeout": api["upstream_connect_timeout"],
        "write_timeout": api["upstream_send_timeout"],
        "read_timeout": api["upstream_read_timeout"],
    }
    return route, service


def _port(url: str) -> int | None:
    """The port of a URL, even one that no server can have."""
    port = urlsplit(url).netloc.rpartition("@")[2].rpartition("]")[2].rpartition(":")[2]
    return int(port) if port.isdigit() else None


def _joined(base: bytes, path: bytes, asked: bytes) -> bytes:
    """The upstream's path: the service's, then what is left of the request's (the end of kong/router.lua's select)."""
    if base == b"/":
        return path
    trimmed = base.removesuffix(b"/")
    if path != b"/":
        return trimmed + path
    ends_in_slash = asked.endswith(b"/") and asked != b"/"
    if trimmed != base:
        return base if ends_in_slash or asked == b"/" else trimmed
    return trimmed + path if ends_in_slash else trimmed
