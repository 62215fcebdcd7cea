"""Routes in the words of Kong's legacy /apis (0.10 – 0.14: names, no tags), and back. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pipeline.errors import BadInput, Refused
from pipeline.gateways.kong.entities import Fields
from pipeline.gateways.kong.plugins import IdMarks, plan_plugins, with_plugins
from pipeline.gateways.kong.writes import agrees
from pipeline.model.kinds import kind_of
from pipeline.model.plan import Change, Verb, writing
from pipeline.model.route import Entity, FoundRoute, Owner, Route, same_upstream, stack_of_upstream, tag_word
from pipeline.model.secret_fields import sealed

APIS = "apis"
_UPSTREAM = re.compile(r"https?://[^\s/?#@]+(/[^\s]*)?")
_LISTS = ("uris", "hosts", "methods")
_SERVER_MADE = ("id", "created_at")
_UNREACHED = "not-yet.invalid"
"""A host that no request has: a new api is under it until its plugins are in place (RFC 2606)."""


def api_fields(wanted: Route) -> dict[str, object]:
    """All that is ours of an api: the server says `uris` for paths and keeps none with a slash at the end."""
    if not _UPSTREAM.fullmatch(wanted.upstream):
        raise BadInput(
            f"the upstream {wanted.upstream!r} of {wanted.service} is not a URL that a gateway can send requests to",
            hint="It should look like http://proxy.cities-master-0a1b2c3d:80.",
        )
    return {
        "upstream_url": wanted.upstream,
        "uris": [stored_uri(wanted.uri)],
        "hosts": list(wanted.hosts) or None,
        "methods": list(wanted.methods) or None,
        "strip_uri": wanted.strip_uri,
        "preserve_host": wanted.preserve_host,
    }


def plan_api(wanted: Route, found: Fields | None, plugins: tuple[Fields, ...]) -> tuple[Change, ...]:
    """The writes that are missing, given the api of the service's name and its plugins. What moves traffic is one
    request, and the last."""
    after = api_fields(wanted)
    steps = plan_plugins(wanted, plugins, IdMarks())
    if found is None:
        return _creation(wanted, {key: value for key, value in after.items() if value is not None}, steps)
    refuse_foreign_api(wanted, found)
    differing = {key: value for key, value in after.items() if not _same(key, found, value)}
    if not differing:
        return steps
    before = {key: _before(found, key) for key in differing}
    if "upstream_url" in differing:
        reason = f"requests will go to {wanted.upstream} instead of {found.get('upstream_url')}"
    else:
        reason = f"{', '.join(sorted(differing))} differ"
    switch = Change(
        verb=Verb.UPDATE,
        kind=APIS,
        key=wanted.service,
        id=str(found["id"]),
        before=before,
        after=differing,
        reason=reason,
    )
    return with_plugins((switch,), steps)


def refuse_foreign_api(wanted: Route, found: Fields) -> None:
    """An api of the service's name is ours when it answers the service's uri, or leads to a stack of the service (then
    the uri has changed since); refused otherwise. docs/decisions/apis-by-name.md"""
    upstream = str(found.get("upstream_url", ""))
    if stored_uri(wanted.uri) in _texts(found, "uris") or stack_in(wanted.service, upstream):
        return
    shown = ", ".join(_texts(found, "uris")) or "no uri"
    raise Refused(
        f"the gateway's api {wanted.service!r} belongs to someone else: it answers {shown} and leads to {upstream}",
        hint=f"Rename it there, or give this service another pipeline.name than {wanted.service!r}.",
    )


def found_api(api: Fields, environment: str) -> FoundRoute:
    """An api as the model has it. With no tags, it is ours when it leads to a stack of the service that it is called
    after; the environment is the one that the driver was opened for."""
    name, upstream = str(api.get("name", "")), str(api.get("upstream_url", ""))
    stack = stack_in(name, upstream)
    return FoundRoute(
        id=str(api["id"]),
        name=name,
        paths=_texts(api, "uris"),
        hosts=_texts(api, "hosts"),
        methods=_texts(api, "methods"),
        strip_uri=api.get("strip_uri") is True,
        preserve_host=api.get("preserve_host") is True,
        upstream=upstream,
        owner=Owner(environment=tag_word(environment), service=name, stack=stack) if stack else Owner(),
    )


def stack_in(service: str, upstream: str) -> str:
    """The stack of the service that an upstream leads to; empty for none."""
    stack = stack_of_upstream(upstream)
    return stack if service and stack.startswith(f"{service}-") else ""


def stored_uri(uri: str) -> str:
    """As the server keeps it (0.14.1 cuts slashes at the end)."""
    return uri.rstrip("/") or "/"


def legacy_entity(kind: str, found: Fields) -> Entity:
    """An entity of a dump: what the server makes is kept apart. `created_at` is in milliseconds here, and an empty
    list comes as {}."""
    created_at = found.get("created_at")
    body = {key: value for key, value in sorted(found.items()) if key not in _SERVER_MADE}
    return Entity(
        kind=kind,
        id=str(found["id"]),
        name=str(found.get("name", "")),
        body=sealed(kind_of(kind), {key: [] if key in _LISTS and not value else value for key, value in body.items()}),
        created_at=int(created_at) if isinstance(created_at, int | float) else 0,
    )


def _creation(wanted: Route, after: Fields, steps: tuple[Change, ...]) -> tuple[Change, ...]:
    """An api with plugins is made under a host that no request has, and is opened when they are in place."""
    reason = f"{wanted.uri} will be answered by {wanted.upstream}"
    if not writing(steps):
        return (Change(verb=Verb.CREATE, kind=APIS, key=wanted.service, before={}, after=after, reason=reason),)
    hidden = {**after, "hosts": [_UNREACHED]}
    first = "its plugins come before its first request"
    return (
        Change(verb=Verb.CREATE, kind=APIS, key=wanted.service, before={}, after=hidden, reason=first),
        *steps,
        Change(
            verb=Verb.UPDATE,
            kind=APIS,
            key=wanted.service,
            before={"hosts": [_UNREACHED]},
            after={"hosts": list(wanted.hosts) or None},
            reason=reason,
        ),
    )


def _same(key: str, found: Fields, value: object) -> bool:
    if key == "upstream_url":
        return same_upstream(str(found.get(key, "")), str(value))
    return agrees(found, {key: value})


def _before(found: Fields, key: str) -> object:
    """null unsets a list (0.14.1); {} is how the server shows an empty one."""
    value = found.get(key)
    return value or None if key in _LISTS else value


def _texts(found: Mapping[str, object], key: str) -> tuple[str, ...]:
    value = found.get(key)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()
