"""Lists of the old data layer: pages by number, filters by column, an absolute `next` (kong/api/crud_helpers.lua)."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.bodies import query_pairs
from pipeline.lab.gateway.legacy_schema import LegacyRecord, Type
from pipeline.lab.gateway.legacy_validation import emptied
from pipeline.lab.gateway.messages import Head
from pipeline.lab.gateway.rules import is_uuid
from pipeline.lab.gateway.schema import Entity

_DEFAULT_SIZE = 100
_YES, _NO = ("true", "t", "yes", "on", "1"), ("false", "f", "no", "off", "0")


def page_of(record: LegacyRecord, rows: list[Entity], query: bytes, scope: Entity, url: str) -> Entity:
    """A page of the rows that match. Raises Fault for a filter that is no column or a value that it cannot have."""
    asked: dict[str, Any] = dict(query_pairs(query))
    size, page = _size(asked.pop("size", None)), _page(asked.pop("offset", None))
    filters = {**asked, **scope}
    checked_filters(record, filters)
    found = [row for row in rows if all(_matches(record, row, name, value) for name, value in filters.items())]
    start = size * (page - 1)
    data = [shown(row) for row in found[start : start + size]]
    answer: Entity = {"data": data, "total": len(found)}
    if found and (size == 0 or page + 1 <= math.ceil(len(found) / size)):
        # Kong's `next` names size and offset, and forgets the filters.
        answer["offset"] = base64.b64encode(str(page + 1).encode()).decode()
        answer["next"] = f"{url}?size={size}&offset={quote(answer['offset'], safe='')}"
    return answer


def url_of(head: Head) -> str:
    """The URL that a list's `next` goes on from: absolute, with the host as the client wrote it."""
    host = (head.value(b"host") or b"").decode("latin-1")
    return f"http://{host}{head.path.decode('latin-1')}"


def in_force(rows: Iterable[Entity]) -> list[Entity]:
    """Of targets in the order of their making, the newest entry of each that has a weight, the last name first."""
    newest = {row["target"]: row for row in rows}
    return [newest[name] for name in sorted(newest, reverse=True) if newest[name]["weight"]]


def checked_filters(record: LegacyRecord, filters: Mapping[str, Any]) -> None:
    """Raise the Fault for filters that the type does not have."""
    errors: Entity = {}
    for name, value in filters.items():
        field = record.field(name)
        if field is None:
            errors[name] = "unknown field"
        elif field.type is Type.ID and not is_uuid(value):
            errors[name] = f"{value} is not a valid uuid"
    if errors:
        raise faults.Fault(400, errors)


def _size(value: Any) -> int:
    try:
        size = int(float(value))
    except (TypeError, ValueError, OverflowError):
        return _DEFAULT_SIZE
    if size < 0:
        # The database refuses a negative limit.
        raise faults.unexpected()
    return size


def _page(value: Any) -> int:
    if value is None:
        return 1
    try:
        return int(base64.b64decode(str(value) + "=" * (-len(str(value)) % 4)))
    except (binascii.Error, ValueError) as error:
        raise faults.unexpected() from error


def _matches(record: LegacyRecord, row: Entity, name: str, value: Any) -> bool:
    field = record.field(name)
    there = row.get(name)
    if field is None or there is None:
        return False
    if field.type is Type.BOOLEAN:
        if str(value).lower() not in _YES + _NO:
            raise faults.unexpected()
        return there is (str(value).lower() in _YES)
    if field.type in (Type.NUMBER, Type.TIMESTAMP):
        try:
            return bool(there == float(value))
        except ValueError as error:
            raise faults.unexpected() from error
    if field.type is Type.ID:
        return bool(there == str(value).lower())
    # Lists are texts in the database, in a spelling that nobody guesses.
    return bool(there == value)


def shown(entity: Entity) -> Entity:
    """An entity as it is answered: without nulls, and an empty list is an empty object: Lua cannot tell them apart."""
    return {name: emptied(value) for name, value in entity.items() if value is not None}
