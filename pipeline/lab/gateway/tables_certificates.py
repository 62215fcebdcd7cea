"""The schemas of certificates, the names they serve and certificate authorities (2.8)."""

from __future__ import annotations

import hashlib
import re
import ssl
from dataclasses import replace

from pipeline.lab.gateway.fields import CREATED_AT, ID, TAGS, foreign, text
from pipeline.lab.gateway.rules import ONE_WILDCARD, WILDCARD_AT_END, is_host
from pipeline.lab.gateway.schema import Entity, Errors, Field, Inline, Methods, Rule, Schema

_OPENSSL = "crypto/asn1/a_d2i_fp.c:155:error:0680008E:asn1 encoding routines::not enough data"
_CERT = Rule(lambda value: None if _is_pem(value, "CERTIFICATE") else f"invalid certificate: x509.new: {_OPENSSL}")


def private_key(words: str) -> Rule:
    """A private key; what OpenSSL says of anything else differs between its versions."""
    return Rule(
        lambda value: None if _is_pem(value, "[A-Z ]*PRIVATE KEY") else f"invalid key: pkey.new:load_key: {words}"
    )


_KEY = private_key(_OPENSSL)


def _is_pem(value: str, kind: str) -> bool:
    """Whether a text looks like PEM of a kind. The lab stores certificates and serves no TLS: it looks no closer."""
    return re.search(f"-----BEGIN {kind}-----", value) is not None


def _sni(value: str) -> str | None:
    return None if is_host(value.replace("*", "a", 1)) else f"invalid value: {value}"


def _pairs(entity: Entity, errors: Errors) -> None:
    if (entity.get("cert_alt") is None) != (entity.get("key_alt") is None):
        words = "all or none of these fields must be set: 'cert_alt', 'key_alt'"
        errors.setdefault("@entity", []).append(words)


def _digested(entity: Entity, given: Entity) -> None:
    del given
    try:
        digest = hashlib.sha256(ssl.PEM_cert_to_DER_cert(entity["cert"].strip()))
    except ValueError:
        digest = hashlib.sha256(entity["cert"].encode("utf-8", "surrogateescape"))
    entity["cert_digest"] = digest.hexdigest()


def _put_names(names: list[str] | None, name: str | None, new: bool) -> list[str] | None:
    """A PUT sets the names anew, none when it has none; the URL's name counts when the body has others."""
    del new
    return [*names, name] if names is not None and name is not None and name not in names else names or []


CERTIFICATES = Schema(
    name="certificates",
    endpoint_key=None,
    fields=(
        ID,
        CREATED_AT,
        text("cert", _CERT, required=True),
        text("key", _KEY, required=True),
        text("cert_alt", _CERT),
        text("key_alt", _KEY),
        TAGS,
    ),
    checks=(_pairs,),
    inline=Inline(
        field="snis",
        child="snis",
        key="name",
        reference="certificate",
        missing="SNI not found",
        put_names=_put_names,
    ),
)
SNIS = Schema(
    name="snis",
    methods=Methods(parents=frozenset()),
    fields=(
        ID,
        replace(text("name", ONE_WILDCARD, WILDCARD_AT_END, Rule(_sni), required=True), unique=True),
        CREATED_AT,
        TAGS,
        foreign("certificate", "certificates", required=True, cascades=True),
    ),
)
CA_CERTIFICATES = Schema(
    name="ca_certificates",
    endpoint_key=None,
    fields=(ID, CREATED_AT, text("cert", _CERT, required=True), Field(name="cert_digest", unique=True), TAGS),
    normalise=_digested,
)

TABLES = (CERTIFICATES, SNIS, CA_CERTIFICATES)
