"""Links of a resource: what is behind each, and what a POST to one makes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pipeline.lab.rancher.faults import Fault, not_found
from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.ids import shown_id
from pipeline.lab.rancher.kinds_other import KINDS, kind_named
from pipeline.lab.rancher.rows import Row, Store

Linked = tuple[Kind, Iterable[Row]]


def linked(row: Row, word: str, store: Store) -> Linked | Row:
    """The rows behind a link, or the one row that a reference names. Raises Fault 404."""
    found = _many(row, word.lower(), store)
    if found is not None:
        return found
    references = {
        "account": ("account", row.data.get("accountId") or row.project),
        "stack": ("stack", row.data.get("stackId")),
        "environment": ("stack", row.data.get("stackId")),
        "registry": ("storagePool", row.data.get("registryId")),
    }
    table, number = references.get(word.lower(), ("", None))
    other = store.get(table, number)
    if other is None:
        raise not_found()
    return other


def child_kind(row: Row, word: str, v1: bool) -> tuple[Kind, dict[str, Any]]:
    """The type that a POST to a link creates, and the reference to the parent. Raises Fault."""
    kind = kind_named(word)
    if kind is None:
        raise not_found()
    if row.table == "stack" and kind.table == "service":
        return kind, {"stackId": shown_id("stack", row.number, v1=v1)}
    if row.kind == "registry" and kind.name == "registryCredential":
        return kind, {"registryId": shown_id("storagePool", row.number)}
    raise Fault(405)


def _many(row: Row, word: str, store: Store) -> Linked | None:
    number = row.number
    if word == "services" and row.table == "stack":
        return KINDS["service"], store.children("service", number)
    if word == "services" and row.table == "instance":
        service = store.get("service", row.data.get("serviceId"))
        return KINDS["service"], [service] if service is not None else []
    if word == "instances" and row.table == "service":
        return KINDS["instance"], store.children("instance", number)
    if word == "instances" and row.table == "host":
        return KINDS["instance"], [one for one in store.rows("instance") if one.data.get("hostId") == number]
    if word == "hosts" and row.table == "instance":
        host = store.get("host", row.data.get("hostId"))
        return KINDS["host"], [host] if host is not None else []
    if word == "serviceexposemaps" and row.table == "service":
        return KINDS["serviceExposeMap"], store.children("serviceExposeMap", number)
    if word == "credentials" and row.kind == "registry":
        return KINDS["registryCredential"], store.children("credential", number)
    if row.table == "service" and word in ("consumedservices", "consumedbyservices"):
        return KINDS["service"], _beside(number, store, consumed=word == "consumedservices")
    if row.kind == "project" and word in ("stacks", "services", "hosts"):
        kind = KINDS[word.removesuffix("s")]
        return kind, [one for one in store.rows(kind.table) if one.project == number]
    if word in ("servicelogs", "containerstats", "networkdrivers", "storagedrivers", "configitemstatuses"):
        # Named by every service's links, and always empty here.
        return KINDS["schema"], ()
    return None


def _beside(number: int, store: Store, *, consumed: bool) -> list[Row]:
    mine, other = ("serviceId", "consumedServiceId") if consumed else ("consumedServiceId", "serviceId")
    found = [
        store.get("service", one.data[other]) for one in store.rows("serviceConsumeMap") if one.data[mine] == number
    ]
    return [row for row in found if row is not None]
