"""The route of a uri, whoever made it: planned as the first pipeline's command means it. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.errors import Refused
from pipeline.gateways.kong.apis_entities import APIS, stored_uri
from pipeline.gateways.kong.entities import ROUTES, SERVICES, Fields, service_fields, service_id, tags_of, upstream_of
from pipeline.gateways.kong.writes import agrees
from pipeline.model.plan import Change, Verb
from pipeline.model.route import Route, owner_of, same_upstream, stack_of_upstream
from pipeline.model.uri_route import UriRoute


def plan_on_apis(wanted: UriRoute, apis: tuple[Fields, ...]) -> tuple[Change, ...]:
    """The api of the uri, created or made to lead to the upstream; in one write."""
    found = _of_uri(wanted, apis, "uris", stored_uri(wanted.uri))
    after: dict[str, object] = {"upstream_url": wanted.upstream}
    after |= {"hosts": list(wanted.hosts)} if wanted.hosts else {}
    after |= {} if wanted.strip_uri is None else {"strip_uri": wanted.strip_uri}
    if found is None:
        return (_create(APIS, wanted, {"uris": [wanted.uri], **after}),)
    if same_upstream(str(found.get("upstream_url")), wanted.upstream):
        after.pop("upstream_url")
    return _update(APIS, found, after, str(found.get("upstream_url")))


def plan_on_services(wanted: UriRoute, services: tuple[Fields, ...], routes: tuple[Fields, ...]) -> tuple[Change, ...]:
    """The same with a Kong service and its route: the last change moves traffic."""
    by_id = {str(service["id"]): service for service in services}
    route = _of_uri(wanted, routes, "paths", wanted.uri)
    if route is None:
        service = next((one for one in services if one.get("name") == wanted.name), None)
    else:
        service = by_id.get(service_id(route))
    if service is not None:
        _refuse_shared(wanted, service, route, routes)
    match: dict[str, object] = {"hosts": list(wanted.hosts)} if wanted.hosts else {}
    match |= {} if wanted.strip_uri is None else {"strip_path": wanted.strip_uri}
    switch = _switch(wanted, service)
    if route is None:
        made = (_create(SERVICES, wanted, switch),) if service is None else _update(SERVICES, service, switch, "")
        return (*made, _create(ROUTES, wanted, {"paths": [wanted.uri], **match}, parent=wanted.name))
    if service is None:
        raise Refused(
            f"the gateway's route {_label(route)} on {wanted.uri} leads to no service",
            hint="Remove it there, or give it a service.",
        )
    return (*_update(ROUTES, route, match, ""), *_update(SERVICES, service, switch, upstream_of(service)))


def _of_uri(wanted: UriRoute, entities: tuple[Fields, ...], key: str, uri: str) -> Fields | None:
    """The one that answers the uri: of the name that a new one would get, else by uri and hosts."""
    named = [one for one in entities if one.get("name") == wanted.name]
    found = named or [one for one in entities if uri in _texts(one, key) and _meet(wanted.hosts, _texts(one, "hosts"))]
    if len(found) > 1:
        raise Refused(
            f"{len(found)} of the gateway's {', '.join(map(_label, found))} answer {wanted.uri}: which one is meant?",
            hint="Remove all but one of them there.",
        )
    if found and _texts(found[0], key) != (uri,):
        shown = ", ".join(_texts(found[0], key)) or "no uri"
        raise Refused(
            f"the gateway's {_label(found[0])} answers {shown}, not {wanted.uri} alone: the rest would move",
            hint=f"Give {wanted.uri} one of its own there, or rename it if it is not meant.",
        )
    return found[0] if found else None


def _refuse_shared(wanted: UriRoute, service: Fields, route: Fields | None, routes: tuple[Fields, ...]) -> None:
    others = [one for one in routes if service_id(one) == service["id"] and one is not route]
    if others:
        raise Refused(
            f"the gateway's service {_label(service)} has the routes {', '.join(map(_label, others))} beside that of "
            f"{wanted.uri}: they would move with it",
            hint=f"Give {wanted.uri} a service of its own there.",
        )


def _switch(wanted: UriRoute, service: Fields | None) -> dict[str, object]:
    """Where requests go. A service of the toolkit's own keeps its tags; the one of the stack says the truth again."""
    route = Route(
        service=wanted.name, environment="", stack="", uri=wanted.uri, upstream=wanted.upstream, hosts=wanted.hosts
    )
    fields = {key: value for key, value in service_fields(route).items() if key != "tags"}
    tags = tags_of(service or {})
    if owner_of(tags).ours:
        stack = stack_of_upstream(wanted.upstream)
        kept = [tag for tag in tags if not tag.startswith("stack.")]
        fields["tags"] = [*kept, f"stack.{stack}"] if stack else kept
    return fields


def _create(kind: str, wanted: UriRoute, after: Mapping[str, object], parent: str = "") -> Change:
    reason = f"{wanted.uri} will be answered by {wanted.upstream}"
    return Change(verb=Verb.CREATE, kind=kind, key=wanted.name, before={}, after=after, reason=reason, parent=parent)


def _update(kind: str, found: Fields, after: Mapping[str, object], upstream: str) -> tuple[Change, ...]:
    differing = {key: value for key, value in after.items() if not agrees(found, {key: value})}
    if not differing:
        return ()
    moves = bool({"upstream_url", "host", "port", "protocol", "path"} & set(differing))
    reason = f"requests went to {upstream}" if moves and upstream else f"{', '.join(sorted(differing))} differ"
    return (
        Change(
            verb=Verb.UPDATE,
            kind=kind,
            key=_label(found),
            id=str(found["id"]),
            before={key: found.get(key) or None if key == "hosts" else found.get(key) for key in differing},
            after=differing,
            reason=reason,
        ),
    )


def _label(found: Fields) -> str:
    return str(found.get("name") or found.get("id"))


def _texts(found: Fields, key: str) -> tuple[str, ...]:
    value = found.get(key)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def _meet(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    return (not one and not other) or bool(set(one) & set(other))
