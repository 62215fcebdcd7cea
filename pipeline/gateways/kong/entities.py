"""Routes in the words of Kong's services and routes (Kong ≥ 1.1: with names and tags), and back. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from pipeline.errors import BadInput, Refused
from pipeline.model.plan import Change, Verb
from pipeline.model.route import PIPELINE_TAG, FoundRoute, Owner, Route, environments_in, owner_of, owner_tags, tag_word

SERVICES = "services"
ROUTES = "routes"
Fields = Mapping[str, object]
_DEFAULT_PORTS = {"http": 80, "https": 443}
_OUR_TAGS = ("env.", "service.", "stack.")


def service_fields(wanted: Route, found: Fields | None = None) -> dict[str, object]:
    """What the switch writes, all in one request: where requests go, and which stack that is."""
    try:
        parts = urlsplit(wanted.upstream)
        port = parts.port
    except ValueError as error:
        raise _bad_upstream(wanted) from error
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise _bad_upstream(wanted)
    return {
        "protocol": parts.scheme,
        "host": parts.hostname,
        "port": port or _DEFAULT_PORTS[parts.scheme],
        "path": parts.path or None,
        "tags": [*_foreign_tags(found), *owner_tags(wanted)],
    }


def route_fields(wanted: Route, found: Fields | None = None) -> dict[str, object]:
    """What the Kong route says: it stays as it is when a release is switched."""
    return {
        "paths": [wanted.uri],
        "hosts": list(wanted.hosts) or None,
        "methods": list(wanted.methods) or None,
        "strip_path": wanted.strip_uri,
        "preserve_host": wanted.preserve_host,
        "tags": [*_foreign_tags(found), *(tag for tag in owner_tags(wanted) if not tag.startswith("stack."))],
    }


def plan_changes(wanted: Route, service: Fields | None, route: Fields | None) -> tuple[Change, ...]:
    """The writes that are missing, given what the gateway has under the service's name. The one that moves traffic is
    the last: the route of a new service, the PATCH of the Kong service otherwise."""
    service_change = _service_change(wanted, service)
    route_change = _route_change(wanted, service, route)
    order = (service_change, route_change) if route is None else (route_change, service_change)
    return tuple(change for change in order if change is not None)


def refuse_foreign(wanted: Route, kind: str, found: Fields) -> None:
    """Refuses an entity of our name that someone else made."""
    owner = owner_of(tags_of(found))
    if owner.service == wanted.service and owner.environment == tag_word(wanted.environment):
        return
    raise Refused(
        f"the gateway's {kind.removesuffix('s')} {wanted.service!r} belongs to {owner_words(owner)}",
        hint=f"Rename it there, or give this service another pipeline.name than {wanted.service!r}.",
    )


def owner_words(owner: Owner) -> str:
    """Whose, for a message."""
    return f"service {owner.service!r} of environment {owner.environment!r}" if owner.ours else "someone else (no tags)"


def find_ours(wanted: Route, routes: tuple[Fields, ...]) -> Fields | None:
    """Of the routes under our Kong service the one that we made: by name, else by tag (someone may have renamed it)."""
    for route in routes:
        if route.get("name") == wanted.service:
            return route
    return next((route for route in routes if owner_of(tags_of(route)).service == wanted.service), None)


def found_route(route: Fields, service: Fields | None) -> FoundRoute:
    """A route as the model has it; stack and upstream are those of the Kong service it leads to."""
    owner = owner_of(tags_of(route))
    stack = owner_of(tags_of(service or {})).stack if owner.ours else ""
    return FoundRoute(
        id=str(route["id"]),
        name=_text(route, "name"),
        paths=_texts(route, "paths"),
        hosts=_texts(route, "hosts"),
        methods=_texts(route, "methods"),
        strip_uri=route.get("strip_path") is True,
        preserve_host=route.get("preserve_host") is True,
        upstream=upstream_of(service) if service else "",
        owner=Owner(environment=owner.environment, service=owner.service, stack=stack),
    )


def upstream_of(service: Fields) -> str:
    """`http://host:port/path`; the port only where it is not the protocol's own."""
    protocol, port = _text(service, "protocol"), service.get("port")
    ending = "" if port == _DEFAULT_PORTS.get(protocol) else f":{port}"
    return f"{protocol}://{_text(service, 'host')}{ending}{_text(service, 'path')}"


def environments(services: Iterable[Fields]) -> tuple[str, ...]:
    """Those that the tags of services name."""
    return environments_in({tags_of(service) for service in services if service.get("tags")})


def tags_of(found: Fields) -> tuple[str, ...]:
    return _texts(found, "tags")


def is_our_tag(tag: str) -> bool:
    return tag == PIPELINE_TAG or tag.startswith(_OUR_TAGS)


def service_id(route: Fields) -> str:
    """The id of the Kong service that a route leads to; empty for none."""
    service = route.get("service")
    return str(service.get("id", "")) if isinstance(service, Mapping) else ""


def same_value(one: object, other: object) -> bool:
    """Equal as a gateway means it: an empty list is no list, and tags and methods are sets."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return sorted(map(str, one)) == sorted(map(str, other))
    return (one or None) == (other or None) if not isinstance(one, bool | int) else one == other


def _service_change(wanted: Route, found: Fields | None) -> Change | None:
    after = service_fields(wanted, found)
    if found is None:
        return _create(SERVICES, wanted.service, after, f"requests will go to {wanted.upstream}")
    if all(same_value(found.get(key), value) for key, value in after.items()):
        return None
    reason = f"requests will go to {wanted.upstream} instead of {upstream_of(found)}"
    return _update(SERVICES, wanted.service, found, after, reason)


def _route_change(wanted: Route, service: Fields | None, found: Fields | None) -> Change | None:
    after = route_fields(wanted, found)
    if found is None:
        return _create(ROUTES, wanted.service, after, f"{wanted.uri} will be answered", parent=wanted.service)
    if service is not None and service_id(found) != service["id"]:
        after["service"] = {"id": service["id"]}
    after = {key: value for key, value in after.items() if not same_value(found.get(key), value)}
    if not after:
        return None
    return _update(ROUTES, wanted.service, found, after, f"{', '.join(sorted(after))} differ")


def _create(kind: str, key: str, after: Fields, reason: str, parent: str = "") -> Change:
    return Change(verb=Verb.CREATE, kind=kind, key=key, before={}, after=after, reason=reason, parent=parent)


def _update(kind: str, key: str, found: Fields, after: Fields, reason: str) -> Change:
    before = {field: found.get(field) for field in after}
    return Change(verb=Verb.UPDATE, kind=kind, key=key, before=before, after=after, reason=reason, id=str(found["id"]))


def _foreign_tags(found: Fields | None) -> list[str]:
    """Tags that someone added by hand: they stay."""
    return [tag for tag in tags_of(found or {}) if not is_our_tag(tag)]


def _text(found: Fields, key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _texts(found: Fields, key: str) -> tuple[str, ...]:
    value = found.get(key)
    return tuple(map(str, value)) if isinstance(value, (list, tuple)) else ()


def _bad_upstream(wanted: Route) -> BadInput:
    return BadInput(
        f"the upstream {wanted.upstream!r} of {wanted.service} is not a URL that a gateway can send requests to",
        hint="It should look like http://proxy.cities-master-0a1b2c3d:80.",
    )
