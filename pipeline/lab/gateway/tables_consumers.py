"""The schemas of consumers and their credentials (2.8)."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from urllib.parse import urlsplit

from pipeline.lab.gateway.fields import (
    CREATED_AT,
    ID,
    TAGS,
    bare_text,
    choice,
    flag,
    foreign,
    integer,
    listing,
    text,
)
from pipeline.lab.gateway.rules import between
from pipeline.lab.gateway.schema import Auto, Check, Entity, Errors, Field, Rule, Schema


def at_least_one(*names: str) -> Check:
    """A cross-field rule: one of these has to have a value. `config.x` is a member of a record."""
    message = "at least one of these fields must be non-empty: " + ", ".join(f"'{name}'" for name in names)

    def check(entity: Entity, errors: Errors) -> None:
        if not any(_given(entity, name) for name in names):
            errors.setdefault("@entity", []).append(message)

    return check


def _given(entity: Entity, name: str) -> bool:
    outer, _, inner = name.rpartition(".")
    place = entity.get(outer) if outer else entity
    value = place.get(inner) if isinstance(place, dict) else None
    return value not in (None, "", [], {})


_CONSUMER = foreign("consumer", "consumers", required=True, cascades=True)


def _generated(name: str) -> Field:
    return replace(text(name), auto=Auto.KEY)


def _credential(name: str, path: str, nested: str, *fields: Field, key: str | None, salted: bool = False) -> Schema:
    return Schema(
        name=name,
        path=path,
        nested_name=nested,
        endpoint_key=key,
        fields=(ID, CREATED_AT, _CONSUMER, *fields, TAGS),
        missing_nested_delete=404,
        normalise=_hashed if salted else None,
    )


def _hashed(entity: Entity, given: Entity) -> None:
    """Kong keeps a password as SHA-1 with the consumer's id as salt; the lab does as Kong does, it is no safer."""
    if "password" in given and isinstance(entity["password"], str):
        salted = entity["password"] + entity["consumer"]["id"]
        entity["password"] = hashlib.sha1(salted.encode("utf-8", "surrogateescape")).hexdigest()  # noqa: S324


CONSUMERS = Schema(
    name="consumers",
    endpoint_key="username",
    fields=(ID, CREATED_AT, bare_text("username", unique=True), bare_text("custom_id", unique=True), TAGS),
    checks=(at_least_one("custom_id", "username"),),
    filters=("custom_id",),
)
KEY_AUTHS = _credential(
    "keyauth_credentials",
    "key-auths",
    "key-auth",
    integer("ttl", between(0, 100000000)),
    replace(_generated("key"), unique=True),
    key="key",
)
BASIC_AUTHS = _credential(
    "basicauth_credentials",
    "basic-auths",
    "basic-auth",
    text("username", required=True, unique=True),
    text("password", required=True),
    key="username",
    salted=True,
)
HMAC_AUTHS = _credential(
    "hmacauth_credentials",
    "hmac-auths",
    "hmac-auth",
    text("username", required=True, unique=True),
    _generated("secret"),
    key="username",
)
JWTS = _credential(
    "jwt_secrets",
    "jwts",
    "jwt",
    replace(_generated("key"), unique=True),
    _generated("secret"),
    text("rsa_public_key"),
    choice("algorithm", "HS256", "HS384", "HS512", "RS256", "ES256", default="HS256"),
    key="key",
)
ACLS = replace(
    _credential("acls", "acls", "acls", text("group", required=True), key=None),
    nested_key="group",
    unique_together=("consumer", "group"),
)


def _redirect(value: str) -> str | None:
    parts = urlsplit(value)
    if not (parts.scheme and parts.hostname):
        return f"cannot parse '{value}'"
    return f"fragment not allowed in '{value}'" if parts.fragment else None


OAUTH2 = _credential(
    "oauth2_credentials",
    "oauth2",
    "oauth2",
    text("name", required=True),
    replace(_generated("client_id"), unique=True),
    _generated("client_secret"),
    flag("hash_secret", default=False),
    listing("redirect_uris", Field(rules=(Rule(_redirect),))),
    choice("client_type", "confidential", "public", default="confidential", required=True),
    key="client_id",
)

CREDENTIALS = (KEY_AUTHS, BASIC_AUTHS, HMAC_AUTHS, JWTS, ACLS, OAUTH2)
TABLES = (CONSUMERS, *CREDENTIALS)
