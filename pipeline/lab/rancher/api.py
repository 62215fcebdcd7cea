"""From a parsed request to its answer: types, ids, links and actions, checked in Cattle's order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from pipeline.lab.rancher.auth import Caller
from pipeline.lab.rancher.export import exported, zipped
from pipeline.lab.rancher.faults import Fault, action_not_available, invalid, not_found
from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.filters import column
from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.kinds_other import KINDS, kind_named
from pipeline.lab.rancher.lab_state import LabState
from pipeline.lab.rancher.links import child_kind, linked
from pipeline.lab.rancher.listing import candidates, collection, plain
from pipeline.lab.rancher.render import rendered, resource
from pipeline.lab.rancher.request import Request
from pipeline.lab.rancher.rows import Row
from pipeline.lab.rancher.schemas import Schemas
from pipeline.lab.rancher.scope import Scope
from pipeline.lab.rancher.states import offered
from pipeline.lab.rancher.transform import transformed


class Outcome(NamedTuple):
    """An answer's status, its body, and what that is."""

    status: int
    body: bytes
    kind: str = "application/json"


class Api:
    def __init__(self, state: LabState) -> None:
        self._state = state
        self._store = state.store
        self._schemas = Schemas()

    def outcome(self, request: Request, caller: Caller, scope: Scope) -> Outcome:
        """Status and JSON. Raises Fault."""
        word = request.kind.lower()
        if not word:
            return Outcome(200, _json(self._version(scope)))
        if word == "schemas":
            return self._schema(request, scope)
        if word == "scripts" and request.id == "transform" and request.method == "POST":
            return Outcome(200, _json(transformed(request.given())))
        kind = self._kind(word, scope)
        if not request.id:
            return self._collection(kind, request, caller, scope)
        row = self._row(kind, request, caller, scope)
        if request.link:
            return self._link(row, request, scope)
        return self._item(kind, row, request, scope)

    # -- collections

    def _collection(self, kind: Kind, request: Request, caller: Caller, scope: Scope) -> Outcome:
        if request.method == "GET":
            self._allow(kind, scope, "r")
            return Outcome(200, self._list(kind, request, caller, scope))
        if request.method != "POST":
            raise Fault(405)
        return self._create(kind, request.given(), scope)

    def _create(self, kind: Kind, given: dict[str, Any], scope: Scope) -> Outcome:
        if kind.name == "project" and scope.role == "project":
            raise Fault(403)
        self._allow(kind, scope, "c")
        if scope.v1 and given.get("environmentId") and not given.get("stackId"):
            given = given | {"stackId": given["environmentId"]}
        if kind.name == "stack" and scope.project is not None:
            row = self._state.stacks.create(given, scope.project)
        elif kind.table == "service" and scope.project is not None:
            row = self._state.services.create(kind, given, scope.project)
        else:
            row = self._state.others.create(kind, given, scope)
        return Outcome(201, _json(resource(row, scope, self._store, once=True)))

    def _list(self, kind: Kind, request: Request, caller: Caller, scope: Scope) -> bytes:
        if kind.name == "project":
            projects = _narrowed(self._state.auth.projects(caller), dict(request.query))
            return collection(kind, projects, (), scope, self._store)
        visible = self._state.auth.visible(caller, scope)
        if kind.name == "setting":
            return collection(kind, self._store.rows("setting"), request.query, scope, self._store)
        if kind.name == "account":
            accounts = (row for row in self._store.rows("account") if caller.role == "admin" or row.number in visible)
            return collection(kind, accounts, request.query, scope, self._store)
        if kind.name == "subscribe":
            raise Fault(405)
        rows = candidates(kind, request.query, self._store, visible)
        include = [value for name, value in request.query if name == "include"]
        return collection(kind, rows, request.query, scope, self._store, include=include)

    # -- one resource

    def _row(self, kind: Kind, request: Request, caller: Caller, scope: Scope) -> Row:
        key = parsed_id(request.id)
        if kind.name == "setting":
            found = next((row for row in self._store.rows("setting") if row.name == key), None)
        else:
            found = self._store.get(kind.table, key)
        if found is None or not self._may_see(kind, found, caller, scope):
            raise not_found()
        return found

    def _may_see(self, kind: Kind, row: Row, caller: Caller, scope: Scope) -> bool:
        if kind.name == "setting":
            return True
        if kind.name == "project":
            return row.kind == "project" and (row.gone or row in tuple(self._state.auth.projects(caller)))
        if kind.table == "account":
            return caller.role == "admin" or row is caller.account
        every = kind.name in ("service", "instance")
        return row.project in self._state.auth.visible(caller, scope) and (every or row.kind == kind.name)

    def _item(self, kind: Kind, row: Row, request: Request, scope: Scope) -> Outcome:
        own = KINDS[row.kind]
        if kind.name == "project" and request.method != "GET" and not self._state.auth.owns(scope, row):
            raise Fault(403)
        if request.method == "GET":
            self._allow(kind, scope, "r")
            self._age(row)
            linked_actions = any(name == "_actionLinks" for name, _ in request.query)
            return Outcome(200, rendered(row, scope, self._store, action_links=linked_actions))
        if request.method == "POST":
            return self._action(row, own, request, scope)
        if request.method == "PUT":
            self._allow(kind, scope, "u")
            self._update(row, request.given())
            return Outcome(200, rendered(row, scope, self._store))
        if request.method == "DELETE":
            self._allow(kind, scope, "d")
            self._delete(row)
            return Outcome(200, rendered(row, scope, self._store))
        raise Fault(405)

    def _update(self, row: Row, given: Mapping[str, Any]) -> None:
        if row.table == "stack":
            self._state.stacks.update(row, given)
        elif row.table == "service":
            self._state.services.update(row, given)
        else:
            self._state.others.update(row, given)

    def _delete(self, row: Row) -> None:
        if row.table == "instance":
            if row.state in ("removing", "removed", "purged"):
                raise Fault(405)
            if row.state == "running":
                # Stopped first, and the removal is chained to that.
                self._state.instances.stop(row, then_remove=True)
            else:
                self._state.instances.remove(row)
            return
        if row.table not in ("stack", "service"):
            self._state.others.remove(row)
            return
        if "remove" not in offered(row.table, row.state):
            raise Fault(405)
        self._act(row, "remove", {})

    # -- actions

    def _action(self, row: Row, kind: Kind, request: Request, scope: Scope) -> Outcome:
        action = request.action
        if not action:
            raise Fault(405)
        if action not in kind.actions:
            raise invalid("InvalidAction", "action")
        if action not in json.loads(rendered(row, scope, self._store))["actions"]:
            raise action_not_available()
        given = request.given()
        if action == "exportconfig":
            return Outcome(200, _json(self._export(row, given)))
        if action in ("execute", "logs", "proxy"):
            host = scope.base.replace("http", "ws", 1)
            token = self._state.logs.token(row.number, given) if action == "logs" else "lab"
            return Outcome(200, _json({"type": "hostAccess", "url": f"{host}/v1/{action}/", "token": token}))
        status = self._act(row, action, given)
        return Outcome(status, rendered(row, scope, self._store))

    def _act(self, row: Row, action: str, given: Mapping[str, Any]) -> int:
        if row.table == "stack":
            return self._state.stacks.act(row, action, given)
        if row.table == "service":
            return self._state.service_actions.act(row, action, given)
        if row.table == "instance":
            if action == "remove":
                self._state.instances.remove(row)
            else:
                self._state.instances.act(row, action, given)
            return 202
        return self._state.others.act(row, action, given)

    def _export(self, row: Row, given: Mapping[str, Any]) -> dict[str, Any]:
        asked = {parsed_id(str(one)) for one in given.get("serviceIds") or ()}
        services = [one for one in self._store.children("service", row.number) if not asked or one.number in asked]
        return exported(services, self._store)

    # -- links and schemas

    def _link(self, row: Row, request: Request, scope: Scope) -> Outcome:
        if request.method == "POST":
            kind, reference = child_kind(row, request.link, scope.v1)
            return self._create(kind, {**request.given(), **reference}, scope)
        if request.method != "GET":
            raise Fault(405)
        if row.table == "stack" and request.link.lower() == "composeconfig":
            return Outcome(200, zipped(self._export(row, {})), "application/zip")
        found = linked(row, request.link, self._store)
        if isinstance(found, Row):
            return Outcome(200, rendered(found, scope, self._store))
        kind, rows = found
        return Outcome(200, plain(kind, rows, scope, self._store))

    def _schema(self, request: Request, scope: Scope) -> Outcome:
        if request.method != "GET":
            raise Fault(405)
        # The command line asks for a schema of that name and wants a 200.
        if not request.id or request.id.lower() == "schemas":
            return Outcome(200, self._schemas.all(scope))
        found = self._schemas.one(scope, request.id)
        if found is None:
            raise not_found()
        return Outcome(200, _json(found))

    def _version(self, scope: Scope) -> dict[str, Any]:
        links = {"self": scope.prefix, "schemas": f"{scope.prefix}/schemas"}
        for kind in KINDS.values():
            if "r" in scope.methods(kind) and kind.name != "schema":
                links[kind.plural_name] = f"{scope.prefix}/{kind.plural_name.lower()}"
        return {"id": scope.version, "type": "apiVersion", "links": links, "actions": {}, "baseType": "apiVersion"}

    def _kind(self, word: str, scope: Scope) -> Kind:
        if scope.v1 and re.fullmatch("environments?", word):
            word = "stack"
        kind = kind_named(word)
        if kind is None or kind.value_only or not scope.methods(kind):
            raise not_found()
        return kind

    def _allow(self, kind: Kind, scope: Scope, letter: str) -> None:
        if letter not in scope.methods(kind):
            raise Fault(405)

    def _age(self, row: Row) -> None:
        """Containers and what is guarded are purged some minutes after their removal."""
        if row.table not in ("instance", "host", "storagePool", "credential", "volume") or row.state != "removed":
            return
        if self._store.now() - row.data["removed"] > 60 + row.number * 37 % 540:
            self._store.put(row, state="purged")


def _narrowed(rows: Iterable[Row], asked: Mapping[str, str]) -> list[Row]:
    """The list of projects knows three filters."""
    tests: list[Callable[[Row], bool]] = []
    if "id" in asked:
        tests.append(lambda row: row.number == parsed_id(asked["id"]))
    for name in ("uuid", "name"):
        if name in asked:
            tests.append(lambda row, name=name: str(column(row, name)).lower() == asked[name].lower())  # type: ignore[misc]  # a default binds the loop's name
    return [row for row in rows if all(test(row) for test in tests)]


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode()
