"""Pages of lists: size, offset, tag filters, and what `next` remembers of them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.bodies import query_pairs
from pipeline.lab.gateway.collection import Collection, page
from pipeline.lab.gateway.schema import Entity

DEFAULT_SIZE = 100
_LARGEST_SIZE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ListStyle:
    """A version's habits: the characters of a tag, the sizes that it takes, whether `next` carries the size.

    Below a parent: whether nulls are shown and `next` has the parent's id. `bare_filters`: what a filter finds has no
    `next` and no nulls, and is an object when it is empty.
    """

    tag: str = r"[!-+\-.0-~\u0080-\U0010ffff]"
    size: Callable[[list[str | bool] | None], int]
    next_carries_size: bool = False
    shows_nested_nulls: bool = True
    names_parent_by_id: bool = False
    bare_filters: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Paging:
    """What a list's query asks for."""

    size: int
    size_given: bool = False
    after: tuple[str | None, int] | None
    tags: str | None = None
    any_tag: tuple[str, ...] = ()
    every_tag: tuple[str, ...] = ()
    filters: tuple[tuple[str, str], ...] = ()


def asked(query: bytes, style: ListStyle) -> Paging:
    """Read a list's query. Raises Fault as Kong does for each malformed part."""
    pairs = query_pairs(query)
    values: dict[str, list[str | bool]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    tags = values.get("tags")
    any_tag, every_tag = _tag_filter(tags, style.tag) if tags is not None else ((), ())
    return Paging(
        size=style.size(values.get("size")),
        size_given=style.next_carries_size and "size" in values,
        after=_offset(values.get("offset")),
        tags=tags[0] if tags is not None and isinstance(tags[0], str) else None,
        any_tag=any_tag,
        every_tag=every_tag,
        filters=tuple((name, value) for name, value in pairs if isinstance(value, str)),
    )


def checked_size(values: list[str | bool] | None) -> int:
    """A page's size as asked for. Raises Fault for what is no whole number from 1 to 1000."""
    if values is None:
        return DEFAULT_SIZE
    try:
        number = float(values[0]) if len(values) == 1 and isinstance(values[0], str) else None
    except ValueError:
        number = None
    if number is None:
        raise faults.invalid_size("size must be a number")
    if not (1 <= number <= _LARGEST_SIZE) or number != int(number):
        raise faults.invalid_size(f"size must be an integer between 1 and {_LARGEST_SIZE}")
    return int(number)


def _offset(values: list[str | bool] | None) -> tuple[str | None, int] | None:
    if values is None:
        return None
    if len(values) > 1 or not isinstance(values[0], str):
        raise faults.unexpected()
    text = values[0]
    try:
        raw = base64.b64decode(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise faults.invalid_offset(text, "bad base64 encoding") from error
    try:
        value = json.loads(raw)
    except ValueError as error:
        raise faults.invalid_offset(text, "bad json encoding") from error
    if not isinstance(value, list):
        # Kong indexes what it takes for an array, and fails.
        raise faults.unexpected()
    first = value[0] if value and isinstance(value[0], str) else None
    return (first, value[1] if len(value) > 1 and isinstance(value[1], int) else 0)


def _tag_filter(values: list[str | bool], tag: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    texts = [value for value in values if isinstance(value, str)]
    if len(texts) != len(values) or not all(texts):
        raise faults.unexpected()
    if len(texts) > 1:
        return tuple(texts), ()
    if re.fullmatch(f"{tag}+(?:,{tag}*)*", texts[0]):
        return (), tuple(texts[0].split(","))
    if re.fullmatch(f"{tag}+(?:/{tag}*)*", texts[0]):
        return tuple(texts[0].split("/")), ()
    raise faults.invalid_tags()


def cursor(*parts: Any) -> str:
    """The offset that stands after an entity."""
    text = json.dumps(list(parts), separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def listed(
    collection: Collection, keys: Sequence[str], paging: Paging, url: str, *, nested: bool = False
) -> tuple[list[Entity], Entity]:
    """The entities of one page, and what the answer says besides them; `next` below a parent repeats nothing."""
    if paging.any_tag or paging.every_tag:
        keys = _tagged(collection, paging)
    if paging.after is not None and paging.after[0] is None:
        return [], {"next": None}
    found, more = page(keys, paging.after[0] if paging.after is not None else None, paging.size)
    entities = [collection.entities[key] for key in found]
    return entities, following(cursor(found[-1]) if more else None, url, None if nested else paging)


def following(offset: str | None, url: str, paging: Paging | None = None) -> Entity:
    """`next` and `offset` of an answer; `next` repeats what `paging` (None below a parent) has to be repeated."""
    if offset is None:
        return {"next": None}
    suffix = f"&tags={quote(paging.tags, safe='')}" if paging is not None and paging.tags is not None else ""
    suffix += f"&size={paging.size}" if paging is not None and paging.size_given else ""
    return {"offset": offset, "next": f"{url}?offset={quote(offset, safe='')}{suffix}"}


def _tagged(collection: Collection, paging: Paging) -> list[str]:
    if paging.any_tag:
        return sorted({key for tag in paging.any_tag for key in collection.tagged(tag)})
    sets = [set(collection.tagged(tag)) for tag in paging.every_tag]
    return sorted(set.intersection(*sets))
