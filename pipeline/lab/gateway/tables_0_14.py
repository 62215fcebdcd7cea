"""The schemas of 0.14 that are no legacy types (source: kong/db/schema/entities of 0.14.1, recordings)."""

from __future__ import annotations

import re
from dataclasses import replace

from pipeline.lab.gateway import tables
from pipeline.lab.gateway.fields import (
    CREATED_AT,
    ID,
    PORT_RANGE,
    UPDATED_AT,
    bare_text,
    flag,
    foreign,
    integer,
    listing,
    text,
)
from pipeline.lab.gateway.legacy_apis import old_host
from pipeline.lab.gateway.rules import (
    NO_EMPTY_SEGMENTS,
    ONE_WILDCARD,
    UPPER_CASE,
    WILDCARD_AT_END,
    bad_escape,
    between,
    is_plain_path,
    length_min,
    one_of,
    pcre_error,
    starts_with,
)
from pipeline.lab.gateway.schema import (
    Check,
    Entity,
    Errors,
    Field,
    Inline,
    Kind,
    Methods,
    Rule,
    Schema,
)
from pipeline.lab.gateway.tables_consumers import at_least_one

_SCHEMES = ("http", "https")


def _name(value: str) -> str | None:
    if re.fullmatch(r"[A-Za-z0-9.\-_~]+", value):
        return None
    return f"invalid value '{value}': it must only contain alphanumeric and '., -, _, ~' characters"


def _host(value: str) -> str | None:
    name, colon, port = value.rpartition(":")
    if colon and port.isdigit() and ":" not in name and old_host(name):
        return "must not have a port"
    return None if old_host(value) else f"invalid value: {value}"


def _path(value: str) -> str | None:
    if not is_plain_path(value):
        return f"invalid path: '{value}' (characters outside of the reserved list of RFC 3986 found)"
    wrong = bad_escape(value)
    return f"invalid url-encoded value: '{wrong}'" if wrong is not None else None


def _route_path(value: str) -> str | None:
    if is_plain_path(value):
        return _path(value)
    words = pcre_error(value)
    return f"invalid regex: '{value}' (PCRE returned: {words})" if words is not None else None


def _route_host(value: str) -> str | None:
    return None if _host(value.replace("*", "abc")) is None else _host(value.replace("*", "abc"))


_NO_SLASH_AT_END = Rule(
    lambda value: "must not have a trailing slash" if len(value) > 1 and value.endswith("/") else None
)


def _milliseconds(name: str) -> Field:
    return integer(name, between(0, 2147483646), default=60000)


def _when_updating(*names: str) -> Check:
    """The rule "at least one of", looked at with what a PATCH names alone: what is stored does not count."""
    message = "when updating, at least one of these fields must be non-empty: " + ", ".join(f"'{n}'" for n in names)

    def check(given: Entity, errors: Errors) -> None:
        named = [given[name] for name in names if name in given]
        if named and all(value in (None, "", [], {}) for value in named):
            errors.setdefault("@entity", []).append(message)

    return check


def _split_url(entity: Entity) -> Errors:
    """As in 2.8, but that what is no text is left out silently."""
    if not isinstance(entity.get("url"), str):
        entity.pop("url", None)
        return {}
    return tables.split_url(entity)


def _strings(name: str, elements: Field) -> Field:
    """A list of which only the first error is told, without its place."""
    return replace(listing(name, elements), first_error_only=True)


def _foreign(name: str, reference: str, *, cascades: bool = False) -> Field:
    return replace(foreign(name, reference, required=True, cascades=cascades), null_id="required field missing")


_NOWHERE = Methods(nested_item=())
_SERVICES = Schema(
    name="services",
    fields=(
        ID,
        CREATED_AT,
        UPDATED_AT,
        replace(bare_text("name", Rule(_name)), unique=True),
        integer("retries", between(0, 32767), default=5),
        Field(
            name="protocol", rules=(one_of(*_SCHEMES), length_min(1)), default="http", has_default=True, required=True
        ),
        text("host", Rule(_host), required=True),
        integer("port", PORT_RANGE, default=80, required=True),
        Field(name="path", rules=(length_min(1), starts_with("/"), NO_EMPTY_SEGMENTS, Rule(_path))),
        _milliseconds("connect_timeout"),
        _milliseconds("write_timeout"),
        _milliseconds("read_timeout"),
    ),
    shorthand=_split_url,
    missing_parent_is_unexpected=frozenset(),
)
_CONDITIONS = ("methods", "hosts", "paths")
_ROUTES = Schema(
    name="routes",
    endpoint_key=None,
    fields=(
        ID,
        CREATED_AT,
        UPDATED_AT,
        Field(
            name="protocols",
            kind=Kind.SET,
            elements=Field(rules=(one_of(*_SCHEMES), length_min(1))),
            first_error_only=True,
            default=list(_SCHEMES),
            has_default=True,
            required=True,
            rules=(length_min(1),),
        ),
        Field(name="methods", kind=Kind.SET, first_error_only=True, elements=Field(rules=(length_min(1), UPPER_CASE))),
        _strings("hosts", Field(rules=(length_min(1), ONE_WILDCARD, WILDCARD_AT_END, Rule(_route_host)))),
        _strings(
            "paths",
            Field(rules=(length_min(1), starts_with("/"), NO_EMPTY_SEGMENTS, _NO_SLASH_AT_END, Rule(_route_path))),
        ),
        integer("regex_priority", default=0),
        flag("strip_path", default=True, required=False),
        flag("preserve_host", default=False, required=False),
        _foreign("service", "services"),
    ),
    checks=(at_least_one(*_CONDITIONS),),
    partial_checks=(_when_updating(*_CONDITIONS),),
    methods=_NOWHERE,
    missing_parent_is_unexpected=frozenset(),
)
_CONSUMERS = Schema(
    name="consumers",
    endpoint_key="username",
    fields=(ID, CREATED_AT, bare_text("username", unique=True), bare_text("custom_id", unique=True)),
    checks=(at_least_one("custom_id", "username"),),
    partial_checks=(_when_updating("custom_id", "username"),),
    filters=("custom_id",),
    missing_parent_is_unexpected=frozenset(),
)


def _put_names(names: list[str] | None, name: str | None, new: bool) -> list[str] | None:
    """The URL's name counts for a new certificate; without names, those that are there stay."""
    return sorted({*(names or ()), name}) if new and name is not None else names


_CERTIFICATES = Schema(
    name="certificates",
    endpoint_key=None,
    fields=(ID, CREATED_AT, text("cert", required=True), text("key", required=True)),
    inline=Inline(
        field="snis",
        child="snis",
        key="name",
        reference="certificate",
        missing="SNI not found",
        put_names=_put_names,
        missing_id_is_coded=True,
    ),
    missing_parent_is_unexpected=frozenset(),
)
_SNIS = Schema(
    name="snis",
    fields=(
        ID,
        replace(text("name", required=True), unique=True),
        CREATED_AT,
        _foreign("certificate", "certificates", cascades=True),
    ),
    methods=Methods(nested_item=(), parents=frozenset()),
    missing_parent_is_unexpected=frozenset(),
)

TABLES = (_SERVICES, _ROUTES, _CONSUMERS, _CERTIFICATES, _SNIS)
