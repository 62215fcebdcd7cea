"""Rows as the API shows them: ids, dates, links and actions, once for each change and not for each request."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.ids import shown_id
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.rows import Row, Store
from pipeline.lab.rancher.scope import Scope
from pipeline.lab.rancher.states import TRANSITIONAL, offered

_TABLE_OF = {"project": "account", "apiKey": "credential", "registry": "storagePool"}
_BASE = {"project": "project"}
"""Base types that are not called as the table is."""
_BEHIND = ("member", "restricted", "readonly")
"""Roles without rights on infrastructure: they get no actions on system stacks."""


def rendered(row: Row, scope: Scope, store: Store, *, action_links: bool = False) -> bytes:
    """The resource as JSON; kept until the row changes or somebody asks from elsewhere."""
    key = (scope.prefix, scope.role, action_links)
    if row.rendered is None or row.rendered[0] != key:
        shown = resource(row, scope, store, action_links=action_links)
        row.rendered = (key, json.dumps(shown, separators=(",", ":")).encode())
    return row.rendered[1]


def resource(row: Row, scope: Scope, store: Store, *, once: bool = False, action_links: bool = False) -> dict[str, Any]:
    """The resource. `once`: with the fields that only the answer to a creation has."""
    kind = KINDS[row.kind]
    url = self_link(row, scope)
    actions = {name: f"{url}/?action={name}" for name in _actions(row, kind, scope)}
    environment = scope.v1 and row.table == "stack"
    shown: dict[str, Any] = {
        "id": shown_id(row.table, row.data["name"] if row.table == "setting" else row.number, v1=scope.v1),
        "type": "environment" if environment else row.kind,
        "links": _links(row, kind, url, scope),
        "actions": {} if action_links else actions,
        "baseType": "environment" if environment else _BASE.get(row.kind, row.table),
    }
    if action_links:
        shown["actionLinks"] = actions
    plan = _plan(kind.name)
    get = row.data.get
    shown |= {name: get(name) for name in (*plan.plain, *(plan.once if once else ()))}
    shown |= {name: bool(get(name)) for name in plan.flags}
    for name in plan.dates:
        shown[name], shown[f"{name}TS"] = date(get(name)), _milliseconds(get(name))
    for name, rule_type in plan.others:
        derived = _DERIVED.get((row.table, name))
        shown[name] = _referenced(rule_type, derived(row, store) if derived else get(name))
    if "transitioning" in kind.fields:
        shown["transitioning"], shown["transitioningMessage"] = transition(row)
    shown["kind"] = "environment" if environment else row.kind
    if environment:
        shown.pop("serviceIds", None)
    if scope.v1 and row.table == "service":
        shown["environmentId"] = shown_id("stack", row.data["stackId"], v1=True)
    return shown


def self_link(row: Row, scope: Scope) -> str:
    plural = KINDS[row.kind].plural_name.lower()
    if scope.v1 and row.table == "stack":
        plural = "environments"
    number = row.data["name"] if row.table == "setting" else shown_id(row.table, row.number, v1=scope.v1)
    return f"{scope.prefix}/{plural}/{number}"


def date(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def transition(row: Row) -> tuple[str, str | None]:
    """`transitioning` and its message: a state tells, and an error that a process left behind."""
    message = row.data.get("transitioningMessage")
    if row.data.get("state") in TRANSITIONAL:
        return "yes", message or "In Progress"
    if row.data.get("_error"):
        return "error", message
    return "no", None


def _actions(row: Row, kind: Kind, scope: Scope) -> tuple[str, ...]:
    if not scope.may_act() or (row.data.get("system") and scope.role in _BEHIND):
        return ()
    if not set(scope.methods(kind)) & set("cud"):
        return ()
    return tuple(name for name in offered(row.table, row.data.get("state", "")) if name in kind.actions)


def _links(row: Row, kind: Kind, url: str, scope: Scope) -> dict[str, str]:
    found = {"self": url}
    for link in kind.links:
        name = "environment" if scope.v1 and row.table == "service" and link == "stack" else link
        found[name] = f"{url}/{name.lower()}"
    return found


def _milliseconds(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds * 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A type's fields, by what they need when they are shown."""

    plain: tuple[str, ...]
    once: tuple[str, ...]
    flags: tuple[str, ...]
    dates: tuple[str, ...]
    others: tuple[tuple[str, str], ...]


@lru_cache
def _plan(name: str) -> _Plan:
    kind = KINDS[name]
    apart = ("id", "kind", "transitioning", "transitioningMessage")
    fields = {name: rule for name, rule in kind.fields.items() if name not in apart}
    shown = {name: rule for name, rule in fields.items() if "r" in rule.access and "o" not in rule.access}
    others = {
        name: rule.type for name, rule in shown.items() if "reference[" in rule.type or (kind.table, name) in _DERIVED
    }
    return _Plan(
        plain=tuple(
            name for name, rule in shown.items() if rule.type not in ("date", "boolean") and name not in others
        ),
        once=tuple(name for name, rule in fields.items() if "o" in rule.access),
        flags=tuple(name for name, rule in shown.items() if rule.type == "boolean"),
        dates=tuple(name for name, rule in shown.items() if rule.type == "date"),
        others=tuple(others.items()),
    )


def _referenced(kind: str, value: Any) -> Any:
    if value is None or "reference[" not in kind:
        return value
    table = _table(kind)
    if isinstance(value, dict):
        return {key: shown_id(table, number) for key, number in value.items()}
    if isinstance(value, list):
        return [shown_id(table, number) for number in value]
    return shown_id(table, value)


@lru_cache
def _table(kind: str) -> str:
    target = kind.rpartition("reference[")[2].rstrip("]")
    return _TABLE_OF.get(target, target)


def _services_of(row: Row, store: Store) -> list[int] | None:
    return [child.number for child in store.children("service", row.number)] or None


def _instances_of(row: Row, store: Store) -> list[int] | None:
    return [child.number for child in store.children("instance", row.number)] or None


def _on_host(row: Row, store: Store) -> list[int] | None:
    return [one.number for one in store.rows("instance") if one.data.get("hostId") == row.number] or None


def _services_behind(row: Row, _: Store) -> list[int] | None:
    service = row.data.get("serviceId")
    return None if service is None else [service]


_DERIVED: dict[tuple[str, str], Callable[[Row, Store], list[int] | None]] = {
    ("stack", "serviceIds"): _services_of,
    ("service", "instanceIds"): _instances_of,
    ("host", "instanceIds"): _on_host,
    ("instance", "serviceIds"): _services_behind,
}
