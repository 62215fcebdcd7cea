"""Collections: rows of a type that a scope may see, filtered, ordered, cut into pages, with their envelope."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlencode

from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.filters import Condition, Page, Pair, conditions, matching, ordered, page, shown
from pipeline.lab.rancher.kinds_other import KINDS
from pipeline.lab.rancher.links import linked
from pipeline.lab.rancher.render import rendered, resource
from pipeline.lab.rancher.rows import PARENTS, Row, Store
from pipeline.lab.rancher.scope import Scope


def collection(
    kind: Kind,
    rows: Iterable[Row],
    query: Sequence[Pair],
    scope: Scope,
    store: Store,
    *,
    include: Sequence[str] = (),
) -> bytes:
    """One page of a list; `include` names links whose rows each resource carries along."""
    wanted = conditions(kind, query)
    cut = page(kind, query)
    found = ordered(matching(rows, wanted), cut)
    part = found[cut.offset : cut.offset + cut.limit]
    more = cut.offset + cut.limit < len(found)
    envelope = _envelope(kind, scope) | {
        "pagination": _pagination(kind, query, cut, scope, more=more),
        "sort": {"name": cut.sort, "order": "desc" if cut.descending else "asc", "reverse": None} if cut.sort else None,
        "filters": shown(kind, wanted),
    }
    if include:
        return joined(envelope, [_including(row, include, scope, store) for row in part])
    return joined(envelope, [rendered(row, scope, store, action_links=_linked(query)) for row in part])


def _including(row: Row, include: Sequence[str], scope: Scope, store: Store) -> bytes:
    shown = resource(row, scope, store)
    for word in include:
        if word in KINDS[row.kind].links:
            found = linked(row, word, store)
            rows = [found] if isinstance(found, Row) else found[1]
            shown[word] = [resource(one, scope, store) for one in rows]
    return json.dumps(shown, separators=(",", ":")).encode()


def plain(kind: Kind, rows: Iterable[Row], scope: Scope, store: Store) -> bytes:
    """All rows of a link: neither filtered nor cut."""
    envelope = _envelope(kind, scope) | {"pagination": None, "sort": None, "filters": dict.fromkeys(kind.filters)}
    return joined(envelope, [rendered(row, scope, store) for row in rows])


def joined(envelope: dict[str, Any], parts: Sequence[bytes]) -> bytes:
    """The collection's JSON around resources that are JSON already."""
    head = json.dumps(envelope, separators=(",", ":")).encode()
    return b'%s,"data":[%s]}' % (head[:-1], b",".join(parts))


def candidates(kind: Kind, query: Sequence[Pair], store: Store, projects: frozenset[int]) -> Iterable[Row]:
    """The rows of a type in the projects that may be seen; a filter on the parent finds them by index."""
    removed = any(name == "_removed" for name, _ in query)
    parent = PARENTS.get(kind.table, "")
    wanted = next((one for one in conditions(kind, query) if one.field == parent and one.modifier == "eq"), None)
    rows = (
        _by_parent(kind, wanted, store)
        if wanted is not None and not removed
        else store.rows(kind.table, removed=removed)
    )
    every = kind.name in ("service", "instance")
    return (row for row in rows if row.project in projects and (every or row.kind == kind.name))


def _by_parent(kind: Kind, wanted: Condition, store: Store) -> Iterable[Row]:
    return store.children(kind.table, wanted.value) if isinstance(wanted.value, int) else ()


def _linked(query: Sequence[Pair]) -> bool:
    return any(name == "_actionLinks" for name, _ in query)


def _envelope(kind: Kind, scope: Scope) -> dict[str, Any]:
    environment = scope.v1 and kind.name == "stack"
    plural = "environments" if environment else kind.plural_name.lower()
    url = f"{scope.prefix}/{plural}"
    family = [one for one in KINDS.values() if one.table == kind.table and one.table == "service"] or [kind]
    return {
        "type": "collection",
        "resourceType": "environment" if environment else kind.name,
        "links": {"self": url},
        "createTypes": {
            one.name: f"{scope.prefix}/{one.plural_name.lower()}" for one in family if "c" in scope.methods(one)
        },
        "actions": {},
        "sortLinks": {name: f"{url}?sort={name}" for name in kind.filters},
        "createDefaults": {},
    }


def _pagination(kind: Kind, query: Sequence[Pair], cut: Page, scope: Scope, *, more: bool) -> dict[str, Any]:
    following = None
    if more:
        kept = [(name, value) for name, value in query if name not in ("limit", "marker")]
        asked = urlencode([*kept, ("limit", str(cut.limit)), ("marker", f"m{cut.offset + cut.limit}")])
        following = f"{_envelope(kind, scope)['links']['self']}?{asked}"
    return {
        "first": None,
        "previous": None,
        "next": following,
        "limit": cut.limit,
        "total": None,
        "partial": more,
    }
