"""The legacy types of upstreams and targets (source: kong/dao/schemas of 0.14.1)."""

from __future__ import annotations

import re
from typing import Any

from pipeline.lab.gateway.legacy_apis import LARGEST, old_host, whole
from pipeline.lab.gateway.legacy_schema import (
    CREATED_AT,
    ID,
    LegacyField,
    LegacyRecord,
    LegacyType,
    Type,
    listing,
    number,
    table,
    text,
)
from pipeline.lab.gateway.schema import Entity
from pipeline.lab.gateway.tables_upstreams import target_of

_OFF = f"must be 0 (disabled), or an integer between 1 and {LARGEST}"


def _seconds(value: Any, entity: Entity) -> str | None:
    del entity
    return None if value is not None and 0 <= value <= 65535 else "must be between 0 and 65535"


def _path(value: Any, entity: Entity) -> str | None:
    del entity
    if not value or not value.strip():
        return "path is empty"
    return None if value.startswith("/") else "must be prefixed with slash"


def _statuses(values: Any, entity: Entity) -> str | None:
    del entity
    for value in values or ():
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "array element is not a number"
        if not isinstance(value, int):
            return "must be an integer"
        if not 100 <= value <= 999:
            return f"invalid status code '{value}': must be between 100 and 999"
    return None


def _counts(*names: str) -> tuple[LegacyField, ...]:
    return tuple(number(name, whole(0, LARGEST, _OFF), default=0) for name in names)


def _probe(name: str, statuses: list[int], *counts: str, interval: bool) -> LegacyField:
    timed = (number("interval", _seconds, default=0),) if interval else ()
    fields = (*timed, listing("http_statuses", _statuses, default=statuses), *_counts(*counts))
    return table(name, LegacyRecord(fields=fields))


_FAILURES = ("tcp_failures", "timeouts", "http_failures")
_SUCCESSES = [*range(200, 209), 226, *range(300, 309)]
_HEALTHCHECKS = table(
    "healthchecks",
    LegacyRecord(
        fields=(
            table(
                "active",
                LegacyRecord(
                    fields=(
                        number("timeout", _seconds, default=1),
                        number("concurrency", whole(1, LARGEST), default=10),
                        LegacyField(name="http_path", default="/", check=_path),
                        _probe("healthy", [200, 302], "successes", interval=True),
                        _probe("unhealthy", [429, 404, 500, 501, 502, 503, 504, 505], *_FAILURES, interval=True),
                    )
                ),
            ),
            table(
                "passive",
                LegacyRecord(
                    fields=(
                        _probe("healthy", _SUCCESSES, "successes", interval=False),
                        _probe("unhealthy", [429, 500, 503], *_FAILURES, interval=False),
                    )
                ),
            ),
        )
    ),
)
_HASHES = ("none", "consumer", "ip", "header", "cookie")


def _upstream(entity: Entity) -> str | None:
    return _upstream_name(entity.get("name")) or _hashing(entity) or _slots(entity.get("slots"))


def _upstream_name(name: str | None) -> str | None:
    host, colon, port = (name or "").rpartition(":")
    if name is None:
        return None
    if re.fullmatch(r"[0-9.]+(:\d+)?", name) or name.count(":") > 1:
        return "Invalid name; no ip addresses allowed"
    if colon and port.isdigit() and old_host(host):
        return "Invalid name; no port allowed"
    return None if old_host(name) else "Invalid name; must be a valid hostname"


def _slots(slots: int | None) -> str | None:
    return None if slots is None or 10 <= slots <= 65536 else "number of slots must be between 10 and 65536"


def _hashing(entity: Entity) -> str | None:
    primary, fallback = entity.get("hash_on"), entity.get("hash_fallback")
    for name in ("hash_on_header", "hash_fallback_header"):
        if entity.get(name) is not None and not re.fullmatch(r"[A-Za-z0-9\-_]+", entity[name]):
            return f"Header: bad header name '{entity[name]}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"
    if (primary == "header" and not entity.get("hash_on_header")) or (
        fallback == "header" and not entity.get("hash_fallback_header")
    ):
        return "Hashing on 'header', but no header name provided"
    if "cookie" in (primary, fallback) and not entity.get("hash_on_cookie"):
        return "Hashing on 'cookie', but no cookie name provided"
    if primary == "none" and fallback != "none":
        return "Cannot set fallback if primary 'hash_on' is not set"
    if primary == "cookie" and fallback != "none":
        return "Cannot set `hash_fallback` if primary `hash_on` is set to cookie"
    same = primary == fallback and (
        primary != "header" or entity["hash_on_header"].upper() == entity["hash_fallback_header"].upper()
    )
    return "Cannot set fallback and primary hashes to the same value" if same and primary != "none" else None


UPSTREAMS = LegacyType(
    name="upstreams",
    key="name",
    whole_seconds=False,
    record=LegacyRecord(
        fields=(
            ID,
            CREATED_AT,
            text("name", required=True),
            text("hash_on", *_HASHES, default="none"),
            text("hash_fallback", *_HASHES, default="none"),
            text("hash_on_header"),
            text("hash_fallback_header"),
            text("hash_on_cookie"),
            text("hash_on_cookie_path", default="/"),
            number("slots", default=10000),
            _HEALTHCHECKS,
        ),
        check=_upstream,
    ),
)


def _target(entity: Entity) -> str | None:
    if not 0 <= entity["weight"] <= 1000:
        return "weight must be from 0 to 1000"
    full = target_of(entity["target"])
    if full is None:
        return "Invalid target; not a valid hostname or ip address"
    entity["target"] = full
    return None


TARGETS = LegacyType(
    name="targets",
    key="target",
    whole_seconds=False,
    append_only=True,
    record=LegacyRecord(
        fields=(
            ID,
            CREATED_AT,
            LegacyField(name="upstream_id", type=Type.ID),
            text("target", required=True),
            number("weight", default=100),
        ),
        check=_target,
    ),
)
