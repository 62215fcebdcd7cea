"""Chooses where a service's requests go: its host, or in turn the targets of the upstream that has that name."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.lab.gateway.rule import split_port
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.targets import TargetStyle
from pipeline.lab.gateway.upstream import Peer

_SECURE = frozenset({"https", "grpcs", "tls"})


class NoPeer(Exception):
    """The upstream has no target that takes requests."""


class Balancer:
    """Weighted round-robin over an upstream's targets, as they stand in the store at each try."""

    def __init__(self, store: Store, style: TargetStyle) -> None:
        self._store = store
        self._style = style
        self._credits: dict[str, dict[str, int]] = {}

    def peers(self, service: Entity) -> Iterator[Peer]:
        """One peer for each try, without end. Raises NoPeer."""
        secure = service["protocol"] in _SECURE
        while True:
            upstream = self._upstream(service["host"])
            if upstream is None:
                yield Peer(host=service["host"], port=service["port"], secure=secure)
                continue
            host, port = split_port(self._turn(upstream)["target"])
            shown = upstream.get("host_header") or ""
            yield Peer(host=host.strip("[]"), port=int(port), secure=secure, shown_as=shown)

    def _upstream(self, name: str) -> Entity | None:
        upstreams = self._store.collections.get("upstreams")
        return upstreams.by_unique("name", name) if upstreams is not None else None

    def _turn(self, upstream: Entity) -> Entity:
        """The target whose turn it is: each earns its weight, the richest pays for all."""
        active = self._style.active(self._store, upstream["id"])
        if not active:
            raise NoPeer("failure to get a peer from the ring-balancer")
        before = self._credits.get(upstream["id"], {})
        credit = {target["id"]: before.get(target["id"], 0) + target["weight"] for target in active}
        chosen = max(active, key=lambda target: credit[target["id"]])
        credit[chosen["id"]] -= sum(target["weight"] for target in active)
        self._credits[upstream["id"]] = credit
        return chosen
