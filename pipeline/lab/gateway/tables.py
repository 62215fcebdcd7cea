"""The schemas of services and routes (2.8)."""

from __future__ import annotations

import re
from dataclasses import replace

from pipeline.lab.gateway.fields import (
    CREATED_AT,
    ID,
    NAMED,
    PATH_RULES,
    PORT_RANGE,
    PROTOCOLS,
    TAGS,
    UPDATED_AT,
    bare_text,
    choice,
    flag,
    foreign,
    integer,
    listing,
    milliseconds,
    record,
    text,
)
from pipeline.lab.gateway.rules import (
    NOT_EMPTY,
    NOT_HOST_HEADER,
    ONE_WILDCARD,
    ROUTE_HOST,
    ROUTE_PATH,
    SERVICE_HOST,
    SERVICE_PATH,
    UPPER_CASE,
    WILDCARD_AT_END,
    between,
    length_min,
    null_only,
    one_of,
)
from pipeline.lab.gateway.schema import Check, Entity, Errors, Field, Kind, Rule, Schema, Subschema


def _null_for(field: str, protocols: tuple[str, ...]) -> Check:
    def check(entity: Entity, errors: Errors) -> None:
        if entity.get("protocol") not in protocols or entity.get(field) is None:
            return
        errors[field] = "value must be null"
        errors.setdefault("@entity", []).append("failed conditional validation given value of field 'protocol'")

    return check


_NO_PATH = tuple(protocol for protocol in PROTOCOLS if protocol not in ("http", "https"))
_NO_TLS = tuple(protocol for protocol in PROTOCOLS if protocol not in ("https", "tls"))


_AFTER_SCHEME = re.compile(r"//([^/?#]*)([^?#]*)")


def split_url(entity: Entity) -> Errors:
    """Replace `url` by the fields it stands for; a port that is not given is the scheme's, a path that is not, null."""
    if "url" not in entity:
        return {}
    url = entity.pop("url")
    if url is not None and not isinstance(url, str):
        return {"url": "expected a string"}
    if url == "":
        return {"url": "length must be at least 1"}
    # Kong parses what its JSON null prints as.
    entity.update(_parts_of("userdata: NULL" if url is None else url))
    if entity["port"] is None:
        entity["port"] = 443 if entity["protocol"] in ("https", "grpcs") else 80
    return {}


def _parts_of(url: str) -> Entity:
    scheme, colon, rest = url.partition(":")
    if not colon or "/" in scheme:
        scheme, rest = "http", url
    if not rest.startswith("//"):
        return {"protocol": scheme, "host": None, "port": None, "path": rest}
    parts = _AFTER_SCHEME.match(rest)
    authority, path = parts.groups() if parts is not None else ("", "")
    host, port = _host_and_port(authority.rpartition("@")[2])
    return {"protocol": scheme, "host": host, "port": port, "path": path or None}


def _host_and_port(authority: str) -> tuple[str | None, int | str | None]:
    if authority.startswith("["):
        host, _, rest = authority[1:].partition("]")
        port = rest[1:] if rest.startswith(":") else ""
    else:
        host, _, port = authority.partition(":")
    return host or None, (int(port) if port.isdigit() else port) or None


SERVICES = Schema(
    name="services",
    fields=(
        ID,
        CREATED_AT,
        UPDATED_AT,
        NAMED,
        integer("retries", between(0, 32767), default=5),
        choice("protocol", *PROTOCOLS, default="http", required=True),
        text("host", SERVICE_HOST, required=True),
        integer("port", PORT_RANGE, default=80, required=True),
        Field(name="path", rules=(*PATH_RULES, SERVICE_PATH)),
        milliseconds("connect_timeout"),
        milliseconds("write_timeout"),
        milliseconds("read_timeout"),
        TAGS,
        foreign("client_certificate", "certificates"),
        flag("tls_verify"),
        replace(integer("tls_verify_depth", between(0, 64)), has_default=True),
        listing("ca_certificates", Field(uuid=True)),
        flag("enabled", default=True),
    ),
    checks=(
        _null_for("path", _NO_PATH),
        _null_for("client_certificate", _NO_TLS),
        _null_for("tls_verify", _NO_TLS),
        _null_for("tls_verify_depth", _NO_TLS),
        _null_for("ca_certificates", _NO_TLS),
    ),
    shorthand=split_url,
)

_EXCLUSIVE = (("http", "https"), ("tcp", "tls", "udp"), ("tls_passthrough",), ("grpc", "grpcs"))


def _exclusive(protocols: list[str]) -> str | None:
    used = [group for group in _EXCLUSIVE if any(protocol in group for protocol in protocols)]
    if len(used) < 2:
        return None
    sets = ", ".join("(" + ", ".join(f"'{name}'" for name in group) + ")" for group in used)
    return "these sets are mutually exclusive: " + sets


def _address(name: str) -> Field:
    return Field(
        name=name,
        kind=Kind.SET,
        elements=replace(
            record("", bare_text("ip"), integer("port", PORT_RANGE), required=False), at_least_one_of=("ip", "port")
        ),
    )


def _at_least_one(protocol: str, fields: tuple[str, ...], words: str) -> Check:
    def check(entity: Entity, errors: Errors) -> None:
        if protocol in (entity.get("protocols") or ()) and not any(entity.get(field) for field in fields):
            names = ", ".join(f"'{field}'" for field in fields)
            errors.setdefault("@entity", []).append(f"must set one of {names} when 'protocols' is {words}")

    return check


