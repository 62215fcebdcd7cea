"""The Admin API's pages about the gateway itself, and the list of tags."""

from __future__ import annotations

import platform
import socket
import uuid
from dataclasses import dataclass, field

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.lists import asked, cursor, following
from pipeline.lab.gateway.resources import Page
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.store import Store

LAB = "A gateway for practice and local work: not Kong, and not for production."


@dataclass(slots=True)
class Counters:
    """What `GET /status` counts."""

    accepted: int = 0
    requests: int = 0


@dataclass(slots=True, kw_only=True)
class Node:
    """Answers the pages of one running gateway."""

    store: Store
    dialect: Dialect
    environment: str = ""
    counters: Counters = field(default_factory=Counters)
    node_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    def page(self, page: Page, method: str, query: bytes, given: Entity) -> tuple[int, Entity | None]:
        """The answer of one page."""
        del given
        if page.name == "":
            return 200, self._root()
        if page.name == "status":
            return 200, self._status()
        if page.name == "endpoints":
            return 200, {"data": endpoints(self.dialect)}
        if page.name == "plugins/enabled":
            return 200, {"enabled_plugins": []}
        if method == "POST":
            raise faults.schema_violation({"tags": "does not support insert/upsert/update/delete operations"})
        if page.name == "tags/*":
            return 200, self._tag(page.arguments[0], query)
        return 200, self._tags(query)

    def _root(self) -> Entity:
        return {
            "version": self.dialect.version,
            "tagline": "Welcome to kong (lab gateway)",
            "lab": LAB,
            "environment": self.environment or None,
            "hostname": socket.gethostname(),
            "node_id": self.node_id,
            "lua_version": f"none (Python {platform.python_version()})",
            "timers": {"running": 0, "pending": 0},
            "plugins": {"available_on_server": {}, "enabled_in_cluster": []},
            "configuration": {"database": "sqlite"},
        }

    def _status(self) -> Entity:
        return {
            "database": {"reachable": True},
            "memory": {"lua_shared_dicts": {}, "workers_lua_vms": []},
            "server": {
                "connections_accepted": self.counters.accepted,
                "connections_handled": self.counters.accepted,
                "total_requests": self.counters.requests,
                "connections_active": 1,
                "connections_reading": 0,
                "connections_writing": 1,
                "connections_waiting": 0,
            },
        }

    def _tag(self, tag: str, query: bytes) -> Entity:
        paging = asked(query)
        rows = sorted(
            (key, kind) for kind, collection in self.store.collections.items() for key in collection.tagged(tag)
        )
        after = paging.after[0] if paging.after is not None and paging.after[0] is not None else ""
        rest = [(key, kind) for key, kind in rows if key > after]
        shown = rest[: paging.size]
        more = cursor(shown[-1][0]) if len(rest) > paging.size else None
        data = [{"entity_id": key, "entity_name": kind, "tag": tag} for key, kind in shown]
        # Kong encodes an empty table as an object here.
        return {"data": data or {}, **following(more, f"/tags/{tag}")}

    def _tags(self, query: bytes) -> Entity:
        paging = asked(query)
        after = paging.after or ("", 0)
        rows = sorted(
            (key, index, kind, tag)
            for kind, collection in self.store.collections.items()
            for key, entity in collection.entities.items()
            for index, tag in enumerate(entity.get("tags") or (), 1)
            if (key, index) > (after[0] or "", after[1])
        )
        shown = rows[: paging.size]
        more = cursor(shown[-1][0], shown[-1][1]) if len(rows) > paging.size else None
        data = [{"entity_id": key, "entity_name": kind, "tag": tag} for key, _, kind, tag in shown]
        return {"data": data, **following(more, "/tags")}


def endpoints(dialect: Dialect) -> list[str]:
    """Every URL that the Admin API has."""
    urls = {"/" + "/".join("{name}" if part == "*" else part for part in pattern) for pattern in dialect.pages}
    for schema in dialect.schemas.values():
        if schema.top_level:
            urls |= {f"/{schema.url_name}", f"/{schema.url_name}/{{{schema.name}}}"}
        for foreign in schema.foreign:
            parent = dialect.schemas.get(foreign.reference)
            if parent is not None and parent.top_level:
                nested = f"/{parent.url_name}/{{{parent.name}}}/{schema.nested_name or schema.name}"
                urls |= {nested, f"{nested}/{{{schema.name}}}"}
            if parent is not None and schema.top_level:
                urls.add(f"/{schema.url_name}/{{{schema.name}}}/{foreign.name}")
    return sorted(urls)
