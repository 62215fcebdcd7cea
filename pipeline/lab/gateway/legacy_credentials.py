"""The legacy types of consumers' credentials (source: kong/plugins/*/daos.lua of 0.14.1)."""

from __future__ import annotations

import hashlib
import secrets
import string
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pipeline.lab.gateway.legacy_schema import (
    CREATED_AT,
    ID,
    LegacyField,
    LegacyRecord,
    LegacyType,
    SelfCheck,
    Type,
    text,
)
from pipeline.lab.gateway.schema import Entity

_LETTERS = string.ascii_letters + string.digits
_CONSUMER = LegacyField(name="consumer_id", type=Type.ID, required=True)


def _random() -> str:
    return "".join(secrets.choice(_LETTERS) for _ in range(32))


def _generated(name: str) -> LegacyField:
    return LegacyField(name=name, default=_random)


def _credential(name: str, key: str, *fields: LegacyField, check: SelfCheck | None = None) -> LegacyType:
    return LegacyType(name=name, key=key, record=LegacyRecord(fields=(ID, CREATED_AT, _CONSUMER, *fields), check=check))


def _hashed(entity: Entity, old: Entity | None) -> None:
    """A password is kept as SHA-1 with the consumer's id as salt; the hash that is stored already stays as it is."""
    password = entity.get("password")
    if old is None or old.get("password") != password:
        salted = (password or "") + entity["consumer_id"]
        entity["password"] = hashlib.sha1(salted.encode("utf-8", "surrogateescape")).hexdigest()  # noqa: S324  as Kong


def _public_key(entity: Entity) -> str | None:
    if entity.get("algorithm") in ("RS256", "RS512"):
        if entity.get("rsa_public_key") is None:
            return "no mandatory 'rsa_public_key'"
        if "-----BEGIN" not in entity["rsa_public_key"]:
            return "'rsa_public_key' format is invalid"
    return None


def _redirects(values: Any, entity: Entity) -> str | None:
    del entity
    if values is not None and not values:
        return "at least one URI is required"
    for value in values or ():
        parts = urlsplit(value)
        if not (parts.scheme and parts.hostname):
            return f"cannot parse '{value}'"
        if parts.fragment:
            return f"fragment not allowed in '{value}'"
    return None


KEY_AUTHS = _credential("keyauth_credentials", "key", _generated("key"))
BASIC_AUTHS = replace(
    _credential(
        "basicauth_credentials",
        "username",
        text("username", required=True),
        LegacyField(name="password", trims=False),
    ),
    finish=_hashed,
)
HMAC_AUTHS = _credential("hmacauth_credentials", "username", text("username", required=True), _generated("secret"))
JWTS = _credential(
    "jwt_secrets",
    "key",
    _generated("key"),
    _generated("secret"),
    text("rsa_public_key"),
    text("algorithm", "HS256", "HS384", "HS512", "RS256", "RS512", "ES256", default="HS256"),
    check=_public_key,
)
ACLS = LegacyType(
    name="acls",
    key="group",
    record=LegacyRecord(fields=(ID, CREATED_AT, _CONSUMER, text("group", required=True))),
    twin={"group": "ACL group already exist for this consumer"},
)
OAUTH2 = _credential(
    "oauth2_credentials",
    "client_id",
    text("name", required=True),
    _generated("client_id"),
    _generated("client_secret"),
    LegacyField(name="redirect_uri", type=Type.ARRAY, required=True, check=_redirects),
)
CREDENTIALS = (KEY_AUTHS, BASIC_AUTHS, HMAC_AUTHS, JWTS, ACLS, OAUTH2)
