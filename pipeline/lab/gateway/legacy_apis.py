"""The legacy type of apis, and rules that it shares (source: kong/dao/schemas/apis.lua of 0.14.1)."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.legacy_schema import (
    CREATED_AT,
    ID,
    Check,
    LegacyField,
    LegacyRecord,
    LegacyType,
    Type,
    flag,
    listing,
    number,
)
from pipeline.lab.gateway.rules import bad_escape, is_plain_path, pcre_error
from pipeline.lab.gateway.schema import Entity

LARGEST = 2147483647
"""The largest number that the database's integers hold."""
_HOST = re.compile(r"[0-9A-Za-z\-._]+")


def old_host(value: str) -> bool:
    """Whether a text is an address or a name as 0.14 knows them: no label is empty or ends in a dash."""
    if re.fullmatch(r"[0-9A-Fa-f:.]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*", value.strip("[]")):
        return True
    if re.fullmatch(r"\d{1,3}(\.\d{1,3}){3}", value):
        return all(int(part) < 256 for part in value.split("."))
    return _HOST.fullmatch(value) is not None and all(label and not label.endswith("-") for label in value.split("."))


def each(kind: str, judge: Any) -> Check:
    """A rule for every member of a list, which `judge` looks at: the message names the member."""

    def check(values: Any, entity: Entity) -> str | None:
        del entity
        for value in values or ():
            wrong = judge(value)
            if wrong is not None:
                return f"{kind} with value '{value}' is invalid: {wrong}"
        return None

    return check


def _host(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not value.strip():
        return "host is empty"
    if not old_host(value.replace("*", "abc")):
        return "Invalid hostname"
    if value.count("*") > 1:
        return "Only one wildcard is allowed"
    if "*" in value and not (value.startswith("*.") or re.fullmatch(r"\*?.+\.\*", value)):
        return "Invalid wildcard placement"
    return None


def _uri(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not value.strip():
        return "uri is empty"
    if not value.startswith("/"):
        return "must be prefixed with slash"
    if "//" in value:
        return "invalid"
    broken = None if is_plain_path(value) else pcre_error(value)
    if broken is not None:
        return f"invalid regex '{value}' PCRE returned: {broken}"
    escape = bad_escape(value)
    return f"must use proper encoding; '{escape}' is invalid" if escape is not None else None


def _uris(values: Any, entity: Entity) -> str | None:
    wrong = each("uri", _uri)(values, entity)
    if wrong is None and values:
        entity["uris"] = [value if value == "/" else value.removesuffix("/") for value in values]
    return wrong


def _method(value: Any) -> str | None:
    if not isinstance(value, str):
        return "must be a string"
    if not value.strip():
        return "method is empty"
    return None if re.fullmatch(r"[A-Z]+", value) else "invalid value"


def _name(value: Any, entity: Entity) -> str | None:
    del entity
    if value is not None and re.search(r"[^A-Za-z0-9_.\-~]", value):
        return "name must only contain alphanumeric and '., -, _, ~' characters"
    return None


def _upstream_url(value: Any, entity: Entity) -> str | None:
    del entity
    scheme = urlsplit(value).scheme.lower()
    return None if scheme in ("http", "https") else "Supported protocols are HTTP and HTTPS"


def whole(low: int, high: int, words: str = "") -> Check:
    """A whole number in a range. A null is compared too, and Kong fails."""

    def check(value: Any, entity: Entity) -> str | None:
        del entity
        if value is None:
            raise faults.unexpected()
        if low <= value <= high and isinstance(value, int):
            return None
        return words or f"must be an integer between {low} and {high}"

    return check


def _has_condition(entity: Entity) -> str | None:
    if any(entity.get(name) for name in ("uris", "hosts", "methods")):
        return None
    return "at least one of 'hosts', 'uris' or 'methods' must be specified"


APIS = LegacyType(
    name="apis",
    key="name",
    whole_seconds=False,
    record=LegacyRecord(
        fields=(
            ID,
            CREATED_AT,
            LegacyField(name="name", required=True, check=_name),
            listing("hosts", each("host", _host)),
            listing("uris", _uris),
            listing("methods", each("method", _method)),
            flag("strip_uri", default=True),
            flag("https_only", default=False),
            flag("http_if_terminated", default=False),
            LegacyField(name="upstream_url", type=Type.URL, required=True, check=_upstream_url),
            flag("preserve_host", default=False),
            number("retries", whole(0, 32767), default=5),
            number("upstream_connect_timeout", whole(1, LARGEST), default=60000),
            number("upstream_send_timeout", whole(1, LARGEST), default=60000),
            number("upstream_read_timeout", whole(1, LARGEST), default=60000),
        ),
        check_on_insert=_has_condition,
    ),
)
