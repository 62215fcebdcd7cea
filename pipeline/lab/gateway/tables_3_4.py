"""What the schemas of 3.4 have more, or otherwise, than those of 2.8 (source: kong/db/schema of 3.4.2, recordings)."""

from __future__ import annotations

from dataclasses import replace

from pipeline.lab.gateway import tables, tables_certificates, tables_consumers, tables_plugins, tables_upstreams
from pipeline.lab.gateway.fields import (
    CREATED_AT,
    ID,
    NAMED,
    TAGS,
    UPDATED_AT,
    bare_text,
    choice,
    flag,
    foreign,
    listing,
    number,
    record,
    text,
)
from pipeline.lab.gateway.rules import (
    MARKED_OR_SLASH,
    MARKED_ROUTE_PATH,
    NO_EMPTY_SEGMENTS,
    NOT_EMPTY,
    SPACED_TAG,
    greater_than,
    length_min,
)
from pipeline.lab.gateway.schema import Auto, Entity, Errors, Field, Kind, Schema, Subschema
from pipeline.lab.gateway.tables_consumers import at_least_one
from pipeline.lab.gateway.tables_upstreams import distinct, fallbacks, requires
from pipeline.lab.gateway.tables_vaults import VAULTS

_SPACED_TAGS = replace(TAGS, elements=Field(required=True, rules=(NOT_EMPTY, SPACED_TAG)))


def _modern(schema: Schema, *, updated: bool = True) -> Schema:
    """A type with tags that may hold spaces, the time of its last change, and no mistakes below a missing parent."""
    tagged = schema.with_fields({"tags": _SPACED_TAGS}) if schema.field("tags") else schema
    if updated and tagged.field("updated_at") is None:
        tagged = tagged.with_fields(created_at=(UPDATED_AT,))
    return replace(tagged, missing_parent_is_unexpected=frozenset())


_PATH = Field(required=True, rules=(length_min(1), MARKED_OR_SLASH, NO_EMPTY_SEGMENTS, MARKED_ROUTE_PATH))
_ROUTES = tables.ROUTES.with_fields(
    {
        "paths": listing("paths", _PATH),
        "headers": replace(tables.ROUTES.named("headers"), empties_become_objects=False),
    }
)

_HASHES = ("none", "consumer", "ip", "header", "cookie", "path", "query_arg", "uri_capture")
_FALLBACKS = {
    "consumer": ("none", "ip", *_HASHES[3:]),
    "ip": tuple(name for name in _HASHES if name != "ip"),
    "path": ("none", "consumer", "header", "cookie", "query_arg", "ip", "uri_capture"),
}
_PROBE_HEADERS = Field(
    name="headers", kind=Kind.MAP, keys=Field(required=True), values=listing("", Field(required=True), required=True)
)


def _with_probe_headers(healthchecks: Field) -> Field:
    active = healthchecks.named("active")
    probed = replace(active, fields=(*active.fields, _PROBE_HEADERS))
    fields = tuple(probed if field.name == "active" else field for field in healthchecks.fields)
    return replace(healthchecks, fields=fields)


_UPSTREAMS = replace(
    tables_upstreams.UPSTREAMS.with_fields(
        {
            "algorithm": choice(
                "algorithm", "consistent-hashing", "least-connections", "round-robin", "latency", default="round-robin"
            ),
            "hash_on": choice("hash_on", *_HASHES, default="none"),
            "hash_fallback": choice("hash_fallback", *_HASHES, default="none"),
            "healthchecks": _with_probe_headers(tables_upstreams.UPSTREAMS.named("healthchecks")),
        },
        hash_on_cookie_path=(
            bare_text("hash_on_query_arg"),
            bare_text("hash_fallback_query_arg"),
            bare_text("hash_on_uri_capture"),
            bare_text("hash_fallback_uri_capture"),
        ),
        client_certificate=(flag("use_srv_name", default=False, required=False),),
    ),
    checks=(
        *tables_upstreams.CHECKS,
        fallbacks(_FALLBACKS),
        *(
            requires(field, value, f"{field}_{value}")
            for value in ("query_arg", "uri_capture")
            for field in ("hash_on", "hash_fallback")
        ),
        *(distinct(f"hash_on_{value}", f"hash_fallback_{value}") for value in ("header", "query_arg", "uri_capture")),
    ),
)
_TARGETS = replace(
    tables_upstreams.TARGETS.with_fields(
        created_at=(Field(name="updated_at", kind=Kind.NUMBER, auto=Auto.UPDATED),),
    ),
    replaces_by_post=False,
)

