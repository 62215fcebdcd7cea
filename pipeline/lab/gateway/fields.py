"""Field types that several entities share."""

from __future__ import annotations

from typing import Any

from pipeline.lab.gateway.rules import (
    NAME,
    NO_EMPTY_SEGMENTS,
    NOT_EMPTY,
    TAG,
    between,
    length_min,
    one_of,
    starts_with,
)
from pipeline.lab.gateway.schema import Auto, Field, Kind, Rule

PROTOCOLS = ("grpc", "grpcs", "http", "https", "tcp", "tls", "tls_passthrough", "udp")

ID = Field(name="id", auto=Auto.UUID, uuid=True, rules=(length_min(1),))
CREATED_AT = Field(name="created_at", kind=Kind.INTEGER, auto=Auto.CREATED)
UPDATED_AT = Field(name="updated_at", kind=Kind.INTEGER, auto=Auto.UPDATED)
NAMED = Field(name="name", unique=True, rules=(length_min(1), NAME))
TAGS = Field(
    name="tags",
    kind=Kind.SET,
    elements=Field(required=True, rules=(NOT_EMPTY, TAG)),
)
PATH_RULES = (length_min(1), starts_with("/"), NO_EMPTY_SEGMENTS)


def text(name: str, *rules: Rule, default: Any = None, required: bool = False, unique: bool = False) -> Field:
    """A string that may not be empty."""
    size = () if NOT_EMPTY in rules else (length_min(1),)
    closed = tuple(rule for rule in rules if rule.key == "one_of")
    return Field(
        name=name,
        rules=(*closed, *size, *(rule for rule in rules if rule.key != "one_of")),
        default=default,
        has_default=default is not None,
        required=required,
        unique=unique,
    )


def bare_text(name: str, *rules: Rule, unique: bool = False) -> Field:
    """The same, in Kong's shorter description."""
    return text(name, NOT_EMPTY, *rules, unique=unique)


def choice(name: str, *choices: str, default: str | None = None, required: bool = False) -> Field:
    """One of a closed list of words."""
    return text(name, one_of(*choices), default=default, required=required)


def bare_choice(name: str, *choices: str, default: str) -> Field:
    """The same, in Kong's shorter description."""
    return text(name, NOT_EMPTY, one_of(*choices), default=default)


def integer(name: str, *rules: Rule, default: int | None = None, required: bool = False) -> Field:
    """A whole number."""
    return Field(
        name=name, kind=Kind.INTEGER, rules=rules, default=default, has_default=default is not None, required=required
    )


def number(name: str, *rules: Rule, default: float | None = None, required: bool = False) -> Field:
    """A number that may have a fraction."""
    return Field(
        name=name, kind=Kind.NUMBER, rules=rules, default=default, has_default=default is not None, required=required
    )


def flag(name: str, *, default: bool | None = None, required: bool | None = None) -> Field:
    """True or false; required when it has a default, unless told."""
    has_default = default is not None
    return Field(
        name=name,
        kind=Kind.BOOLEAN,
        default=default,
        has_default=has_default,
        required=has_default if required is None else required,
    )


def listing(name: str, elements: Field, *, default: list[Any] | None = None, required: bool = False) -> Field:
    """An array: keeps order and duplicates."""
    return Field(
        name=name,
        kind=Kind.ARRAY,
        elements=elements,
        default=default,
        has_default=default is not None,
        required=required,
    )


def foreign(name: str, reference: str, *, required: bool = False, cascades: bool = False) -> Field:
    """A reference to another entity, by id."""
    return Field(name=name, kind=Kind.FOREIGN, reference=reference, required=required, cascades=cascades)


def record(name: str, *fields: Field, required: bool = True) -> Field:
    """A nested object; a required one that is missing is made of its fields' defaults."""
    return Field(name=name, kind=Kind.RECORD, fields=fields, required=required)


def milliseconds(name: str) -> Field:
    """One of a service's three time-outs."""
    return integer(name, between(1, 2147483646), default=60000)


PORT_RANGE = between(0, 65535)
