"""The schemas of upstreams and their targets (2.8)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from pipeline.lab.gateway.fields import (
    CREATED_AT,
    ID,
    PATH_RULES,
    TAGS,
    bare_choice,
    bare_text,
    choice,
    flag,
    foreign,
    integer,
    listing,
    number,
    record,
    text,
)
from pipeline.lab.gateway.rules import between, is_host
from pipeline.lab.gateway.schema import Auto, Check, Entity, Errors, Field, Kind, Rule, Schema

_HASHES = ("none", "consumer", "ip", "header", "cookie")
_FALLBACKS = {
    "consumer": ("none", "ip", "header", "cookie"),
    "ip": ("none", "consumer", "header", "cookie"),
}
_PROBES = ("tcp", "http", "https", "grpc", "grpcs")
_SUCCESSES = [*range(200, 209), 226, *range(300, 309)]


def _name(value: str) -> str | None:
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", value) or ":" in value.replace(":", "", 1) or value.startswith("["):
        return "Invalid name; no ip addresses allowed"
    name, colon, port = value.partition(":")
    if colon and port.isdigit() and is_host(name):
        return "Invalid name; no port allowed"
    return None if is_host(value) else "Invalid name; must be a valid hostname"


def _statuses(default: list[int]) -> Field:
    return listing("http_statuses", Field(kind=Kind.INTEGER, rules=(between(100, 999),)), default=default)


def _counts(*names: str) -> tuple[Field, ...]:
    return tuple(integer(name, between(0, 255), default=0) for name in names)


_FAILURES = ("http_failures", "tcp_failures", "timeouts")
_HEALTHCHECKS = record(
    "healthchecks",
    record(
        "active",
        bare_choice("type", *_PROBES, default="http"),
        number("timeout", between(0, 65535), default=1),
        integer("concurrency", between(1, 2147483648), default=10),
        Field(name="http_path", rules=PATH_RULES[1:], default="/", has_default=True),
        bare_text("https_sni"),
        flag("https_verify_certificate", default=True),
        record(
            "healthy", number("interval", between(0, 65535), default=0), _statuses([200, 302]), *_counts("successes")
        ),
        record(
            "unhealthy",
            number("interval", between(0, 65535), default=0),
            _statuses([429, 404, 500, 501, 502, 503, 504, 505]),
            *_counts(*_FAILURES),
        ),
    ),
    record(
        "passive",
        bare_choice("type", *_PROBES, default="http"),
        record("healthy", _statuses(_SUCCESSES), *_counts("successes")),
        record("unhealthy", _statuses([429, 500, 503]), *_counts(*_FAILURES)),
    ),
    number("threshold", between(0, 100), default=0),
)


def requires(field: str, value: str, other: str) -> Check:
    """A cross-field rule: with this value in a field, another has to have one."""

    def check(entity: Entity, errors: Errors) -> None:
        if entity.get(field) == value and entity.get(other) is None:
            errors[other] = "required field missing"
            errors.setdefault("@entity", []).append(f"failed conditional validation given value of field '{field}'")

    return check


def fallbacks(allowed: Mapping[str, tuple[str, ...]]) -> Check:
    """A cross-field rule: what `hash_fallback` may be, given `hash_on`. Without a hash there is no fallback."""
    table = {"none": ("none",), "cookie": ("none",), **allowed}

    def check(entity: Entity, errors: Errors) -> None:
        choices = table.get(entity.get("hash_on") or "")
        if choices is not None and entity.get("hash_fallback") not in choices:
            errors["hash_fallback"] = "expected one of: " + ", ".join(choices)
            errors.setdefault("@entity", []).append("failed conditional validation given value of field 'hash_on'")

    return check


def distinct(first: str, second: str) -> Check:
    """A cross-field rule: two fields that have values have different ones."""

    def check(entity: Entity, errors: Errors) -> None:
        if entity.get(first) is not None and entity.get(first) == entity.get(second):
            errors.setdefault("@entity", []).append(f"values of these fields must be distinct: '{first}', '{second}'")

    return check


CHECKS = (
    requires("hash_on", "header", "hash_on_header"),
    requires("hash_fallback", "header", "hash_fallback_header"),
    requires("hash_on", "cookie", "hash_on_cookie"),
    requires("hash_fallback", "cookie", "hash_on_cookie"),
)
UPSTREAMS = Schema(
    name="upstreams",
    fields=(
        ID,
        CREATED_AT,
        text("name", Rule(_name), required=True, unique=True),
        choice("algorithm", "consistent-hashing", "least-connections", "round-robin", default="round-robin"),
        choice("hash_on", *_HASHES, default="none"),
        choice("hash_fallback", *_HASHES, default="none"),
        bare_text("hash_on_header"),
        bare_text("hash_fallback_header"),
        bare_text("hash_on_cookie"),
        Field(name="hash_on_cookie_path", rules=PATH_RULES, default="/", has_default=True),
        integer("slots", between(10, 65536), default=10000),
        _HEALTHCHECKS,
        TAGS,
        bare_text("host_header"),
        foreign("client_certificate", "certificates"),
    ),
    checks=(*CHECKS, fallbacks(_FALLBACKS), distinct("hash_on_header", "hash_fallback_header")),
)


def target_of(value: str) -> str | None:
    """A target with its port and its address in full, or None when it is neither host nor address."""
    bracketed = re.fullmatch(r"\[([^\]]*)\](?::(\d+))?", value)
    host, port = (bracketed[1], bracketed[2] or "") if bracketed else _host_and_port(value)
    if port and int(port) > 65535:
        return None
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host).exploded}]:{port or 8000}"
        except ValueError:
            return None
    return f"{host}:{port or 8000}" if is_host(host) else None


def _host_and_port(value: str) -> tuple[str, str]:
    host, _, port = value.partition(":")
    return (host, port) if port.isdigit() and value.count(":") == 1 else (value, "")


def _target(value: Any) -> str | None:
    return None if target_of(value) is not None else "Invalid target; not a valid hostname or ip address"


def _in_full(entity: Entity, given: Entity) -> None:
    del given
    entity["target"] = target_of(entity["target"])


TARGETS = Schema(
    name="targets",
    endpoint_key=None,
    nested_key="target",
    nested_key_form=target_of,
    fields=(
        ID,
        Field(name="created_at", kind=Kind.NUMBER, auto=Auto.CREATED),
        foreign("upstream", "upstreams", required=True, cascades=True),
        text("target", Rule(_target), required=True),
        integer("weight", between(0, 65535), default=100),
        TAGS,
    ),
    normalise=_in_full,
    unique_together=("upstream", "target"),
    missing_nested_delete=404,
    fraction_of_second=True,
    top_level=False,
    creates_by_put=False,
    replaces_by_post=True,
    newest_first=True,
    missing_parent_is_unexpected=frozenset({"POST"}),
)

TABLES = (UPSTREAMS, TARGETS)
