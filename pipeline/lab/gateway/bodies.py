"""Request bodies of the Admin API: JSON, forms and multipart, turned into the object that they describe."""

from __future__ import annotations

import json
import re
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any
from urllib.parse import unquote_to_bytes

from pipeline.lab.gateway import faults
from pipeline.lab.gateway.schema import Entity, Field, Kind, Schema
from pipeline.lab.gateway.validation import effective, subschema

_JSON = b"application/json"
_FORM = b"application/x-www-form-urlencoded"
_MULTIPART = b"multipart/form-data"
_KEY_PART = re.compile(r"\[(\d*)\]$")


class Unsupported(Exception):
    """The body's type is none that the Admin API reads (nginx's 415)."""


def check_type(content_type: bytes | None, *, has_body: bool) -> None:
    """Raise Unsupported for a body that will not be read. The comparison is Kong's: case matters."""
    if content_type is None:
        if has_body:
            raise Unsupported
    elif not any(known in content_type for known in (_JSON, _FORM, _MULTIPART)):
        raise Unsupported


def parsed(content_type: bytes | None, body: bytes, schema: Schema | None) -> Entity:
    """The fields of a body. Raises Fault for what cannot be parsed."""
    if content_type is None:
        return {}
    if _JSON in content_type:
        return _from_json(body)
    pairs = _form_pairs(body) if _FORM in content_type else _multipart_pairs(content_type, body)
    nested = _nested(pairs)
    fields = effective(schema, subschema(schema, nested)) if schema is not None else ()
    return _inferred_entity(nested, fields)


def legacy_parsed(content_type: bytes | None, body: bytes, query: bytes) -> Entity:
    """What a request for the old data layer names, in its body and its query (source: kong/api/init.lua of 0.14.1).

    A form's `a[1]=x` is a member of a list, `a[]=x` is not: Kong takes it for a table.
    """
    named = _tabled(query_pairs(query))
    if content_type is None:
        return named
    if _JSON in content_type:
        return {**named, **_from_json(body)}
    pairs = _form_pairs(body) if _FORM in content_type else _multipart_pairs(content_type, body)
    return {**named, **_tabled(pairs)}


def _tabled(pairs: list[tuple[str, Any]]) -> Entity:
    plain = [(name, value) for name, value in pairs if not name.endswith("[]")]
    tables = {name.removesuffix("[]"): {"": value} for name, value in pairs if name.endswith("[]")}
    return {**_nested(plain), **tables}


def _from_json(body: bytes) -> Entity:
    try:
        value = json.loads(body.decode("utf-8", "surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise faults.plain(400, "Cannot parse JSON body") from error
    if value == []:
        return {}
    if not isinstance(value, dict):
        # Kong indexes what it takes for an object, and fails.
        raise faults.unexpected()
    return value


def decoded(data: bytes) -> str:
    """Percent-decoded text; bytes that are not UTF-8 stay recognisable as surrogates."""
    return unquote_to_bytes(data).decode("utf-8", "surrogateescape")


def query_pairs(query: bytes) -> list[tuple[str, str | bool]]:
    """Query arguments in order; one without `=` is True, as in nginx's Lua."""
    pairs: list[tuple[str, str | bool]] = []
    for part in query.split(b"&"):
        name, equals, value = part.replace(b"+", b" ").partition(b"=")
        if name:
            pairs.append((decoded(name), decoded(value) if equals else True))
    return pairs


def _form_pairs(body: bytes) -> list[tuple[str, Any]]:
    return list(query_pairs(body))


def _multipart_pairs(content_type: bytes, body: bytes) -> list[tuple[str, Any]]:
    message = BytesParser(policy=HTTP).parsebytes(b"Content-Type: " + content_type + b"\r\n\r\n" + body)
    pairs: list[tuple[str, Any]] = []
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        payload = part.get_payload(decode=True)
        if isinstance(name, str) and isinstance(payload, bytes):
            pairs.append((name, payload.decode("utf-8", "surrogateescape")))
    return pairs


def _nested(pairs: list[tuple[str, Any]]) -> Entity:
    """`a.b=1&c[]=2&c[]=3&d[1]=x` as nested objects and lists; a repeated plain name is a list too."""
    root: Entity = {}
    for name, value in pairs:
        steps = name.split(".")
        place = root
        for step in steps[:-1]:
            inner = place.setdefault(step, {})
            place = inner if isinstance(inner, dict) else {}
        last = steps[-1]
        if _KEY_PART.search(last):
            members = place.setdefault(_KEY_PART.sub("", last), [])
            if isinstance(members, list):
                members.append(value)
        elif last in place:
            earlier = place[last]
            place[last] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            place[last] = value
    return root


def _inferred_entity(values: Entity, fields: tuple[Field, ...]) -> Entity:
    known = {field.name: field for field in fields}
    return {name: _inferred(value, known.get(name)) for name, value in values.items()}


def _inferred(value: Any, field: Field | None) -> Any:
    """A form's text in the type that the schema wants, where it can be read so; empty is null."""
    if value == "":
        return None
    if field is None:
        return value
    if field.elements is not None:
        members = value if isinstance(value, list) else [value]
        return [_inferred(member, field.elements) for member in members]
    if field.kind is Kind.RECORD and isinstance(value, dict):
        return _inferred_entity(value, field.fields)
    if field.kind is Kind.MAP and isinstance(value, dict):
        return {key: _inferred(member, field.values) for key, member in value.items()}
    return _scalar(value, field.kind)


def _scalar(value: Any, kind: Kind) -> Any:
    if not isinstance(value, str):
        return value
    if kind is Kind.BOOLEAN:
        return {"true": True, "false": False}.get(value, value)
    if kind in (Kind.INTEGER, Kind.NUMBER):
        try:
            number = float(value)
        except ValueError:
            return value
        return int(number) if number.is_integer() else number
    return value
