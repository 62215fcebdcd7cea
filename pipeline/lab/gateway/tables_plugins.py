"""The schema of plugins, and the configurations of those that the lab knows (2.8)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pipeline.lab.gateway.fields import (
    CREATED_AT,
    ID,
    PATH_RULES,
    PORT_RANGE,
    PROTOCOLS,
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
from pipeline.lab.gateway.rules import between, greater_than, null_only, one_of
from pipeline.lab.gateway.schema import Check, Entity, Errors, Field, Kind, Rule, Schema, Subschema
from pipeline.lab.gateway.tables_consumers import at_least_one

_HTTP = ("grpc", "grpcs", "http", "https")
_PERIODS = ("second", "minute", "hour", "day", "month", "year")
_ALL_METHODS = ["GET", "HEAD", "PUT", "PATCH", "POST", "DELETE", "OPTIONS", "TRACE", "CONNECT"]
_ANONYMOUS = Field(name="anonymous")
_WORD = Field()


def _protocols(*allowed: str) -> Field:
    return Field(
        name="protocols",
        kind=Kind.SET,
        elements=Field(rules=(one_of(*allowed),)),
        default=list(_HTTP),
        has_default=True,
        required=True,
    )


_NOBODY = replace(foreign("consumer", "consumers"), rules=(null_only(),))


def _plugin(*config: Field, checks: tuple[Check, ...] = (), for_consumers: bool = True) -> Subschema:
    fields = {"config": record("config", *config), "protocols": _protocols(*_HTTP)}
    if not for_consumers:
        fields["consumer"] = _NOBODY
    return Subschema(fields=fields, checks=checks)


def _range(value: str) -> str | None:
    try:
        ipaddress.ip_network(value, strict=False)
    except ValueError:
        return f"invalid ip or cidr range: '{value}'"
    return None


def _one_side(entity: Entity, errors: Errors) -> None:
    config = entity.get("config")
    if isinstance(config, dict) and bool(config.get("allow")) == bool(config.get("deny")):
        words = "only one of these fields must be non-empty: 'config.allow', 'config.deny'"
        errors.setdefault("@entity", []).append(words)


def _growing(entity: Entity, errors: Errors) -> None:
    config = entity.get("config")
    if not isinstance(config, dict) or "config" in errors:
        return
    given = [(period, config[period]) for period in _PERIODS if config.get(period) is not None]
    for at, (period, limit) in enumerate(given):
        for shorter, below in given[:at]:
            if limit < below:
                errors["config"] = (
                    f"The limit for {period}({limit:.1f}) cannot be lower than the limit for {shorter}({below:.1f})"
                )
                return


def _needs(field: str, value: str, *others: str) -> Check:
    def check(entity: Entity, errors: Errors) -> None:
        config = entity.get("config")
        if not isinstance(config, dict) or config.get(field) != value:
            return
        for other in (other for other in others if config.get(other) is None):
            if isinstance(errors.setdefault("config", {}), dict):
                errors["config"][other] = "required field missing"
            words = f"failed conditional validation given value of field 'config.{field}'"
            errors.setdefault("@entity", []).append(words)

    return check


_RATE_LIMITING = _plugin(
    *(number(period, greater_than(0)) for period in _PERIODS),
    bare_choice("limit_by", "consumer", "credential", "ip", "service", "header", "path", default="consumer"),
    bare_text("header_name"),
    Field(name="path", rules=PATH_RULES),
    choice("policy", "local", "cluster", "redis", default="cluster"),
    flag("fault_tolerant", default=True),
    bare_text("redis_host"),
    integer("redis_port", PORT_RANGE, default=6379),
    Field(name="redis_password"),
    bare_text("redis_username"),
    flag("redis_ssl", default=False),
    flag("redis_ssl_verify", default=False),
    bare_text("redis_server_name"),
    number("redis_timeout", default=2000),
    integer("redis_database", default=0),
    flag("hide_client_headers", default=False),
    checks=(
        at_least_one(*(f"config.{period}" for period in _PERIODS)),
        _growing,
        _needs("policy", "redis", "redis_host"),
        _needs("limit_by", "header", "header_name"),
        _needs("limit_by", "path", "path"),
    ),
)
_FILE_NAME = Rule(lambda value: None if re.fullmatch(r"[^*&%\\`]+", value) else "not a valid filename")

PLUGINS_2_8 = {
    "acl": _plugin(
        listing("allow", _WORD),
        listing("deny", _WORD),
        flag("hide_groups_header", default=False),
        checks=(_one_side, at_least_one("config.allow", "config.deny")),
        for_consumers=False,
    ),
    "basic-auth": _plugin(_ANONYMOUS, flag("hide_credentials", default=False), for_consumers=False),
    "correlation-id": _plugin(
        Field(name="header_name", default="Kong-Request-ID", has_default=True),
        choice("generator", "uuid", "uuid#counter", "tracker", default="uuid#counter", required=True),
        flag("echo_downstream", default=False),
    ),
    "cors": _plugin(
        listing("origins", _WORD),
        listing("headers", _WORD),
        listing("exposed_headers", _WORD),
        listing("methods", Field(rules=(one_of(*_ALL_METHODS),)), default=_ALL_METHODS),
        number("max_age"),
        flag("credentials", default=False),
        flag("preflight_continue", default=False),
        for_consumers=False,
    ),
    "file-log": _plugin(
        text("path", _FILE_NAME, required=True),
        flag("reopen", default=False),
        Field(name="custom_fields_by_lua", kind=Kind.MAP, keys=Field(), values=Field()),
    ),
    "ip-restriction": _plugin(
        listing("allow", Field(rules=(Rule(_range),))),
        listing("deny", Field(rules=(Rule(_range),))),
        number("status"),
        text("message"),
        checks=(at_least_one("config.allow", "config.deny"),),
    ),
    "jwt": _plugin(
        listing("uri_param_names", _WORD, default=["jwt"]),
        listing("cookie_names", _WORD, default=[]),
        Field(name="key_claim_name", default="iss", has_default=True),
        flag("secret_is_base64", default=False),
        Field(name="claims_to_verify", kind=Kind.SET, elements=Field(rules=(one_of("exp", "nbf"),))),
        _ANONYMOUS,
        flag("run_on_preflight", default=True),
        number("maximum_expiration", between(0, 31536000), default=0),
        listing("header_names", _WORD, default=["authorization"]),
        for_consumers=False,
    ),
    "key-auth": _plugin(
        listing("key_names", _WORD, default=["apikey"], required=True),
        flag("hide_credentials", default=False),
        _ANONYMOUS,
        flag("key_in_header", default=True),
        flag("key_in_query", default=True),
        flag("key_in_body", default=False),
        flag("run_on_preflight", default=True),
        for_consumers=False,
    ),
    "rate-limiting": _RATE_LIMITING,
    "request-termination": _plugin(
        integer("status_code", between(100, 599), default=503),
        text("message"),
        text("content_type"),
        text("body"),
        flag("echo", default=False),
        text("trigger"),
    ),
}

_OLD_NAMES: dict[str, Callable[[Any], tuple[str, Any]]] = {
    "whitelist": lambda value: ("allow", value),
    "blacklist": lambda value: ("deny", value),
}


def _renamed(given: Entity) -> Errors:
    """`whitelist` and `blacklist` are the old names of `allow` and `deny`."""
    config = given.get("config")
    if given.get("name") in ("acl", "ip-restriction") and isinstance(config, dict):
        for old, new in _OLD_NAMES.items():
            if old in config:
                name, value = new(config.pop(old))
                config.setdefault(name, value)
    return {}


PLUGINS = Schema(
    name="plugins",
    endpoint_key=None,
    fields=(
        ID,
        Field(name="name", required=True),
        CREATED_AT,
        replace(foreign("route", "routes", cascades=True), has_default=True),
        replace(foreign("service", "services", cascades=True), has_default=True),
        replace(foreign("consumer", "consumers", cascades=True), has_default=True),
        record("config"),
        _protocols(*PROTOCOLS),
        flag("enabled", default=True),
        TAGS,
    ),
    subschema_key="name",
    subschemas=PLUGINS_2_8,
    subschema_error="plugin '{}' not enabled; add it to the 'plugins' configuration property",
    unique_together=("name", "route", "service", "consumer"),
    missing_nested_delete=404,
    missing_patch_is_plain=True,
    shorthand=_renamed,
)

TABLES = (PLUGINS,)
