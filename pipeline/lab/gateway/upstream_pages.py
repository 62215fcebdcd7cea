"""The Admin API's pages about an upstream that are no entities: all of its targets, and their health."""

from __future__ import annotations

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.lists import Paging, listed
from pipeline.lab.gateway.rule import split_port
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store


def all_targets(store: Store, name: str, paging: Paging) -> Entity:
    """Every target, those of weight 0 included, in the order of ids."""
    upstream = _upstream(store, name)
    collection = store.collections["targets"]
    keys = collection.children("upstream", upstream["id"])
    entities, rest = listed(collection, keys, paging, f"/upstreams/{name}/targets/all", nested=True)
    return {"data": entities, **rest}


def health(store: Store, name: str, node_id: str) -> Entity:
    """The targets with their health: the lab makes no health checks, which Kong calls HEALTHCHECKS_OFF."""
    upstream = _upstream(store, name)
    collection = store.collections["targets"]
    keys = sorted(
        collection.children("upstream", upstream["id"]), key=lambda key: collection.moments[key], reverse=True
    )
    return {"data": [_judged(collection.entities[key]) for key in keys], "next": None, "node_id": node_id}


def judge(store: Store, name: str, target: str) -> tuple[int, Entity | None]:
    """Take notice that a target is healthy or not, which changes nothing here: the lab makes no health checks."""
    upstream = _upstream(store, name)
    collection = store.collections["targets"]
    children = (collection.entities[key] for key in collection.children("upstream", upstream["id"]))
    if not any(target in (child["id"], child["target"]) for child in children):
        raise faults.not_found()
    return 204, None


def _upstream(store: Store, name: str) -> Entity:
    collection = store.collections["upstreams"]
    found = collection.entities.get(name.lower()) or collection.by_unique("name", name)
    if found is None:
        raise faults.not_found()
    return found


def _judged(target: Entity) -> Entity:
    host, port = split_port(target["target"])
    address = {"ip": host.strip("[]"), "port": int(port), "health": "HEALTHCHECKS_OFF", "weight": target["weight"]}
    weight = {"total": target["weight"], "available": target["weight"], "unavailable": 0}
    about = {"addresses": [address], "dns": "A", "host": host, "port": int(port), "nodeWeight": target["weight"]}
    return {**target, "health": "HEALTHCHECKS_OFF", "data": {**about, "weight": weight}}