def _first_that_applies(*checks: tuple[str, Check]) -> Check:
    def check(entity: Entity, errors: Errors) -> None:
        for protocol, rule in checks:
            if protocol in (entity.get("protocols") or ()):
                rule(entity, errors)
                return

    return check


def _unset(fields: tuple[str, ...], words: str) -> dict[str, Field]:
    return {
        name: replace(_ROUTE_FIELDS[name], rules=(null_only(f"cannot set '{name}' when 'protocols' is {words}"),))
        for name in fields
    }


_WITH_SNIS = ("grpcs", "https", "tls", "tls_passthrough")


def _snis(entity: Entity, errors: Errors) -> None:
    if entity.get("snis") and not any(protocol in _WITH_SNIS for protocol in entity.get("protocols") or ()):
        errors["snis"] = "length must be 0"
        words = "'snis' can only be set when 'protocols' is 'grpcs', 'https', 'tls' or 'tls_passthrough'"
        errors.setdefault("@entity", []).append(words)


_ROUTE_FIELDS = {
    field.name: field
    for field in (
        ID,
        CREATED_AT,
        UPDATED_AT,
        NAMED,
        Field(
            name="protocols",
            kind=Kind.SET,
            elements=Field(required=True, rules=(one_of(*PROTOCOLS), length_min(1))),
            default=["http", "https"],
            has_default=True,
            required=True,
            rules=(
                length_min(1),
                Rule(_exclusive, "mutually_exclusive_subsets", [list(group) for group in _EXCLUSIVE]),
            ),
        ),
        Field(name="methods", kind=Kind.SET, elements=Field(required=True, rules=(length_min(1), UPPER_CASE))),
        listing(
            "hosts",
            Field(required=True, rules=(length_min(1), ONE_WILDCARD, WILDCARD_AT_END, ROUTE_HOST)),
        ),
        listing("paths", Field(required=True, rules=(*PATH_RULES, ROUTE_PATH))),
        Field(
            name="headers",
            kind=Kind.MAP,
            empties_become_objects=True,
            keys=Field(required=True, rules=(length_min(1), NOT_HOST_HEADER)),
            values=listing("", Field(required=True, rules=(length_min(1),)), required=True),
        ),
        Field(
            name="https_redirect_status_code",
            kind=Kind.INTEGER,
            rules=(one_of(426, 301, 302, 307, 308),),
            default=426,
            has_default=True,
            required=True,
        ),
        integer("regex_priority", default=0),
        flag("strip_path", default=True),
        choice("path_handling", "v0", "v1", default="v0"),
        flag("preserve_host", default=False),
        flag("request_buffering", default=True),
        flag("response_buffering", default=True),
        Field(name="snis", kind=Kind.SET, elements=Field(rules=(NOT_EMPTY, ROUTE_HOST))),
        _address("sources"),
        _address("destinations"),
        TAGS,
        foreign("service", "services"),
    )
}

_BY_HTTPS = ("methods", "hosts", "headers", "paths", "snis")
_HTTP = Subschema(
    fields=_unset(("sources", "destinations"), "'http' or 'https'"),
    checks=(
        _first_that_applies(
            ("https", _at_least_one("https", _BY_HTTPS, "'https'")),
            ("http", _at_least_one("http", _BY_HTTPS[:-1], "'http'")),
        ),
    ),
)
_GRPC = Subschema(
    fields={
        **_unset(("methods", "sources", "destinations"), "'grpc' or 'grpcs'"),
        "strip_path": replace(
            _ROUTE_FIELDS["strip_path"],
            default=False,
            rules=(
                Rule(lambda value: "cannot set 'strip_path' when 'protocols' is 'grpc' or 'grpcs'" if value else None),
            ),
        ),
    },
    checks=(
        _first_that_applies(
            ("grpcs", _at_least_one("grpcs", _BY_HTTPS[1:], "'grpcs'")),
            ("grpc", _at_least_one("grpc", _BY_HTTPS[1:-1], "'grpc'")),
        ),
    ),
)
_STREAM_WORDS = "'tcp', 'tls', 'tls_passthrough' or 'udp'"
_STREAM = Subschema(
    fields=_unset(("methods", "hosts", "headers", "paths"), _STREAM_WORDS),
    checks=(
        _first_that_applies(
            *(
                (protocol, _at_least_one(protocol, fields, words))
                for protocol, fields, words in (
                    ("tls", ("sources", "destinations", "snis"), "'tcp', 'tls' or 'udp'"),
                    ("tcp", ("sources", "destinations"), "'tcp' or 'udp'"),
                    ("udp", ("sources", "destinations"), "'tcp' or 'udp'"),
                    ("tls_passthrough", ("snis",), "'tls_passthrough'"),
                )
            )
        ),
    ),
)

ROUTES = Schema(
    name="routes",
    fields=tuple(_ROUTE_FIELDS.values()),
    checks=(_snis,),
    subschema_key="protocols",
    subschemas={
        **dict.fromkeys(("http", "https"), _HTTP),
        **dict.fromkeys(("grpc", "grpcs"), _GRPC),
        **dict.fromkeys(("tcp", "tls", "udp", "tls_passthrough"), _STREAM),
    },
)

TABLES = (SERVICES, ROUTES)
