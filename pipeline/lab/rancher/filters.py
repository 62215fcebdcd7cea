"""Filters of a list, its order and its page: what a query asks for and which rows match."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pipeline.lab.rancher.fields import Kind
from pipeline.lab.rancher.ids import parsed_id
from pipeline.lab.rancher.rows import Row

DEFAULT_LIMIT = 100
LIMIT = 3000
_MODIFIERS = ("eq", "ne", "lt", "lte", "gt", "gte", "prefix", "like", "notlike", "null", "notnull")

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One condition. Several of one field must all hold."""

    field: str
    modifier: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which part of a list, and in which order."""

    limit: int
    offset: int
    sort: str = ""
    descending: bool = False


def conditions(kind: Kind, query: Sequence[Pair]) -> tuple[Condition, ...]:
    """The query's conditions on columns of the type; what is none of them is ignored in silence.

    Of one field with two modifiers only the last modifier survives.
    """
    found: dict[str, list[Condition]] = {}
    for key, value in query:
        name, modifier = _split(kind, key)
        if name not in kind.filters:
            continue
        earlier = found.setdefault(name, [])
        if earlier and earlier[0].modifier != modifier:
            earlier.clear()
        earlier.append(Condition(field=name, modifier=modifier, value=_typed(kind, name, value)))
    return tuple(one for several in found.values() for one in several)


def page(kind: Kind, query: Sequence[Pair]) -> Page:
    """Limit, offset and order: 100 rows without a limit, never more than 3000."""
    asked = dict(query)
    sort = asked.get("sort", "")
    return Page(
        limit=_limit(asked.get("limit", "")),
        offset=_offset(asked.get("marker", "")),
        sort=sort if sort in kind.filters else "",
        descending=asked.get("order", "asc").lower() == "desc",
    )


def matching(rows: Iterable[Row], wanted: Sequence[Condition]) -> Iterable[Row]:
    """The rows for which every condition holds."""
    if not wanted:
        return rows
    tests = [_test(one) for one in wanted]
    return (row for row in rows if all(test(row) for test in tests))


def ordered(rows: Iterable[Row], wanted: Page) -> list[Row]:
    found = list(rows)
    if wanted.sort:
        found.sort(key=lambda row: _sortable(column(row, wanted.sort)), reverse=wanted.descending)
    return found


def column(row: Row, name: str) -> Any:
    """A column's value; numbers where clients see ids."""
    if name == "id":
        return row.number
    if name == "kind":
        return row.kind
    return row.data.get(name)


def shown(kind: Kind, wanted: Sequence[Condition]) -> dict[str, Any]:
    """The filters as a collection repeats them."""
    found: dict[str, Any] = dict.fromkeys(kind.filters)
    for one in wanted:
        found[one.field] = [*(found[one.field] or []), {"value": one.value, "modifier": one.modifier}]
    return found


def _split(kind: Kind, key: str) -> tuple[str, str]:
    name, _, modifier = key.rpartition("_")
    if name in kind.filters and modifier in _MODIFIERS:
        return name, modifier
    return key, "eq"


def _limit(text: str) -> int:
    if not re.fullmatch(r"-?\d+", text):
        return DEFAULT_LIMIT
    number = int(text)
    return LIMIT if number <= 0 else min(number, LIMIT)


def _offset(marker: str) -> int:
    return int(marker[1:]) if re.fullmatch(r"m\d+", marker) else 0


def _typed(kind: Kind, name: str, value: str) -> Any:
    rule = kind.fields.get(name)
    shape = rule.type if rule is not None else "string"
    if name == "id" or shape.startswith("reference["):
        return parsed_id(value)
    if shape == "boolean":
        return value.strip().lower() in ("true", "1")
    if shape == "int":
        return int(value) if re.fullmatch(r"-?\d+", value) else None
    if shape == "date":
        return _seconds(value)
    return value


def _seconds(text: str) -> float | None:
    if re.fullmatch(r"\d+", text):
        return int(text) / 1000
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def _test(one: Condition) -> Callable[[Row], bool]:
    name, wanted = one.field, _folded(one.value)
    if one.modifier == "null":
        return lambda row: column(row, name) is None
    if one.modifier == "notnull":
        return lambda row: column(row, name) is not None
    compare = _COMPARED[one.modifier]

    def test(row: Row) -> bool:
        value = column(row, name)
        if isinstance(wanted, bool):
            value = bool(value)
        # A comparison with NULL is never true in SQL, not even "is not".
        return value is not None and wanted is not None and compare(_folded(value), wanted)

    return test


def _folded(value: Any) -> Any:
    """MySQL's default collation does not see case."""
    return value.casefold() if isinstance(value, str) else value


def _like(value: Any, pattern: Any) -> bool:
    parts = [{"%": ".*", "_": "."}.get(letter, re.escape(letter)) for letter in str(pattern)]
    return re.fullmatch("".join(parts), str(value), re.DOTALL) is not None


def _sortable(value: Any) -> tuple[bool, Any]:
    return value is not None, _folded(value) if value is not None else 0


_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": lambda value, wanted: bool(value == wanted),
    "ne": lambda value, wanted: bool(value != wanted),
    "lt": lambda value, wanted: bool(value < wanted),
    "lte": lambda value, wanted: bool(value <= wanted),
    "gt": lambda value, wanted: bool(value > wanted),
    "gte": lambda value, wanted: bool(value >= wanted),
    "prefix": lambda value, wanted: str(value).startswith(str(wanted)),
    "like": _like,
    "notlike": lambda value, wanted: not _like(value, wanted),
}
