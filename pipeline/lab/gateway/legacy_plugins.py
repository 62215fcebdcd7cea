"""The legacy type of plugins, and the configurations of those that the lab knows (source: kong/plugins of 0.14.1)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.legacy_schema import (
    CREATED_AT,
    ID,
    LegacyField,
    LegacyRecord,
    LegacyType,
    SelfCheck,
    Type,
    flag,
    listing,
    number,
    text,
)
from pipeline.lab.gateway.rules import is_uuid
from pipeline.lab.gateway.schema import Entity

_PERIODS = ("second", "minute", "hour", "day", "month", "year")


def _anonymous(value: Any, entity: Entity) -> str | None:
    del entity
    return None if value == "" or is_uuid(value) else "the anonymous user must be empty or a valid uuid"


_ANONYMOUS = LegacyField(name="anonymous", default="", check=_anonymous)
_HIDE = flag("hide_credentials", default=False)
_PREFLIGHT = flag("run_on_preflight", default=True)


def _one_list(you: str) -> SelfCheck:
    def check(entity: Entity) -> str | None:
        given = [name for name in ("whitelist", "blacklist") if entity.get(name)]
        if len(given) == 2:
            return f"{you} cannot set both a whitelist and a blacklist"
        return None if given else f"{you} must set at least a whitelist or blacklist"

    return check


def _ranges(values: Any, entity: Entity) -> str | None:
    del entity
    for value in values or ():
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            return f"cannot parse '{value}': Invalid IP"
    return None


def _patterns(values: Any, entity: Entity) -> str | None:
    del entity
    for value in values or () if values != ["*"] else ():
        try:
            re.compile(value)
        except re.error:
            return f"origin '{value}' is not a valid regex"
    return None


def _header_names(values: Any, entity: Entity) -> str | None:
    del entity
    for value in values or ():
        if not re.fullmatch(r"[A-Za-z0-9\-_]+", value):
            words = f"bad header name '{value}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
            return f"'{value}' is illegal: {words}"
    return None


def _not_negative(value: Any, entity: Entity) -> str | None:
    del entity
    if value is None:
        raise faults.unexpected()
    return None if value >= 0 else "should be 0 or greater"


def _expiration(entity: Entity) -> str | None:
    if entity.get("maximum_expiration", 0) > 0 and "exp" not in (entity.get("claims_to_verify") or ()):
        return "claims_to_verify must contain 'exp' when specifying maximum_expiration"
    return None


def _limits(entity: Entity) -> str | None:
    given = [(period, entity[period]) for period in _PERIODS if entity.get(period) is not None]
    if not given:
        return "You need to set at least one limit: " + ", ".join(_PERIODS)
    wrong = [period for period, limit in given if limit <= 0]
    if wrong:
        return f"Value for {wrong[-1]} must be greater than zero"
    lower = [
        f"The limit for {longer} cannot be lower than the limit for {shorter}"
        for at, (shorter, below) in enumerate(given)
        for longer, limit in given[at + 1 :]
        if limit < below
    ]
    if lower:
        return lower[-1]
    if entity.get("policy") == "redis" and not entity.get("redis_host"):
        return "You need to specify a Redis host"
    return None


def _termination(entity: Entity) -> str | None:
    if not 100 <= entity.get("status_code", 503) <= 599:
        return "status_code must be between 100 .. 599"
    if entity.get("message") and (entity.get("content_type") or entity.get("body")):
        return "message cannot be used with content_type or body"
    if not entity.get("message") and entity.get("content_type") and not entity.get("body"):
        return "content_type requires a body"
    return None


PLUGINS_0_14: Mapping[str, LegacyRecord] = {
    "acl": LegacyRecord(
        no_consumer=True,
        fields=(listing("whitelist"), listing("blacklist"), flag("hide_groups_header", default=False)),
        check=_one_list("You"),
    ),
    "basic-auth": LegacyRecord(no_consumer=True, fields=(_ANONYMOUS, _HIDE)),
    "correlation-id": LegacyRecord(
        fields=(
            text("header_name", default="Kong-Request-ID"),
            text("generator", "uuid", "uuid#counter", "tracker", default="uuid#counter"),
            flag("echo_downstream", default=False),
        )
    ),
    "cors": LegacyRecord(
        no_consumer=True,
        fields=(
            listing("origins", _patterns),
            listing("headers"),
            listing("exposed_headers"),
            listing("methods", choices=("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE")),
            number("max_age"),
            flag("credentials", default=False),
            flag("preflight_continue", default=False),
        ),
    ),
    "file-log": LegacyRecord(fields=(text("path", required=True), flag("reopen", default=False))),
    "ip-restriction": LegacyRecord(
        fields=(listing("whitelist", _ranges), listing("blacklist", _ranges)),
        check=_one_list("you"),
    ),
    "jwt": LegacyRecord(
        no_consumer=True,
        fields=(
            listing("uri_param_names", default=["jwt"]),
            listing("cookie_names", default=[]),
            text("key_claim_name", default="iss"),
            flag("secret_is_base64", default=False),
            listing("claims_to_verify", choices=("exp", "nbf")),
            _ANONYMOUS,
            _PREFLIGHT,
            number("maximum_expiration", _not_negative, default=0),
        ),
        check=_expiration,
    ),
    "key-auth": LegacyRecord(
        no_consumer=True,
        fields=(
            LegacyField(
                name="key_names", type=Type.ARRAY, required=True, default=lambda: ["apikey"], check=_header_names
            ),
            _HIDE,
            _ANONYMOUS,
            flag("key_in_body", default=False),
            _PREFLIGHT,
        ),
    ),
    "rate-limiting": LegacyRecord(
        fields=(
            *(number(period) for period in _PERIODS),
            text("limit_by", "consumer", "credential", "ip", default="consumer"),
            text("policy", "local", "cluster", "redis", default="cluster"),
            flag("fault_tolerant", default=True),
            text("redis_host"),
            number("redis_port", default=6379),
            text("redis_password"),
            number("redis_timeout", default=2000),
            number("redis_database", default=0),
            flag("hide_client_headers", default=False),
        ),
        check=_limits,
    ),
    "request-termination": LegacyRecord(
        fields=(number("status_code", default=503), text("message"), text("content_type"), text("body")),
        check=_termination,
    ),
}


def _config(entity: Entity) -> LegacyRecord | str | None:
    name = entity.get("name")
    if name is None:
        return None
    return PLUGINS_0_14.get(name) or f"plugin '{name}' not enabled; add it to the 'plugins' configuration property"


def _scopes(entity: Entity) -> str | None:
    if entity.get("api_id") and (entity.get("route_id") or entity.get("service_id")):
        return "cannot configure plugin with api_id and one of route_id or service_id"
    if PLUGINS_0_14[entity["name"]].no_consumer and entity.get("consumer_id") is not None:
        return "No consumer can be configured for that plugin"
    return None


PLUGINS = LegacyType(
    name="plugins",
    primary=("id", "name"),
    record=LegacyRecord(
        fields=(
            ID,
            CREATED_AT,
            *(LegacyField(name=name, type=Type.ID) for name in ("api_id", "route_id", "service_id", "consumer_id")),
            text("name", required=True),
            LegacyField(name="config", type=Type.TABLE, record=_config, default={}),
            flag("enabled", default=True),
        ),
        check=_scopes,
    ),
)


def described(record: LegacyRecord) -> Entity:
    """A plugin's schema as `GET /plugins/schema/{name}` shows it: functions are the word "function"."""
    about: Entity = {"fields": {field.name: _described(field) for field in record.fields}}
    if record.check is not None:
        about["self_check"] = "function"
    return {**about, "no_consumer": True} if record.no_consumer else about


def _described(field: LegacyField) -> Entity:
    words: Entity = {"type": field.type.name.lower()}
    if field.required:
        words["required"] = True
    if field.default is not None:
        words["default"] = "function" if callable(field.default) else field.default
    if field.choices:
        words["enum"] = list(field.choices)
    if field.check is not None:
        words["func"] = "function"
    return words