_UNSUPPORTED = "crypto/encode_decode/decoder_lib.c:103:error:1E08010C:DECODER routines::unsupported"
_KEY = tables_certificates.private_key(_UNSUPPORTED)
_CERTIFICATES = tables_certificates.CERTIFICATES.with_fields(
    {"key": text("key", _KEY, required=True), "key_alt": text("key_alt", _KEY)}
)


def _key_material(entity: Entity, errors: Errors) -> None:
    if entity.get("jwk") is not None and entity.get("pem") is not None:
        words = "only one or none of these fields must be set: 'jwk', 'pem'"
        errors.setdefault("@entity", []).append(words)


_KEY_SETS = Schema(name="key_sets", path="key-sets", fields=(ID, NAMED, TAGS, CREATED_AT, UPDATED_AT))
_KEYS = Schema(
    name="keys",
    fields=(
        ID,
        foreign("set", "key_sets", cascades=True),
        bare_text("name", unique=True),
        text("kid", required=True),
        bare_text("jwk"),
        record("pem", bare_text("private_key"), bare_text("public_key"), required=False),
        TAGS,
        CREATED_AT,
        UPDATED_AT,
    ),
    checks=(_key_material, at_least_one("jwk", "pem")),
)


def _with_config(plugin: Subschema, changed: dict[str, Field], *added: Field) -> Subschema:
    config = plugin.fields["config"]
    kept = (changed.get(field.name, field) for field in config.fields)
    return replace(plugin, fields={**plugin.fields, "config": replace(config, fields=(*kept, *added))})


_RATE_LIMITING = _with_config(
    tables_plugins.PLUGINS_2_8["rate-limiting"],
    {"policy": choice("policy", "local", "cluster", "redis", default="local")},
    number("error_code", greater_than(0), default=429),
    text("error_message", default="API rate limit exceeded"),
    replace(number("sync_rate", default=-1), required=True),
)
_IP_PROTOCOLS = ("http", "https", "tcp", "tls", "grpc", "grpcs")
_IP_RESTRICTION = replace(
    tables_plugins.PLUGINS_2_8["ip-restriction"],
    fields={
        **tables_plugins.PLUGINS_2_8["ip-restriction"].fields,
        "protocols": replace(
            tables_plugins.PLUGINS.named("protocols"), default=list(_IP_PROTOCOLS), elements=Field(rules=())
        ),
    },
)
_PLUGINS = replace(
    tables_plugins.PLUGINS.with_fields(name=(replace(NAMED, name="instance_name"),)),
    subschemas={
        **tables_plugins.PLUGINS_2_8,
        "rate-limiting": _RATE_LIMITING,
        "ip-restriction": _IP_RESTRICTION,
    },
    endpoint_key="instance_name",
    shorthand=None,
)

TABLES = (
    *(
        _modern(schema)
        for schema in (
            tables.SERVICES,
            _ROUTES,
            _UPSTREAMS,
            _TARGETS,
            tables_consumers.CONSUMERS,
            _PLUGINS,
            _CERTIFICATES,
            tables_certificates.SNIS,
            tables_certificates.CA_CERTIFICATES,
            VAULTS,
            _KEY_SETS,
            _KEYS,
        )
    ),
    *(_modern(schema, updated=False) for schema in tables_consumers.CREDENTIALS),
)
