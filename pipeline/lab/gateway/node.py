"""The Admin API's pages about the gateway itself, and the list of tags."""

from __future__ import annotations

import os
import platform
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.description import described_config, described_plugin, described_schema
from pipeline.lab.gateway.dialect import Dialect
from pipeline.lab.gateway.legacy_plugins import PLUGINS_0_14, described
from pipeline.lab.gateway.legacy_schema import LegacyRecord
from pipeline.lab.gateway.lists import asked, cursor, following
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.resources import Page
from pipeline.lab.gateway.schema import Entity, Subschema
from pipeline.lab.gateway.store import Store
from pipeline.lab.gateway.targets import all_targets, health, judge
from pipeline.lab.gateway.validation import filled, violations

_ONLY_WHEN = {
    "clustering/status": "Kong is configured to run as Control Plane for the cluster",
    "clustering/data-planes": "Kong is configured to run as Control Plane for the cluster",
    "config": "Kong is configured to not use a database",
    "filter-chains": "wasm is enabled",
    "filter-chains/*": "wasm is enabled",
    "services/*/filter-chains": "wasm is enabled",
    "routes/*/filter-chains": "wasm is enabled",
}
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

    def page(self, page: Page, head: Head, given: Entity) -> tuple[int, Entity | None]:
        """The answer of one page."""
        if page.name in _ONLY_WHEN:
            raise faults.plain(400, f"this endpoint is only available when {_ONLY_WHEN[page.name]}")
        if page.name.startswith(("schemas/", "plugins/schema/")):
            return 200, self._schema(page, head.method, given)
        if page.name.startswith("upstreams/"):
            return self._upstream(page, head)
        if page.name == "tags/*":
            return 200, self._tag(page.arguments[0], head.query)
        if page.name == "tags" and head.method == "POST":
            raise faults.schema_violation({"tags": "does not support insert/upsert/update/delete operations"})
        plain: Mapping[str, Callable[[], Entity]] = {
            "": self._root,
            "status": self._status,
            "endpoints": lambda: {"data": endpoints(self.dialect)},
            "plugins/enabled": lambda: {"enabled_plugins": list(plugins_of(self.dialect))},
            "timers": lambda: {"worker": {"id": 0, "count": 1}, "stats": {"timers": {}}},
            "tags": lambda: self._tags(head.query),
        }
        return 200, plain[page.name]()

    def _upstream(self, page: Page, head: Head) -> tuple[int, Entity | None]:
        name, style = page.arguments[0], self.dialect.proxy.targets
        if page.name == "upstreams/*/targets/all":
            return 200, all_targets(self.store, style, name, head, self.dialect.lists)
        if page.name == "upstreams/*/health":
            return 200, health(self.store, style, name, self.node_id)
        return judge(self.store, style, name, page.arguments[1])

    def _schema(self, page: Page, method: str, given: Entity) -> Entity:
        name = page.arguments[0] if page.arguments else "plugins"
        if page.name.startswith(("schemas/plugins/*", "plugins/schema/")):
            plugin = plugins_of(self.dialect).get(name)
            if plugin is None:
                raise faults.plain(404, f"No plugin named '{name}'")
            if isinstance(plugin, LegacyRecord):
                return described(plugin)
            return described_plugin(plugin) if page.name == "schemas/plugins/*" else described_config(plugin)
        schema = self.dialect.schemas.get(name)
        if schema is None:
            raise faults.plain(404, f"No entity named '{name}'")
        if method != "POST":
            return described_schema(schema)
        errors = schema.shorthand(given) if schema.shorthand is not None else {}
        errors = errors or violations(schema, filled(schema, given, now=time.time()))
        if errors:
            raise faults.schema_violation(errors)
        return {"message": "schema validation successful"}

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
            "pids": {"master": os.getpid(), "workers": [os.getpid()]},
            "plugins": {
                "available_on_server": {name: self.dialect.available(name) for name in plugins_of(self.dialect)},
                "enabled_in_cluster": sorted({plugin["name"] for plugin in self._plugins()}),
            },
            "configuration": dict(self.dialect.configuration),
            **self.dialect.about,
        }

    def _plugins(self) -> list[Entity]:
        collection = self.store.collections.get("plugins")
        return list(collection.entities.values()) if collection is not None else []

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
        paging = asked(query, self.dialect.lists)
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
        paging = asked(query, self.dialect.lists)
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
        return {"data": data, **following(more, "/tags", paging)}


def plugins_of(dialect: Dialect) -> Mapping[str, Subschema | LegacyRecord]:
    """The plugins that can be configured, by name."""
    if "plugins" in dialect.legacy:
        return PLUGINS_0_14
    schema = dialect.schemas.get("plugins")
    return (schema.subschemas if schema is not None else None) or {}


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
