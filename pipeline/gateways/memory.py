"""A gateway in memory, and its proxy: for tests of flows, held to the same contract as the real drivers."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence

from pipeline.errors import GatewayAnswered, Refused, Unreachable
from pipeline.model.check import Answer, Question
from pipeline.model.plan import Change, Verb, writing
from pipeline.model.restoration import Act, Step, differences
from pipeline.model.route import (
    Entity,
    FoundRoute,
    GatewayIdentity,
    GatewayState,
    Owner,
    Route,
    owner_of,
    owner_tags,
    tag_word,
)

Fields = dict[str, object]
Backend = Callable[[str, Question], Answer]
"""Answers a question that the gateway sends to an upstream (the first argument)."""


class MemoryGateway:
    """A gateway and its restorer (gateways.base) that keeps what it is told. `writes` counts them;
    `fail_at` makes the write of that number (from 1) be refused."""

    def __init__(self, *, fail_at: int = 0, read_only: bool = False) -> None:
        self.writes = 0
        self.read_only = read_only
        self.fail_at = fail_at
        self._services: dict[str, Fields] = {}
        self._routes: dict[str, Fields] = {}
        self._others: dict[tuple[str, str], Entity] = {}
        self._plugins: dict[str, Fields] = {}
        self._lock = threading.Lock()
        self._times = itertools.count(1)

    def add_foreign(self, name: str, path: str, upstream: str, tags: tuple[str, ...] = ()) -> None:
        """A route that this toolkit did not make (or, by its tags, made for another environment)."""
        self._put(self._services, name, {"upstream": upstream, "tags": tags})
        self._put(self._routes, name, {"paths": (path,), "tags": tags, "service": name})

    def add_foreign_plugin(self, service: str, name: str, config: Mapping[str, object]) -> None:
        """A plugin that someone added by hand to one of our services."""
        self._put(self._plugins, _plugin_key(service, name), _plugin(service, name, config, ours=False))

    def identity(self) -> GatewayIdentity:
        found = {owner_of(_texts(fields, "tags")).environment for fields in self._services.values()}
        return GatewayIdentity(product="memory", version="1", environments=tuple(sorted(found - {""})))

    def routes(self) -> tuple[FoundRoute, ...]:
        return tuple(self._found(name) for name in sorted(self._routes))

    def plan(self, wanted: Route) -> tuple[Change, ...]:
        name, tags = wanted.service, owner_tags(wanted)
        self._refuse_foreign(wanted)
        route: Fields = {
            "paths": (wanted.uri,),
            "hosts": wanted.hosts,
            "methods": wanted.methods,
            "strip_uri": wanted.strip_uri,
            "preserve_host": wanted.preserve_host,
            "tags": tags[:-1],
        }
        upstream: Fields = {"upstream": wanted.upstream, "tags": tags}
        switch = _change("services", name, self._services.get(name), upstream, f"to {wanted.upstream}")
        match = _change("routes", name, self._routes.get(name), route, f"answer {wanted.uri}")
        first, last = (match, switch) if name in self._routes else (switch, match)
        return tuple(change for change in (first, *self._plan_plugins(wanted), last) if change is not None)

    def apply(self, changes: Sequence[Change]) -> None:
        changes = writing(changes)
        for index, change in enumerate(changes):
            self.writes += 1
            if self.writes == self.fail_at:
                self.revert(changes[:index])
                put_back = ", ".join(one.label for one in changes[:index])
                raise GatewayAnswered(
                    f"{change.label} could not be written: refused – "
                    + (f"put back as before: {put_back}" if put_back else "nothing was changed"),
                    hint="This gateway was told to.",
                    status=400,
                    body={"message": "refused"},
                )
            if change.verb is Verb.DELETE:
                self._kept(change.kind).pop(change.key, None)
            else:
                self._write(change, change.after)

    def revert(self, changes: Sequence[Change]) -> None:
        for change in reversed(writing(changes)):
            if change.verb is Verb.CREATE:
                self._kept(change.kind).pop(change.key, None)
            else:
                self._write(change, change.before)

    def dump(self) -> GatewayState:
        entities = [
            self._entity(kind, name, fields)
            for kind in ("plugins", "routes", "services")
            for name, fields in sorted(self._kept(kind).items())
        ]
        entities = sorted((*entities, *self._others.values()), key=lambda one: (one.kind, one.name, one.id))
        return GatewayState(identity=self.identity(), entities=tuple(entities))

    def require_writable(self) -> None:
        if self.read_only:
            raise Refused("this gateway takes no changes", hint="It was told to.")

    def write(self, step: Step) -> None:
        with self._lock:
            self.writes += 1
            if self.writes == self.fail_at:
                raise GatewayAnswered(f"{step.label} refused", hint="This gateway was told to.", status=400, body=None)
            self._put_entity(step.entity, None if step.act is Act.DELETE else step.entity)

    def undo(self, step: Step) -> None:
        with self._lock:
            self._put_entity(step.before or step.entity, step.before)

    def holds(self, step: Step) -> bool:
        there = {(one.kind, one.id): one for one in self.dump().entities}
        found = there.get((step.entity.kind, step.entity.id))
        if step.act is Act.DELETE or found is None:
            return (found is None) is (step.act is Act.DELETE)
        return not differences(step.entity, found)

    def _entity(self, kind: str, name: str, fields: Fields) -> Entity:
        body = {"name": name} | {key: value for key, value in fields.items() if key not in ("id", "created_at")}
        if kind == "routes":
            parent = self._services.get(str(fields.get("service")))
            body["service"] = {"id": parent["id"]} if parent else None
        created_at = int(str(fields["created_at"]))
        return Entity(kind=kind, id=str(fields["id"]), name=name, body=body, created_at=created_at)

    def _put_entity(self, old: Entity, new: Entity | None) -> None:
        """In place of what has the id of `old`."""
        if old.kind not in ("routes", "services"):
            self._others.pop((old.kind, old.id), None)
            self._plugins = {key: one for key, one in self._plugins.items() if one["id"] != old.id}
            if new is not None:
                self._others[new.kind, new.id] = new
            return
        kept = self._kept(old.kind)
        for name in [name for name, fields in kept.items() if fields["id"] == old.id]:
            del kept[name]
            if old.kind == "services" and new is not None:
                self._rename(name, new.name or new.id)
        if new is None:
            return
        fields = {key: tuple(one) if isinstance(one, list) else one for key, one in new.body.items() if key != "name"}
        if old.kind == "routes":
            parent = new.body.get("service")
            key = parent.get("id") if isinstance(parent, Mapping) else None
            fields["service"] = next((name for name, one in self._services.items() if one["id"] == key), "")
        kept[new.name or new.id] = {**fields, "id": new.id, "created_at": new.created_at}

    def _rename(self, service: str, name: str) -> None:
        """Its routes refer to it by name."""
        for route in self._routes.values():
            if route.get("service") == service:
                route["service"] = name

    def _plan_plugins(self, wanted: Route) -> Iterator[Change | None]:
        keys = {_plugin_key(wanted.service, plugin.name): plugin for plugin in wanted.plugins}
        for key, plugin in keys.items():
            found = self._plugins.get(key)
            if found is not None and not found["ours"] and found["config"] != plugin.config:
                raise Refused(f"the plugin {plugin.name!r} was added by hand", hint="Take it out of the manifest.")
            after = _plugin(wanted.service, plugin.name, plugin.config, ours=True)
            yield _change("plugins", key, found, after, "the manifest names it")
        for key, found in sorted(self._plugins.items()):
            if key in keys or found["service"] != wanted.service:
                continue
            verb, reason = (Verb.DELETE, "no longer wanted") if found["ours"] else (Verb.KEEP, "added by hand")
            yield Change(
                verb=verb, kind="plugins", key=key, before=dict(found), after={}, reason=reason, id=str(found["id"])
            )

    def _kept(self, kind: str) -> dict[str, Fields]:
        return {"services": self._services, "routes": self._routes, "plugins": self._plugins}[kind]

    def _write(self, change: Change, fields: Mapping[str, object]) -> None:
        ending: Fields = {"service": change.parent} if change.parent else {}
        kept = self._kept(change.kind)
        name = next((name for name, one in kept.items() if one["id"] == change.id), change.key)
        new = str(fields.get("name", name))
        if new != name:
            kept[new] = kept.pop(name)
            if change.kind == "services":
                self._rename(name, new)
        self._put(kept, new, {key: value for key, value in fields.items() if key != "name"} | ending)

    def _put(self, kept: dict[str, Fields], name: str, fields: Mapping[str, object]) -> None:
        kept.setdefault(name, {"id": f"{next(self._times):08d}", "created_at": next(self._times)}).update(fields)

    def _found(self, name: str) -> FoundRoute:
        route = self._routes[name]
        service = self._services.get(str(route.get("service")), {})
        owner = owner_of(_texts(route, "tags"))
        stack = owner_of(_texts(service, "tags")).stack if owner.ours else ""
        return FoundRoute(
            id=str(route["id"]),
            name=name,
            paths=_texts(route, "paths"),
            hosts=_texts(route, "hosts"),
            methods=_texts(route, "methods"),
            strip_uri=route.get("strip_uri") is True,
            preserve_host=route.get("preserve_host") is True,
            upstream=str(service.get("upstream", "")),
            owner=Owner(environment=owner.environment, service=owner.service, stack=stack),
        )

    def _refuse_foreign(self, wanted: Route) -> None:
        for kind, kept in (("service", self._services), ("route", self._routes)):
            fields = kept.get(wanted.service)
            if fields is None:
                continue
            owner = owner_of(_texts(fields, "tags"))
            if (owner.service, owner.environment) != (wanted.service, tag_word(wanted.environment)):
                raise Refused(
                    f"the gateway's {kind} {wanted.service!r} belongs to someone else", hint="Rename one of them."
                )


class MemoryFront:
    """The proxy of a memory gateway (gateways.base.Front): the longest path that fits decides, `backend` answers.

    `stale` questions are first answered by what the gateway had when this was made or last asked: a real gateway's
    other workers lag behind. `unreachable` makes nothing answer.
    """

    def __init__(self, gateway: MemoryGateway, backend: Backend, *, stale: int = 0, unreachable: bool = False) -> None:
        self.url = "http://gateway.invalid"
        self.asked: list[Question] = []
        self._gateway = gateway
        self._backend = backend
        self._stale = stale
        self._old = gateway.routes()
        self._unreachable = unreachable

    def ask(self, question: Question, *, timeout: float) -> Answer:
        self.asked.append(question)
        if self._unreachable:
            raise Unreachable(f"{self.url} does not answer within {timeout:g} s", hint="Start it.")
        lagging = len(self.asked) <= self._stale
        routes = self._old if lagging else self._gateway.routes()
        fitting = [
            (len(path), route.upstream)
            for route in routes
            for path in route.paths
            if question.path.startswith(path) and _admits(route, question)
        ]
        if not fitting:
            return Answer(status=404, headers={}, body=b'{"message":"no Route matched with those values"}')
        return self._backend(max(fitting)[1], question)


def _admits(route: FoundRoute, question: Question) -> bool:
    host = question.headers.get("Host", "")
    return (not route.hosts or host in route.hosts) and (not route.methods or question.method in route.methods)


def _change(kind: str, key: str, found: Fields | None, after: Fields, reason: str) -> Change | None:
    if found is None:
        parent = key if kind == "routes" else ""
        return Change(verb=Verb.CREATE, kind=kind, key=key, before={}, after=after, reason=reason, parent=parent)
    if all(found.get(name) == value for name, value in after.items()):
        return None
    before = {name: found.get(name) for name in after}
    return Change(verb=Verb.UPDATE, kind=kind, key=key, before=before, after=after, reason=reason, id=str(found["id"]))


def _plugin_key(service: str, name: str) -> str:
    return f"{service} {name}"


def _plugin(service: str, name: str, config: Mapping[str, object], *, ours: bool) -> Fields:
    return {"service": service, "plugin": name, "config": dict(config), "ours": ours}


def _texts(fields: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = fields.get(key)
    return tuple(map(str, value)) if isinstance(value, tuple) else ()
