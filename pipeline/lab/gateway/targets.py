"""The targets of an upstream in each version: which take requests, and the pages about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.legacy_lists import in_force, page_of, shown, url_of
from pipeline.lab.gateway.legacy_upstreams import TARGETS
from pipeline.lab.gateway.lists import ListStyle, asked, listed
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.rule import split_port
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetStyle:
    """`field` refers to the upstream, by whose id the others give: what takes requests, the list and the health."""

    field: str
    active: Callable[[Store, str], list[Entity]]
    everything: Callable[[Store, str, Head, ListStyle], Entity]
    health: Callable[[Store, str], Entity]


def _rows(store: Store, field: str, upstream: str) -> list[Entity]:
    """The targets of an upstream in the order in which they were made."""
    targets = store.collections["targets"]
    keys = sorted(targets.children(field, upstream), key=targets.moments.__getitem__)
    return [targets.entities[key] for key in keys]


def _active(store: Store, upstream: str) -> list[Entity]:
    targets = store.collections["targets"]
    children = (targets.entities[key] for key in targets.children("upstream", upstream))
    return [target for target in children if target["weight"] > 0]


def _everything(store: Store, upstream: str, head: Head, style: ListStyle) -> Entity:
    collection = store.collections["targets"]
    keys = collection.children("upstream", upstream)
    url = head.path.decode("utf-8", "surrogateescape").removesuffix("/")
    entities, rest = listed(collection, keys, asked(head.query, style), url, nested=True)
    return {"data": entities, **rest}


def _health(store: Store, upstream: str) -> Entity:
    return {"data": [_judged(target) for target in reversed(_rows(store, "upstream", upstream))], "next": None}


def _judged(target: Entity) -> Entity:
    host, port = split_port(target["target"])
    address = {"ip": host.strip("[]"), "port": int(port), "health": "HEALTHCHECKS_OFF", "weight": target["weight"]}
    weight = {"total": target["weight"], "available": target["weight"], "unavailable": 0}
    about = {"addresses": [address], "dns": "A", "host": host, "port": int(port), "nodeWeight": target["weight"]}
    return {**target, "health": "HEALTHCHECKS_OFF", "data": {**about, "weight": weight}}


def _old_active(store: Store, upstream: str) -> list[Entity]:
    return in_force(_rows(store, "upstream_id", upstream))


def _old_everything(store: Store, upstream: str, head: Head, style: ListStyle) -> Entity:
    del style
    return page_of(TARGETS.record, _rows(store, "upstream_id", upstream), head.query, {}, url_of(head))


def _old_health(store: Store, upstream: str) -> Entity:
    judged = [{**shown(target), "health": "HEALTHCHECKS_OFF"} for target in _old_active(store, upstream)]
    return {"data": judged, "total": len(judged)}


TARGET_ENTITIES = TargetStyle(field="upstream", active=_active, everything=_everything, health=_health)
TARGET_HISTORY = TargetStyle(field="upstream_id", active=_old_active, everything=_old_everything, health=_old_health)


def all_targets(store: Store, style: TargetStyle, name: str, head: Head, lists: ListStyle) -> Entity:
    """Every target, those of weight 0 included."""
    return style.everything(store, _upstream(store, name), head, lists)


def health(store: Store, style: TargetStyle, name: str, node_id: str) -> Entity:
    """The targets with their health: the lab makes no health checks, which Kong calls HEALTHCHECKS_OFF."""
    return {**style.health(store, _upstream(store, name)), "node_id": node_id}


def judge(store: Store, style: TargetStyle, name: str, target: str) -> tuple[int, Entity | None]:
    """Take notice that a target is healthy or not, which changes nothing here: the lab makes no health checks."""
    if not any(target in (row["id"], row["target"]) for row in _rows(store, style.field, _upstream(store, name))):
        raise faults.not_found()
    return 204, None


def _upstream(store: Store, name: str) -> str:
    collection = store.collections["upstreams"]
    found = collection.entities.get(name.lower()) or collection.by_unique("name", name)
    if found is None:
        raise faults.not_found()
    return str(found["id"])
