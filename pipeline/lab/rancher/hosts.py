"""Hosts: where a container goes, and why it may not go anywhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.rows import Row, Store

_HOLDING = ("creating", "starting", "running", "stopping", "restarting")


class Unschedulable(Exception):
    """No host can take the container; the words are for `transitioningMessage`."""


def active_hosts(store: Store, project: int | None) -> list[Row]:
    """Hosts whose state is active, a disconnected agent or not."""
    return [row for row in store.rows("host") if row.project == project and row.state == "active"]


def chosen_host(store: Store, service: Row, config: Mapping[str, Any], pinned: int | None) -> Row:
    """The host with the fewest of the service's containers that can take one more. Raises Unschedulable."""
    hosts = [row for row in active_hosts(store, service.project) if row.data.get("agentState") == "active"]
    wanted = pinned if pinned is not None else _requested(config)
    if wanted is not None:
        hosts = [row for row in hosts if row.number == wanted]
    if not hosts:
        raise Unschedulable("Scheduling failed: No healthy hosts with sufficient resources available")
    ports = public_ports(config)
    free = [row for row in hosts if not ports & _taken(store, row.number)] if ports else hosts
    if not free:
        taken = ", ".join(sorted(ports))
        raise Unschedulable(f"Scheduling failed: host needs ports {taken} available")
    load = Counter(one.data.get("hostId") for one in store.children("instance", service.number))
    return min(free, key=lambda row: (load[row.number], row.number))


def public_ports(config: Mapping[str, Any]) -> frozenset[str]:
    """The host's ports that a config asks for by number, as `8080/tcp`."""
    return frozenset(_public(config.get("ports") or ()))


def _public(ports: Iterable[str]) -> Iterable[str]:
    for text in ports:
        spec, _, protocol = str(text).partition("/")
        parts = spec.split(":")
        if len(parts) > 1 and parts[-2]:
            yield f"{parts[-2]}/{protocol or 'tcp'}"


def _requested(config: Mapping[str, Any]) -> int | None:
    text = config.get("requestedHostId")
    number = parsed_id(str(text)) if text else None
    return number if isinstance(number, int) else None


def _taken(store: Store, host: int) -> frozenset[str]:
    found: set[str] = set()
    for row in store.rows("instance"):
        if row.data.get("hostId") == host and row.state in _HOLDING and row.data.get("ports"):
            found |= public_ports(row.data)
    return frozenset(found)
