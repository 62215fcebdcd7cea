"""What an Admin URL means, from the schema tables alone: whether the things it names exist is asked later."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.lab.gateway.bodies import decoded
from pipeline.lab.gateway.schema import Field, Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Parent:
    """The entity under whose URL another stands, and the child's field that refers to it."""

    schema: Schema
    key: str
    field: Field
    child: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ListOf:
    """`/services`, `/services/{s}/routes`."""

    schema: Schema
    parent: Parent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemOf:
    """`/services/{s}`, `/services/{s}/routes/{r}`."""

    schema: Schema
    key: str
    parent: Parent | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParentOf:
    """`/routes/{r}/service`: the entity that another refers to."""

    child: Schema
    key: str
    field: Field
    schema: Schema


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A URL of its own; the segments after the first literal ones are its arguments."""

    name: str
    arguments: tuple[str, ...] = ()


Resource = ListOf | ItemOf | ParentOf | Page


def resolve(
    path: bytes, schemas: Mapping[str, Schema], pages: Mapping[tuple[str, ...], tuple[str, ...]]
) -> Resource | None:
    """The resource of a URL's path, or None. One slash at the end is allowed; an empty segment is not."""
    trimmed = path[1:-1] if path.endswith(b"/") and path != b"/" else path[1:]
    segments = tuple(decoded(part) for part in trimmed.split(b"/")) if trimmed else ()
    if not path.startswith(b"/") or not all(segments) or path == b"//":
        return None
    page = _page(segments, pages)
    if page is not None:
        return page
    tops = {schema.url_name: schema for schema in schemas.values() if schema.top_level}
    top = tops.get(segments[0]) if segments else None
    if top is None:
        return None
    if len(segments) == 1:
        return ListOf(schema=top) if top.methods.list else None
    if len(segments) == 2:
        return ItemOf(schema=top, key=segments[1]) if top.methods.item else None
    return _under(top, segments[1], segments[2:], schemas)


def _page(segments: tuple[str, ...], pages: Mapping[tuple[str, ...], tuple[str, ...]]) -> Page | None:
    for pattern in pages:
        if len(pattern) == len(segments) and all(
            part in ("*", segment) for part, segment in zip(pattern, segments, strict=True)
        ):
            arguments = tuple(segment for part, segment in zip(pattern, segments, strict=True) if part == "*")
            return Page(name="/".join(pattern), arguments=arguments)
    return None


def _under(top: Schema, key: str, rest: tuple[str, ...], schemas: Mapping[str, Schema]) -> Resource | None:
    for field in top.foreign:
        parent_type = schemas.get(field.reference)
        if (
            rest == (field.name.removesuffix("_id"),)
            and parent_type is not None
            and _among(parent_type.name, top.methods.parents)
        ):
            return ParentOf(child=top, key=key, field=field, schema=parent_type)
    for child in schemas.values():
        for field in child.foreign:
            if field.reference == top.name and rest[0] == (child.nested_name or child.name):
                parent = Parent(schema=top, key=key, field=field, child=child.name)
                if len(rest) == 1 and child.methods.nested_list:
                    return ListOf(schema=child, parent=parent)
                if len(rest) == 2 and child.methods.nested_item and _among(top.name, child.methods.nested_item_under):
                    return ItemOf(schema=child, key=rest[1], parent=parent)
    return None


def _among(name: str, names: frozenset[str] | None) -> bool:
    return names is None or name in names


def allowed(resource: Resource, pages: Mapping[tuple[str, ...], tuple[str, ...]]) -> tuple[str, ...]:
    """The methods of a resource, in the order of an Allow header."""
    if isinstance(resource, ListOf):
        methods = resource.schema.methods
        return methods.list if resource.parent is None else methods.nested_list
    if isinstance(resource, ItemOf):
        methods = resource.schema.methods
        return methods.item if resource.parent is None else methods.nested_item
    if isinstance(resource, ParentOf):
        return resource.child.methods.parent
    return pages[tuple(resource.name.split("/")) if resource.name else ()]
